export function render({ model }) {
  let props = {}, study = null;
  const sections = make("div", { class: "checks", role: "group", "aria-label": "Measured sections" });
  const others = make("div", { class: "checks", role: "group", "aria-label": "Other studies" });
  const panel = make("select", { "aria-label": "Genes" });
  const names = make("input", { type: "text", placeholder: "EPCAM, VIM, ACTA2", "aria-label": "Gene names", spellcheck: "false", hidden: true });
  const predictor = make("select", { "aria-label": "Predictor" });
  const mode = make("select", { "aria-label": "Mode" }), encoder = make("select", { "aria-label": "Encoder" });
  const minutes = make("input", { type: "number", min: "1", max: "600", step: "1", value: "5", "aria-label": "Minutes" });
  const about = make("p", { class: "faint small about" });
  const go = make("button", { type: "button", class: "button primary" }, "Fine-tune");
  const cancel = make("button", { type: "button", class: "button", hidden: true }, "Cancel");
  const bar = make("i"), progress = make("div", { class: "progress", role: "progressbar", "aria-label": "Fine-tuning", hidden: true }, bar);
  const message = make("div", { class: "message", role: "status", "aria-live": "polite" });
  const curve = make("figure", { class: "curve", hidden: true });
  const told = make("ol"), log = make("details", { class: "joblog", hidden: true }, make("summary", {}, "Log"), told);
  const kept = make("ul", { class: "versions", "aria-label": "Versions" });
  const label = (text) => make("span", { class: "label" }, text);
  const stack = make("div", { class: "stack" }, encoder, about);
  const form = make("div", { class: "grid" }, label("Sections"), sections, label("Also from"), others, label("Genes"), make("div", { class: "stack" }, panel, names),
    label("Mode"), mode, label("Minutes"), minutes, label("Encoder"), stack, label("Predictor"), predictor);
  const root = make("section", { class: "form v-finetune" }, form, make("div", { class: "actions" }, go, cancel), progress, message, curve, log, kept);
  const option = ([value, text]) => make("option", { value }, text);
  panel.append(...[["hvg:1000", "1,000 most variable"], ["hvg:250", "250 most variable"], ["top:1000", "1,000 most expressed"], ["all", "All that were found"], ["names", "These names …"]].map(option));
  mode.append(...[["fast", "Fast: encoder as it is"], ["full", "Full: tune it too"]].map(option));
  panel.addEventListener("change", () => { names.hidden = panel.value !== "names"; if (!names.hidden) names.focus(); });
  mode.addEventListener("change", offer); encoder.addEventListener("change", tell);
  go.addEventListener("click", () => send("finetune", {
    sections: [...sections.querySelectorAll("input:checked")].map((i) => i.value),
    others: others.hidden ? [] : [...others.querySelectorAll("input:checked")].map((i) => i.value),
    panel: panel.value === "names" ? names.value : panel.value, predictor: predictor.value, mode: mode.value, encoder: encoder.value || "texture",
    minutes: Math.max(1, parseFloat(minutes.value) || 5) }));
  cancel.addEventListener("click", () => send("cancel", true));

  function offer() {
    const full = mode.value === "full", before = encoder.value;
    const some = (props.encoders ?? []).filter((row) => !full || row.tunable);
    encoder.replaceChildren(...some.map((row) => option([row.name, row.label])));
    if (some.some((row) => row.name === before)) encoder.value = before;
    encoder.hidden = !some.length;
    minutes.hidden = minutes.previousSibling.hidden = !full;
    others.hidden = others.previousSibling.hidden = full || !(props.others ?? []).length;
    const job = props.job;
    go.disabled = !!props.fixed || (full && !some.length && !(job && job.phase === "running"));
    tell();
  }

  function tell() {
    // what the choice costs: the words come from the registry of encoders
    const row = (props.encoders ?? []).find((one) => one.name === encoder.value && !encoder.hidden);
    about.textContent = row ? (mode.value === "full" ? row.full : row.fast) : props.more ?? "";
  }

  const lasting = (s) => (s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`);

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

  let sure = null, patience = null;
  const asks = (id) => (sure === id ? "Delete for good?" : "Delete");

  function doubt(id) {
    sure = id;
    for (const button of kept.querySelectorAll("button.delete")) button.textContent = asks(button.value);
  }

  function remove(id) {
    // the second click deletes: there is no way back. The list may be drawn anew between the two
    return make("button", { type: "button", class: "tab delete", value: id, onclick: () => {
      clearTimeout(patience);
      if (sure === id) { doubt(null); send("delete", id); return; }
      doubt(id);
      patience = setTimeout(doubt, 4000, null);
    } }, asks(id));
  }

  function version(row) {
    const shown = row.id === props.shown;
    const what = `${row.mode} · ${row.encoder} · ${row.predictor}`;
    const button = (text, name) => make("button", { type: "button", class: "tab", onclick: () => send(name, row.id) }, text);
    const from = [...row.sections, ...row.others.map((name) => `beside ${name}`)].join(", ");
    const facts = `${row.made.slice(0, 16).replace("T", " ")} · ${row.genes.toLocaleString("en")} genes · mean r ${number(row.reliability, 3)}`;
    const change = props.change?.[0] === row.id && !shown ? make("p", { class: "message" }, props.change[1]) : null;
    return make("li", { class: shown ? "on" : "", "data-id": row.id, title: `Version ${row.id}: ${row.panel}, learned from ${from}` },
      make("span", {}, make("b", {}, what), make("small", {}, `${facts} · ${from}`)),
      make("span", { class: "acts" }, ...(shown ? [make("small", {}, "shown")] : [button("Show", "restore"), button("Compare", "compare"), ...(props.fixed ? [] : [remove(row.id)])])), change);
  }

  // a process is made ready meanwhile; once more for those who stay here for another try
  for (const event of ["pointerenter", "change"]) root.addEventListener(event, () => { if (!props.fixed) send("near", true); });

  let listed = null, offered = null;
  const send = bind(model, (next) => {
    props = next;
    const have = props.sections ?? [], job = props.job, active = job && (job.phase === "running" || job.phase === "cancelling");
    if (props.stamp !== study) {
      // what there is to do here, or goes on already
      if (((props.wanted && have.length && !props.fixed) || active) && typeof openTab === "function") openTab("finetune");
      study = props.stamp;
      sections.replaceChildren(...have.map(([name, spots, z]) => make("label", { class: "toggle", title: `${spots.toLocaleString("en")} spots at z = ${z.toFixed(0)} µm` },
        make("input", { type: "checkbox", value: name, checked: true }), make("span", {}, name))));
      predictor.replaceChildren(...(props.predictors ?? []).map(option));
    }
    const more = JSON.stringify(props.others ?? []);
    if (more !== offered) {
      offered = more;
      others.replaceChildren(...(props.others ?? []).map(([name, title, count]) => make("label", { class: "toggle", title: `Learn from what was measured of ${title} too (sections: ${count}): better where tissues are alike` },
        make("input", { type: "checkbox", value: name }), make("span", {}, title))));
    }
    offer();
    form.hidden = !have.length; go.hidden = !have.length || active; cancel.hidden = !active;
    cancel.disabled = !!props.fixed || job?.phase === "cancelling"; go.title = props.fixed ?? "";
    progress.hidden = !active; bar.style.width = `${100 * (job?.fraction ?? 0)}%`;
    progress.setAttribute("aria-valuenow", Math.round(100 * (job?.fraction ?? 0)));
    // a share of the work that is done tells how long the rest takes, unless the message does
    const rest = active && job.fraction > 0.1 && job.seconds > 3 && !/left/.test(job.message) ? ` · about ${lasting(job.seconds * (1 - job.fraction) / job.fraction)} left` : "";
    log.hidden = !job?.log?.length;
    told.replaceChildren(...(job?.log ?? []).map(([s, text]) => make("li", {}, make("span", { class: "number" }, lasting(s)), ` ${text}`)));
    message.textContent = job ? (active ? `${Math.round(job.fraction * 100)} % · ${job.message}${rest}` : job.message) : props.note ?? props.fixed ?? "";
    message.classList.toggle("error", job?.phase === "failed");
    draw(job?.curve ?? []);
    const rows = props.versions ?? [], list = JSON.stringify([rows, props.shown, props.change]);
    if (list !== listed) { listed = list; kept.replaceChildren(...rows.map(version)); }
    kept.hidden = !rows.length;
    for (const node of kept.querySelectorAll("button")) node.disabled = !!active;
    for (const node of form.querySelectorAll("input,select")) node.disabled = !!active || !!props.fixed;
    hook({ job: job?.phase, curve: job?.curve?.length || null, versions: props.versions?.length });
  });
  return root;
}
