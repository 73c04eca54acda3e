// A drag draws while a panel asks for a stroke; it moves the crosshair else (slice_move.js).
const shape = document.body.dataset.drawing, painting = document.body.dataset.painting;
if (!shape && !painting) return;
const here = [cb_obj.x, cb_obj.y];
function outline([x0, y0], [x1, y1]) {
  if (shape === "line") return [[x0, y0], [x1, y1]];
  if (shape === "box") return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]];
  const mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
  return Array.from({ length: 41 }, (_, i) => i * Math.PI / 20).map((a) => [mx + (x1 - x0) / 2 * Math.cos(a), my + (y1 - y0) / 2 * Math.sin(a)]);
}
if (cb_obj.event_name === "panstart") { trace.tags = [here]; trace.data = { x: [here[0]], y: [here[1]] }; }
else if (cb_obj.event_name === "pan" && ["box", "ellipsoid", "line"].includes(shape)) {
  const all = outline(trace.tags[0] ?? here, here);
  trace.data = { x: all.map(([x]) => x), y: all.map(([, y]) => y) };
} else if (cb_obj.event_name === "pan") {
  trace.data.x.push(here[0]); trace.data.y.push(here[1]);
  trace.change.emit();
} else {
  done.data = { x: [...trace.data.x], y: [...trace.data.y] };
  trace.data = { x: [], y: [] };
}
