// Morphology and expression mixed, as vortex_viewer/scene/compose.py does: one look-up a pixel.

export const TINT = [0.86, 0.9, 0.97]; // of unstained morphology
export const SOFT = 0.12; // part of the window over which expression fades in

const pack = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** How far expression covers morphology at a part (0 to 1) of the window. */
export function fade(part, threshold) {
  if (threshold <= 0) return 1;
  return Math.min(1, Math.max(0, (part - threshold) / SOFT));
}

/** A palette's 256 colours from its hexadecimal form. */
export function paletteTable(hex) {
  return Uint8Array.from({ length: 768 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

/** Table (expression number, gray) -> colour of a pixel; number 0 is no expression. */
export function grayTable(colours, { opacity, threshold }) {
  const table = new Uint32Array(65536);
  for (let number = 0; number < 256; number++) {
    const part = number ? (number - 1) / 254 : 0;
    const cover = number ? opacity * fade(part, threshold) : 0;
    const at = Math.round(part * 255) * 3;
    const stays = 1 - cover;
    for (let gray = 0; gray < 256; gray++) {
      const relief = (0.6 + 0.4 * (gray / 255)) * cover;
      table[(number << 8) | gray] = pack(
        gray * TINT[0] * stays + colours[at] * relief | 0,
        gray * TINT[1] * stays + colours[at + 1] * relief | 0,
        gray * TINT[2] * stays + colours[at + 2] * relief | 0,
        255,
      );
    }
  }
  return table;
}

/** A slice's pixels from its channels' codes and the expression numbers (or null). */
export function paint(picture, channels, rgb, numbers, colours, look, tables) {
  const { codes, width, height } = picture;
  const out = new Uint32Array(width * height);
  if (rgb) paintColour(out, picture, numbers, colours, look);
  else paintGray(out, codes, tables, numbers, look.table);
  return new ImageData(new Uint8ClampedArray(out.buffer), width, height);
}

function paintGray(out, codes, tables, numbers, table) {
  const count = codes.length;
  for (let i = 0; i < out.length; i++) {
    let gray = 0;
    for (let c = 0; c < count; c++) gray += tables[c][codes[c][i]];
    gray = gray > 255 ? 255 : gray | 0;
    out[i] = table[numbers ? (numbers[i] << 8) | gray : gray];
  }
}

/** How opaque a pixel of a stained section is: no more light than through the empty glass. */
export function glassOpacity(r, g, b, [gr, gg, gb] = [245, 245, 245]) {
  const part = (0.92 - Math.min(r / gr, g / gg, b / gb)) / 0.09;
  return part <= 0 ? 0 : part >= 1 ? 1 : part;
}

function paintColour(out, { codes, glass: empty }, numbers, colours, { opacity, threshold }) {
  const [red, green, blue] = codes;
  const covers = Float32Array.from({ length: 256 }, (_, n) =>
    n ? opacity * fade((n - 1) / 254, threshold) : 0,
  );
  for (let i = 0; i < out.length; i++) {
    let r = red[i];
    let g = green[i];
    let b = blue[i];
    const glass = glassOpacity(r, g, b, empty);
    const number = numbers ? numbers[i] : 0;
    const cover = covers[number];
    if (cover > 0) {
      // a stained section is dark where there is tissue: its darkness is the relief
      const relief = (0.45 + (0.55 * (r + g + b)) / 765) * cover;
      const at = Math.round(((number - 1) / 254) * 255) * 3;
      r = r * (1 - cover) + colours[at] * relief;
      g = g * (1 - cover) + colours[at + 1] * relief;
      b = b * (1 - cover) + colours[at + 2] * relief;
    }
    out[i] = pack(r | 0, g | 0, b | 0, (255 * glass) | 0);
  }
}

/** Opacity and colour by hand for the volume, as the shader does it; for picking. */
export function volumeAlpha(gray, cover, part, morphology) {
  const body = Math.min(1, Math.max(0, (gray / 255 - 0.1) / 0.75));
  const dense = morphology * (0.1 * body + 0.55 * body * body);
  const strength = cover * (0.1 + 0.9 * part ** 1.5) * (0.15 + 0.85 * body);
  return Math.max(dense, 0.6 * strength);
}
