// Morphology for the volume renderer: gray and baked light, two bytes a voxel. Runs in the worker.
// The same light as vortex_viewer/scene/compose.py, so that both viewers agree.

const TOWARDS = [-0.62, -0.6, -0.5];

/** Tables code -> contribution to gray, one a channel. */
export function channelTables(channels, visible) {
  const shown = channels.map((_, i) => !visible || visible[i]);
  const count = shown.filter(Boolean).length;
  const weight = count === 1 ? 1 : 0.75;
  return channels.map(({ window: [low, high] }, i) => {
    const table = new Float32Array(256);
    if (!shown[i]) return table;
    for (let code = 0; code < 256; code++) {
      const part = ((code - low) / Math.max(high - low, 1e-9)) * weight * 255;
      table[code] = Math.min(255, Math.max(0, part));
    }
    return table;
  });
}

/** Gray of every voxel from its channels' codes. */
export function grayOf(volumes, channels, rgb) {
  const out = new Uint8Array(volumes[0].length);
  if (rgb) {
    const [r, g, b] = volumes;
    for (let i = 0; i < out.length; i++) out[i] = 255 - Math.min(r[i], g[i], b[i]);
    return out;
  }
  const tables = channelTables(channels);
  if (volumes.length === 1) {
    const [only] = volumes;
    for (let i = 0; i < out.length; i++) out[i] = tables[0][only[i]];
    return out;
  }
  for (let i = 0; i < out.length; i++) {
    let total = 0;
    for (let c = 0; c < volumes.length; c++) total += tables[c][volumes[c][i]];
    out[i] = total > 255 ? 255 : total;
  }
  return out;
}

const KERNEL = [0.0545, 0.2442, 0.4026, 0.2442, 0.0545]; // a Gaussian of one voxel, cut at two

function blur(source, shape, axis) {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const step = strides[axis];
  const n = shape[axis];
  const out = new Float32Array(source.length);
  for (let i = 0; i < source.length; i++) {
    const at = Math.floor(i / step) % n;
    let sum = 0;
    for (let d = -2; d <= 2; d++) {
      let there = at + d;
      if (there < 0) there = -there - 1;
      if (there >= n) there = 2 * n - there - 1;
      sum += KERNEL[d + 2] * source[i + (there - at) * step];
    }
    out[i] = sum;
  }
  return out;
}

/** Gray and light of every voxel, interleaved. */
export function solidOf(gray, shape, spacing) {
  let smooth = Float32Array.from(gray);
  for (let axis = 0; axis < 3; axis++) if (shape[axis] > 3) smooth = blur(smooth, shape, axis);
  const finest = Math.min(...spacing);
  const [nz, ny, nx] = shape;
  const strides = [ny * nx, nx, 1];
  const out = new Uint8Array(2 * gray.length);
  let i = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, i++) {
        const at = [z, y, x];
        let total = 0;
        let size = 0;
        for (let axis = 0; axis < 3; axis++) {
          const n = shape[axis];
          if (n < 2) continue;
          const up = at[axis] < n - 1 ? strides[axis] : 0;
          const back = at[axis] > 0 ? strides[axis] : 0;
          const reach = up && back ? 2 : 1;
          const slope = ((smooth[i + up] - smooth[i - back]) / reach) * (finest / spacing[axis]);
          total -= slope * TOWARDS[axis];
          size += slope * slope;
        }
        const shade = 0.62 + (0.38 * total) / (Math.sqrt(size) + 6);
        out[2 * i] = gray[i];
        out[2 * i + 1] = Math.min(1, Math.max(0, shade)) * 255;
      }
    }
  }
  return out;
}
