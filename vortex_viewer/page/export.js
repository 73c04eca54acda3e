export function render({ model }) {
  let props = {}, fetched = null;
  const open = make("button", { type: "button", class: "iconbutton wide", "aria-haspopup": "dialog", "aria-expanded": "false", title: "Take figures, tables and volumes with you" },
    icon("save"), make("span", { class: "name" }, "Export"), make("i", { class: "part", hidden: true }));
  const field = (tag, name, attributes = {}, ...children) => make(tag, { "aria-label": name, ...attributes }, ...children);
  const options = (list) => list.map(([value, text]) => make("option", { value }, text));
  const check = (value, text, on = false) => make("label", {}, make("input", { type: "checkbox", value, checked: on }), text);
  const kind = field("select", "What to export", {}, ...options([["figure", "Figure, or a plate of genes"], ["movie", "Movie of a whole turn"], ["table", "Table"],
    ["volume", "Volume of a gene"], ["sections", "Measured sections"], ["site", "Site: a viewer without a server"]]));
  const genes = field("input", "Genes to export", { type: "text", spellcheck: "false", placeholder: "Genes, separated by commas" });
  const views = make("div", { class: "row2", role: "group", "aria-label": "Views of the figure" }, check("3d", "3D", true), check("xy", "XY"), check("xz", "XZ"), check("yz", "YZ"));
  const picture = field("select", "Format of the figure", {}, ...options([["png", "PNG"], ["svg", "SVG"], ["pdf", "PDF"]]));
  const dpi = field("input", "Dots per inch", { type: "number", min: "36", max: "1200", value: "300" });
  const same = check("same", "One colour range for all");
  const seconds = field("input", "Seconds of a turn", { type: "number", min: "1", max: "120", step: "1", value: "8" });
  const size = field("select", "Size of the movie", {}, ...options([["1280x720", "1280 × 720"], ["1920x1080", "1920 × 1080"], ["640x360", "640 × 360"]]));
  const table = field("select", "Rows of the table", {}, ...options([["genes", "A row for each gene"], ["spots", "A row for each measured spot"], ["regions", "A row for each class of labels"]]));
  const labels = field("select", "Labels of the table");
  const sheet = field("select", "Format of the table", {}, ...options([["csv", "CSV"], ["parquet", "Parquet"]]));
  const volume = field("select", "Format of the volume", {}, ...options([["ome-zarr", "OME-Zarr"], ["ome-tiff", "OME-TIFF"], ["nrrd", "NRRD"]]));
  const value = field("select", "Values of the volume", {}, ...options([["", "Predicted expression"], ["deviation", "Its standard deviation"]]));
  const where = field("select", "Where to", {}, ...options([["", "Download as ZIP"], ["server", "A folder on the server"]]));
  const line = (text, content, ...kinds) => [make("span", { class: "label", "data-of": kinds.join(" ") }, text), make("div", { "data-of": kinds.join(" ") }, content)];
  const fields = make("div", { class: "fields" }, ...line("What", kind), ...line("Genes", genes, "figure", "table", "volume", "sections", "site"),
    ...line("Views", views, "figure"), ...line("Format", make("div", { class: "row2" }, make("span", {}, picture), dpi, "dpi"), "figure"), ...line("", make("div", { class: "row2" }, same), "figure"),
    ...line("A turn", make("div", { class: "row2" }, seconds, "s"), "movie"), ...line("Size", size, "movie"),
    ...line("Rows", table, "table"), ...line("Labels", labels, "regions"), ...line("Format", sheet, "table"),
    ...line("Values", value, "volume"), ...line("Format", volume, "volume"), ...line("Where", where, "site"));
  const about = make("p", { class: "about" });
  const go = make("button", { type: "button", class: "button primary" }, "Export"), cancel = make("button", { type: "button", class: "button", hidden: true }, "Cancel");
  const bar = make("i"), progress = make("div", { class: "progress", role: "progressbar", "aria-label": "Export", hidden: true }, bar);
  const message = make("p", { class: "message", role: "status", "aria-live": "polite" });
  const got = make("a", { class: "got", hidden: true });
  const menu = make("div", { class: "menu export", role: "dialog", "aria-label": "Export", hidden: true }, make("h2", {}, "Export"), fields, about, make("div", { class: "actions" }, go, cancel), progress, message, got);
  const root = make("section", { class: "v-export" }, make("div", { class: "pick" }, open, menu));
  const ABOUT = {
    figure: "Legend, scale bar, caption and a link to this view. Several genes make a plate.",
    movie: "MP4 of what 3D shows now, with colour bar and scale bar.",
    table: { genes: "Reliability with its interval, and each gene's mean and range in the tissue.", spots: "Each measured spot: place in µm, counts, genes as measured and as predicted.", regions: "Each class of the labels: volume, and the mean of each gene." },
    volume: "On the prediction's lattice, spacing in µm, nan outside tissue. OME-Zarr comes as a ZIP.",
    sections: "AnnData (h5ad): raw counts, and predictions in a layer.",
    site: "A folder that any static host shows, every gene included, no server needed.",
  };
  function choose() {
    const now = [kind.value, ...(kind.value === "table" && table.value === "regions" ? ["regions"] : [])];
    for (const node of fields.querySelectorAll("[data-of]")) node.hidden = node.dataset.of !== "" && !node.dataset.of.split(" ").some((k) => now.includes(k));
    const many = ["table", "sections", "site"].includes(kind.value), seen = (props.shown ?? []).join(", ");
    genes.placeholder = many ? "All; or names, separated by commas" : seen || "Morphology alone";
    dpi.disabled = false;
    const text = ABOUT[kind.value];
    const onServer = where.value === "server" && kind.value === "site";
    about.textContent = (typeof text === "string" ? text : text[table.value]) + (onServer ? ` It is written beside the study, in ${props.folder}.` : "");
    labels.replaceChildren(...options((props.labels ?? []).map((name) => [name, name])));
    const why = missing();
    if (why) about.textContent = why;
    go.disabled = !!why;
  }
  function missing() {
    if (["table", "volume", "sections"].includes(kind.value) && !props.predicted) return "This study has no prediction yet: fine-tune first.";
    if ((kind.value === "sections" || (kind.value === "table" && table.value === "spots")) && !props.sections) return "This study has no measured section.";
    if (kind.value === "table" && table.value === "regions" && !(props.labels ?? []).length) return "This study has no labels.";
    if (kind.value === "site" && props.public) return "This server is open to everybody, so it makes no sites. Use vortex-viewer export site on your own machine.";
    return "";
  }
  function wish() {
    const format = { figure: picture.value, table: sheet.value, volume: volume.value }[kind.value] ?? null;
    return { kind: kind.value, genes: genes.value, format, views: [...views.querySelectorAll("input:checked")].map((i) => i.value), dpi: dpi.value, same_range: same.querySelector("input").checked,
      seconds: seconds.value, size: size.value, table: table.value, labels: labels.value, deviation: value.value !== "", where: where.value, address: location.origin + location.pathname };
  }
  function show(on) { menu.hidden = !on; open.setAttribute("aria-expanded", on ? "true" : "false"); if (on) { choose(); kind.focus(); } }
  open.addEventListener("click", (event) => { event.stopPropagation(); show(menu.hidden); });
  menu.addEventListener("click", (event) => event.stopPropagation());
  document.addEventListener("click", () => show(false));
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && !menu.hidden) { event.stopPropagation(); show(false); open.focus(); } });
  for (const one of [kind, table, where]) one.addEventListener("change", () => { if (one === kind) genes.value = ""; choose(); });
  go.addEventListener("click", () => send("export", wish()));
  cancel.addEventListener("click", () => send("cancel"));
  const weight = (bytes) => bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  function result(job) {
    got.hidden = !job?.href;
    if (!job?.href) return;
    got.href = job.href; got.download = job.name; got.textContent = `${job.name}, ${weight(job.bytes)}`;
    if (fetched !== job.href) { fetched = job.href; got.click(); }
  }
  const send = bind(model, (next) => {
    props = next;
    const job = props.job, active = job?.phase === "running" || job?.phase === "cancelling", percent = Math.round(100 * (job?.fraction ?? 0));
    go.hidden = active; cancel.hidden = !active; cancel.disabled = job?.phase === "cancelling"; progress.hidden = !active;
    bar.style.width = `${percent}%`; progress.setAttribute("aria-valuenow", percent);
    const part = open.querySelector(".part"); part.hidden = !active; part.style.width = `${percent}%`;
    open.querySelector(".name").textContent = active ? `${percent} %` : "Export";
    const done = job?.phase === "done" ? (job.folder ? `Written to ${job.folder}` : "Done. The download has begun; again:") : "";
    message.textContent = !job ? "" : active ? `${job.title}: ${percent} %, ${job.message}` : done || job.message || "Stopped.";
    message.classList.toggle("error", job?.phase === "failed");
    for (const node of fields.querySelectorAll("input,select")) node.disabled = active;
    result(job); choose();
    hook({ export: job?.phase, exported: job?.name ?? job?.folder });
  });
  return root;
}
