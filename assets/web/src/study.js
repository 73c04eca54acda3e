// One study in the page: its image, its genes, and what the present state makes of them.

import { grayTable, paletteTable } from "./compose.js";
import { short } from "./dom.js";
import { Genes } from "./genes.js";
import { Grid, VIEWS } from "./grid.js";
import { MultiscaleImage } from "./image.js";
import { valueAt } from "./lattice.js";
import { channelTables } from "./solid.js";

export class StudyModel {
  constructor(record, base, store, palettes) {
    this.record = record;
    this.base = base;
    this.store = store;
    this.palettes = Object.fromEntries(
      Object.entries(palettes).map(([name, hex]) => [name, paletteTable(hex)]),
    );
    this.rgb = Boolean(record.rgb);
    this.stack = Boolean(record.stack);
    this.channels = record.channels ?? [];
    this.tables = channelTables(this.channels);
    this.image = record.levels
      ? new MultiscaleImage(
        new URL(`${base}/morphology.ome.zarr`, location.href).href, record.levels, this.channels,
      )
      : null;
    this.grid = this.image ? this.image.grid : new Grid(record.prediction.levels[0]);
    this.genes = null;
    this.gene = null;
    this.units = record.prediction?.units ?? "";
    this.#looks = new Map();
    this.pictured = new Promise((run) => (this.setPictured = run)); // the first picture stands
  }

  #looks;

  /** Start on the genes; resolves when the table is there. */
  async openGenes(helper, onlevel) {
    if (!this.record.prediction) return null;
    const genes = new Genes(this.base, this.record.prediction, helper, onlevel);
    // where morphology is shown and no gene, the first picture needs no factors
    if (this.geneIndexWanted() || !this.image) genes.load("coarse");
    this.genes = await genes.open();
    return this.genes;
  }

  get defaultDepth() {
    if (!this.stack || this.grid.shape[0] === 1) return 1;
    const wanted = (0.55 * Math.max(this.grid.size(1), this.grid.size(2))) / this.grid.size(0);
    return wanted > 1.5 ? Math.min(100, Math.max(1, Math.round(wanted))) : 1;
  }

  /** How many times z is stretched in what is drawn. */
  get depth() {
    return this.stack ? this.store.state.depth ?? this.defaultDepth : 1;
  }

  get cursor() {
    return this.store.state.cursor_um ?? this.grid.centre;
  }

  get crop() {
    return this.store.state.crop_um ?? this.grid.bounds;
  }

  /** Whether a gene is to be shown, though it may not have come yet. */
  geneIndexWanted() {
    return this.store.state.gene !== null;
  }

  /** Colours, window, opacity and threshold of the present state. */
  get look() {
    const { palette, window, opacity, threshold, morphology } = this.store.state;
    const name = palette in this.palettes ? palette : "magma";
    const colours = this.palettes[name];
    const key = `${name}/${opacity}/${threshold}`;
    if (!this.#looks.has(key)) {
      this.#looks.clear();
      this.#looks.set(key, grayTable(colours, { opacity, threshold }));
    }
    return {
      colours,
      opacity,
      threshold,
      morphology,
      window: window ?? this.autoWindow,
      table: this.#looks.get(key),
    };
  }

  get autoWindow() {
    const { gene } = this;
    if (!gene) return [0, 1];
    return gene.end - gene.start > 1e-6 ? [gene.start, gene.end] : [gene.min, gene.min + 1];
  }

  /** Hold a point inside the block and move the crosshair there. */
  moveCursor(point) {
    const held = point.map((v, i) => {
      const [low, high] = this.grid.bounds[i];
      const edge = this.grid.spacing[2 - i] / 2;
      return Math.min(high - edge, Math.max(low + edge, v));
    });
    this.store.set({ cursor_um: held });
  }

  /** Colour of the empty glass at a depth. */
  glassAt(z_um) {
    const { glass } = this.record;
    if (!glass) return undefined;
    return glass[glass.length === 1 ? 0 : this.grid.nearest(0, z_um)];
  }

  /** An empty slice where there is no morphology. */
  blank(view) {
    const { down, across } = VIEWS[view];
    const { grid } = this;
    const times = Math.max(1, Math.round(256 / Math.max(...grid.shape)));
    const [width, height] = [grid.shape[across] * times, grid.shape[down] * times];
    const [dx, dy] = [grid.spacing[across] / times, grid.spacing[down] / times];
    return {
      level: 0, codes: [new Uint8Array(width * height)], width, height, dx, dy,
      x: grid.low(across) + dx / 2, y: grid.low(down) + dy / 2,
    };
  }

  /** The morphology's values at a point, in the units that were imported. */
  morphologyText(point) {
    const codes = this.image?.at(point);
    if (!codes) return "";
    const values = codes.map((code, i) => {
      const { offset, step } = this.channels[i];
      return short(offset + step * code);
    });
    if (this.rgb) return `RGB ${values.join(" ")}`;
    return this.channels.map((c, i) => `${c.name} ${values[i]}`).join(" · ");
  }

  /** What is at a point, in a few words. */
  describe(point) {
    const parts = [];
    if (this.gene) {
      const value = valueAt(this.gene, point);
      parts.push(value === null ? `${this.gene.name} –` : `${this.gene.name} ${short(value)}`);
    }
    const tissue = this.morphologyText(point);
    if (tissue) parts.push(tissue);
    return parts.join(" · ");
  }

  /** The measured section nearest in z. */
  nearestSection(point) {
    let best = null;
    for (const section of this.record.sections ?? []) {
      const distance = Math.abs(section.z_um - point[2]);
      if (!best || distance < best.distance) best = { name: section.name, distance };
    }
    return best;
  }
}
