// The gallery: every study of the site with its picture and what is known of it.

import { h, lengthText } from "./dom.js";

const MODALITY = {
  "light-sheet": "light-sheet microscopy",
  microct: "microCT",
  "serial-sections": "serial sections",
  other: "",
};

/** What is known of a study, as rows of a table. */
export function facts(study) {
  const rows = [];
  const add = (name, value) => value && rows.push([name, value]);
  add("Modality", MODALITY[study.modality] ?? study.modality);
  add("Tissue", [study.species, study.organ].filter(Boolean).join(", "));
  if (study.size_um) add("Block", study.size_um.map(lengthText).join(" × "));
  if (study.voxels) add("Voxels", study.voxels.map((n) => n.toLocaleString("en-US")).join(" × "));
  add("Channels", study.channels?.map((c) => c.name).join(", "));
  const { sections } = study;
  if (sections?.length) {
    const spots = sections.reduce((sum, s) => sum + s.spots, 0);
    add("Measured", `${sections.length} section${sections.length > 1 ? "s" : ""}, ${spots.toLocaleString("en-US")} spots`);
  }
  add("Genes", study.genes ? study.genes.toLocaleString("en-US") : "morphology only");
  add("Labels", study.labels?.map((l) => l.name).join(", "));
  return rows;
}

export function gallery(studies, choose) {
  const cards = studies.map((study) =>
    h(
      "a.card",
      {
        href: `#version=1&study=${encodeURIComponent(study.id)}`,
        onclick: (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          choose(study.id);
        },
      },
      h("img.card-picture", {
        src: `studies/${study.id}/picture.jpg`,
        alt: `A slice of ${study.name}`,
        loading: "lazy",
      }),
      h(
        "div.card-text",
        {},
        h("h2", {}, study.name),
        study.description ? h("p.card-about", {}, study.description) : null,
        h("dl.facts", {}, facts(study).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      ),
    ),
  );
  return h(
    "main.gallery",
    {},
    h("header.gallery-head", {},
      h("h1", {}, "Tissue in 3D, gene by gene"),
      h("p", {}, `${studies.length} ${studies.length === 1 ? "study" : "studies"}. Choose one: turn it, slice it, and see any predicted gene in place.`)),
    h("div.cards", {}, cards),
  );
}
