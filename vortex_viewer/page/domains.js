export function render({ model }) {
  let props = {};
  const count = make("select", { "aria-label": "Number of domains" });
  const find = make("button", { type: "button", class: "button primary", title: "Parts of the tissue that express alike", onclick: () => send("find", count.value || null) }, "Find domains");
  const label = make("select", { "aria-label": "Label image", onchange: () => send("label", label.value || null) });
  const hide = make("button", { type: "button", class: "tab", onclick: () => send("hide") }, "Hide");
  const name = make("input", { type: "text", maxlength: "40", placeholder: "class, e.g. gland", "aria-label": "Class to paint", style: "width: 108px" });
  const radius = make("input", { type: "number", min: "1", step: "any", value: "20", "aria-label": "Brush radius, micrometres", title: "Brush radius, µm", style: "width: 48px" });
  const paint = make("button", { type: "button", class: "chip", "aria-pressed": "false", title: "Paint this class by dragging in a slice", onclick: () => send("paint", props.painting ? null : { name: name.value, radius: radius.value || 20 }) }, "Paint");
  const key = make("div", { class: "key" }), learn = make("button", { type: "button", class: "button", onclick: () => send("learn") }, "Learn from strokes"), clear = make("button", { type: "button", class: "tab", onclick: () => send("clear") }, "Clear");
  const title = make("input", { type: "text", maxlength: "40", placeholder: "name", "aria-label": "Name of the label image", style: "width: 108px" }), keep = make("button", { type: "button", class: "button", onclick: () => send("keep", title.value) }, "Keep with the study");
  const told = make("p", { class: "message", role: "status" }), keeping = make("div", { class: "asks" }, title, keep), learning = make("div", { class: "actions" }, learn, clear);
  const root = make("section", { class: "form" }, make("div", { class: "asks" }, find, count), make("div", { class: "asks" }, make("span", { class: "label" }, "Labels"), label, hide),
    make("div", { class: "asks" }, paint, name, radius), told, key, learning, keeping);
  function again() { if (props.painting) send("paint", name.value.trim() ? { name: name.value, radius: radius.value || 20 } : null); }
  name.addEventListener("change", again); radius.addEventListener("change", again);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && props.painting) send("paint", null); });
  const send = bind(model, (next) => {
    props = next;
    if (count.options.length !== (props.most ?? 1)) count.replaceChildren(make("option", { value: "" }, "suggested number"), ...Array.from({ length: (props.most ?? 1) - 1 }, (_, i) => make("option", { value: i + 2 }, String(i + 2))));
    const names = ["", ...(props.labels ?? [])];
    if ([...label.options].map((o) => o.value).join() !== names.join()) label.replaceChildren(...names.map((n) => make("option", { value: n }, n || "none")));
    label.value = names.includes(props.shown) ? props.shown : "";
    find.disabled = !props.ready; hide.hidden = !props.shown; keeping.hidden = !props.keepable;
    paint.setAttribute("aria-pressed", props.painting ? "true" : "false");
    told.textContent = props.painting ? `Drag in a slice to paint ${props.painting}; Esc to stop.` : "";
    const strokes = props.strokes ?? [];
    key.replaceChildren(...strokes.map(([label, colour, n]) => { const i = make("i"); i.style.background = colour; return make("span", {}, i, label, make("em", {}, `${n}`)); }));
    learning.hidden = !strokes.length; learn.disabled = strokes.length < 2; learn.title = strokes.length < 2 ? "Paint at least two classes" : "Segment the whole block by the strokes";
    hook({ painting: props.painting, labelsShown: props.shown, strokes: strokes.map(([n, , c]) => `${n}:${c}`).join() || null, labelImages: (props.labels ?? []).join() });
  });
  return root;
}
