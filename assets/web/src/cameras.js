// The 3D panes' cameras: linked, kept in the state, set along axes, turning by themselves.

import { afterRest } from "./dom.js";

// In the picture x goes right and y goes down, as in a slice; the viewer stands at low z.
export const PRESETS = {
  corner: { back: [-0.45, -0.5, -0.74], up: [0, -1, 0], text: "3D", title: "Camera at the corner (4)" },
  xy: { back: [0, 0, -1], up: [0, -1, 0], text: "XY", title: "Camera along z (1)" },
  xz: { back: [0, -1, 0], up: [0, 0, -1], text: "XZ", title: "Camera along y (2)" },
  yz: { back: [-1, 0, 0], up: [0, 0, -1], text: "YZ", title: "Camera along x (3)" },
};
const same = (a, b) =>
  b !== undefined &&
  Math.abs(a.height_um / b.height_um - 1) < 1e-6 &&
  ["focal", "back", "up"].every((name) => {
    const size = name === "focal" ? a.height_um : 1;
    return a[name].every((v, i) => Math.abs(v - b[name][i]) < 1e-5 * size);
  });
const TURN = 24; // degrees a second

export class Cameras {
  #same = false;
  #frame = 0;
  #last = 0;

  constructor(store, study) {
    Object.assign(this, { store, study });
    this.views = [];
    this.rotating = false;
    this.remember = afterRest(() => this.views.length && this.store.set({ camera: this.views[0].cameraState() }), 200);
  }

  /** Link one more pane. */
  add(view) {
    this.views.push(view);
    view.oncamera = (state) => this.#moved(view, state);
    view.container.addEventListener("pointerdown", () => this.rotating && this.#stop());
  }

  #moved(from, state) {
    // vtk.js also tells of changed clipping ranges, which are no move
    if (this.#same || same(state, this.now)) return;
    this.now = state;
    this.#link(from, state);
    if (!this.rotating) this.remember();
  }

  #link(from, state) {
    this.#same = true;
    for (const view of this.views) {
      if (view === from || view.hidden) continue;
      view.setCamera(state, this.reach);
      view.drawQuick();
    }
    this.#same = false;
  }

  /** How far the camera stands off: beyond the block, whatever its side. */
  get reach() {
    const { grid, depth } = this.study;
    return 2 * Math.hypot(grid.size(2), grid.size(1), grid.size(0) * depth);
  }

  #centre() {
    const [x, y, z] = this.study.grid.centre;
    return [x, y, z * this.study.depth];
  }

  /** The camera of the link that was opened; false when it has none. */
  restore() {
    const { camera } = this.store.state;
    if (!camera) return false;
    this.#set(camera);
    return true;
  }

  /** Look along an axis, or from the corner, at the whole block. */
  preset(name, keep = true) {
    if (!this.views.length) return;
    const { back, up } = PRESETS[name];
    const unit = Math.hypot(...back);
    const towards = back.map((v) => v / unit);
    const height_um = this.#fit(towards, up);
    // the colour bar stands below the block, so the block stands a little higher
    const lower = this.study.record.prediction ? 0.05 * height_um : 0;
    const focal = this.#centre().map((v, i) => v - up[i] * lower);
    this.#set({ focal, back: towards, up, height_um });
    if (keep) this.store.set({ camera: name === "corner" ? null : this.views[0].cameraState() });
  }

  /** The height that shows the whole block from a side. */
  #fit(back, up) {
    const { grid, depth } = this.study;
    const [view] = this.views;
    const right = [
      up[1] * back[2] - up[2] * back[1],
      up[2] * back[0] - up[0] * back[2],
      up[0] * back[1] - up[1] * back[0],
    ];
    const size = Math.hypot(...right);
    const across = right.map((v) => v / size);
    const upward = [
      back[1] * across[2] - back[2] * across[1],
      back[2] * across[0] - back[0] * across[2],
      back[0] * across[1] - back[1] * across[0],
    ];
    const extent = [grid.size(2), grid.size(1), grid.size(0) * depth];
    const span = (axis) => axis.reduce((sum, v, i) => sum + Math.abs(v) * extent[i], 0);
    const aspect = (view.width || 4) / (view.height || 3);
    return 1.22 * Math.max(span(upward), span(across) / aspect);
  }

  #set(camera) {
    this.#same = true;
    this.now = camera;
    for (const view of this.views) {
      view.setCamera(camera, this.reach);
      view.drawQuick();
    }
    this.#same = false;
  }

  toggleRotation() {
    if (this.rotating) this.#stop();
    else if (this.views.length) {
      this.rotating = true;
      this.views[0].keepDrawing(true);
      this.#last = performance.now();
      this.#frame = requestAnimationFrame((now) => this.#turn(now));
    }
  }

  #turn(now) {
    if (!this.rotating) return;
    const degrees = (TURN * Math.min(100, now - this.#last)) / 1000;
    this.#last = now;
    const [view] = this.views;
    view.turn(degrees);
    view.drawQuick();
    this.#frame = requestAnimationFrame((next) => this.#turn(next));
  }

  #stop() {
    this.rotating = false;
    this.views[0].keepDrawing(false);
    cancelAnimationFrame(this.#frame);
    this.remember();
    this.onstop?.();
  }

  destroy() {
    this.rotating = false;
    cancelAnimationFrame(this.#frame);
  }
}
