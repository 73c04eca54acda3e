function profile(go) {
  // means of genes along a distance or a depth, each with a band
  const canvas = make("canvas", { class: "profile", role: "img" }), tip = make("span", { class: "tip", hidden: true });
  const root = make("div", { class: "plot" }, canvas, tip);
  let props = null, X = null, span = [0, 1];
  function steps(low, high, most) {
    const rough = (high - low) / most, ten = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((m) => m * ten).find((s) => s >= rough);
    const found = []; for (let v = Math.ceil(low / step) * step; v <= high + step / 1e6; v += step) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
    return [found, Math.max(0, -Math.floor(Math.log10(step)))];
  }
  function draw(next) {
    props = next;
    const { lines, label } = props.plot, box = root.getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const W = box.width || 340, H = 230, left = 38, right = 8, top = 8, bottom = 34;
    canvas.width = W * ratio; canvas.height = H * ratio; canvas.style.width = `${W}px`; canvas.style.height = `${H}px`;
    const c = canvas.getContext("2d"), style = getComputedStyle(root), ink = (n) => style.getPropertyValue(`--${n}`).trim();
    c.scale(ratio, ratio); c.font = `11px ${ink("font") || "sans-serif"}`;
    const xs = lines.flatMap((l) => l.x), ends = lines.flatMap((l) => l.y.flatMap((v, i) => v == null ? [] : [v - (l.band[i] ?? 0), v + (l.band[i] ?? 0)]));
    if (!ends.length) { c.fillStyle = ink("muted"); c.fillText("No tissue there.", left, H / 2); return; }
    const x0 = Math.min(...xs), x1 = Math.max(...xs), y0 = Math.min(...ends), y1 = Math.max(...ends, y0 + 1e-6);
    span = [x0, x1];
    X = (v) => left + (v - x0) / (x1 - x0 || 1) * (W - left - right); const Y = (v) => H - bottom - (v - y0) / (y1 - y0) * (H - top - bottom);
    c.strokeStyle = ink("line-strong"); c.fillStyle = ink("muted"); c.beginPath(); c.moveTo(left, top); c.lineTo(left, H - bottom); c.lineTo(W - right, H - bottom); c.stroke();
    c.textAlign = "center"; const [across, digits] = steps(x0, x1, 5); for (const v of across) c.fillText(v.toFixed(digits), X(v), H - bottom + 13);
    c.fillText(label, (left + W - right) / 2, H - 4);
    c.textAlign = "right"; const [upwards, places] = steps(y0, y1, 4); for (const v of upwards) c.fillText(v.toFixed(places), left - 4, Y(v) + 4);
    if (x0 < 0 && x1 > 0) { c.setLineDash([3, 3]); c.beginPath(); c.moveTo(X(0), top); c.lineTo(X(0), H - bottom); c.stroke(); c.setLineDash([]); }
    for (const l of lines) {
      let run = [];
      const flush = () => {
        if (run.length) {
          c.fillStyle = c.strokeStyle = l.ink; c.globalAlpha = 0.2; c.beginPath();
          run.forEach((i, k) => c[k ? "lineTo" : "moveTo"](X(l.x[i]), Y(l.y[i] + (l.band[i] ?? 0)))); [...run].reverse().forEach((i) => c.lineTo(X(l.x[i]), Y(l.y[i] - (l.band[i] ?? 0)))); c.fill();
          c.globalAlpha = 1; c.lineWidth = 1.75; c.beginPath(); run.forEach((i, k) => c[k ? "lineTo" : "moveTo"](X(l.x[i]), Y(l.y[i]))); c.stroke();
        }
        run = [];
      };
      l.y.forEach((v, i) => (v == null ? flush() : run.push(i))); flush();  // a gap where there is no tissue
    }
    canvas.setAttribute("aria-label", `${lines.map((l) => l.name).join(", ")} against ${label}`);
    hook({ profile: lines.map((l) => l.y.filter((v) => v != null).length).join() });
  }
  function near(event) {
    if (!X) return null;
    const x = event.clientX - canvas.getBoundingClientRect().left, l = props.plot.lines[0];
    let best = 0; l.x.forEach((v, i) => { if (Math.abs(X(v) - x) < Math.abs(X(l.x[best]) - x)) best = i; });
    return best;
  }
  canvas.addEventListener("pointermove", (event) => {
    const i = near(event); tip.hidden = i == null; if (i == null) return;
    canvas.style.cursor = props.plot.places ? "pointer" : "";
    const told = props.plot.lines.map((l) => `${l.name} ${l.y[i] == null ? "–" : l.y[i].toFixed(2)}`).join(", ");
    tip.textContent = `${props.plot.lines[0].x[i].toFixed(0)} µm: ${told}`; tip.style.left = "44px"; tip.style.top = "0";
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("click", (event) => { const i = near(event); if (i != null && props.plot.places) go(props.plot.places[i]); });
  return { root, draw };
}
