export function render({ model }) {
  const list = make("ul", { class: "parts", "aria-label": "Pins" }), told = make("p", { class: "message" });
  const look = make("button", { type: "button", class: "button primary", title: "All genes at the crosshair, ranked", onclick: () => send("pick") }, "Genes here");
  const pin = make("button", { type: "button", class: "button", title: "Keep this place to compare with (p)", onclick: () => send("pin") }, "Pin this place");
  const root = make("section", { class: "form" }, make("p", { class: "message" }, "Click in 3D or in a slice to choose a place."), make("div", { class: "actions" }, look, pin), list, told);
  document.addEventListener("keydown", (event) => {
    const typing = event.composedPath()[0]?.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
    if (event.key === "p" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) send("pin");
  });
  const send = bind(model, (props) => {
    const pins = props.pins ?? [];
    list.replaceChildren(...pins.map(([name, place]) => make("li", { "data-pin": name, style: "grid-template-columns: 28px minmax(0, 1fr) 24px" }, make("b", {}, name),
      make("button", { type: "button", class: "tab name", style: "text-align: left", title: "Go there", onclick: () => send("go", name) }, `${place} µm`),
      make("button", { type: "button", class: "iconbutton", title: "Remove", "aria-label": `Remove ${name}`, onclick: () => send("unpin", name) }, icon("cross")))));
    told.textContent = props.full ? "Four places are kept; the next one takes the first one's place." : "";
    hook({ pins: pins.map(([name]) => name).join(",") || null });
  });
  return root;
}
