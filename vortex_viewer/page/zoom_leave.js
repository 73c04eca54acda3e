// A slice shows something else: with one zoom for all, the others follow, once both axes are there.
if (!zoom.data.on[0] || fig.linking) return;
fig.linking = requestAnimationFrame(() => {
  fig.linking = null;
  const d = zoom.data, w = fig.inner_width;
  if (!d.on[0] || !w) return;
  const um = (fig.x_range.end - fig.x_range.start) / w;
  const a = (fig.x_range.start + fig.x_range.end) / 2, b = (fig.y_range.start + fig.y_range.end) / 2;
  const next = { on: [1], um: [um], x: [d.x[0]], y: [d.y[0]], z: [d.z[0]] };
  if (plane) {
    const p = plane.data, c = [d.x[0], d.y[0], d.z[0]];
    const dot = (u) => c.reduce((sum, v, i) => sum + (v - p.origin[i]) * u[i], 0);
    const da = a - dot(p.across), db = b - dot(p.down);
    ["x", "y", "z"].forEach((n, i) => { next[n] = [c[i] + da * p.across[i] + db * p.down[i]]; });
  } else { next[across] = [a]; next[down] = [b]; }
  const far = ["x", "y", "z"].some((n) => Math.abs(next[n][0] - d[n][0]) > 0.05 * um);
  if (far || Math.abs(um / d.um[0] - 1) > 1e-4) zoom.data = next;
});
