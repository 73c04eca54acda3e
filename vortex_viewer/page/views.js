export function render({ model }) {
  let props = {};
  const press = (name, title, act, extra = {}) => make("button", { type: "button", class: "iconbutton", title, "aria-label": title.split(" (")[0], onclick: act, ...extra }, icon(name));
  const undo = press("undo", "Undo (Ctrl+Z)", () => send("undo")), redo = press("redo", "Redo (Ctrl+Shift+Z)", () => send("redo"));
  const link = press("link", "Copy the link to this view", copy);
  const open = make("button", { type: "button", class: "iconbutton wide", "aria-haspopup": "dialog", "aria-expanded": "false", title: "Views that this study keeps" }, icon("star"), "Views");
  const name = make("input", { type: "text", maxlength: "80", placeholder: "Name of this view", "aria-label": "Name of this view", spellcheck: "false" });
  const keep = make("form", { class: "keep" }, name, make("button", { type: "submit", class: "button primary" }, "Keep"));
  const list = make("ul", { class: "kept", "aria-label": "Kept views" });
  const told = make("p", { class: "message", role: "status", "aria-live": "polite" });
  const save = make("button", { type: "button", class: "tab", title: "For vortex-viewer serve --state FILE", onclick: download }, "Save this view as a file");
  const menu = make("div", { class: "menu right", role: "dialog", "aria-label": "Views", hidden: true }, keep, told, list, save);
  const layouts = make("div", { class: "segments", role: "radiogroup", "aria-label": "Panes" });
  const LAYOUTS = [["column", icon("column"), "3D with the slices beside it"], ["four", icon("four"), "Four panes"], ["view", icon("cube"), "3D alone"], ["xy", "XY", "XY slice alone"], ["xz", "XZ", "XZ slice alone"], ["yz", "YZ", "YZ slice alone"], ["oblique", icon("tilt"), "Oblique slice alone"]];
  for (const [value, face, title] of LAYOUTS) layouts.append(make("button", { type: "button", role: "radio", title, "aria-label": title, "data-value": value, onclick: () => send("layout", value) }, face));
  const root = make("section", { class: "v-views" }, layouts, undo, redo, link, make("div", { class: "pick" }, open, menu));
  function show(on) { menu.hidden = !on; open.setAttribute("aria-expanded", on ? "true" : "false"); if (on) name.focus(); }
  open.addEventListener("click", (event) => { event.stopPropagation(); show(menu.hidden); });
  menu.addEventListener("click", (event) => event.stopPropagation());
  document.addEventListener("click", () => show(false));
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && !menu.hidden) { event.stopPropagation(); show(false); open.focus(); } });
  keep.addEventListener("submit", (event) => { event.preventDefault(); send("keep", name.value); });
  async function copy() {
    const text = location.href;
    try { await navigator.clipboard.writeText(text); } catch {
      // plain http to another machine: the browser keeps its clipboard back
      const area = make("textarea", { class: "unseen" }, text); root.append(area); area.select(); document.execCommand("copy"); area.remove();
    }
    link.classList.add("done"); setTimeout(() => link.classList.remove("done"), 1200);
    hook({ copied: text });
  }
  function download() {
    const at = URL.createObjectURL(new Blob([props.file ?? "{}"], { type: "application/json" }));
    make("a", { href: at, download: "view.json" }).click();
    setTimeout(() => URL.revokeObjectURL(at), 1000);
  }
  function row([id, label, gene]) {
    const go = make("button", { type: "button", class: "plainlink", title: `Open ${label}`, onclick: () => { send("open", id); show(false); } }, make("b", {}, label), make("span", { class: "faint" }, gene));
    if (props.fixed) return make("li", { "data-view": label }, go);
    const item = make("li", { "data-view": label }, go,
      make("button", { type: "button", class: "iconbutton", title: "Rename", "aria-label": `Rename ${label}`, onclick: () => rename(item, id, label) }, icon("pen")),
      make("button", { type: "button", class: "iconbutton", title: "Remove", "aria-label": `Remove ${label}`, onclick: () => send("remove", id) }, icon("cross")));
    return item;
  }
  function rename(item, id, label) {
    const other = make("input", { type: "text", maxlength: "80", value: label, "aria-label": `New name of ${label}` });
    const end = () => { if (other.value.trim() && other.value !== label) send("rename", { view: id, name: other.value }); else draw(); };
    other.addEventListener("keydown", (event) => { if (event.key === "Enter") end(); if (event.key === "Escape") { event.stopPropagation(); draw(); } });
    item.replaceChildren(other); other.focus(); other.select();
  }
  function draw() {
    const views = props.views ?? [];
    list.replaceChildren(...(views.length ? views.map(row) : [make("li", { class: "faint" }, "None is kept yet.")]));
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.composedPath()[0]?.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
    if (typing || !(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "z" || key === "y") { event.preventDefault(); send(key === "y" || event.shiftKey ? "redo" : "undo"); }
  });
  const send = bind(model, (next) => {
    const before = props; props = next;
    for (const one of layouts.children) one.setAttribute("aria-checked", one.dataset.value === props.layout ? "true" : "false");
    layouts.lastChild.hidden = !props.oblique && props.layout !== "oblique";
    undo.disabled = !props.back; redo.disabled = !props.forward;
    for (const one of keep.elements) { one.disabled = !!props.fixed; one.title = props.fixed ?? ""; }
    told.textContent = props.told ?? props.fixed ?? ""; told.classList.toggle("error", !!props.wrong);
    if (JSON.stringify(before.views) !== JSON.stringify(props.views) || !list.children.length) { draw(); name.value = ""; }
    hook({ back: props.back ?? 0, forward: props.forward ?? 0, views: (props.views ?? []).length });
  });
  return root;
}
