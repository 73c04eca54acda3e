// A picture of the view: panes, legend, scale bars, and a caption that says what it shows.

import { context2d } from "./dom.js";

const PAD = 24;
const INK = "#e8eaed";
const QUIET = "#9aa3ad";

/** Draw the panes as they stand on one canvas, in the pixels of the screen. */
export async function capture(viewer) {
  const { width, height } = viewer.stage.getBoundingClientRect();
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const caption = 64;
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((height + caption) * ratio);
  const context = context2d(canvas);
  context.scale(ratio, ratio);
  context.fillStyle = "#0b0d10";
  context.fillRect(0, 0, width, height + caption);
  const stage = viewer.stage.getBoundingClientRect();
  for (const view of viewer.views3d) {
    // the drawing buffer lasts until the browser shows it: it is copied at once
    view.drawWhole((canvas) => drawBox(context, canvas, view.container, stage));
  }
  for (const pane of viewer.panes) drawBox(context, pane.canvas, pane.element, stage);
  for (const marks of viewer.stage.querySelectorAll("svg.overlay, svg.slice-mark")) {
    await drawSvg(context, marks, stage);
  }
  legend(context, viewer, width, stage);
  words(context, viewer, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function drawBox(context, canvas, element, stage) {
  const box = element.getBoundingClientRect();
  if (!canvas.width || !box.width) return;
  context.drawImage(canvas, box.left - stage.left, box.top - stage.top, box.width, box.height);
}

async function drawSvg(context, element, stage) {
  const box = element.getBoundingClientRect();
  if (!box.width) return;
  const copy = element.cloneNode(true);
  const parts = element.querySelectorAll("*");
  copy.querySelectorAll("*").forEach((part, i) => {
    const look = getComputedStyle(parts[i]);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-opacity", "fill-opacity", "opacity",
      "stroke-dasharray", "font-size", "font-family", "text-anchor", "paint-order"]) {
      part.setAttribute(name, look.getPropertyValue(name));
    }
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
  const blob = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  await image.decode();
  context.drawImage(image, box.left - stage.left, box.top - stage.top);
  URL.revokeObjectURL(url);
}

function legend(context, viewer, width, stage) {
  const { gene, look } = viewer.study;
  if (!gene) return;
  const hero = viewer.stage.querySelector(".hero").getBoundingClientRect();
  const bar = [hero.left - stage.left + PAD, hero.bottom - stage.top - 70, 220, 10];
  const ramp = context.createLinearGradient(bar[0], 0, bar[0] + bar[2], 0);
  for (let i = 0; i <= 16; i++) {
    const at = 3 * Math.round((i / 16) * 255);
    ramp.addColorStop(i / 16, `rgb(${look.colours.subarray(at, at + 3).join(",")})`);
  }
  context.fillStyle = ramp;
  context.fillRect(...bar);
  context.fillStyle = INK;
  context.font = "600 15px system-ui, sans-serif";
  context.fillText(gene.name, bar[0], bar[1] - 8);
  context.font = "12px system-ui, sans-serif";
  context.fillText(look.window[0].toPrecision(3), bar[0], bar[1] + 26);
  context.textAlign = "right";
  context.fillText(look.window[1].toPrecision(3), bar[0] + bar[2], bar[1] + 26);
  context.textAlign = "left";
  context.fillStyle = QUIET;
  context.fillText(viewer.study.units, bar[0], bar[1] + 44);
}

function words(context, viewer, width, height) {
  const { gene, record } = viewer.study;
  const trust = gene && gene.reliability !== null ? `, reliability r ${gene.reliability.toFixed(2)}` : "";
  context.fillStyle = INK;
  context.font = "600 14px system-ui, sans-serif";
  context.fillText(`${record.name}${gene ? ` · ${gene.name}${trust}` : ""}`, PAD, height + 27, width - 2 * PAD);
  context.fillStyle = QUIET;
  context.font = "12px system-ui, sans-serif";
  context.fillText(location.href, PAD, height + 48, width - 2 * PAD);
}

/** Hand a blob to the visitor as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
