// Where the oblique slice and the others cut each other, through the crosshair.
const p = plane.data, c = ["x", "y", "z"].map((n) => cursor.data[n][0]), none = { x0: [], y0: [], x1: [], y1: [], colour: [] };
const u = p.across, v = p.down, n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
const far = 2 * ["x", "y", "z"].reduce((sum, k) => sum + extent.data[k][1] - extent.data[k][0], 0);
function line(at, along, colour) {
  const long = Math.hypot(...along);
  if (long < 1e-6) return null;  // the two lie in each other
  const [da, dd] = along.map((w) => w / long * far);
  return [at[0] - da, at[1] - dd, at[0] + da, at[1] + dd, colour];
}
function put(source, lines) {
  const some = lines.filter((one) => one), data = { ...none };
  for (const [i, key] of ["x0", "y0", "x1", "y1", "colour"].entries()) data[key] = some.map((one) => one[i]);
  source.data = data;
}
for (const [source, cut, down, across] of traces) put(source, p.on[0] ? [line([c[across], c[down]], [-n[down], n[across]], colour)] : []);
const dot = (w) => c.reduce((sum, value, i) => sum + (value - p.origin[i]) * w[i], 0);
put(own, p.on[0] ? [0, 1, 2].map((k) => line([dot(u), dot(v)], [-v[k], u[k]], colours[k])) : []);
