export function render({ model }) {
  let props = {}, a = new Set(), b = new Set(), known = [], taken = 0;
  const tool = (shape, label, hint) => make("button", { type: "button", class: "chip", "data-shape": shape, title: hint, "aria-pressed": "false", onclick: () => want(props.drawing === shape ? null : shape) }, label);
  const tools = [tool("box", "Box", "Drag a rectangle in a slice"), tool("ellipsoid", "Ellipsoid", "Drag an ellipse's frame in a slice"), tool("lasso", "Lasso", "Draw around something in a slice")];
  const through = make("input", { type: "number", min: "1", step: "any", placeholder: "all", "aria-label": "Depth of the region, micrometres", title: "How deep the region goes, centred on the slice; empty: through the whole block, an ellipsoid as deep as wide" });
  const into = make("select", { style: "max-width: 100%", "aria-label": "What a drawing becomes", title: "A new region, or more or less of one; an outline on another plane is carried over from plane to plane", onchange: () => { if (props.drawing) want(props.drawing); else draw(); } });
  const level = make("input", { type: "number", step: "any", "aria-label": "Threshold", class: "short2" });
  const source = make("select", { "aria-label": "Make a region from", title: "Make a region from a threshold, or from a class of a label image", onchange: () => fill() });
  const from = make("button", { type: "button", class: "chip", title: "Make this region", onclick: () => { const [kind, name, value, title] = chosen(); send("made", { kind, name, value, title, level: level.value, into: target() }); } }, "Add");
  const line = make("button", { type: "button", class: "chip", "data-shape": "line", "aria-pressed": "false", title: "The gene along a line: drag it in a slice", onclick: () => want(props.drawing === "line" ? null : "line") }, "Line");
  const depth = make("button", { type: "button", class: "chip", title: "The gene at each depth z: in the regions of side A, else in all tissue", onclick: () => send("profile", { kind: "depth", a: [...a] }) }, "Depth");
  const around = make("button", { type: "button", class: "chip", title: "The gene by distance from the surface of side A", onclick: () => send("profile", { kind: "surface", a: [...a] }) }, "From surface");
  const save = (kind, text, hint) => make("button", { type: "button", class: "tab", title: hint, onclick: () => send("save", kind) }, text);
  const saving = make("div", { class: "asks" }, make("span", { class: "label" }, "Save all"), save("csv", "CSV", "Every token of the regions, with its place, as CSV"), save("labels", "Labels", "All regions as one OME-Zarr label image, zipped"));
  const list = make("ul", { class: "parts", "aria-label": "Regions" }), hint = make("p", { class: "message", role: "status", "aria-live": "polite" });
  const go = make("button", { type: "button", class: "button primary", onclick: () => send("compare", { a: [...a], b: [...b] }) }, "Compare");
  const root = make("section", { class: "form" },
    make("div", { class: "asks" }, ...tools, through, make("span", { class: "label" }, "µm deep"), into),
    make("div", { class: "asks one" }, source, level, from), hint, list, make("div", { class: "actions" }, go),
    make("div", { class: "asks rule" }, make("span", { class: "label" }, "Profile"), line, depth, around), saving);
  const chosen = () => (props.choices ?? [])[source.selectedIndex] ?? ["gene", null, null, ""];
  function fill() {
    const [kind, name] = chosen();
    level.hidden = kind === "label";
    level.value = kind === "gene" && props.level != null ? props.level.toPrecision(3) : "";
    level.placeholder = kind === "morphology" ? "value" : "";
    level.title = kind === "morphology" ? `Intensity of ${name}, as in the reading beside the slices` : "Expression, log1p CP10K";
  }
  const target = () => { const [how, name] = JSON.parse(into.value || "[null]"); return how ? { how, name } : null; };
  function want(shape) { send("draw", shape ? { shape, through: through.value, into: shape === "line" ? null : target() } : null); }
  through.addEventListener("change", () => { if (props.drawing) want(props.drawing); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && props.drawing) want(null); });
  function take({ name, data }) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), link = make("a", { href: URL.createObjectURL(new Blob([bytes])), download: name });
    link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  function side(name, letter, own, other) {
    return make("button", { type: "button", "aria-pressed": own.has(name) ? "true" : "false", "aria-label": `${name} on side ${letter}`, title: `Compare: side ${letter}`,
      onclick: () => { if (own.has(name)) own.delete(name); else { own.add(name); other.delete(name); } draw(); } }, letter);
  }
  function row([name, colour, size, seen, saved]) {
    const own = !saved || !props.fixed;  // what the study keeps is not everybody's to change
    const swatch = make("i"); swatch.style.background = colour;
    const item = make("li", { "data-region": name, class: seen ? "region" : "region dim", "data-saved": saved ? "1" : "0" }, swatch,
      make("button", { type: "button", class: "tab name", title: `${name}: every gene in it`, onclick: () => send("measure", name) }, name),
      make("span", { class: "amount", title: "Tissue in it" }, `${size >= 0.1 ? size.toFixed(2) : size.toPrecision(2)} mm³`),
      make("span", { class: "acts2" },
        make("button", { type: "button", class: "iconbutton", "aria-pressed": seen ? "true" : "false", title: seen ? "Hide" : "Show", "aria-label": `${seen ? "Hide" : "Show"} ${name}`, onclick: () => send("visible", name) }, icon(seen ? "check" : "plus")),
        saved || props.fixed ? null : make("button", { type: "button", class: "iconbutton", title: "Keep with the study: it is in this view and its link alone", "aria-label": `Keep ${name}`, onclick: () => send("keep", name) }, icon("save")),
        ...(!own ? [] : [make("button", { type: "button", class: "iconbutton", title: "Rename", "aria-label": `Rename ${name}`, onclick: () => rename(item, name) }, icon("pen")),
        make("button", { type: "button", class: "iconbutton", title: "Remove", "aria-label": `Remove ${name}`, onclick: () => { a.delete(name); b.delete(name); send("remove", name); } }, icon("cross"))])),
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
    const options = [[null, null], ...regions.filter((r) => r[5]).flatMap(([name]) => [["add", name], ["cut", name]])].map((o) => JSON.stringify(o)), before = into.value;
    if ([...into.options].map((o) => o.value).join() !== options.join()) {
      into.replaceChildren(...options.map((value) => { const [how, name] = JSON.parse(value); return make("option", { value }, how ? `${how === "add" ? "add to" : "cut from"} ${name}` : "a new region"); }));
      into.value = options.includes(before) ? before : options[0];
    }
    into.hidden = options.length < 2; into.disabled = !props.ready;
    const to = target(), more = !to ? `draw the ${props.drawing}` : to.how === "cut" ? `cut from ${to.name}` : `add to ${to.name}${props.drawing === "lasso" ? "; on another plane, the outline goes over from one to the other" : ""}`;
    around.disabled = !a.size; saving.hidden = !regions.length;
    go.disabled = !a.size; go.textContent = a.size && !b.size ? "Compare A with the rest" : "Compare A with B";
    go.parentNode.hidden = !regions.length;
    hint.textContent = props.drawing ? `Drag in a slice to ${props.drawing === "line" ? "draw the line" : more}; Esc to stop.` : regions.length === 1 && !a.size ? "Mark A to compare it with the rest, or draw another for B." : regions.length ? "" : props.ready ? `No region yet. Choose a shape, then drag in a slice.${props.fixed ? " It stays in this view and its link." : ""}` : `Regions need a prediction${props.fixed ? ", which this study has not yet." : ": fine-tune one first."}`;
  }
  const send = bind(model, (next) => {
    props = next;
    const choices = [["gene", props.gene, null, props.gene ? `${props.gene} above` : "gene above"], ...(props.sources ?? [])], stamp = JSON.stringify([choices, props.level]);
    if (stamp !== source.dataset.stamp) {
      const at = Math.max(0, source.selectedIndex); source.dataset.stamp = stamp; props.choices = choices; known = choices;
      source.replaceChildren(...choices.map((c) => make("option", {}, c[3]))); source.selectedIndex = Math.min(at, choices.length - 1); fill();
    }
    props.choices = known;
    from.disabled = source.disabled = level.disabled = !props.ready; line.disabled = depth.disabled = !props.ready || !props.gene;
    if (props.file && props.file.stamp !== taken) { taken = props.file.stamp; take(props.file); }
    for (const t of [...tools, line]) { t.setAttribute("aria-pressed", t.dataset.shape === props.drawing ? "true" : "false"); if (t !== line) t.disabled = !props.ready; }
    hook({ drawing: props.drawing, regions: JSON.stringify((props.regions ?? []).map(([n]) => n)) });
    draw();
  });
  return root;
}
