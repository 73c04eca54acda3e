// Low-rank factors -> one gene on the token lattice. Runs in the worker.

/** One level of the factors: chunks of codes with each chunk's offsets and steps. */
export class FactorLevel {
  constructor(shape, rank, chunk) {
    this.shape = shape;
    this.rank = rank;
    this.chunk = chunk;
    this.parts = [];
    this.mask = null;
    this.border = null;
  }

  get tokens() {
    return this.shape[0] * this.shape[1] * this.shape[2];
  }

  /** Add a chunk: its place (z, y, x), codes (rank, chunk...), and [offset, step] of each factor. */
  add(at, codes, scale) {
    this.parts.push({ at, codes, scale });
  }

  setMask(mask) {
    this.mask = mask;
    this.border = borderOf(mask, this.shape);
  }

  /** A gene's values on the lattice: mean + sum of weight * (offset + step * code). */
  gene(weights, mean) {
    const out = new Float32Array(this.tokens);
    const [cz, cy, cx] = this.chunk;
    const size = cz * cy * cx;
    const part = new Float32Array(size);
    for (const { at, codes, scale } of this.parts) {
      let base = mean;
      const factors = new Float32Array(this.rank);
      for (let k = 0; k < this.rank; k++) {
        base += weights[k] * scale[2 * k];
        factors[k] = weights[k] * scale[2 * k + 1];
      }
      accumulate(part.fill(base), codes, factors, size);
      placeFloats(out, this.shape, part, this.chunk, at);
    }
    return out;
  }

  /** The factors at one token. */
  factorsAt([z, y, x]) {
    const [cz, cy, cx] = this.chunk;
    const at = [Math.floor(z / cz), Math.floor(y / cy), Math.floor(x / cx)];
    const found = this.parts.find((p) => p.at.every((v, i) => v === at[i]));
    if (!found) return null;
    const inner = ((z - at[0] * cz) * cy + (y - at[1] * cy)) * cx + (x - at[2] * cx);
    const size = cz * cy * cx;
    return Float32Array.from({ length: this.rank }, (_, k) =>
      found.scale[2 * k] + found.scale[2 * k + 1] * found.codes[k * size + inner],
    );
  }

  /** Two bytes a token for the graphics card: value from 1 to 255 over the range, and tissue. */
  texture(values, low, high) {
    const out = new Uint8Array(2 * this.tokens);
    const scale = 254 / Math.max(high - low, 1e-9);
    const { mask } = this;
    for (let i = 0; i < values.length; i++) {
      if (!mask[i]) continue;
      const code = (values[i] - low) * scale;
      out[2 * i] = code <= 0 ? 1 : code >= 254 ? 255 : 1 + (code + 0.5) | 0;
      out[2 * i + 1] = 255;
    }
    // beyond the tissue's edge its value goes on, so that the edge is not blended with nothing
    for (let i = 0; i < this.border.length; i += 2) {
      out[2 * this.border[i]] = out[2 * this.border[i + 1]];
    }
    return out;
  }
}

function accumulate(part, codes, factors, size) {
  let k = 0;
  for (; k + 3 < factors.length; k += 4) {
    const [a, b, c, d] = [factors[k], factors[k + 1], factors[k + 2], factors[k + 3]];
    const o = k * size;
    for (let i = 0; i < size; i++) {
      part[i] +=
        a * codes[o + i] + b * codes[o + size + i] + c * codes[o + 2 * size + i] +
        d * codes[o + 3 * size + i];
    }
  }
  for (; k < factors.length; k++) {
    const a = factors[k];
    for (let i = 0, o = k * size; i < size; i++, o++) part[i] += a * codes[o];
  }
}

function placeFloats(out, shape, part, chunk, at) {
  const [z0, y0, x0] = at.map((i, axis) => i * chunk[axis]);
  const [dz, dy, dx] = [z0, y0, x0].map((s, axis) => Math.min(chunk[axis], shape[axis] - s));
  for (let z = 0; z < dz; z++) {
    for (let y = 0; y < dy; y++) {
      const from = (z * chunk[1] + y) * chunk[2];
      out.set(part.subarray(from, from + dx), ((z0 + z) * shape[1] + y0 + y) * shape[2] + x0);
    }
  }
}

/** Pairs (token outside, its nearest token of tissue) for all outside tokens next to tissue. */
function borderOf(mask, [nz, ny, nx]) {
  const pairs = [];
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        const here = (z * ny + y) * nx + x;
        if (mask[here]) continue;
        let best = -1;
        let distance = 4;
        for (let dz = -1; dz <= 1; dz++) {
          if (z + dz < 0 || z + dz >= nz) continue;
          for (let dy = -1; dy <= 1; dy++) {
            if (y + dy < 0 || y + dy >= ny) continue;
            for (let dx = -1; dx <= 1; dx++) {
              if (x + dx < 0 || x + dx >= nx) continue;
              const there = ((z + dz) * ny + y + dy) * nx + x + dx;
              const far = dz * dz + dy * dy + dx * dx;
              if (mask[there] && far < distance) {
                best = there;
                distance = far;
              }
            }
          }
        }
        if (best >= 0) pairs.push(here, best);
      }
    }
  }
  return Int32Array.from(pairs);
}
