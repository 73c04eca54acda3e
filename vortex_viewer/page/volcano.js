function volcano(choose) {
  // effect across, how unlikely by chance upwards; what cannot be trusted is hollow
  const canvas = make("canvas", { class: "volcano", role: "img", "aria-label": "Volcano plot: difference across, false discovery rate upwards" }), tip = make("span", { class: "tip", hidden: true });
  const root = make("div", { class: "plot" }, canvas, tip);
  let places = [], props = null;
  function draw(next) {
    props = next;
    const { x, q, names } = { x: props.plot.x, q: props.plot.q, names: props.genes }, box = root.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const W = box.width || 380, H = 170, left = 34, right = 8, top = 8, bottom = 28;
    canvas.width = W * ratio; canvas.height = H * ratio; canvas.style.width = `${W}px`; canvas.style.height = `${H}px`;
    const c = canvas.getContext("2d"), style = getComputedStyle(root), ink = (n) => style.getPropertyValue(`--${n}`).trim();
    c.scale(ratio, ratio); c.clearRect(0, 0, W, H); c.font = `11px ${ink("font") || "sans-serif"}`;
    const up = q.map((v) => -Math.log10(Math.max(v ?? 1, 1e-6))), far = Math.max(0.2, ...x.map((v) => Math.abs(v ?? 0))) * 1.05, high = Math.max(2, ...up) * 1.08;
    const X = (v) => left + (v + far) / (2 * far) * (W - left - right), Y = (v) => H - bottom - v / high * (H - top - bottom);
    c.strokeStyle = ink("line-strong"); c.fillStyle = ink("muted"); c.lineWidth = 1;
    c.beginPath(); c.moveTo(left, top); c.lineTo(left, H - bottom); c.lineTo(W - right, H - bottom); c.stroke();
    c.setLineDash([3, 3]); c.beginPath();
    for (const v of [-props.plot.least, props.plot.least]) { c.moveTo(X(v), top); c.lineTo(X(v), H - bottom); }
    const bar = Y(-Math.log10(props.plot.rate)); c.moveTo(left, bar); c.lineTo(W - right, bar); c.stroke(); c.setLineDash([]);
    c.textAlign = "center"; const step = [5, 2, 1, 0.5, 0.2, 0.1, 0.05].find((s) => far / s >= 2) ?? 0.02;
    for (let v = -Math.floor(far / step) * step; v <= far; v += step) c.fillText(Math.abs(v) < 1e-9 ? "0" : v.toFixed(step < 0.1 ? 2 : 1), X(v), H - bottom + 13);
    c.fillText(props.plot.label, (left + W - right) / 2, H - 3);
    c.textAlign = "right"; for (const v of [1, 0.1, 0.01, 0.001, 0.0001]) if (-Math.log10(v) <= high) c.fillText(String(v), left - 4, Y(-Math.log10(v)) + 4);
    places = names.map((name, i) => ({ name, i, x: X(x[i] ?? 0), y: Y(up[i]) }));
    const called = (i) => (q[i] ?? 1) <= props.plot.rate && Math.abs(x[i] ?? 0) >= props.plot.least;
    for (const pass of [false, true]) for (const p of places) {
      if (called(p.i) !== pass) continue;
      const colour = !pass ? ink("faint") : x[p.i] > 0 ? props.plot.inks[0] : props.plot.inks[1];
      c.beginPath(); c.arc(p.x, p.y, pass ? 2.6 : 1.8, 0, 7);
      if (props.sure && !props.sure[p.i]) { c.strokeStyle = colour; c.stroke(); } else { c.fillStyle = colour; c.fill(); }
    }
    const on = places.find((p) => p.name === props.gene);
    if (on) { c.strokeStyle = ink("text"); c.lineWidth = 1.5; c.beginPath(); c.arc(on.x, on.y, 5.5, 0, 7); c.stroke(); }
  }
  function near(event) {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = 100;
    for (const p of places) { const d = (p.x - x) ** 2 + (p.y - y) ** 2; if (d < least) { least = d; best = p; } }
    return best;
  }
  canvas.addEventListener("pointermove", (event) => {
    const p = near(event);
    tip.hidden = !p; canvas.style.cursor = p ? "pointer" : "";
    if (p) { tip.textContent = p.name; tip.style.left = `${Math.min(p.x + 8, canvas.clientWidth - 70)}px`; tip.style.top = `${Math.max(0, p.y - 20)}px`; }
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("click", (event) => { const p = near(event); if (p) choose(p.name); });
  return { root, draw };
}
