// A multiscale OME-Zarr image by level: whole where it fits, by chunk where only a part is seen.

import { open, root } from "zarrita";
import { Grid, VIEWS } from "./grid.js";
import { HttpStore } from "./http.js";

const CACHE_BYTES = 320e6;
const AT_ONCE = 8;
const COARSER = 1.5; // a level's pixels may be so many times as large as the screen's

export class MultiscaleImage {
  #store;
  #arrays = new Map();
  #chunks = new Map();
  #bytes = 0;
  #pending = new Map();

  constructor(base, levels, channels) {
    this.#store = new HttpStore(base);
    this.levels = levels.map((level) => new Grid(level));
    this.channels = channels;
    this.resident = new Map(); // level -> one array a channel
  }

  get grid() {
    return this.levels[0];
  }

  #array(level) {
    if (!this.#arrays.has(level)) {
      const place = root(this.#store).resolve(String(level));
      this.#arrays.set(level, open.v3(place, { kind: "array" }));
    }
    return this.#arrays.get(level);
  }

  /** The finest level of at most so many voxels a channel; else the coarsest. */
  levelWithin(voxels) {
    const found = this.levels.findIndex((grid) => grid.voxels <= voxels);
    return found < 0 ? this.levels.length - 1 : found;
  }

  /** Every voxel of a level, one array a channel. */
  async whole(level) {
    if (this.resident.has(level)) return this.resident.get(level);
    const key = `whole${level}`;
    if (!this.#pending.has(key)) this.#pending.set(key, this.#loadWhole(level));
    return this.#pending.get(key);
  }

  async #loadWhole(level) {
    const array = await this.#array(level);
    const [count, ...shape] = array.shape;
    const made = Array.from({ length: count }, () => new_like(array, shape));
    const sizes = array.chunks.slice(1);
    const jobs = [];
    for (let c = 0; c < count; c++) {
      for (const at of chunksOf(shape, sizes)) {
        jobs.push(async () => {
          const chunk = await array.getChunk([c, ...at]);
          place(made[c], shape, chunk.data, sizes, at);
        });
      }
    }
    await pool(jobs, AT_ONCE);
    this.resident.set(level, made);
    return made;
  }

  async #chunk(level, c, at) {
    const key = `${level}/${c}/${at.join("/")}`;
    const kept = this.#chunks.get(key);
    if (kept) {
      this.#chunks.delete(key);
      this.#chunks.set(key, kept);
      return kept;
    }
    const array = await this.#array(level);
    const chunk = await array.getChunk([c, ...at]);
    this.#chunks.set(key, chunk.data);
    this.#bytes += chunk.data.byteLength;
    while (this.#bytes > CACHE_BYTES) {
      const [oldest, data] = this.#chunks.entries().next().value;
      this.#chunks.delete(oldest);
      this.#bytes -= data.byteLength;
    }
    return chunk.data;
  }

  /** The part of a level's grid that a window (micrometres) sees, as index ranges. */
  #region(level, view, window) {
    const grid = this.levels[level];
    const { down, across } = VIEWS[view];
    const range = (axis, [low, high]) => {
      const n = grid.shape[axis];
      const first = Math.min(n - 1, Math.max(0, Math.floor(grid.index(axis, low))));
      const last = Math.min(n, Math.max(first + 1, Math.ceil(grid.index(axis, high)) + 1));
      return [first, last];
    };
    return { across: range(across, window.across), down: range(down, window.down) };
  }

  /** The coarsest level whose pixels still fill the screen's. */
  levelFor(view, spacing) {
    const { across, down } = VIEWS[view];
    let best = 0;
    this.levels.forEach((grid, level) => {
      if (Math.min(grid.spacing[across], grid.spacing[down]) <= spacing * COARSER) best = level;
    });
    return best;
  }

  /** The best slice that is at hand at once, or null before anything has come. */
  slice(view, um, window, wanted) {
    const levels = [...this.resident.keys()].sort((a, b) => a - b);
    if (!levels.length) return null;
    const level = levels.find((l) => l >= wanted) ?? levels[levels.length - 1];
    const finest = levels[0] < wanted ? Math.max(...levels.filter((l) => l <= wanted)) : level;
    return this.#cut(Math.min(level, finest), view, um, window);
  }

  #cut(level, view, um, window) {
    const grid = this.levels[level];
    const { cut, down, across } = VIEWS[view];
    const region = this.#region(level, view, window);
    const index = grid.nearest(cut, um);
    const [, ny, nx] = grid.shape;
    const strides = [ny * nx, nx, 1];
    const width = region.across[1] - region.across[0];
    const height = region.down[1] - region.down[0];
    const codes = this.resident.get(level).map((volume) => {
      const out = new volume.constructor(width * height);
      const first = index * strides[cut] + region.across[0] * strides[across];
      for (let row = 0; row < height; row++) {
        const start = first + (region.down[0] + row) * strides[down];
        if (strides[across] === 1) out.set(volume.subarray(start, start + width), row * width);
        else {
          for (let i = 0; i < width; i++) out[row * width + i] = volume[start + i * strides[across]];
        }
      }
      return out;
    });
    return this.#picture(level, view, region, codes, width, height);
  }

  #picture(level, view, region, codes, width, height) {
    const grid = this.levels[level];
    const { down, across } = VIEWS[view];
    return {
      level,
      codes,
      width,
      height,
      x: grid.um(across, region.across[0]),
      y: grid.um(down, region.down[0]),
      dx: grid.spacing[across],
      dy: grid.spacing[down],
    };
  }

  /** The slice at the wanted level, its chunks fetched where they are not at hand. */
  async fine(view, um, window, level, still) {
    if (this.resident.has(level)) return this.#cut(level, view, um, window);
    const array = await this.#array(level);
    const sizes = array.chunks.slice(1);
    const grid = this.levels[level];
    const { cut, down, across } = VIEWS[view];
    const region = this.#region(level, view, window);
    const index = grid.nearest(cut, um);
    const width = region.across[1] - region.across[0];
    const height = region.down[1] - region.down[0];
    const codes = Array.from({ length: array.shape[0] }, () => new_like(array, [1, height, width]));
    const at = [0, 0, 0];
    at[cut] = Math.floor(index / sizes[cut]);
    const jobs = [];
    for (let v = Math.floor(region.down[0] / sizes[down]); v * sizes[down] < region.down[1]; v++) {
      for (
        let u = Math.floor(region.across[0] / sizes[across]);
        u * sizes[across] < region.across[1];
        u++
      ) {
        for (let c = 0; c < codes.length; c++) {
          const where = [...at];
          where[down] = v;
          where[across] = u;
          jobs.push(async () => {
            if (!still()) return;
            const data = await this.#chunk(level, c, where);
            copySlice(codes[c], width, region, data, sizes, where, VIEWS[view], index);
          });
        }
      }
    }
    await pool(jobs, AT_ONCE);
    return still() ? this.#picture(level, view, region, codes, width, height) : null;
  }

  /** The codes of all channels at a point, from the finest level at hand. */
  at(point) {
    const level = Math.min(...this.resident.keys());
    if (!Number.isFinite(level)) return null;
    const grid = this.levels[level];
    if (!grid.contains(point)) return null;
    const [z, y, x] = [0, 1, 2].map((axis) => grid.nearest(axis, point[2 - axis]));
    const offset = (z * grid.shape[1] + y) * grid.shape[2] + x;
    return this.resident.get(level).map((volume) => volume[offset]);
  }
}

