export function render({ model }) {
  let props = {}, drag = null;
  const strip = make("canvas", { width: 512, height: 1, class: "strip" });
  const hist = make("canvas", { class: "hist" });
  const low = make("button", { class: "handle", type: "button", role: "slider", "aria-label": "Low end of the colour range" });
  const high = make("button", { class: "handle", type: "button", role: "slider", "aria-label": "High end of the colour range" });
  const track = make("div", { class: "track" }, hist, make("div", { class: "bandbox" }, strip), low, high);
  const from = make("input", { type: "number", step: "any", "aria-label": "Low" });
  const to = make("input", { type: "number", step: "any", "aria-label": "High" });
  const auto = make("button", { type: "button", class: "tab", title: "2nd to 98th percentile in tissue" }, "Auto 2–98 %");
  const gene = make("b"), units = make("span", { class: "faint" });
  const swatches = make("div", { class: "swatches", role: "radiogroup", "aria-label": "Palette" });
  const ticks = make("div", { class: "ticks" });
  const none = make("p", { class: "faint", hidden: true }, "No gene is shown.");
  const root = make("section", { class: "v-legend" }, none,
    make("div", { class: "line" }, make("div", { class: "label" }, gene, units), swatches, make("div", { class: "range" }, auto, from, make("span", { class: "faint" }, "to"), to)),
    track, ticks);
  const push = latest((pair) => send("window", pair), 60);
  const span = () => { const [a, b] = props.range ?? [0, 1]; return b - a || 1; };
  const at = (value) => 100 * (value - (props.range?.[0] ?? 0)) / span();
  function gradient(context, width, height, colours) {
    const g = context.createLinearGradient(0, 0, width, 0);
    colours.forEach((c, i) => g.addColorStop(i / (colours.length - 1), c));
    context.fillStyle = g; context.fillRect(0, 0, width, height);
  }
  function place() {
    const [a, b] = props.window ?? [0, 1];
    low.style.left = `${at(a)}%`; high.style.left = `${at(b)}%`;
    low.setAttribute("aria-valuenow", number(a)); high.setAttribute("aria-valuenow", number(b));
    for (const handle of [low, high]) { handle.setAttribute("aria-valuemin", number(props.range?.[0])); handle.setAttribute("aria-valuemax", number(props.range?.[1])); }
    const colours = props.palettes?.[props.palette] ?? ["#000", "#fff"];
    const c = strip.getContext("2d"); c.clearRect(0, 0, 512, 1);
    const x0 = 512 * at(a) / 100, x1 = Math.max(x0 + 1, 512 * at(b) / 100);
    c.fillStyle = colours[0]; c.fillRect(0, 0, x0, 1);
    c.fillStyle = colours[colours.length - 1]; c.fillRect(x1, 0, 512 - x1, 1);
    c.save(); c.translate(x0, 0); gradient(c, x1 - x0, 1, colours); c.restore();
    if (root.getRootNode().activeElement !== from) from.value = number(a);
    if (root.getRootNode().activeElement !== to) to.value = number(b);
  }
  function histogram() {
    const box = hist.getBoundingClientRect(); if (!box.width) return;
    hist.width = box.width; hist.height = box.height;
    const c = hist.getContext("2d"), counts = props.histogram ?? [];
    const top = Math.log1p(Math.max(1, ...counts));
    c.fillStyle = "rgba(152,162,179,.42)";
    counts.forEach((n, i) => { const h = box.height * Math.log1p(n) / top; c.fillRect(i * box.width / counts.length, box.height - h, Math.ceil(box.width / counts.length) - 0.5, h); });
  }
  function move(event) {
    const box = track.getBoundingClientRect();
    const value = props.range[0] + span() * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    set(drag === low ? 0 : 1, value);
  }
  function set(end, value) {
    const pair = [...props.window], gap = span() / 200;
    pair[end] = end === 0 ? Math.min(value, pair[1] - gap) : Math.max(value, pair[0] + gap);
    props.window = pair; place(); push(pair);
  }
  for (const handle of [low, high]) {
    handle.addEventListener("pointerdown", (event) => { drag = handle; handle.setPointerCapture(event.pointerId); event.preventDefault(); handle.focus(); });
    handle.addEventListener("pointermove", (event) => { if (drag === handle) move(event); });
    handle.addEventListener("pointerup", () => { drag = null; });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
      if (step) { event.preventDefault(); const end = handle === low ? 0 : 1; set(end, props.window[end] + step * span() / 100); }
    });
  }
  const typed = () => {
    const a = parseFloat(from.value), b = parseFloat(to.value);
    if (isFinite(a) && isFinite(b) && a < b) send("window", [a, b]); else place();
  };
  from.addEventListener("change", typed); to.addEventListener("change", typed);
  auto.addEventListener("click", () => send("window", null));
  new ResizeObserver(() => { histogram(); }).observe(track);
  const send = bind(model, (next) => {
    if (drag) next.window = props.window;
    const fresh = next.gene !== props.gene || next.histogram?.length !== props.histogram?.length || next.stamp !== props.stamp;
    props = next;
    root.classList.toggle("off", !props.gene); none.hidden = !!props.gene;
    gene.textContent = props.gene ?? ""; units.textContent = props.gene ? props.units ?? "" : "";
    units.title = props.units_long ?? "";
    auto.classList.toggle("on", !!props.auto);
    swatches.replaceChildren(...Object.entries(props.palettes ?? {}).map(([name, colours]) => {
      const dot = make("button", { type: "button", role: "radio", title: name, "aria-label": name, "aria-checked": name === props.palette ? "true" : "false",
        class: name === props.palette ? "on" : "", onclick: () => send("palette", name) });
      dot.style.background = `linear-gradient(90deg, ${colours.join(",")})`; return dot;
    }));
    const [a, b] = props.range ?? [0, 1];
    ticks.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((p) => make("span", {}, number(a + p * (b - a)))));
    if (props.gene) { place(); if (fresh) histogram(); }
    hook({ window: props.gene ? (props.window ?? []).map((v) => v.toFixed(4)).join(",") : null, palette: props.palette });
  });
  return root;
}
