// A drag draws while a panel asks for a stroke; it moves the crosshair else (slice_move.js).
if (!document.body.dataset.drawing && !document.body.dataset.painting) return;
if (cb_obj.event_name === "panstart") trace.data = { x: [cb_obj.x], y: [cb_obj.y] };
else if (cb_obj.event_name === "pan") {
  trace.data.x.push(cb_obj.x); trace.data.y.push(cb_obj.y);
  trace.change.emit();
} else {
  done.data = { x: [...trace.data.x], y: [...trace.data.y] };
  trace.data = { x: [], y: [] };
}
