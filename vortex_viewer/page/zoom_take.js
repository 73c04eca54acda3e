// Show as many micrometres a pixel as the other slices, about the same point.
const d = zoom.data;
let w, h;
try { w = fig.inner_width; h = fig.inner_height; } catch { return; }  // not drawn yet
if (!d.on[0] || !w || !h) return;
let a, b;
if (plane) {
  const p = plane.data, c = [d.x[0], d.y[0], d.z[0]];
  const dot = (u) => c.reduce((sum, v, i) => sum + (v - p.origin[i]) * u[i], 0);
  a = dot(p.across); b = dot(p.down);
} else { a = d[across][0]; b = d[down][0]; }
const um = d.um[0], left = a - um * w / 2, top = b - um * h / 2;
const near = (x, y) => Math.abs(x - y) < 0.05 * um;
if (near(fig.x_range.start, left) && near(fig.x_range.end, left + um * w) && near(fig.y_range.end, top) && near(fig.y_range.start, top + um * h)) return;
fig.x_range.setv({ start: left, end: left + um * w });
fig.y_range.setv({ start: top + um * h, end: top });
