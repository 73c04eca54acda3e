// The crosshair has moved: every slice shows it, at once.
const d = cursor.data;
for (const [span, axis] of spans) span.location = d[axis][0];
for (const [label, name, axis] of labels) label.text = `${name}   ${axis} = ${d[axis][0].toFixed(0)} µm`;
