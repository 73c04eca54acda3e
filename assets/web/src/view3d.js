// One 3D pane: vtk.js window, parallel camera, turning by hand; what is shown is a layer's affair.

import macro from "@kitware/vtk.js/macros.js";
import vtkInteractorStyle from "@kitware/vtk.js/Interaction/Style/InteractorStyleTrackballCamera.js";
import vtkInteractor from "@kitware/vtk.js/Rendering/Core/RenderWindowInteractor.js";
import { afterRest, onceAFrame } from "./dom.js";
import { cross, dot, unit } from "./vectors.js";
import { openWindow } from "./vtkwindow.js";

export const BACKGROUND = [0.043, 0.051, 0.063];
const CLICK_PIXELS = 4;
// Without a graphics card a picture costs by its pixels, and while one is drawn nothing else of the
// page is: 0.9 s for 700,000 on two cores. So it rests at fewer, and moves at a quarter of those.
const RESTING_PIXELS = 180_000;
export const MOVING_SCALE = 4;
const RESTS_MS = 160;

// vtk.js has keys of its own (wireframe, reset, ...) that would collide with the page's
const newStyle = macro.newInstance((publicAPI, model, initial) => {
  vtkInteractorStyle.extend(publicAPI, model, initial);
  publicAPI.handleKeyPress = () => {};
}, "PageInteractorStyle");

// vtk.js draws a volume small while something moves, every frame, whether or not it changed. With
// this a single picture is drawn so.
const newInteractor = macro.newInstance((publicAPI, model, initial) => {
  vtkInteractor.extend(publicAPI, model, initial);
  const moves = publicAPI.isAnimating;
  let hasty = false;
  publicAPI.setHasty = (now) => (hasty = now);
  publicAPI.isAnimating = () => hasty || moves();
}, "PageInteractor");

