export function render({ model }) {
  const name = make("span", { class: "title" });
  const facts = make("div", { class: "facts" });
  const menu = make("div", { class: "menu gallery", hidden: true, role: "listbox", "aria-label": "Studies" });
  const button = make("button", { class: "picker", type: "button", "aria-haspopup": "listbox", title: "Choose a study" },
    name, make("span", { class: "chevron", "aria-hidden": "true" }));
  const status = make("div", { class: "status", role: "status", "aria-live": "polite" });
  const root = make("header", { class: "v-study" },
    make("div", { class: "brand", title: "vortex-viewer" }, make("span", { class: "mark", "aria-hidden": "true" })),
    make("div", { class: "pick" }, button, menu), facts, status);
  const close = () => { menu.hidden = true; };
  button.addEventListener("click", (event) => { event.stopPropagation(); menu.hidden = !menu.hidden; if (!menu.hidden) { send("gallery"); menu.querySelector("button")?.focus(); } });
  document.addEventListener("click", close);
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { close(); button.focus(); }
    if (event.key.startsWith("Arrow") && !menu.hidden) {
      event.preventDefault();
      const all = [...menu.querySelectorAll("button")];
      const from = all.indexOf(root.getRootNode().activeElement);
      all[(from + (event.key === "ArrowDown" || event.key === "ArrowRight" ? 1 : all.length - 1)) % all.length].focus();
    }
  });
  function card(title, told) {
    const frame = make("span", { class: "frame" });
    if (told?.picture) frame.append(make("img", { src: told.picture, alt: "" }));
    return [frame, make("span", { class: "about" }, make("b", {}, title), told?.description ? make("span", { class: "words" }, told.description) : null,
      ...(told?.facts ?? []).map(([label, value]) => make("span", {}, make("i", {}, `${label} `), value)))];
  }
  let listed = null;
  const send = bind(model, (props) => {
    name.textContent = props.title ?? "Opening";
    name.title = props.description ?? "";
    facts.replaceChildren(...(props.facts ?? []).map(([label, value, hint]) =>
      make("div", { class: "fact", title: hint ?? `${label}: ${value}` }, make("span", { class: "label" }, label), make("span", { class: "value" }, value))));
    const stamp = JSON.stringify([props.studies, props.study, Object.keys(props.cards ?? {})]);
    if (stamp !== listed) { listed = stamp; const at = [...menu.children].indexOf(root.getRootNode().activeElement); list(props); if (at >= 0) menu.children[at]?.focus(); }
    hook({ cards: Object.keys(props.cards ?? {}).length || null });
    button.classList.toggle("single", (props.studies ?? []).length < 1);
    show(props);
  });
  function list(props) {
    const own = (study) => props.cards?.[study]?.title ?? study, all = props.studies ?? [];
    // studies of one title are told apart by their files
    const titles = new Map(all.map((study) => [study, all.filter((s) => own(s) === own(study)).length > 1 ? `${own(study)} (${study})` : own(study)]));
    menu.replaceChildren(...(props.studies ?? []).map((study) => {
      const on = study === props.study;
      return make("button", { type: "button", class: on ? "on" : "", role: "option", "aria-selected": on ? "true" : "false",
        "aria-label": titles.get(study), "data-study": study, onclick: () => { close(); if (!on) send("study", study); } }, ...card(titles.get(study), props.cards?.[study]));
    }));
  }
  function show(props) {
    status.textContent = props.error ?? props.busy ?? "";
    status.classList.toggle("error", !!props.error);
    status.classList.toggle("busy", !props.error && !!props.busy);
    status.title = status.textContent;
    hook({ study: props.study, busy: props.busy || null, error: props.error || null });
  }
  return root;
}
