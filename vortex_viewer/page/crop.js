export function render({ model }) {
  let props = {}, drag = null;
  const root = make("section", { class: "form" });
  const rows = ["x", "y", "z"].map((axis, i) => {
    const low = make("button", { class: "handle", type: "button", role: "slider", "aria-label": `${axis} from` });
    const high = make("button", { class: "handle", type: "button", role: "slider", "aria-label": `${axis} to` });
    const band = make("i"), track = make("div", { class: "double", "data-axis": axis }, band, low, high);
    const from = make("input", { type: "number", step: "any", "aria-label": `${axis} from, micrometres` });
    const to = make("input", { type: "number", step: "any", "aria-label": `${axis} to, micrometres` });
    root.append(make("div", { class: "croprow" }, make("b", { class: `axis ${axis}` }, axis), from, track, to));
    const row = { i, low, high, band, track, from, to };
    [low, high].forEach((handle, end) => {
      handle.addEventListener("pointerdown", (event) => { drag = handle; handle.setPointerCapture(event.pointerId); event.preventDefault(); handle.focus(); });
      handle.addEventListener("pointermove", (event) => {
        if (drag !== handle) return;
        const box = track.getBoundingClientRect(), [a, b] = props.bounds[i];
        set(i, end, a + (b - a) * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
      });
      handle.addEventListener("pointerup", () => { drag = null; });
      handle.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key], [a, b] = props.bounds[i];
        if (step) { event.preventDefault(); set(i, end, props.crop[i][end] + step * (b - a) / 100); }
      });
    });
    from.addEventListener("change", () => set(i, 0, parseFloat(from.value)));
    to.addEventListener("change", () => set(i, 1, parseFloat(to.value)));
    return row;
  });
  const reset = make("button", { type: "button", class: "button", onclick: () => send("crop", null) }, "Show the whole block");
  root.append(make("div", { class: "croprow end" }, make("span", { class: "faint" }, "micrometres"), reset));
  const push = latest((box) => send("crop", box), 80);
  function set(axis, end, value) {
    if (!isFinite(value)) return place();
    const [a, b] = props.bounds[axis], gap = (b - a) / 500, pair = [...props.crop[axis]];
    value = Math.max(a, Math.min(b, value));
    pair[end] = end === 0 ? Math.min(value, pair[1] - gap) : Math.max(value, pair[0] + gap);
    props.crop = props.crop.map((p, k) => k === axis ? pair : p);
    place(); push(props.crop);
  }
  function place() {
    for (const { i, low, high, band, from, to } of rows) {
      const [a, b] = props.bounds[i], [c, d] = props.crop[i], part = (v) => 100 * (v - a) / (b - a);
      low.style.left = `${part(c)}%`; high.style.left = `${part(d)}%`;
      band.style.left = `${part(c)}%`; band.style.right = `${100 - part(d)}%`;
      low.setAttribute("aria-valuenow", c.toFixed(0)); high.setAttribute("aria-valuenow", d.toFixed(0));
      const digits = b - a < 50 ? 1 : 0, active = root.getRootNode().activeElement;
      if (active !== from) from.value = c.toFixed(digits);
      if (active !== to) to.value = d.toFixed(digits);
    }
    reset.disabled = rows.every(({ i }) => props.crop[i][0] === props.bounds[i][0] && props.crop[i][1] === props.bounds[i][1]);
  }
  const send = bind(model, (next) => { if (drag && props.crop) next.crop = props.crop; props = next; if (props.bounds) place(); });
  return root;
}