function new_like(array, shape) {
  const size = shape.reduce((a, b) => a * b, 1);
  if (array.dtype === "uint16") return new Uint16Array(size);
  if (array.dtype === "uint32") return new Uint32Array(size);
  return new Uint8Array(size);
}

function* chunksOf(shape, sizes) {
  for (let z = 0; z * sizes[0] < shape[0]; z++) {
    for (let y = 0; y * sizes[1] < shape[1]; y++) {
      for (let x = 0; x * sizes[2] < shape[2]; x++) yield [z, y, x];
    }
  }
}

/** Copy a chunk (padded at the block's far faces) to its place in a volume. */
export function place(volume, shape, data, sizes, at) {
  const [z0, y0, x0] = at.map((i, axis) => i * sizes[axis]);
  const [dz, dy, dx] = [z0, y0, x0].map((s, axis) => Math.min(sizes[axis], shape[axis] - s));
  for (let z = 0; z < dz; z++) {
    for (let y = 0; y < dy; y++) {
      const from = (z * sizes[1] + y) * sizes[2];
      volume.set(data.subarray(from, from + dx), ((z0 + z) * shape[1] + y0 + y) * shape[2] + x0);
    }
  }
}

function copySlice(out, width, region, data, sizes, at, { cut, down, across }, index) {
  const strides = [sizes[1] * sizes[2], sizes[2], 1];
  const base = (index - at[cut] * sizes[cut]) * strides[cut];
  const u0 = Math.max(region.across[0], at[across] * sizes[across]);
  const u1 = Math.min(region.across[1], (at[across] + 1) * sizes[across]);
  const v0 = Math.max(region.down[0], at[down] * sizes[down]);
  const v1 = Math.min(region.down[1], (at[down] + 1) * sizes[down]);
  for (let v = v0; v < v1; v++) {
    let from = base + (v - at[down] * sizes[down]) * strides[down];
    from += (u0 - at[across] * sizes[across]) * strides[across];
    let to = (v - region.down[0]) * width + u0 - region.across[0];
    for (let u = u0; u < u1; u++, from += strides[across], to++) out[to] = data[from];
  }
}

/** Run jobs, a few at once. */
export async function pool(jobs, count) {
  let next = 0;
  const run = async () => {
    while (next < jobs.length) await jobs[next++]();
  };
  await Promise.all(Array.from({ length: Math.min(count, jobs.length) }, run));
}
