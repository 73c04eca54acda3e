// A click or a drag moves the crosshair; with shift, the picture; a drag that draws, neither.
if ((document.body.dataset.drawing || document.body.dataset.painting) && cb_obj.event_name !== "tap") return;
if (cb_obj.event_name === "pan" && cb_obj.modifiers?.shift) {
  const w = (fig.x_range.end - fig.x_range.start) / fig.inner_width;
  const h = (fig.y_range.end - fig.y_range.start) / fig.inner_height;
  const [px, py] = fig.tags[1] ?? [0, 0];
  const dx = (cb_obj.delta_x - px) * w, dy = (cb_obj.delta_y - py) * h;
  fig.tags = [fig.tags[0], [cb_obj.delta_x, cb_obj.delta_y]];
  fig.x_range.setv({start: fig.x_range.start - dx, end: fig.x_range.end - dx});
  fig.y_range.setv({start: fig.y_range.start + dy, end: fig.y_range.end + dy});
  return;
}
if (cb_obj.event_name === "panstart") { fig.tags = [fig.tags[0], [0, 0]]; if (cb_obj.modifiers?.shift) return; }
const box = extent.data, d = cursor.data, next = {x: [d.x[0]], y: [d.y[0]], z: [d.z[0]]};
const clip = (v, axis) => Math.min(Math.max(v, box[axis][0]), box[axis][1]);
next[across] = [clip(cb_obj.x, across)];
next[down] = [clip(cb_obj.y, down)];
cursor.data = next;
