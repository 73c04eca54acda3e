// The window that vtk.js draws in: as many pixels as this machine draws smoothly.

import vtkInteractor from "@kitware/vtk.js/Rendering/Core/RenderWindowInteractor.js";
import { onceAFrame } from "../dom.js";
import { openWindow } from "../vtkwindow.js";

const BACKGROUND = [11 / 255, 13 / 255, 18 / 255];
const MOVING_MS = 33; // a picture may take so long while something moves,
const RESTING_MS = 900; // and so long once it rests
const RESTS_MS = 220;
const LONG_STEPS = 2.5; // of a ray's samples, where a moving picture has to be drawn small

export class Canvas {
  #timer = 0;
  #pixels_ms = null; // how many pixels are drawn in a millisecond

  /** @throws when the browser gives no WebGL 2 context */
  constructor(container) {
    this.container = container;
    this.onsteps = () => {};
    this.frames = 0;
    // vtk.js asks it whether anything moves; the pointer is hand.js's affair
    this.interactor = vtkInteractor.newInstance();
    // the picture stays readable between frames: for whoever takes a screenshot of the page
    const opened = openWindow(container, BACKGROUND, this.interactor, {
      antialias: false, alpha: false, preserveDrawingBuffer: true,
    });
    this.renderWindow = opened.renderWindow;
    this.renderer = opened.renderer;
    this.view = opened.view;
    this.gl = opened.gl;
    container.addEventListener("webglcontextlost", () => this.onlost(), true);
    new ResizeObserver(() => this.resize()).observe(container);
    this.resize();
  }

  onresize = () => {};
  held = () => false;
  onlost = () => {};

  resize() {
    const { width, height } = this.container.getBoundingClientRect();
    if (width < 2 || height < 2 || (width === this.width && height === this.height)) return;
    Object.assign(this, { width, height });
    this.onresize(width, height);
    this.draw();
  }

  /** Draw soon: at once as well as it goes quickly, and finely once nothing has changed. */
  draw() {
    this.#quick();
    this.#settle();
  }

  #settle() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // a fine picture may take long: it must not come between the moves of a hand
      if (this.held()) this.#settle();
      else if (!this.#paint(RESTING_MS, 1, "resting")) this.#settle();
    }, RESTS_MS);
  }

  #quick = onceAFrame(() => {
    const small = this.#ratio(MOVING_MS) < this.#ratio(Infinity);
    this.#paint(MOVING_MS, small ? LONG_STEPS : 1, "moving");
  });

  #ratio(ms) {
    const most = Math.min(window.devicePixelRatio || 1, 2);
    // a first picture tells how fast this machine is: it is small
    const pixels = (this.#pixels_ms ?? 400) * ms;
    return Math.max(0.15, Math.min(most, Math.sqrt(pixels / (this.width * this.height))));
  }

  /** Draw in so many milliseconds; whether it could hardly have been drawn finer. */
  #paint(ms, steps, quality) {
    if (!this.width || !this.camera) return true;
    // longer steps cost less: so much more of the picture can be drawn
    const ratio = this.#ratio(ms * steps);
    const size = [this.width, this.height].map((v) => Math.max(16, Math.round(v * ratio)));
    this.view.setSize(...size);
    this.onsteps(steps);
    const start = performance.now();
    this.renderer.resetCameraClippingRange();
    this.renderWindow.render();
    // the commands are done when a pixel can be read
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
    const took = Math.max(0.2, performance.now() - start);
    const speed = (size[0] * size[1]) / took / steps;
    // a picture with new textures or shaders is slow for once
    this.#pixels_ms = this.#pixels_ms === null || speed > this.#pixels_ms
      ? speed : 0.7 * this.#pixels_ms + 0.3 * speed;
    this.frames += 1;
    const fine = this.#ratio(ms * steps) < 1.2 * ratio;
    Object.assign(document.body.dataset, {
      frames: this.frames, quality: fine ? quality : "moving", drawn: size.join("x"),
      took: took.toFixed(0),
    });
    return fine;
  }

  /** See the scene by a camera of the study's frame, z stretched by ``depth``. */
  aim(camera, depth) {
    this.camera = camera;
    const focal = camera.focal.map((v, i) => v * (i === 2 ? depth : 1));
    const bounds = this.renderer.computeVisiblePropBounds();
    const spans = [0, 2, 4].map((i) => bounds[i + 1] - bounds[i]);
    const reach = 2 * Math.max(spans[0] > 0 ? Math.hypot(...spans) : 1, camera.height_um);
    const eye = this.renderer.getActiveCamera();
    eye.setFocalPoint(...focal);
    eye.setPosition(...focal.map((v, i) => v + reach * camera.back[i]));
    eye.setViewUp(...camera.up);
    eye.setParallelScale(camera.height_um / 2);
    this.draw();
  }
}
