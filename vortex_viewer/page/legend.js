export function render({ model }) {
  let props = {}, drag = null, which = 0;
  const strip = make("canvas", { width: 512, height: 1, class: "strip" });
  const hist = make("canvas", { class: "hist" });
  const low = make("button", { class: "handle", type: "button", role: "slider", "aria-label": "Low end of the colour range" });
  const high = make("button", { class: "handle", type: "button", role: "slider", "aria-label": "High end of the colour range" });
  const pushRamp = latest((points) => send("ramp", points), 60);
  const ramp = rampEditor(pushRamp);
  const track = make("div", { class: "track" }, hist, ramp.root, make("div", { class: "bandbox" }, strip), low, high);
  const from = make("input", { type: "number", step: "any", "aria-label": "Low" });
  const to = make("input", { type: "number", step: "any", "aria-label": "High" });
  const preset = make("select", { "aria-label": "Range", title: "Percentiles of the gene in tissue that the colours span" },
    ...[["2-98", "Auto 2–98 %"], ["50-98", "High 50–98 %"], ["full", "Full range"], ["own", "Own range"]].map(([value, label]) => make("option", { value }, label)));
  const hold = make("button", { type: "button", class: "iconbutton", "aria-label": "Keep this range for other genes", title: "Keep this range when another gene is chosen", onclick: () => send("hold", !props.hold) }, icon("pin"));
  const reset = make("button", { type: "button", class: "tab", title: "Back to the opacity of the two sliders under Display", onclick: () => send("ramp", null) }, "Reset opacity");
  const label = make("div", { class: "label" }), chips = make("div", { class: "chips" });
  const swatches = make("div", { class: "swatches", role: "radiogroup", "aria-label": "Palette" });
  const together = make("div", { class: "segments", role: "radiogroup", "aria-label": "Several genes" });
  const shared = make("label", { class: "toggle", title: "All genes use the first one's range" }, make("input", { type: "checkbox", onchange: (e) => send("shared", e.target.checked) }), make("span", {}, "One range"));
  const ticks = make("div", { class: "ticks" });
  const none = make("p", { class: "faint", hidden: true }, "");
  const root = make("section", { class: "v-legend" }, none,
    make("div", { class: "line many" }, chips, together),
    make("div", { class: "line" }, label, shared, swatches, make("div", { class: "range" }, reset, preset, hold, from, make("span", { class: "faint" }, "to"), to)),
    track, ticks);
  const push = latest((pair) => send("window", [which, pair]), 60);
  const gene = () => props.genes?.[which];
  const span = () => { const [a, b] = gene()?.range ?? [0, 1]; return b - a || 1; };
  const at = (value) => Math.max(0, Math.min(100, 100 * (value - (gene()?.range[0] ?? 0)) / span()));
  function place() {
    const [a, b] = gene()?.window ?? [0, 1], [start, stop] = gene()?.range ?? [0, 1];
    low.style.left = `${at(a)}%`; high.style.left = `${at(b)}%`;
    low.setAttribute("aria-valuenow", number(a)); high.setAttribute("aria-valuenow", number(b));
    for (const handle of [low, high]) { handle.setAttribute("aria-valuemin", number(start)); handle.setAttribute("aria-valuemax", number(stop)); }
    const colours = props.mixed ? ["#10131a", gene().colour] : props.palettes?.[props.palette] ?? ["#000", "#fff"];
    const c = strip.getContext("2d"), x0 = 512 * at(a) / 100, x1 = Math.max(x0 + 1, 512 * at(b) / 100), g = c.createLinearGradient(x0, 0, x1, 0);
    colours.forEach((colour, i) => g.addColorStop(i / (colours.length - 1), colour));
    c.fillStyle = g; c.fillRect(0, 0, 512, 1);
    ramp.show(props.ramp ?? [], [at(a), at(b)]);
    const active = root.getRootNode().activeElement;
    if (active !== from) from.value = number(a);
    if (active !== to) to.value = number(b);
  }
  function histogram() {
    const box = hist.getBoundingClientRect(); if (!box.width || !gene()) return;
    hist.width = box.width; hist.height = box.height;
    const c = hist.getContext("2d"), counts = gene().histogram ?? [];
    const top = Math.log1p(Math.max(1, ...counts));
    c.fillStyle = getComputedStyle(root).getPropertyValue("--bars") || "rgba(152,162,179,.42)";
    counts.forEach((n, i) => { const h = box.height * Math.log1p(n) / top; c.fillRect(i * box.width / counts.length, box.height - h, Math.ceil(box.width / counts.length) - 0.5, h); });
  }
  function set(end, value) {
    const pair = [...gene().window], gap = span() / 200;
    pair[end] = end === 0 ? Math.min(value, pair[1] - gap) : Math.max(value, pair[0] + gap);
    gene().window = pair; place(); push(pair);
  }
  for (const handle of [low, high]) {
    const end = handle === low ? 0 : 1;
    handle.addEventListener("pointerdown", (event) => { drag = handle; handle.setPointerCapture(event.pointerId); event.preventDefault(); handle.focus(); });
    handle.addEventListener("pointermove", (event) => {
      if (drag !== handle) return;
      const box = track.getBoundingClientRect();
      set(end, gene().range[0] + span() * Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)));
    });
    handle.addEventListener("pointerup", () => { drag = null; });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
      if (step) { event.preventDefault(); event.stopPropagation(); set(end, gene().window[end] + step * span() / 100); }
    });
  }
  const typed = () => {
    const a = parseFloat(from.value), b = parseFloat(to.value);
    if (isFinite(a) && isFinite(b) && a < b) send("window", [which, [a, b]]); else place();
  };
  from.addEventListener("change", typed); to.addEventListener("change", typed);
  preset.addEventListener("change", () => { if (preset.value !== "own") send("preset", preset.value); });
  new ResizeObserver(histogram).observe(track);
  function chip(g, i) {
    const dot = make("i"); dot.style.background = props.mixed ? g.colour : "var(--faint)";
    return make("span", { class: `genechip${i === which ? " on" : ""}` },
      make("button", { type: "button", "aria-pressed": i === which ? "true" : "false", title: `Set the range of ${g.name}`, onclick: () => { which = i; draw(); histogram(); } }, dot, make("span", {}, g.name)),
      make("button", { type: "button", "aria-label": `Take ${g.name} out`, title: `Take ${g.name} out`, onclick: () => send("remove", i) }, icon("cross")));
  }
  function draw() {
    which = Math.max(0, Math.min(which, (props.genes?.length ?? 1) - 1));
    const has = !!gene(), many = !!props.together;
    root.classList.toggle("off", !has); none.hidden = has; none.textContent = props.none ?? "";
    chips.replaceChildren(...(props.genes ?? []).map(chip));
    label.replaceChildren(make("b", {}, gene()?.name ?? ""), make("span", { class: "faint", title: gene()?.units ?? "" }, props.units ?? ""));
    root.classList.toggle("several", many); document.querySelector("main.app").style.setProperty("--legend", many ? "148px" : "116px");
    chips.hidden = props.together === "difference"; together.hidden = !many; shared.hidden = !many || props.together === "difference"; shared.firstChild.checked = !!props.shared;
    together.replaceChildren(...[["mixed", "In one", "Each gene in its own colour in one picture"], ["beside", "Side by side", "A 3D view each, with one camera"], ["difference", "Difference", "The first gene less the second"]].map(([value, text, title]) =>
      make("button", { type: "button", role: "radio", title, "aria-checked": value === props.together ? "true" : "false", class: value === props.together ? "on" : "", onclick: () => send("together", value) }, text)));
    preset.value = props.auto ? props.preset : "own"; preset.lastChild.hidden = !!props.auto;
    hold.setAttribute("aria-pressed", props.hold ? "true" : "false");
    reset.hidden = !props.own_ramp;
    swatches.hidden = !!props.mixed || props.together === "difference";
    swatches.replaceChildren(...Object.entries(props.palettes ?? {}).filter(([name]) => name !== "difference").map(([name, colours]) => {
      const dot = make("button", { type: "button", role: "radio", title: name, "aria-label": name, "aria-checked": name === props.palette ? "true" : "false",
        class: name === props.palette ? "on" : "", onclick: () => send("palette", name) });
      dot.style.background = `linear-gradient(90deg, ${colours.join(",")})`; return dot;
    }));
    const [a, b] = gene()?.range ?? [0, 1];
    ticks.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((p) => make("span", {}, number(a + p * (b - a)))));
    if (has) place();
    hook({ window: has ? gene().window.map((v) => v.toFixed(4)).join(",") : null, palette: props.palette,
      preset: props.auto ? props.preset : "own", ramp: (props.ramp ?? []).map((p) => p.map((v) => v.toFixed(2)).join(":")).join(" "), together: props.together, hold: props.hold ? "1" : null });
  }
  const send = bind(model, (next) => {
    const fresh = next.stamp !== props.stamp;
    if (drag && gene() && next.genes?.[which]) next.genes[which].window = gene().window;
    if (fresh) which = 0;
    props = next; draw(); histogram();
  });
  return root;
}
