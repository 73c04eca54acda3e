// The genes of a study: the table, and any gene's volume from the worker, the last ones kept.

import { open, root } from "zarrita";
import { Grid } from "./grid.js";
import { HttpStore, readJson } from "./http.js";

const KEPT_BYTES = 200e6;

/** The worker, asked by ticket. */
export class Helper {
  #worker;
  #tickets = new Map();
  #next = 1;
  onlevel = () => {};
  onerror = () => {};

  constructor(url) {
    this.#worker = new Worker(url);
    this.#worker.onmessage = ({ data }) => {
      if (data.op === "level") return this.onlevel(data);
      const waiting = this.#tickets.get(data.ticket);
      this.#tickets.delete(data.ticket);
      if (data.op === "failed") {
        const error = new Error(data.message);
        return waiting ? waiting.reject(error) : this.onerror(error);
      }
      return waiting?.resolve(data.result);
    };
    this.#worker.onerror = (event) => this.onerror(new Error(event.message || "the worker failed"));
  }

  ask(message, transfer = []) {
    const ticket = this.#next++;
    return new Promise((resolve, reject) => {
      this.#tickets.set(ticket, { resolve, reject });
      this.#worker.postMessage({ ...message, ticket }, transfer);
    });
  }

  tell(message) {
    this.#worker.postMessage(message);
  }

  end() {
    this.#worker.terminate();
  }
}

export class Genes {
  #helper;
  #cache = new Map();
  #base;
  #levelWaiters = [];
  #masks = [];
  #asked = new Set();

  /** @param onlevel called when a finer level of the prediction has come */
  constructor(base, prediction, helper, onlevel) {
    this.#base = base;
    this.prediction = prediction;
    this.#helper = helper;
    this.grids = prediction.levels.map((level) => new Grid(level));
    this.level = null;
    helper.onlevel = ({ level, mask }) => {
      this.#masks[level] = mask;
      this.level = level;
      this.#levelWaiters.splice(0).forEach((run) => run());
      onlevel(level);
    };
  }

  /** Load the table and the loadings. */
  async open() {
    const store = new HttpStore(`${this.#base}/prediction.zarr`);
    const [table, loadings] = await Promise.all([
      readJson(`${this.#base}/genes.json`),
      open.v3(root(store).resolve("loadings"), { kind: "array" }).then(readRows),
    ]);
    this.table = table;
    this.loadings = loadings;
    this.count = table.name.length;
    this.#position = new Map(table.name.map((name, i) => [name.toLowerCase(), i]));
    return this;
  }

  /** Have the worker load the factors' coarsest level ("coarse"), or those above it ("finer"). */
  load(part) {
    if (this.#asked.has(part)) return;
    this.#asked.add(part);
    const base = new URL(`${this.#base}/prediction.zarr`, location.href).href;
    this.#helper.tell({ op: part, base, prediction: this.prediction });
  }

  #position = new Map();

  /** Number of a gene; case does not matter; -1 when it was not predicted. */
  find(name) {
    return this.#position.get((name ?? "").toLowerCase()) ?? -1;
  }

  /** Tissue on the lattice of a level. */
  mask(level) {
    return this.#masks[level];
  }

  /** What the table says of a gene. */
  row(i) {
    const { table } = this;
    return {
      name: table.name[i],
      reliability: table.reliability?.[i] ?? null,
      low: table.low?.[i] ?? null,
      high: table.high?.[i] ?? null,
      min: table.min[i],
      max: table.max[i],
      start: table.start[i],
      end: table.end[i],
      average: table.average[i],
      deviation: table.deviation[i],
    };
  }

  /** Whether a gene is at hand at the finest level that has come. */
  cached(i) {
    const kept = this.#cache.get(i);
    return kept && kept.level === this.level ? kept : null;
  }

  /** A gene's volume: values on the lattice, mask, texture bytes. */
  async gene(i) {
    while (this.level === null) {
      await new Promise((resolve) => this.#levelWaiters.push(resolve));
    }
    const kept = this.cached(i);
    if (kept) {
      this.#cache.delete(i);
      this.#cache.set(i, kept);
      return kept;
    }
    const { rank } = this.prediction;
    const row = this.row(i);
    const weights = this.loadings.slice(i * rank, (i + 1) * rank);
    const mean = this.table.mean[i] ?? 0;
    const message = { op: "gene", weights, mean, low: row.min, high: row.max };
    const { level, values, texture } = await this.#helper.ask(message);
    const made = { ...row, index: i, level, values, texture, grid: this.grids[level] };
    made.mask = this.#masks[level];
    this.#cache.set(i, made);
    const size = values.byteLength + texture.byteLength;
    while (this.#cache.size > Math.max(2, KEPT_BYTES / size)) {
      this.#cache.delete(this.#cache.keys().next().value);
    }
    return made;
  }

  /** Every gene at a point (x, y, z): values in the table's order; null outside tissue. */
  async profile(point) {
    const level = this.level;
    if (level === null) return null;
    const grid = this.grids[level];
    if (!grid.contains(point)) return null;
    const index = [0, 1, 2].map((axis) => grid.nearest(axis, point[2 - axis]));
    const flat = (index[0] * grid.shape[1] + index[1]) * grid.shape[2] + index[2];
    if (!this.#masks[level][flat]) return null;
    const answer = await this.#helper.ask({ op: "factors", index });
    if (!answer.factors || answer.level !== level) return null;
    const { rank } = this.prediction;
    const values = new Float32Array(this.count);
    for (let g = 0; g < this.count; g++) {
      let sum = this.table.mean[g] ?? 0;
      for (let k = 0; k < rank; k++) sum += this.loadings[g * rank + k] * answer.factors[k];
      values[g] = sum;
    }
    return values;
  }
}

async function readRows(array) {
  const [rows, columns] = array.shape;
  const [size] = array.chunks;
  const out = new Float32Array(rows * columns);
  for (let i = 0; i * size < rows; i++) {
    const { data } = await array.getChunk([i, 0]);
    const count = Math.min(size, rows - i * size);
    out.set(data.subarray(0, count * columns), i * size * columns);
  }
  return out;
}
