// What the 3D panes show: the block with its gene, and beside it the labels.

import { ClassLegend, classLook } from "./classes.js";
import { paint } from "./compose.js";
import { h } from "./dom.js";
import { Grid } from "./grid.js";
import { MultiscaleImage } from "./image.js";
import { paintIndices } from "./lattice.js";
import { Overlay } from "./overlay.js";
import { SheetLayer } from "./sheets.js";
import { View3D, has3D } from "./view3d.js";
import { VolumeLayer } from "./volume.js";

const VOXELS = { software: 9e6, hardware: 32e6 };
const SHEET_PIXELS = 700_000;
// of a level that is kept whole: enough for a slice that fills the window of a large block, and a
// quarter of what the next finer level would have every visitor download
const SHARP_BYTES = 48e6;

export class Scene {
  #labelImages = new Map();
  #solids = new Map();

  constructor(viewer) {
    Object.assign(this, { viewer, study: viewer.study, store: viewer.store });
    this.left = h("div.view3d");
    this.rightPicture = h("div.view3d");
    this.classes = new ClassLegend(viewer.store);
    // beside the picture, not in it: vtk.js keeps every press that its container gets
    this.right = h("div.labels-view", { hidden: true }, this.rightPicture, this.classes.element);
    viewer.hero3d.prepend(h("div.views3d", {}, this.left, this.right));
    this.views = [];
    this.overlays = [];
    this.beside = null; // the labels that stand beside the block
  }

  /** Make the left pane; the page must hold it. Without WebGL the slices go on alone. */
  open() {
    try {
      if (!has3D()) throw new Error("no WebGL 2");
      this.layer = this.#pane(this.left, false);
    } catch {
      this.left.append(h("p.quiet.no-webgl", {},
        "This browser has no WebGL 2, so there is no 3D picture. The slices work."));
    }
  }

