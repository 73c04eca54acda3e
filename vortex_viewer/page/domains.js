export function render({ model }) {
  let props = {};
  const count = make("select", { "aria-label": "Number of domains", title: "How many; suggested: as many as two halves of the tissue agree on" });
  const find = make("button", { type: "button", class: "button primary", title: "Parts of the tissue that express alike", onclick: () => send("find", count.value || null) }, "Find domains");
  const label = make("select", { "aria-label": "Label image", onchange: () => send("label", label.value || null) });
  const choosing = make("div", { class: "asks" }, make("span", { class: "label" }, "Labels"), label);
  const hows = [["fill", "Fill", "Colour the tissue"], ["outline", "Outline", "Draw the edges in the slices"], ["surface", "Surface", "Stand surfaces in 3D"], ["beside", "Beside", "A second 3D view beside the first, with the labels alone"]].map(([how, text, title]) =>
    make("button", { type: "button", role: "radio", "data-how": how, title, onclick: () => send("how", how) }, text));
  const how = make("div", { class: "segments wide", role: "radiogroup", "aria-label": "How labels are shown" }, ...hows);
  const hide = make("button", { type: "button", class: "tab", onclick: () => send("hide") }, "Hide");
  const key = make("div", { class: "key", "aria-label": "Legend" });
  const name = make("input", { type: "text", maxlength: "40", placeholder: "class, e.g. gland", "aria-label": "Class to paint", class: "long" });
  const radius = make("input", { type: "number", min: "1", step: "any", value: "20", "aria-label": "Brush radius, micrometres", title: "Brush radius, µm", class: "short" });
  const paint = make("button", { type: "button", class: "chip", "aria-pressed": "false", title: "Paint this class by dragging in a slice", onclick: () => (props.painting ? send("paint", null) : begin()) }, "Paint");
  const strokes = make("div", { class: "key", "aria-label": "Strokes" }), learn = make("button", { type: "button", class: "button", onclick: () => send("learn") }, "Learn from strokes"), clear = make("button", { type: "button", class: "tab", onclick: () => send("clear") }, "Clear");
  const title = make("input", { type: "text", maxlength: "40", placeholder: "name", "aria-label": "Name of the label image", class: "long" }), keep = make("button", { type: "button", class: "button", title: "Keep these labels with the study, as a label image", onclick: () => send("keep", title.value) }, "Keep");
  const told = make("p", { class: "message", role: "status" }), keeping = make("div", { class: "asks" }, title, keep), learning = make("div", { class: "actions" }, learn, clear);
  const root = make("section", { class: "form" }, make("div", { class: "asks" }, find, count), choosing, how, make("div", { class: "asks" }, key, hide), keeping,
    make("div", { class: "asks rule" }, paint, name, radius, make("span", { class: "label" }, "µm")), told, strokes, learning);
  function begin() {
    if (!name.value.trim()) { told.textContent = "Name the class first, then drag in a slice."; name.focus(); return; }
    send("paint", { name: name.value, radius: radius.value || 20 });
  }
  function again() { if (props.painting) send("paint", name.value.trim() ? { name: name.value, radius: radius.value || 20 } : null); }
  name.addEventListener("change", again); radius.addEventListener("change", again);
  name.addEventListener("keydown", (event) => { if (event.key === "Enter" && !props.painting) begin(); });
  title.addEventListener("keydown", (event) => { if (event.key === "Enter") keep.click(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && props.painting) send("paint", null); });
  const hints = new Map([paint, name, radius, title, keep].map((one) => [one, one.title]));
  const swatch = ([colour, text, more]) => { const i = make("i"); i.style.background = colour; return make("span", {}, i, text, more == null ? null : make("em", {}, `${more}`)); };
  const send = bind(model, (next) => {
    props = next;
    if (count.options.length !== (props.most ?? 1)) count.replaceChildren(make("option", { value: "" }, "suggested"), ...Array.from({ length: (props.most ?? 1) - 1 }, (_, i) => make("option", { value: i + 2 }, String(i + 2))));
    const names = ["", ...(props.labels ?? [])];
    if ([...label.options].map((o) => o.value).join() !== names.join()) label.replaceChildren(...names.map((n) => make("option", { value: n }, n || "none")));
    label.value = names.includes(props.shown) ? props.shown : "";
    choosing.hidden = names.length < 2;
    find.disabled = count.disabled = !props.ready; hide.hidden = how.hidden = !props.shown; keeping.hidden = !props.keepable;
    hide.parentNode.hidden = !props.shown;
    for (const b of hows) b.setAttribute("aria-checked", b.dataset.how === (props.how ?? "fill") ? "true" : "false");
    key.replaceChildren(...(props.key ?? []).map(swatch));
    paint.setAttribute("aria-pressed", props.painting ? "true" : "false");
    const painted = props.strokes ?? [];
    for (const one of [paint, name, radius, title, keep]) { one.disabled = !!props.fixed; one.title = props.fixed ?? hints.get(one); }
    told.textContent = props.painting ? `Drag in a slice to paint ${props.painting}; Esc to stop.` : painted.length === 1 ? "Paint a second class, then learn the rest of the block." : props.fixed ?? "";
    strokes.replaceChildren(...painted.map(([label, colour, n]) => swatch([colour, label, n])));
    learning.hidden = !painted.length; learn.disabled = painted.length < 2; learn.title = painted.length < 2 ? "Paint at least two classes" : "Segment the whole block by the strokes";
    hook({ painting: props.painting, labelsShown: props.shown, strokes: painted.map(([n, , c]) => `${n}:${c}`).join() || null, labelImages: (props.labels ?? []).join() });
  });
  return root;
}
