// Values of the token lattice at the pixels of a slice: linear, over tissue only.

import { VIEWS } from "./grid.js";

/** Index of the lower neighbour and the part of the way to the upper one. */
function between(grid, axis, um) {
  const n = grid.shape[axis];
  const index = Math.min(n - 1, Math.max(0, grid.index(axis, um)));
  const low = Math.min(Math.floor(index), Math.max(n - 2, 0));
  return [low, Math.min(low + 1, n - 1), index - low];
}

/**
 * Colour numbers of a slice's pixels: 0 where there is no tissue, else 1 to 255 over the window.
 *
 * What is outside the mask has no say in the interpolation (as TissueSampler of the app).
 */
export function paintIndices(gene, view, um, picture, [low, high]) {
  const { grid, values, mask } = gene;
  const { cut, down, across } = VIEWS[view];
  const { width, height } = picture;
  const out = new Uint8Array(width * height);
  if (um < grid.low(cut) || um > grid.high(cut)) return out;
  const [, ny, nx] = grid.shape;
  const strides = [ny * nx, nx, 1];
  const rows = grid.shape[down];
  const columns = grid.shape[across];
  const sums = new Float32Array(rows * columns);
  const weights = new Float32Array(rows * columns);
  const [a, b, part] = between(grid, cut, um);
  for (const [plane, share] of [[a, 1 - part], [b, part]]) {
    if (share === 0) continue;
    for (let v = 0; v < rows; v++) {
      let from = plane * strides[cut] + v * strides[down];
      for (let u = 0; u < columns; u++, from += strides[across]) {
        if (!mask[from]) continue;
        sums[v * columns + u] += share * values[from];
        weights[v * columns + u] += share;
      }
    }
  }
  const scale = 254 / (high - low);
  const horizontal = Array.from({ length: width }, (_, i) => picture.x + i * picture.dx);
  const lows = new Int32Array(width);
  const highs = new Int32Array(width);
  const parts = new Float32Array(width);
  horizontal.forEach((x, i) => {
    const inside = x >= grid.low(across) && x <= grid.high(across);
    const [l, h, p] = between(grid, across, x);
    lows[i] = inside ? l : -1;
    highs[i] = h;
    parts[i] = p;
  });
  const rowSum = new Float32Array(columns);
  const rowWeight = new Float32Array(columns);
  for (let j = 0; j < height; j++) {
    const y = picture.y + j * picture.dy;
    if (y < grid.low(down) || y > grid.high(down)) continue;
    const [r0, r1, q] = between(grid, down, y);
    for (let u = 0; u < columns; u++) {
      rowSum[u] = sums[r0 * columns + u] * (1 - q) + sums[r1 * columns + u] * q;
      rowWeight[u] = weights[r0 * columns + u] * (1 - q) + weights[r1 * columns + u] * q;
    }
    for (let i = 0; i < width; i++) {
      const l = lows[i];
      if (l < 0) continue;
      const h = highs[i];
      const p = parts[i];
      const weight = rowWeight[l] * (1 - p) + rowWeight[h] * p;
      if (weight < 0.5) continue;
      const value = (rowSum[l] * (1 - p) + rowSum[h] * p) / weight;
      const code = (value - low) * scale;
      out[j * width + i] = code <= 0 ? 1 : code >= 254 ? 255 : 1 + (code + 0.5) | 0;
    }
  }
  return out;
}

/** A gene's value at a point (x, y, z), interpolated over tissue; null outside. */
export function valueAt(gene, point) {
  const { grid, values, mask } = gene;
  if (!grid.contains(point)) return null;
  const ends = [0, 1, 2].map((axis) => between(grid, axis, point[2 - axis]));
  let sum = 0;
  let weight = 0;
  for (let corner = 0; corner < 8; corner++) {
    let share = 1;
    let index = 0;
    for (let axis = 0; axis < 3; axis++) {
      const up = (corner >> axis) & 1;
      share *= up ? ends[axis][2] : 1 - ends[axis][2];
      index = index * grid.shape[axis] + ends[axis][up];
    }
    if (share > 0 && mask[index]) {
      sum += share * values[index];
      weight += share;
    }
  }
  return weight >= 0.5 ? sum / weight : null;
}