  #pane(container, labels) {
    const view = new View3D(container, { smooth: this.study.stack });
    const i = this.views.push(view) - 1;
    const overlay = new Overlay(view, this.study.depth);
    this.overlays.push(overlay);
    container.append(overlay.element);
    view.ondraw = () => this.#overlay(i);
    view.onpick = (x, y) => this.#pick(i, x, y);
    this.viewer.cameras.add(view);
    return this.study.stack ? new SheetLayer(view) : new VolumeLayer(view, { labels });
  }

  get #limit() {
    return this.views[0]?.software ? VOXELS.software : VOXELS.hardware;
  }

  /** Where genes will be, so that the first one changes no shader. */
  get #lattice() {
    const levels = this.study.record.prediction?.levels;
    return levels ? new Grid(levels[0]) : null;
  }

  /** Get ready for the first picture, beside whatever else goes on: the coarsest level. */
  prepare() {
    const { image, stack } = this.study;
    if (!image || stack) return null;
    return this.#solid(image.levels.length - 1);
  }

  /** The first picture, drawn at once. */
  async first() {
    const { image } = this.study;
    if (!image) await this.#maskSolid();
    else await this.#morphology(image.levels.length - 1);
    this.views[0]?.drawFine();
  }

  /** The finest level that the pane can hold; then the level that slices are scrolled at. */
  async better() {
    const { image } = this.study;
    if (!image) return;
    if (this.study.stack) {
      const level = image.levelWithin(SHEET_PIXELS * image.grid.shape[0]);
      await image.whole(level);
      await this.#morphology(level);
    } else {
      const target = image.levelWithin(this.#limit);
      const voxels = (level) => image.levels[level].voxels;
      // one picture between the first and the best; each costs a shader and an upload
      const middle = image.levels.findIndex((_, l) => voxels(l) * 8 <= voxels(target));
      const steps = middle > target && voxels(middle) > 2e5 ? [middle, target] : [target];
      for (const level of steps) {
        if (level >= this.level) continue;
        await image.whole(level);
        await this.#morphology(level);
      }
    }
    this.viewer.panes.forEach((pane) => pane.draw());
  }

  /** Keep a sharp level whole, so that slices scroll without waiting; not where data is dear. */
  async sharp() {
    const { image } = this.study;
    if (!image || navigator.connection?.saveData) return;
    const bytes = (grid) => grid.voxels * image.channels.length;
    const level = image.levels.findIndex((grid) => bytes(grid) <= SHARP_BYTES);
    if (level < 0 || image.resident.has(level)) return;
    await image.whole(level);
    this.viewer.panes.forEach((pane) => pane.draw());
  }

  async #morphology(level) {
    if (!this.views.length) return;
    this.level = level;
    const { image } = this.study;
    await image.whole(level);
    if (this.study.stack) {
      this.#sheets();
      return;
    }
    const grid = image.levels[level];
    const solid = await this.#solid(level);
    this.#solids.delete(level);
    if (level > this.level) return; // a finer one has come meanwhile
    this.layer.setSolid(solid, grid, this.#lattice);
    this.layer.setLook(this.study.look);
    this.layer.setCrop(this.study.crop);
    this.views[0].drawQuick();
    this.left.dataset.level = level;
    if (this.store.state.labels) await this.setLabels();
  }

  /** A level's gray and light, from the worker; asked for once, and not kept here. */
  #solid(level) {
    if (!this.#solids.has(level)) this.#solids.set(level, this.#askSolid(level));
    return this.#solids.get(level);
  }

  async #askSolid(level) {
    const { image, rgb, channels } = this.study;
    const volumes = await image.whole(level);
    const { shape, spacing } = image.levels[level];
    const { solid } = await this.viewer.painter.ask({
      op: "solid", volumes, channels, rgb, shape, spacing,
    });
    return solid;
  }

  /** Without morphology the tissue's mask is the body. */
  async #maskSolid() {
    const { genes } = this.study;
    if (!genes || !this.views.length) return;
    while (genes.level === null) await new Promise((run) => setTimeout(run, 30));
    const mask = genes.mask(genes.level);
    const grid = genes.grids[genes.level];
    const gray = mask.map((v) => (v ? 150 : 0));
    const { solid } = await this.viewer.painter.ask({
      op: "solid", volumes: [gray], channels: [{ window: [0, 255] }], rgb: false,
      shape: grid.shape, spacing: grid.spacing,
    });
    this.layer.setSolid(solid, grid);
    this.layer.setLook(this.study.look);
    this.views[0].drawQuick();
  }

  /** The planes of a stack, each painted as its slice is. */
  #sheets() {
    const { study } = this;
    const { image, look, gene } = study;
    const grid = image.levels[this.level];
    const pictures = Array.from({ length: grid.shape[0] }, (_, plane) => {
      const z_um = grid.um(0, plane);
      const window = { across: [grid.low(2), grid.high(2)], down: [grid.low(1), grid.high(1)] };
      const picture = image.slice("xy", z_um, window, this.level);
      picture.glass = study.glassAt(z_um);
      const numbers = gene ? paintIndices(gene, "xy", z_um, picture, look.window) : null;
      const pixels = paint(picture, study.channels, study.rgb, numbers, look.colours, look, study.tables);
      return { z_um, image: pixels, x: [grid.low(2), grid.high(2)], y: [grid.low(1), grid.high(1)] };
    });
    this.layer.setSheets(pictures, study.depth);
    this.layer.setCrop(study.crop);
    this.views[0].draw();
  }

  setGene() {
    if (!this.views.length || this.level === undefined && this.study.image) return;
    if (this.study.stack) return void this.#sheets();
    if (!this.layer.solid) return;
    this.layer.setGene(this.study.gene);
    this.layer.setLook(this.study.look);
    this.views[0].drawQuick();
  }

  setLook() {
    if (!this.views.length) return;
    if (this.study.stack) {
      if (this.level !== undefined) this.#sheets();
      return;
    }
    if (!this.layer.solid) return;
    this.layer.setLook(this.study.look);
    this.views[0].drawQuick();
  }

  setCrop() {
    if (!this.views.length) return;
    this.layer.setCrop(this.study.crop);
    if (this.views[1] && !this.views[1].hidden) this.labelLayer.setCrop(this.study.crop);
    this.views.forEach((view) => view.hidden || view.drawQuick());
  }

  setDepth() {
    this.overlays.forEach((overlay) => (overlay.depth = this.study.depth));
    if (this.study.stack && this.level !== undefined) this.#sheets();
  }

  /** Show a label image beside the block, or put it away. */
  async setLabels() {
    if (!this.views.length) return;
    const { labels, hidden } = this.store.state;
    const record = (this.study.record.labels ?? []).find((l) => l.name === labels);
    this.right.hidden = !record;
    if (record) this.labelLayer ??= this.#pane(this.rightPicture, true);
    if (this.views[1]) this.views[1].hidden = !record;
    this.views[0].besideAnother = Boolean(record);
    this.views.forEach((view) => view.resize());
    if (this.beside !== labels) {
      this.beside = labels;
      // the panes have another shape now: show the whole block unless the visitor chose a view
      if (!this.store.state.camera) this.viewer.cameras.preset("corner", false);
    }
    if (!record) return;
    this.classes.show(record, hidden);
    const image = this.#labelImage(record);
    if (this.study.stack) return this.#labelSheets(image, record, hidden);
    const level = image.levelWithin(this.#limit);
    const [numbers] = await image.whole(level);
    if (!this.layer.solid || this.store.state.labels !== labels) return;
    const layer = this.labelLayer;
    if (layer.solid !== this.layer.solid) layer.setSolid(this.layer.solid, this.layer.grid);
    if (layer.shown !== `${labels}/${level}`) {
      const texture = new Uint8Array(2 * numbers.length);
      for (let i = 0; i < numbers.length; i++) {
        texture[2 * i] = numbers[i];
        texture[2 * i + 1] = 255;
      }
      layer.setGene({ texture, grid: image.levels[level], min: 0, max: 255 });
      layer.shown = `${labels}/${level}`;
    }
    layer.setLook({ ...this.study.look, classes: classLook(record, hidden) });
    layer.setCrop(this.study.crop);
    this.views[1].setCamera(this.views[0].cameraState(), this.viewer.cameras.reach);
    this.views[1].drawQuick();
    this.right.dataset.shown = `${labels}/${hidden.join(",")}`;
  }

  #labelImage(record) {
    if (!this.#labelImages.has(record.name)) {
      const base = `${this.study.base}/morphology.ome.zarr/labels/${record.name}`;
      this.#labelImages.set(
        record.name,
        new MultiscaleImage(new URL(base, location.href).href, record.levels, [{}]),
      );
    }
    return this.#labelImages.get(record.name);
  }

  async #labelSheets(image, record, hidden) {
    const level = image.levelWithin(SHEET_PIXELS * image.grid.shape[0]);
    const [numbers] = await image.whole(level);
    const grid = image.levels[level];
    const [, ny, nx] = grid.shape;
    const colours = classLook(record, hidden);
    const pictures = Array.from({ length: grid.shape[0] }, (_, plane) => {
      const pixels = new ImageData(nx, ny);
      for (let i = 0; i < ny * nx; i++) {
        const found = colours.get(numbers[plane * ny * nx + i]);
        if (!found || found.opacity === 0) continue;
        pixels.data.set([...found.rgb.map((v) => 255 * v), 255], 4 * i);
      }
      return { z_um: grid.um(0, plane), image: pixels, x: [grid.low(2), grid.high(2)], y: [grid.low(1), grid.high(1)] };
    });
    this.labelLayer.setSheets(pictures, this.study.depth);
    this.views[1].setCamera(this.views[0].cameraState(), this.viewer.cameras.reach);
    this.views[1].drawQuick();
  }

  overlay() {
    this.overlays.forEach((_, i) => this.views[i].hidden || this.#overlay(i));
  }

  #overlay(i) {
    const { study, store } = this;
    this.overlays[i].draw({
      bounds: study.grid.bounds,
      crop: store.state.crop_um,
      cursor: study.cursor,
      planes: store.state.planes,
    });
  }

  #pick(i, x, y) {
    const point = this.layer.pick(this.views[i].ray(x, y));
    if (!point) return this.viewer.say("No tissue there.");
    this.study.moveCursor(point);
    return this.viewer.pick(this.study.cursor);
  }

  destroy() {
    this.views.forEach((view) => view.destroy());
  }
}
