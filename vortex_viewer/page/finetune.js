export function render({ model }) {
  let props = {}, study = null;
  const sections = make("div", { class: "checks", role: "group", "aria-label": "Measured sections" });
  const panel = make("select", { "aria-label": "Genes" });
  const names = make("input", { type: "text", placeholder: "EPCAM, VIM, ACTA2", "aria-label": "Gene names", spellcheck: "false", hidden: true });
  const predictor = make("select", { "aria-label": "Predictor" });
  const go = make("button", { type: "button", class: "button primary" }, "Fine-tune");
  const cancel = make("button", { type: "button", class: "button", hidden: true }, "Cancel");
  const bar = make("i"), progress = make("div", { class: "progress", role: "progressbar", "aria-label": "Fine-tuning", hidden: true }, bar);
  const message = make("div", { class: "message", role: "status", "aria-live": "polite" });
  const form = make("div", { class: "grid" }, make("span", { class: "label" }, "Sections"), sections,
    make("span", { class: "label" }, "Genes"), make("div", { class: "stack" }, panel, names), make("span", { class: "label" }, "Predictor"), predictor);
  const root = make("section", { class: "form v-finetune" }, form, make("div", { class: "actions" }, go, cancel), progress, message);
  for (const [value, label] of [["hvg:1000", "1,000 most variable"], ["hvg:250", "250 most variable"], ["top:1000", "1,000 most expressed"], ["all", "All that were found"], ["names", "These names …"]])
    panel.append(make("option", { value }, label));
  panel.addEventListener("change", () => { names.hidden = panel.value !== "names"; if (!names.hidden) names.focus(); });
  go.addEventListener("click", () => send("finetune", {
    sections: [...sections.querySelectorAll("input:checked")].map((i) => i.value),
    panel: panel.value === "names" ? names.value : panel.value, predictor: predictor.value }));
  cancel.addEventListener("click", () => send("cancel", true));
  const send = bind(model, (next) => {
    props = next;
    const have = props.sections ?? [];
    if (props.stamp !== study) {
      if (props.wanted && have.length && typeof openTab === "function") openTab("finetune");
      study = props.stamp;
      sections.replaceChildren(...have.map(([name, spots, z]) => make("label", { class: "toggle", title: `${spots.toLocaleString("en")} spots at z = ${z.toFixed(0)} µm` },
        make("input", { type: "checkbox", value: name, checked: true }), make("span", {}, name))));
      predictor.replaceChildren(...(props.predictors ?? []).map(([value, label]) => make("option", { value }, label)));
    }
    const job = props.job, active = job && (job.phase === "running" || job.phase === "cancelling");
    form.hidden = !have.length; go.hidden = !have.length || active; cancel.hidden = !active;
    cancel.disabled = job?.phase === "cancelling";
    progress.hidden = !active; bar.style.width = `${100 * (job?.fraction ?? 0)}%`;
    progress.setAttribute("aria-valuenow", Math.round(100 * (job?.fraction ?? 0)));
    message.textContent = job ? (active ? `${Math.round(job.fraction * 100)} % · ${job.message}` : job.message) : props.note ?? "";
    message.classList.toggle("error", job?.phase === "failed");
    for (const node of form.querySelectorAll("input,select")) node.disabled = !!active;
    hook({ job: job?.phase });
  });
  return root;
}