/** Whether a context draws by the processor: then pictures are made smaller while they move. */
function drawnByProcessor(gl) {
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

/** Whether this browser has what 3D needs. */
export const has3D = () => typeof WebGL2RenderingContext !== "undefined";

export class View3D {
  #down = null;
  #coarse = false; // what stands was drawn small, in haste

  /**
   * @param smooth whether edges of surfaces are to be smoothed; a volume has none
   * @throws when the browser gives no WebGL 2 context
   */
  constructor(container, { smooth = false } = {}) {
    this.container = container;
    this.oncamera = () => {};
    this.onpick = () => {};
    this.ondraw = () => {};
    this.interactor = newInteractor();
    const opened = openWindow(container, BACKGROUND, this.interactor, {
      antialias: smooth, alpha: true, preserveDrawingBuffer: false,
    });
    this.renderWindow = opened.renderWindow;
    this.renderer = opened.renderer;
    this.view = opened.view;
    this.software = drawnByProcessor(opened.gl);
    this.interactor.bindEvents(container);
    this.interactor.setInteractorStyle(newStyle());
    this.interactor.setDesiredUpdateRate(20);
    this.camera = this.renderer.getActiveCamera();
    this.canvas = container.querySelector("canvas");
    this.draw = onceAFrame(() => this.drawNow());
    this.interactor.onRenderEvent(() => this.#drawn());
    this.camera.onModified(() => this.#cameraMoved());
    this.#settle = afterRest(() => this.#still(), RESTS_MS);
    // turned by hand: vtk.js draws every frame, small
    this.interactor.onStartAnimation(() => (container.dataset.quality = "moving"));
    this.interactor.onEndAnimation(() => {
      container.dataset.quality = this.#coarse ? "moving" : "resting";
    });
    this.#watchClicks();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(container);
    this.resize();
  }

  #settle;
  #announce = onceAFrame(() => this.oncamera(this.cameraState()));
  #quiet = false;

  #cameraMoved() {
    if (!this.#quiet) this.#announce();
  }

  #drawn() {
    this.ondraw();
  }

  #watchClicks() {
    this.container.addEventListener("pointerdown", (event) => {
      this.#down = [event.clientX, event.clientY, event.button];
    }, true);
    this.container.addEventListener("pointerup", (event) => {
      const down = this.#down;
      this.#down = null;
      if (!down || down[2] !== 0) return;
      if (Math.hypot(event.clientX - down[0], event.clientY - down[1]) > CLICK_PIXELS) return;
      const box = this.container.getBoundingClientRect();
      this.onpick(event.clientX - box.left, event.clientY - box.top);
    }, true);
  }

  /** Fit the drawing to its pane. */
  resize() {
    const { width, height } = this.container.getBoundingClientRect();
    if (width < 2 || height < 2) return;
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.#size(this.#ratio());
    this.drawQuick();
  }

  /** Pixels of the drawing to one of the page, along each side. */
  #ratio() {
    if (!this.software) return Math.min(window.devicePixelRatio || 1, 2);
    return Math.min(1, Math.sqrt(RESTING_PIXELS / (this.width * this.height)));
  }

  #size(ratio) {
    this.view.setSize(Math.round(this.width * ratio), Math.round(this.height * ratio));
  }

  /** Draw every pixel, hand the canvas over at once, and go back to what is quick. */
  drawWhole(use) {
    if (this.software) this.#size(1);
    this.drawNow();
    use(this.canvas);
    if (!this.software) return;
    this.#size(this.#ratio());
    this.drawNow();
  }

  drawNow() {
    if (!this.width) return;
    this.renderer.resetCameraClippingRange();
    this.renderWindow.render();
    this.#drawn();
  }

  /** Draw soon; without a graphics card small first, and finer once changes have stopped. */
  drawQuick() {
    if (!this.renderer.getViewProps().length) return; // nothing is there to be drawn
    if (!this.software) {
      this.draw();
      return;
    }
    this.#coarse = true;
    this.container.dataset.quality = "moving";
    this.#small();
    this.#settle();
  }

  #small = onceAFrame(() => {
    if (!this.#coarse || this.interactor.isAnimating()) return; // else vtk.js draws it
    this.interactor.setHasty(true);
    this.drawNow();
    this.interactor.setHasty(false);
  });

  #still() {
    if (this.interactor.isAnimating()) this.#settle();
    else if (this.#coarse) this.drawFine();
  }

  /** Draw as fine as a picture at rest, at once. */
  drawFine() {
    this.#coarse = false;
    this.container.dataset.quality = "resting";
    this.drawNow();
  }

  cameraState() {
    const focal = this.camera.getFocalPoint();
    const position = this.camera.getPosition();
    return {
      focal: [...focal],
      back: unit(position.map((v, i) => v - focal[i])),
      up: unit([...this.camera.getViewUp()]),
      height_um: 2 * this.camera.getParallelScale(),
    };
  }

  setCamera({ focal, back, up, height_um }, reach) {
    this.#quiet = true;
    this.camera.setFocalPoint(...focal);
    this.camera.setPosition(...focal.map((v, i) => v + back[i] * reach));
    this.camera.setViewUp(...up);
    this.camera.setParallelScale(height_um / 2);
    this.renderer.resetCameraClippingRange();
    this.#quiet = false;
  }

  /** Right, up and towards the viewer: the picture's axes in the world. */
  axes() {
    const state = this.cameraState();
    const right = unit(cross(state.up, state.back));
    return { ...state, right, up: unit(cross(state.back, right)) };
  }

  /** Pixels (x, y) and depth towards the viewer of a world point. */
  project(point, axes = this.axes()) {
    const scale = this.height / axes.height_um;
    const off = point.map((v, i) => v - axes.focal[i]);
    return [
      this.width / 2 + dot(off, axes.right) * scale,
      this.height / 2 - dot(off, axes.up) * scale,
      dot(off, axes.back),
    ];
  }

  /** The ray through a pixel: a point on it and its direction away from the viewer. */
  ray(px, py) {
    const axes = this.axes();
    const scale = axes.height_um / this.height;
    const u = (px - this.width / 2) * scale;
    const v = (this.height / 2 - py) * scale;
    const from = axes.focal.map((f, i) => f + axes.right[i] * u + axes.up[i] * v);
    return { from, to: axes.back.map((b) => -b) };
  }

  /** Draw every frame, as small as keeps the pace, until told to stop. */
  keepDrawing(on) {
    if (!this.software) return;
    if (on) this.interactor.requestAnimation(this);
    else this.interactor.cancelAnimation(this, true);
  }

  /** Turn about the picture's upright axis, in degrees. */
  turn(degrees) {
    this.camera.azimuth(degrees);
    this.camera.orthogonalizeViewUp();
  }

  destroy() {
    this.observer.disconnect();
    this.interactor.unbindEvents();
    this.interactor.delete();
    this.renderWindow.delete();
    this.view.delete();
  }
}
