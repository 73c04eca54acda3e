const ROW = 30;
export function render({ model }) {
  let props = {}, rows = [], shown = [], at = -1, names = null, filter = "", order = "reliability", follow = true;
  const input = make("input", { type: "search", placeholder: "Search genes", spellcheck: "false", autocomplete: "off",
    "aria-label": "Search genes", role: "combobox", "aria-expanded": "true", "aria-controls": "genes" });
  const count = make("span", { class: "faint" });
  const byReliability = make("button", { class: "tab", type: "button" }, "Reliability");
  const byName = make("button", { class: "tab", type: "button" }, "Name");
  const list = make("div", { class: "genes", id: "genes", role: "listbox", tabindex: "0", "aria-label": "Genes" });
  const tall = make("div", { class: "tall" });
  const none = make("button", { class: "plain morphology", type: "button", title: "Show the morphology without expression" }, "Morphology alone");
  const note = make("div", { class: "note" });
  list.append(tall);
  const root = make("section", { class: "v-genes" },
    make("div", { class: "search" }, make("span", { class: "glass", "aria-hidden": "true" }), input),
    make("div", { class: "head" }, count, make("span", { class: "tabs" }, byReliability, byName)),
    note, list, none);

  function sift() {
    const wanted = filter.trim().toLowerCase();
    shown = [];
    if (!wanted) { for (let i = 0; i < rows.length; i++) shown.push(i); }
    else {
      const starts = [], inside = [];
      for (let i = 0; i < rows.length; i++) {
        const where = rows[i].key.indexOf(wanted);
        if (where === 0) starts.push(i); else if (where > 0) inside.push(i);
      }
      shown = starts.concat(inside);
    }
    tall.style.height = `${shown.length * ROW}px`;
    count.textContent = wanted ? `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`
      : `${rows.length.toLocaleString("en")} genes`;
  }
  function arrange() {
    const g = props.genes ?? { name: [], r: [], low: [], high: [] };
    rows = g.name.map((name, i) => ({ name, key: name.toLowerCase(), r: g.r[i], low: g.low[i], high: g.high[i] }));
    if (order === "name") rows.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
    else rows.sort((a, b) => (b.r ?? -2) - (a.r ?? -2));
    byReliability.classList.toggle("on", order !== "name");
    byName.classList.toggle("on", order === "name");
    sift();
  }
  function paint() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / ROW) + 8);
    const drawn = [];
    for (let i = first; i < last; i++) {
      const row = rows[shown[i]];
      const bar = make("i"); bar.style.width = `${Math.max(0, Math.min(1, row.r ?? 0)) * 100}%`;
      const on = row.name === props.gene;
      const known = row.r != null;
      const item = make("div", { class: `row${on ? " on" : ""}${i === at ? " at" : ""}`, role: "option", "aria-selected": on ? "true" : "false",
        "data-name": row.name, title: known
          ? `${row.name}: held-out correlation ${number(row.r)}, 95 % interval ${number(row.low)} to ${number(row.high)}`
          : `${row.name}: its reliability was not estimated` },
        make("span", { class: "name" }, row.name), make("span", { class: "bar" }, bar),
        make("span", { class: "number" }, known ? number(row.r) : "–"));
      item.style.top = `${i * ROW}px`;
      drawn.push(item);
    }
    tall.replaceChildren(...drawn);
  }
  function reveal(i) {
    const top = i * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }
  const choose = (name) => { send("gene", name); };
  function keys(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!shown.length) return;
      const step = event.key === "ArrowDown" ? 1 : -1;
      const from = at >= 0 ? at : shown.findIndex((i) => rows[i].name === props.gene);
      at = Math.max(0, Math.min(shown.length - 1, from + step));
      reveal(at); paint();
      if (event.currentTarget === list) choose(rows[shown[at]].name);
    } else if (event.key === "Enter") {
      if (shown.length) choose(rows[shown[Math.max(at, 0)]].name);
    } else if (event.key === "Escape" && filter) {
      input.value = filter = ""; at = -1; sift(); paint();
    }
  }
  input.addEventListener("input", () => { filter = input.value; at = filter ? 0 : -1; list.scrollTop = 0; sift(); paint(); });
  input.addEventListener("keydown", keys);
  list.addEventListener("keydown", keys);
  list.addEventListener("scroll", paint, { passive: true });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) { at = -1; choose(row.dataset.name); }
  });
  none.addEventListener("click", () => choose(null));
  byReliability.addEventListener("click", () => { order = "reliability"; at = -1; arrange(); paint(); });
  byName.addEventListener("click", () => { order = "name"; at = -1; arrange(); paint(); });
  new ResizeObserver(paint).observe(list);

  const send = bind(model, (next) => {
    const before = props; props = next;
    const stamp = next.stamp ?? "";
    if (stamp !== names) { names = stamp; at = -1; arrange(); list.scrollTop = 0; }
    const has = rows.length > 0;
    root.classList.toggle("empty", !has);
    note.textContent = props.note ?? ""; note.hidden = !props.note;
    none.classList.toggle("on", has && props.gene == null);
    hook({ gene: props.gene, genes: rows.length, prediction: props.prediction, reliability: rows.length ? rows.find((r) => r.name === props.gene)?.r : null });
    if (before.gene !== props.gene && props.gene != null) {
      const place = shown.findIndex((i) => rows[i].name === props.gene);
      if (place >= 0) reveal(place);
    }
    paint();
  });
  return root;
}
