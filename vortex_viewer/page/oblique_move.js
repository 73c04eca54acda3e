// A click or a drag moves the crosshair in the plane; with Alt it tilts; with Shift, the picture moves.
const keys = cb_obj.modifiers ?? {}, [px, py] = fig.tags[1] ?? [0, 0];
if (cb_obj.event_name === "panstart") { fig.tags = [fig.tags[0], [0, 0]]; if (keys.shift || keys.alt) return; }
if (cb_obj.event_name === "pan" && (keys.shift || keys.alt)) {
  const sx = cb_obj.delta_x - px, sy = cb_obj.delta_y - py;
  fig.tags = [fig.tags[0], [cb_obj.delta_x, cb_obj.delta_y]];
  if (keys.alt) {
    const turn = (v) => Math.max(-180, Math.min(180, v));
    tilt.data = { x: [turn(tilt.data.x[0] - 0.4 * sy)], y: [turn(tilt.data.y[0] - 0.4 * sx)] };
    return;
  }
  const w = (fig.x_range.end - fig.x_range.start) / fig.inner_width, h = (fig.y_range.end - fig.y_range.start) / fig.inner_height;
  fig.x_range.setv({ start: fig.x_range.start - sx * w, end: fig.x_range.end - sx * w });
  fig.y_range.setv({ start: fig.y_range.start + sy * h, end: fig.y_range.end + sy * h });
  return;
}
const p = plane.data, next = {};
for (const [i, n] of ["x", "y", "z"].entries()) {
  const v = p.origin[i] + cb_obj.x * p.across[i] + cb_obj.y * p.down[i];
  if (v < extent.data[n][0] || v > extent.data[n][1]) return;  // beside the block there is no place
  next[n] = [v];
}
cursor.data = next;
