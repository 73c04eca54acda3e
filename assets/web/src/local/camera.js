// The camera of vortex_viewer/scene/camera.py, in the browser: parallel, turned like a ball.
// focal, back and up are points of the study's frame; z is stretched only where it is drawn.

import { cross, dot, unit } from "../vectors.js";

export const WHEEL = 1.12;

/** A vector turned about a unit axis (Rodrigues' formula). */
function turned(vector, axis, angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const side = cross(axis, vector);
  const along = dot(axis, vector) * (1 - c);
  return vector.map((v, i) => v * c + side[i] * s + axis[i] * along);
}

/** Turn the block by a drag, in parts of the picture's height; a whole height is 180 degrees. */
export function turn(camera, right, up) {
  const axis = cross(camera.up, camera.back);
  const spin = (v) => turned(turned(v, axis, up * Math.PI), camera.up, -right * Math.PI);
  const back = unit(spin(camera.back));
  const above = spin(camera.up);
  const off = dot(above, back);
  return { ...camera, back, up: unit(above.map((v, i) => v - off * back[i])) };
}

/** Move the block by a drag, in parts of the picture's height. */
export function shift(camera, right, up, depth) {
  const axis = cross(camera.up, camera.back);
  const stretch = [1, 1, depth];
  const focal = camera.focal.map((v, i) =>
    v - ((axis[i] * right + camera.up[i] * up) * camera.height_um) / stretch[i]);
  return { ...camera, focal };
}

/** Come nearer (factor above 1) or go away. */
export function zoom(camera, factor, largest_um) {
  const height = camera.height_um / factor;
  return { ...camera, height_um: Math.min(20 * largest_um, Math.max(1e-3 * largest_um, height)) };
}
