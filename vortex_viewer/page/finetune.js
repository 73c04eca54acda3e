export function render({ model }) {
  let props = {}, study = null;
  const sections = make("div", { class: "checks", role: "group", "aria-label": "Measured sections" });
  const panel = make("select", { "aria-label": "Genes" });
  const names = make("input", { type: "text", placeholder: "EPCAM, VIM, ACTA2", "aria-label": "Gene names", spellcheck: "false", hidden: true });
  const predictor = make("select", { "aria-label": "Predictor" });
  const mode = make("select", { "aria-label": "Mode" }), encoder = make("select", { "aria-label": "Encoder" });
  const more = make("div", { class: "message" });
  const go = make("button", { type: "button", class: "button primary" }, "Fine-tune");
  const cancel = make("button", { type: "button", class: "button", hidden: true }, "Cancel");
  const bar = make("i"), progress = make("div", { class: "progress", role: "progressbar", "aria-label": "Fine-tuning", hidden: true }, bar);
  const message = make("div", { class: "message", role: "status", "aria-live": "polite" });
  const curve = make("figure", { class: "curve", hidden: true }), change = make("div", { class: "message" });
  const kept = make("ul", { class: "versions", "aria-label": "Versions" });
  const label = (text) => make("span", { class: "label" }, text);
  const form = make("div", { class: "grid" }, label("Sections"), sections, label("Genes"), make("div", { class: "stack" }, panel, names),
    label("Mode"), mode, label("Encoder"), encoder, label("Predictor"), predictor);
  const root = make("section", { class: "form v-finetune" }, form, more, make("div", { class: "actions" }, go, cancel), progress, message, curve, kept, change);
  const option = ([value, text]) => make("option", { value }, text);
  panel.append(...[["hvg:1000", "1,000 most variable"], ["hvg:250", "250 most variable"], ["top:1000", "1,000 most expressed"], ["all", "All that were found"], ["names", "These names …"]].map(option));
  mode.append(...[["fast", "Fast: seconds"], ["full", "Full: tune the encoder, minutes"]].map(option));
  panel.addEventListener("change", () => { names.hidden = panel.value !== "names"; if (!names.hidden) names.focus(); });
  mode.addEventListener("change", offer);
  go.addEventListener("click", () => send("finetune", {
    sections: [...sections.querySelectorAll("input:checked")].map((i) => i.value),
    panel: panel.value === "names" ? names.value : panel.value, predictor: predictor.value, mode: mode.value, encoder: encoder.value || "texture" }));
  cancel.addEventListener("click", () => send("cancel", true));

  function offer() {
    const full = mode.value === "full", known = props.encoders ?? [], before = encoder.value;
    const some = known.filter(([name]) => !full || (props.tunable ?? []).includes(name));
    encoder.replaceChildren(...some.map(option));
    if (some.some(([name]) => name === before)) encoder.value = before;
    encoder.hidden = !some.length; encoder.previousSibling.hidden = !some.length;
    more.textContent = full && !some.length ? props.more ?? "" : "";
    const job = props.job;
    go.disabled = full && !some.length && !(job && job.phase === "running");
  }

  function draw(points) {
    // the held-out score after each epoch, as it grows
    curve.hidden = points.length === 0;
    if (!points.length) return;
    const values = points.map((p) => p[1]), low = Math.min(0, ...values), high = Math.max(0.05, ...values), last = points[points.length - 1][0];
    const x = (step) => 4 + 232 * (last > 1 ? (step - 1) / (last - 1) : 0), y = (v) => 52 - 46 * (v - low) / (high - low);
    const best = points.reduce((a, b) => (b[1] > a[1] ? b : a));
    const line = points.map(([s, v]) => `${x(s).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
    curve.innerHTML = `<svg viewBox="0 0 240 56" role="img" aria-label="Held-out r by epoch"><line x1="4" x2="236" y1="${y(0)}" y2="${y(0)}" class="zero"/>`
      + `<polyline points="${line}"/><circle cx="${x(best[0])}" cy="${y(best[1])}" r="3"/></svg>`
      + `<figcaption>Held-out r by epoch: ${number(values[values.length - 1], 3)} now, best ${number(best[1], 3)} at ${best[0]}</figcaption>`;
  }

  function version(row, active) {
    const what = `${row.made.slice(0, 16).replace("T", " ")} · ${row.mode} · ${row.encoder} · ${row.predictor}`;
    const button = (text, name) => make("button", { type: "button", class: "tab", disabled: active, onclick: () => send(name, row.id) }, text);
    return make("li", { class: row.current ? "on" : "", "data-id": row.id, title: `${row.id} · ${row.panel} · from ${row.sections.join(", ")}` },
      make("span", {}, make("b", {}, what), make("small", {}, `${row.genes.toLocaleString("en")} genes · mean r ${number(row.reliability, 3)} · ${row.sections.join(", ")}`)),
      row.current ? make("small", {}, "shown") : make("span", { class: "acts" }, button("Show", "restore"), button("Compare", "compare"), button("Delete", "delete")));
  }

  const send = bind(model, (next) => {
    props = next;
    const have = props.sections ?? [];
    if (props.stamp !== study) {
      if (props.wanted && have.length && typeof openTab === "function") openTab("finetune");
      study = props.stamp;
      sections.replaceChildren(...have.map(([name, spots, z]) => make("label", { class: "toggle", title: `${spots.toLocaleString("en")} spots at z = ${z.toFixed(0)} µm` },
        make("input", { type: "checkbox", value: name, checked: true }), make("span", {}, name))));
      predictor.replaceChildren(...(props.predictors ?? []).map(option));
    }
    offer();
    const job = props.job, active = job && (job.phase === "running" || job.phase === "cancelling");
    form.hidden = !have.length; go.hidden = !have.length || active; cancel.hidden = !active;
    cancel.disabled = job?.phase === "cancelling";
    progress.hidden = !active; bar.style.width = `${100 * (job?.fraction ?? 0)}%`;
    progress.setAttribute("aria-valuenow", Math.round(100 * (job?.fraction ?? 0)));
    message.textContent = job ? (active ? `${Math.round(job.fraction * 100)} % · ${job.message}` : job.message) : props.note ?? "";
    message.classList.toggle("error", job?.phase === "failed");
    draw(job?.curve ?? []);
    kept.replaceChildren(...(props.versions ?? []).map((row) => version(row, active)));
    kept.hidden = (props.versions ?? []).length < 1; change.textContent = props.change ?? "";
    for (const node of form.querySelectorAll("input,select")) node.disabled = !!active;
    hook({ job: job?.phase, curve: job?.curve?.length || null, versions: props.versions?.length });
  });
  return root;
}
