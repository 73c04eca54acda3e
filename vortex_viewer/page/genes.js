const ROW = 30;
export function render({ model }) {
  let props = {}, rows = [], shown = [], at = -1, names = null, filter = "", order = "reliability", follow = true;
  const input = make("input", { type: "search", placeholder: "Search genes", spellcheck: "false", autocomplete: "off",
    "aria-label": "Search genes", role: "combobox", "aria-expanded": "true", "aria-controls": "genes" });
  const count = make("span", { class: "faint" });
  const sort = make("select", { "aria-label": "Sort genes by", title: "Sort genes by" }, ...[["reliability", "Reliability"], ["mean", "Mean"], ["moran", "Varies in space"], ["like", "Like this gene"], ["name", "Name"]].map(([value, label]) => make("option", { value }, label)));
  const loved = make("button", { class: "iconbutton", type: "button", "aria-pressed": "false", "aria-label": "Favourites only", title: "Favourites only" }, icon("heart"));
  const file = make("input", { type: "file", accept: ".gmt,.txt", hidden: true, "aria-label": "Gene sets (GMT)" });
  const load = make("button", { class: "iconbutton", type: "button", title: "Load gene sets (a GMT file): each is shown as the mean of its genes", "aria-label": "Load gene sets", onclick: () => file.click() }, icon("list"));
  const sets = make("select", { "aria-label": "Gene sets", hidden: true });
  const told = make("p", { class: "message told", role: "status", "aria-live": "polite" });
  const formula = make("button", { class: "plain formula", type: "button", hidden: true });
  const trusted = make("input", { type: "number", min: "-1", max: "1", step: "0.05", "aria-label": "Grey genes below this reliability" });
  const FAVOURITES = "vortex-viewer favourites";
  let favourites = new Set(); try { favourites = new Set(JSON.parse(localStorage.getItem(FAVOURITES) ?? "[]")); } catch { /* the browser keeps nothing: favourites last as long as the page */ }
  let only = false;
  const list = make("div", { class: "genes", id: "genes", role: "listbox", tabindex: "0", "aria-label": "Genes" });
  const tall = make("div", { class: "tall" });
  const none = make("button", { class: "plain morphology", type: "button", title: "Show the morphology without expression" }, "Morphology alone");
  const note = make("div", { class: "note" });
  const care = make("details", { class: "care", hidden: true });
  list.append(tall);
  const root = make("section", { class: "v-genes" },
    make("div", { class: "search" }, make("span", { class: "glass", "aria-hidden": "true" }), input),
    formula, told, sets,
    make("div", { class: "head" }, count, make("span", { class: "sorts" }, load, loved, sort)), file,
    care, note, list,
    make("div", { class: "under" }, none,
      make("label", { class: "trusted", title: "Names of genes whose reliability is lower are greyed" }, "Grey below", trusted)));

  // a formula has an operator or a bracket, but a gene's name may hold a dash
  function looksTyped() {
    const text = filter.trim();
    return /^=/.test(text) || (/[()+*/]| - /.test(text) && !rows.some((r) => r.key === text.toLowerCase()));
  }
  function sift() {
    const wanted = filter.trim().toLowerCase();
    shown = [];
    if (!wanted) { for (let i = 0; i < rows.length; i++) shown.push(i); }
    else if (looksTyped()) { for (let i = 0; i < rows.length; i++) if (wanted.includes(rows[i].key)) shown.push(i); }
    else {
      const starts = [], inside = [], also = [], worded = [];
      for (let i = 0; i < rows.length; i++) {
        const where = rows[i].key.indexOf(wanted);
        if (where === 0) starts.push(i); else if (where > 0) inside.push(i);
        else if (`, ${rows[i].also}`.includes(`, ${wanted}`)) also.push(i);
        else if (wanted.length > 2 && rows[i].words.toLowerCase().includes(wanted)) worded.push(i);
      }
      shown = starts.concat(inside, also, worded);
    }
    if (only) shown = shown.filter((i) => favourites.has(rows[i].name));
    formula.hidden = !looksTyped(); formula.textContent = `Show the signature ${filter.trim().replace(/^=/, "")}`;
    tall.style.height = `${shown.length * ROW}px`;
    count.textContent = wanted ? `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`
      : `${rows.length.toLocaleString("en")} genes`;
  }
  function arrange() {
    const g = props.genes ?? { name: [], r: [], low: [], high: [] };
    const known = props.about?.of === props.stamp ? props.about : null;
    rows = g.name.map((name, i) => ({ name, key: name.toLowerCase(), r: g.r[i], low: g.low[i], high: g.high[i], words: known?.words[i] ?? "", also: (known?.also[i] ?? "").toLowerCase(), others: known?.also[i] ?? "" }));
    if (props.order === order) rows.forEach((row, i) => { row.score = props.scores?.[i]; });
    if (order === "name") rows.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
    else if (props.order === order) rows.sort((a, b) => (b.score ?? -9) - (a.score ?? -9));
    else rows.sort((a, b) => (b.r ?? -2) - (a.r ?? -2));
    sift();
  }
  function paint() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / ROW) + 8);
    const drawn = [], top = Math.max(1e-9, ...(order === "mean" && props.scores ? props.scores : [1]).map((v) => v ?? 0));
    for (let i = first; i < last; i++) {
      const row = rows[shown[i]];
      const bar = make("i"), scored = row.score !== undefined, value = scored ? row.score : row.r;
      bar.style.width = `${Math.max(0, Math.min(1, order === "mean" ? (value ?? 0) / top : value ?? 0)) * 100}%`;
      const on = row.name === props.gene;
      const known = row.r != null, other = (props.others ?? []).find(([name]) => name === row.name);
      const item = make("div", { class: `row${(row.r ?? -1) < (props.trusted ?? 0) && (props.trusted ?? 0) !== 0 ? " dim" : ""}${other ? " other" : ""}${on ? " on" : ""}${i === at ? " at" : ""}`, role: "option", "aria-selected": on ? "true" : "false",
        "data-name": row.name, title: (row.words ? `${row.words}${row.others ? `; also ${row.others}` : ""}. ` : "") + (known
          ? `${scored ? `${row.name}: ${{ mean: "mean", moran: "Moran's I", like: `correlation with ${props.to}` }[order]} ${number(row.score)}. ` : ""}${row.name}: held-out correlation ${number(row.r)}, 95 % interval ${number(row.low)} to ${number(row.high)}`
          : `${row.name}: its reliability was not estimated`) },
        make("span", { class: "name" }, row.name, aside(row)), make("span", { class: "bar" }, bar),
        make("span", { class: "number" }, value == null ? "–" : number(value)),
        make("button", { class: `heart${favourites.has(row.name) ? " on" : ""}`, type: "button", tabindex: "-1", "aria-pressed": favourites.has(row.name) ? "true" : "false", "aria-label": `Favourite ${row.name}`, title: favourites.has(row.name) ? "No favourite any more" : "Keep among the favourites" }, icon("heart")),
        make("button", { class: "add", type: "button", tabindex: "-1", "aria-label": other ? `Take ${row.name} out of the picture` : `Add ${row.name} to the picture`, title: other ? "Take it out of the picture" : "Add it to the picture, beside the gene that is shown" }, icon(other ? "cross" : "plus")));
      const ink = on && props.others?.length ? props.colour : other?.[1];
      if (ink) item.style.setProperty("--ink", ink);
      item.style.top = `${i * ROW}px`;
      drawn.push(item);
    }
    tall.replaceChildren(...drawn);
  }
  function aside(row) {
    // what was searched for, where it is not in the name
    const wanted = filter.trim().toLowerCase();
    if (!wanted || row.key.includes(wanted) || looksTyped()) return null;
    const other = row.others.split(", ").find((s) => s.toLowerCase().startsWith(wanted));
    return make("em", {}, other ?? row.words);
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
      if (looksTyped()) send("formula", filter);
      else if (shown.length) choose(rows[shown[Math.max(at, 0)]].name);
    } else if (event.key === "Escape" && filter) {
      input.value = filter = ""; at = -1; sift(); paint();
    }
  }
  input.addEventListener("input", () => { filter = input.value; at = filter ? 0 : -1; list.scrollTop = 0; sift(); paint(); });
  addEventListener("search-genes", () => { input.focus(); input.select(); });
  input.addEventListener("keydown", keys);
  list.addEventListener("keydown", keys);
  list.addEventListener("scroll", paint, { passive: true });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row && event.target.closest(".heart")) {
      const name = row.dataset.name; if (!favourites.delete(name)) favourites.add(name);
      try { localStorage.setItem(FAVOURITES, JSON.stringify([...favourites])); } catch { /* as above */ }
      sift(); paint(); return;
    }
    if (row && event.target.closest(".add")) { send("add", row.dataset.name); return; }
    if (row) { at = -1; choose(row.dataset.name); }
  });
  none.addEventListener("click", () => choose(null));
  formula.addEventListener("click", () => send("formula", filter));
  sort.addEventListener("change", () => { order = sort.value; at = -1; if (["mean", "moran", "like"].includes(order)) send("order", order); else hook({ order }); arrange(); list.scrollTop = 0; paint(); });
  loved.addEventListener("click", () => { only = !only; loved.setAttribute("aria-pressed", only ? "true" : "false"); sift(); list.scrollTop = 0; paint(); });
  trusted.addEventListener("change", () => { const v = parseFloat(trusted.value); if (isFinite(v)) send("trusted", Math.max(-1, Math.min(1, v))); });
  file.addEventListener("change", async () => { if (file.files[0]) send("sets", await file.files[0].text()); file.value = ""; });
  sets.addEventListener("change", () => { if (sets.value) send("set", sets.value); });
  new ResizeObserver(paint).observe(list);

  const send = bind(model, (next) => {
    const before = props; props = next;
    const stamp = next.stamp ?? "";
    const other = stamp !== names;
    const anew = other || next.order !== before.order || next.to !== before.to || next.scores?.length !== before.scores?.length;
    if (other) { names = stamp; at = -1; }
    if (anew || before.genes !== props.genes) arrange();  // genes come with all that is in bulk, such as words about them
    if (anew) list.scrollTop = 0;
    told.textContent = props.told ?? ""; told.classList.toggle("error", !!props.wrong);
    if (JSON.stringify(before.sets) !== JSON.stringify(props.sets)) {
      sets.hidden = !(props.sets ?? []).length;
      sets.replaceChildren(make("option", { value: "" }, "Gene sets …"), ...(props.sets ?? []).map(([name, have, all]) => make("option", { value: name, disabled: !have }, `${name} (${have} of ${all} genes)`)));
    }
    if (document.activeElement !== trusted) trusted.value = props.trusted ?? 0;
    const warnings = props.warnings ?? [];
    if (JSON.stringify(before.warnings ?? []) !== JSON.stringify(warnings)) {
      care.hidden = !warnings.length;
      care.replaceChildren(make("summary", {}, warnings[0]), ...warnings.slice(1).map((text) => make("p", {}, text)));
    }
    const has = rows.length > 0;
    root.classList.toggle("empty", !has);
    note.textContent = props.note ?? ""; note.hidden = !props.note;
    none.classList.toggle("on", has && props.gene == null);
    hook({ order: props.order === order ? order : ['name', 'reliability'].includes(order) ? order : null, told: props.told, gene: props.gene, genes: rows.length, prediction: props.prediction, reliability: rows.length ? rows.find((r) => r.name === props.gene)?.r : null });
    if (before.gene !== props.gene && props.gene != null) {
      const place = shown.findIndex((i) => rows[i].name === props.gene);
      if (place >= 0) reveal(place);
    }
    paint();
  });
  return root;
}
