export function render({ model }) {
  const cells = {};
  const cell = (name, label) => { cells[name] = make("dd", {}, "–"); return make("div", {}, make("dt", {}, label), cells[name]); };
  const root = make("dl", { class: "v-readout" }, cell("place", "Crosshair x, y, z"), cell("value", "Expression"), cell("morphology", "Morphology"), cell("section", "Nearest section"));
  bind(model, (props) => {
    const c = props.cursor;
    cells.place.textContent = c ? `${c.map((v) => v.toFixed(0)).join(", ")} µm` : "–";
    cells.value.textContent = props.gene == null ? "–" : props.value == null ? "no tissue" : `${number(props.value)} ± ${number(props.sd)}`;
    cells.value.title = props.gene ? `${props.gene}, ${props.units}, with its standard deviation` : "";
    cells.morphology.textContent = props.morphology ?? "–"; cells.morphology.title = props.morphology_hint ?? "";
    cells.section.textContent = props.section ?? "–"; cells.section.title = props.section_hint ?? "";
    hook({ cursor: c ? c.map((v) => v.toFixed(2)).join(",") : null, value: props.value });
  });
  return root;
}
