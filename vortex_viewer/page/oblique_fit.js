// Show all of the oblique slice; or what all slices show, where they have one zoom.
let w, h;
try { w = fig.inner_width; h = fig.inner_height; } catch { return; }  // not drawn yet
if (!w || !h || (cb_obj === whole && !whole.data.now[0])) return;
const all = zoom.data, one = all.on[0] && cb_obj?.event_name !== "doubletap";
const [a0, a1] = whole.data.across, [d0, d1] = whole.data.down;
let a = (a0 + a1) / 2, d = (d0 + d1) / 2, um = Math.max((a1 - a0) / w, (d1 - d0) / h) * 1.06;
if (one) {
  const p = plane.data, c = [all.x[0], all.y[0], all.z[0]];
  const dot = (u) => c.reduce((sum, v, i) => sum + (v - p.origin[i]) * u[i], 0);
  a = dot(p.across); d = dot(p.down); um = all.um[0];
}
fig.x_range.setv({ start: a - um * w / 2, end: a + um * w / 2 });
fig.y_range.setv({ start: d + um * h / 2, end: d - um * h / 2 });
