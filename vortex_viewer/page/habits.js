const KEYS = [
  ["← → ↑ ↓", "Move the crosshair a voxel along x and y"], [", .", "The slice before and after, along z"], ["Shift", "With any of these: ten at a time"],
  ["/", "Search a gene"], ["f", "The pane under the pointer alone, and back"], ["t", "Turn by itself, and stop"], ["b", "Scale bars"], ["o", "Outlines of the slices in 3D"], ["a", "Oblique slice"], ["z", "One zoom for all slices"], ["s", "Measured spots"],
  ["Ctrl Z", "Undo"], ["Ctrl Shift Z", "Redo"], ["h ?", "This help"],
];
export function render({ model }) {
  let props = {}, before = "column";
  const walk = tour();
  const list = make("dl", { class: "keys" }, ...KEYS.flatMap(([keys, text]) => [make("dt", {}, ...keys.split(" ").map((k) => make("kbd", {}, k))), make("dd", {}, text)]));
  const dialog = make("dialog", { class: "helpbox", "aria-label": "Keys" },
    make("div", { class: "helphead" }, make("b", {}, "Keys"), make("button", { type: "button", class: "iconbutton", "aria-label": "Close", onclick: () => dialog.close() }, icon("cross"))),
    list, make("p", { class: "faint" }, "In 3D: drag to turn, Shift-drag to move, wheel to zoom. In a slice: click or drag to move the crosshair, Shift-drag to move the picture, wheel to zoom, double-click to fit. In the oblique slice: Alt-drag to tilt."),
    make("button", { type: "button", class: "button", onclick: () => { dialog.close(); walk.begin(); } }, "Take the tour"));
  const theme = make("button", { type: "button", class: "iconbutton", title: "Light or dark", onclick: turn }, icon("sun"));
  const help = make("button", { type: "button", class: "iconbutton", title: "Keys and help (?)", "aria-label": "Keys and help", onclick: open }, icon("help"));
  const root = make("section", { class: "v-habits" }, theme, help, dialog, walk.root);
  function open() { if (!dialog.open) dialog.showModal(); else dialog.close(); }
  function named() {
    const now = document.documentElement.dataset.theme ?? "dark";
    theme.setAttribute("aria-label", now === "dark" ? "Light theme" : "Dark theme"); hook({ theme: now });
  }
  function turn() {
    const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
    document.documentElement.dataset.theme = next; named();
    try { localStorage.setItem("vortex-viewer theme", next); } catch { /* lasts as long as the page */ }
    dispatchEvent(new Event("resize"));
  }
  function pane() {
    const slice = document.querySelector(".slice:hover");
    const alone = slice?.dataset.slice ?? "view";
    if (props.layout === "column" || props.layout === "four") { before = props.layout; return alone; }
    return before;
  }
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, -1], ArrowDown: [1, 1], ",": [2, -1], ".": [2, 1], "<": [2, -10], ">": [2, 10], ";": [2, -10], ":": [2, 10] };
  const SWITCHES = { b: "bar", s: "spots", o: "planes", t: "turning" };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath(), first = path[0];
    const typing = first?.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]");
    if (typing || dialog.open) { if (event.key === "?" && dialog.open) dialog.close(); return; }
    const step = STEPS[event.key];
    if (step) {
      // an arrow means the control that has the focus, where that is a slider or a list
      if (event.key.startsWith("Arrow") && path.some((n) => n.matches?.("[role=slider], [type=range], [role=listbox], [role=radiogroup], .menu"))) return;
      event.preventDefault();
      send("step", [step[0], step[1] * (event.shiftKey && Math.abs(step[1]) < 10 ? 10 : 1)]);
      return;
    }
    const key = event.key.toLowerCase();
    if (key === "h" || key === "?") { event.preventDefault(); open(); }
    else if (key === "f") send("layout", pane());
    else if (key === "/") { event.preventDefault(); dispatchEvent(new CustomEvent("search-genes")); }
    else if (key === "a" || key === "z") send(key === "a" ? "oblique" : "zoom");
    else if (SWITCHES[key]) send("switch", SWITCHES[key]);
  });
  const send = bind(model, (next) => { props = next; });
  named(); walk.greet();
  return root;
}
