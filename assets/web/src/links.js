// Links to other programs that open this study's images from where they are.

import { h } from "./dom.js";

export function links(study) {
  const image = new URL(`${study.base}/morphology.ome.zarr`, location.href).href;
  const rows = [];
  if (study.image) {
    rows.push(row("Neuroglancer", neuroglancer(study, image)));
    rows.push(row("Vol-E", `https://vole.allencell.org/viewer?url=${encodeURIComponent(image)}`));
    rows.push(h("p.quiet", {}, "OME-Zarr address, for napari, QuPath, ome-zarr-py and others:"));
    rows.push(h("code.address", { tabIndex: 0 }, image));
  }
  rows.push(h("p.quiet", {}, "Other sites can read it if this host allows them (CORS)."));
  return [h("h2", {}, "Open elsewhere"), ...rows];
}

function row(name, href) {
  return h("a.outside", { href, target: "_blank", rel: "noopener noreferrer" }, name);
}

function neuroglancer(study, image) {
  const { grid, channels, rgb } = study;
  const dimensions = Object.fromEntries(
    ["x", "y", "z"].map((a, i) => [a, [grid.spacing[2 - i] * 1e-6, "m"]]),
  );
  const terms = channels.map((c, i) => `color${i}*window${i}()`).join("+");
  const shader = rgb
    ? "void main(){emitRGB(vec3(toNormalized(getDataValue(0)),toNormalized(getDataValue(1)),toNormalized(getDataValue(2))));}"
    : `${channels.map((c, i) => `#uicontrol vec3 color${i} color(default="#${c.color}")\n#uicontrol invlerp window${i}(range=[${c.window.map(Math.round)}]${channels.length > 1 ? `,channel=${i}` : ""})`).join("\n")}\nvoid main(){emitRGB(${terms});}`;
  const state = {
    dimensions,
    position: grid.shape.map((n) => (n - 1) / 2).reverse(),
    layers: [{ type: "image", name: study.record.name, source: `${image}/|zarr3:`, shader }],
    layout: "4panel",
  };
  return `https://neuroglancer-demo.appspot.com/#!${encodeURIComponent(JSON.stringify(state))}`;
}
