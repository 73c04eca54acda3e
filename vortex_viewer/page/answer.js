const TALL = 26;
export function render({ model }) {
  let props = {}, stamp = null, order = [], sort = null, down = true, at = -1;
  const title = make("b", {}), note = make("p", { class: "message" }), facts = make("dl", { class: "facts2" }), legend = make("div", { class: "key" });
  const close = make("button", { type: "button", class: "iconbutton", title: "Back to the gene list (Esc)", "aria-label": "Close", onclick: () => send("close") }, icon("cross"));
  const search = make("input", { type: "text", placeholder: "Find a gene", "aria-label": "Find a gene in this table", spellcheck: "false" });
  const save = make("button", { type: "button", class: "button", title: "Save the table as CSV", onclick: csv }, "CSV");
  const heads = make("div", { class: "thead", role: "row" }), tall = make("div", { class: "tall", role: "rowgroup" });
  const list = make("div", { class: "tbody", tabindex: "0", role: "table", "aria-label": "Genes" }, tall);
  const plots = { volcano: volcano((name) => send("gene", name)), profile: profile((place) => send("go", place)) };
  const drawPlot = () => { if (props.plot) plots[props.plot.kind].draw(props); };
  const busy = make("p", { class: "message busyline", role: "status" });
  const root = make("section", { class: "v-answer", "aria-label": "Answer", hidden: true },
    make("header", {}, title, close), busy, note, facts, legend, plots.volcano.root, plots.profile.root, make("div", { class: "tools2" }, search, save), heads, list);
  const width = () => `minmax(70px, 1fr) repeat(${(props.columns ?? []).length}, minmax(40px, 56px))`;
  function arrange() {
    const wanted = search.value.trim().toLowerCase(), column = (props.columns ?? []).find((c) => c.name === sort);
    order = []; (props.genes ?? []).forEach((g, i) => { if (!wanted || g.toLowerCase().includes(wanted)) order.push(i); });
    const worst = down ? -Infinity : Infinity;
    if (column) order.sort((a, b) => { const p = column.values[a] ?? worst, q = column.values[b] ?? worst; return down ? q - p : p - q; });
    else if (sort === "gene") order.sort((a, b) => (props.genes[a] < props.genes[b] ? -1 : 1) * (down ? -1 : 1));
    tall.style.height = `${order.length * TALL}px`;
    paint();
  }
  function paint() {
    const first = Math.max(0, Math.floor(list.scrollTop / TALL) - 4), last = Math.min(order.length, first + Math.ceil(list.clientHeight / TALL) + 8);
    tall.replaceChildren(...order.slice(first, last).map((i, k) => {
      const gene = props.genes[i], unsure = props.sure && !props.sure[i];
      const row = make("div", { class: `trow${gene === props.gene ? " on" : ""}${unsure ? " unsure" : ""}`, role: "row", "data-gene": gene, title: unsure ? `${gene}: how well it is predicted is not surely better than chance` : gene, onclick: () => send("gene", gene) },
        make("span", { class: "name", role: "cell" }, unsure ? "? " : "", gene), ...props.columns.map((c) => make("span", { class: "number", role: "cell" }, told(c, i))));
      row.style.top = `${(first + k) * TALL}px`; row.style.gridTemplateColumns = width();
      return row;
    }));
  }
  function told(column, i) {
    const v = column.values[i];
    if (v == null) return "–";
    return column.small ? (v < 0.001 ? v.toExponential(0) : v.toFixed(3)) : v.toFixed(column.digits ?? 2);
  }
  function head() {
    const cell = (name, label, hint) => make("button", { type: "button", class: `tab${sort === name ? " on" : ""}`, title: `${hint ?? label}; click to sort`, "aria-label": `Sort by ${hint ?? label}`,
      onclick: () => { down = sort === name ? !down : !(props.columns.find((c) => c.name === name)?.small || name === "gene"); sort = name; head(); list.scrollTop = 0; arrange(); } }, label, sort === name ? (down ? " ↓" : " ↑") : "");
    heads.style.gridTemplateColumns = width();
    heads.replaceChildren(cell("gene", "Gene"), ...props.columns.map((c) => cell(c.name, c.label, c.hint)));
  }
  function csv() {
    if (props.csv) { take(props.csv); return; }
    const quote = (v) => /[",\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v;
    const columns = [...props.columns, ...(props.extra ?? [])];
    const rows = [["gene", ...columns.map((c) => quote(c.name)), ...(props.sure ? ["reliable"] : [])].join(",")];
    for (const i of order) rows.push([quote(props.genes[i]), ...columns.map((c) => c.values[i] ?? ""), ...(props.sure ? [props.sure[i]] : [])].join(","));
    take(rows.join("\n") + "\n");
  }
  function take(text) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `${props.file ?? "genes"}.csv` });
    link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  search.addEventListener("input", () => { list.scrollTop = 0; arrange(); });
  list.addEventListener("scroll", paint);
  new ResizeObserver(() => { paint(); drawPlot(); }).observe(list);
  addEventListener("resize", drawPlot);  // another theme, too
  addEventListener("search-genes", () => { if (!root.hidden) { search.focus(); search.select(); } });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !root.hidden && !document.body.dataset.drawing && !document.body.dataset.painting) send("close"); });
  const send = bind(model, (next) => {
    props = next;
    root.hidden = !props.open;
    const fresh = props.stamp !== stamp, again = fresh && props.kind === root.dataset.kind; stamp = props.stamp;
    root.dataset.kind = props.kind ?? "";
    title.textContent = props.title ?? ""; note.textContent = props.note ?? ""; busy.textContent = props.busy ?? "";
    facts.replaceChildren(...(props.facts ?? []).map(([label, value, hint]) => make("div", { title: hint ?? "" }, make("dt", {}, label), make("dd", {}, value))));
    legend.replaceChildren(...(props.legend ?? []).map(([colour, label, value]) => { const i = make("i"); i.style.background = colour; return make("span", {}, i, label, make("em", {}, value)); }));
    const some = (props.genes ?? []).length > 0;
    for (const part of [heads, list, search]) part.hidden = !some;
    search.parentNode.hidden = !some && !props.csv;
    for (const [kind, one] of Object.entries(plots)) one.root.hidden = props.plot?.kind !== kind;
    if (fresh) {
      if (!again && props.plot) document.querySelector(".tools").classList.remove("open");  // room for the plot
      if (!again) { sort = null; search.value = ""; list.scrollTop = 0; }
      if (sort === null) { sort = props.sort; down = props.down ?? true; }  // none yet while it was being worked out
      if (some) { head(); arrange(); }
      drawPlot();
    } else if (some) { paint(); drawPlot(); }
    hook({ answer: props.open ? (props.busy ? "busy" : props.kind) : null, answerRows: props.open ? (props.genes ?? []).length : null, answerStamp: props.open ? props.stamp : null, answerPlot: props.open && props.plot ? "1" : null });
  });
  return root;
}
