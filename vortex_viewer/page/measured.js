export function render({ model }) {
  let props = {};
  const picker = make("div", { class: "segments", role: "radiogroup", "aria-label": "Section" });
  const said = make("p", { class: "message" }), plot = make("canvas", { class: "scatter", role: "img" }), foot = make("p", { class: "faint small" });
  const root = make("section", { class: "form v-measured" }, picker, said, plot, foot);
  let at = 0;
  function draw() {
    const all = props.sections ?? []; at = Math.min(at, Math.max(0, all.length - 1));
    const one = all[at];
    picker.hidden = all.length < 2; plot.hidden = foot.hidden = !one;
    picker.replaceChildren(...all.map((s, i) => make("button", { type: "button", role: "radio", "aria-checked": i === at ? "true" : "false", onclick: () => { at = i; draw(); } }, s.section)));
    said.textContent = one ? `${props.gene} at ${one.section}: r = ${one.r == null ? "–" : number(one.r)} over ${one.count.toLocaleString("en")} spots` : props.note ?? "";
    foot.textContent = "These spots taught the model, so r flatters it. The list shows r on spots held out.";
    hook({ measured: one?.r == null ? null : one.r.toFixed(4) });
    if (one) scatter(one.points);
  }
  function scatter(points) {
    const box = plot.getBoundingClientRect(); if (!box.width) return;
    const ratio = devicePixelRatio || 1, w = box.width, h = box.height, left = 30, bottom = 26;
    plot.width = w * ratio; plot.height = h * ratio;
    const c = plot.getContext("2d"), style = getComputedStyle(root), ink = (name) => style.getPropertyValue(name);
    c.scale(ratio, ratio); c.font = `11px ${ink("--font")}`;
    const values = points.flat(), low = Math.min(0, ...values), high = Math.max(1, ...values);
    const x = (v) => left + (w - left - 6) * (v - low) / (high - low), y = (v) => h - bottom - (h - bottom - 6) * (v - low) / (high - low);
    c.strokeStyle = ink("--line-strong"); c.strokeRect(left + 0.5, 6.5, w - left - 6, h - bottom - 6);
    c.setLineDash([3, 3]); c.beginPath(); c.moveTo(x(low), y(low)); c.lineTo(x(high), y(high)); c.stroke(); c.setLineDash([]);
    c.fillStyle = ink("--accent"); c.globalAlpha = Math.max(0.15, Math.min(0.8, 60 / Math.sqrt(points.length) / 4));
    for (const [a, b] of points) { c.beginPath(); c.arc(x(a), y(b), 2, 0, 7); c.fill(); }
    c.globalAlpha = 1; c.fillStyle = ink("--muted"); c.textAlign = "center"; c.fillText("measured, log1p CP10K", (left + w) / 2, h - 6);
    c.textAlign = "right"; c.fillText(high.toFixed(1), left - 4, 14); c.fillText(low.toFixed(1), left - 4, h - bottom);
    c.save(); c.translate(10, (h - bottom) / 2 + 6); c.rotate(-Math.PI / 2); c.textAlign = "center"; c.fillText("predicted", 0, 0); c.restore();
    plot.setAttribute("aria-label", said.textContent);
  }
  new ResizeObserver(draw).observe(plot);
  bind(model, (next) => { if (next.gene !== props.gene) at = 0; props = next; draw(); });
  return root;
}
