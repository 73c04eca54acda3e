// Show the whole block, a micrometre as long down as across; or what all slices show, where they are one.
let w, h;
try { w = fig.inner_width; h = fig.inner_height; } catch { return; }  // not drawn yet
const box = extent.data, all = zoom.data;
if (!w || !h) return;
if (cb_obj?.event_name === "doubletap") {
  // two quick clicks at two places are no double click: the crosshair goes to the second
  const d = cursor.data, um = Math.abs(fig.x_range.end - fig.x_range.start) / w;
  if (Math.hypot(cb_obj.x - d[across][0], cb_obj.y - d[down][0]) > 8 * um) {
    const clip = (v, axis) => Math.min(Math.max(v, box[axis][0]), box[axis][1]);
    cursor.data = { ...d, [across]: [clip(cb_obj.x, across)], [down]: [clip(cb_obj.y, down)] };
    return;
  }
}
const [a0, a1] = box[`fit ${across}`], [d0, d1] = box[`fit ${down}`];
const pad = 1.06, one = all.on[0] && cb_obj?.event_name !== "doubletap";
const um = one ? all.um[0] : Math.max((a1 - a0) / w, (d1 - d0) / h) * pad;
const a = one ? all[across][0] : (a0 + a1) / 2, d = one ? all[down][0] : (d0 + d1) / 2;
fig.x_range.setv({start: a - um * w / 2, end: a + um * w / 2});
fig.y_range.setv({start: d + um * h / 2, end: d - um * h / 2});
