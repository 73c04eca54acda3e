export function render({ model }) {
  let props = {}, a = new Set(), b = new Set();
  const tool = (shape, label, hint) => make("button", { type: "button", class: "chip", "data-shape": shape, title: hint, "aria-pressed": "false", onclick: () => want(props.drawing === shape ? null : shape) }, label);
  const tools = [tool("box", "Box", "Drag a rectangle in a slice"), tool("ellipsoid", "Ellipsoid", "Drag an ellipse's frame in a slice"), tool("lasso", "Lasso", "Draw around something in a slice")];
  const through = make("input", { type: "number", min: "1", step: "any", placeholder: "all", "aria-label": "Depth of the region, micrometres", title: "How deep the region goes, centred on the slice; empty: through the whole block, an ellipsoid as deep as wide" });
  const level = make("input", { type: "number", step: "any", "aria-label": "Threshold" });
  const above = make("button", { type: "button", class: "chip", title: "A region where the gene that is shown is above this value", onclick: () => send("threshold", parseFloat(level.value)) }, "Gene above");
  const list = make("ul", { class: "parts", "aria-label": "Regions" }), hint = make("p", { class: "message", role: "status", "aria-live": "polite" });
  const go = make("button", { type: "button", class: "button primary", onclick: () => send("compare", { a: [...a], b: [...b] }) }, "Compare");
  const root = make("section", { class: "form" },
    make("div", { class: "asks" }, ...tools, through, make("span", { class: "label" }, "µm deep")),
    make("div", { class: "asks" }, above, level), hint, list, make("div", { class: "actions" }, go));
  function want(shape) { send("draw", shape ? { shape, through: through.value } : null); }
  through.addEventListener("change", () => { if (props.drawing) want(props.drawing); });
  level.addEventListener("input", () => { level.dataset.own = "1"; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && props.drawing) want(null); });
  function side(name, letter, own, other) {
    return make("button", { type: "button", "aria-pressed": own.has(name) ? "true" : "false", "aria-label": `${name} on side ${letter}`, title: `Compare: side ${letter}`,
      onclick: () => { if (own.has(name)) own.delete(name); else { own.add(name); other.delete(name); } draw(); } }, letter);
  }
  function row([name, colour, size, seen]) {
    const swatch = make("i"); swatch.style.background = colour;
    const item = make("li", { "data-region": name, class: seen ? "region" : "region dim" }, swatch,
      make("button", { type: "button", class: "tab name", title: `${name}: every gene in it`, onclick: () => send("measure", name) }, name),
      make("span", { class: "amount", title: "Tissue in it" }, `${size >= 0.1 ? size.toFixed(2) : size.toPrecision(2)} mm³`),
      make("span", { class: "acts2" },
        make("button", { type: "button", class: "iconbutton", "aria-pressed": seen ? "true" : "false", title: seen ? "Hide" : "Show", "aria-label": `${seen ? "Hide" : "Show"} ${name}`, onclick: () => send("visible", name) }, icon(seen ? "check" : "plus")),
        make("button", { type: "button", class: "iconbutton", title: "Rename", "aria-label": `Rename ${name}`, onclick: () => rename(item, name) }, icon("pen")),
        make("button", { type: "button", class: "iconbutton", title: "Remove", "aria-label": `Remove ${name}`, onclick: () => { a.delete(name); b.delete(name); send("remove", name); } }, icon("cross"))),
      make("span", { class: "sides" }, side(name, "A", a, b), side(name, "B", b, a)));
    return item;
  }
  function rename(item, name) {
    const other = make("input", { type: "text", maxlength: "80", value: name, "aria-label": `New name of ${name}` });
    other.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && other.value.trim() && other.value !== name) { for (const s of [a, b]) if (s.delete(name)) s.add(other.value.trim()); send("rename", { old: name, new: other.value }); }
      else if (event.key === "Enter" || event.key === "Escape") { event.stopPropagation(); draw(); }
    });
    item.replaceChildren(make("i"), other); other.focus(); other.select();
  }
  function draw() {
    const regions = props.regions ?? [], names = new Set(regions.map(([n]) => n));
    for (const s of [a, b]) for (const n of s) if (!names.has(n)) s.delete(n);
    list.replaceChildren(...regions.map(row));
    go.disabled = !a.size; go.textContent = a.size && !b.size ? "Compare A with the rest" : "Compare A with B";
    go.parentNode.hidden = !regions.length;
    hint.textContent = props.drawing ? `Drag in a slice to draw the ${props.drawing}; Esc to stop.` : regions.length ? "" : props.ready ? "No region yet. Choose a shape, then drag in a slice." : "Regions need a prediction: fine-tune one first.";
  }
  const send = bind(model, (next) => {
    props = next;
    if (props.gene !== level.dataset.gene) { level.dataset.gene = props.gene ?? ""; delete level.dataset.own; }
    if (props.level != null && !level.dataset.own) level.value = props.level.toPrecision(3);
    above.disabled = level.disabled = !props.gene || !props.ready; above.title = props.gene ? `A region where ${props.gene} is above this value` : "Show a gene first";
    for (const t of tools) { t.setAttribute("aria-pressed", t.dataset.shape === props.drawing ? "true" : "false"); t.disabled = !props.ready; }
    hook({ drawing: props.drawing, regions: JSON.stringify((props.regions ?? []).map(([n]) => n)) });
    draw();
  });
  return root;
}
