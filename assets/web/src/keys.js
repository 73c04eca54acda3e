// The keyboard: one table that both acts and explains.

import { h, iconButton } from "./dom.js";

/** [keys, what it does, action(viewer, event)] */
export const KEYS = [
  [["/", "g"], "search a gene", (v) => v.geneList?.input.focus()],
  [["]"], "next gene of the list", (v) => v.geneList?.step(1)],
  [["["], "previous gene of the list", (v) => v.geneList?.step(-1)],
  [["0"], "morphology only, and back", (v) => v.toggleGene()],
  [["."], "next plane (of the focused slice, or XY)", (v) => v.stepPlane(1)],
  [[","], "previous plane", (v) => v.stepPlane(-1)],
  [["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"], "move the crosshair in the slice",
    (v, e) => v.nudge(e.key)],
  [["+", "="], "zoom the slices in", (v) => v.zoom(1.25)],
  [["-"], "zoom the slices out", (v) => v.zoom(0.8)],
  [["1"], "camera along z (XY)", (v) => v.preset("xy")],
  [["2"], "camera along y (XZ)", (v) => v.preset("xz")],
  [["3"], "camera along x (YZ)", (v) => v.preset("yz")],
  [["4", "h"], "camera at the corner", (v) => v.preset("corner")],
  [["a"], "turn by itself, and stop", (v) => v.toggleRotation()],
  [["f"], "3D, XY, XZ, YZ as the large picture", (v) => v.nextPane()],
  [["l"], "labels side by side", (v) => v.toggleLabels()],
  [["o"], "outlines of the slices in 3D", (v) => v.togglePlanes()],
  [["c"], "copy a link to this view", (v) => v.copyLink()],
  [["s"], "save a picture", (v) => v.screenshot()],
  [["r"], "reset the view", (v) => v.reset()],
  [["?"], "this help", (v) => v.help.toggle()],
  [["Escape"], "close what is open", (v) => v.escape()],
];

const NAMES = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

/** Listen for the viewer's keys; returns what stops it. */
export function listen(viewer) {
  const handler = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target } = event;
    const writing = target.matches?.("input[type=text], input[type=search], select, textarea");
    if (writing && event.key !== "Escape") return;
    const slider = target.matches?.("input[type=range], [role=slider]");
    if (slider && event.key.startsWith("Arrow")) return;
    const found = KEYS.find(([keys]) => keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found[2](viewer, event);
  };
  window.addEventListener("keydown", handler);
  return () => window.removeEventListener("keydown", handler);
}

export class Help {
  constructor() {
    this.dialog = h(
      "dialog.help",
      { "aria-label": "Keyboard and mouse" },
      h("div.help-head", {}, h("h2", {}, "Keyboard and mouse"),
        iconButton("close", "Close", () => this.dialog.close())),
      h("dl.keys", {}, KEYS.flatMap(([keys, what]) => [
        h("dt", {}, keys.map((key) => h("kbd", {}, NAMES[key] ?? key))),
        h("dd", {}, what),
      ])),
      h("p.quiet", {},
        "3D: drag turns, shift and drag moves, wheel zooms, a click picks. ",
        "Slices: drag moves the crosshair, wheel goes through planes, shift and wheel zooms, ",
        "double click enlarges."),
    );
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  toggle() {
    if (this.dialog.open) this.dialog.close();
    else this.dialog.showModal();
  }
}
