// The layers' controls: palette, opacity, threshold, morphology, crop, labels.

import { h, lengthText, onceAFrame } from "./dom.js";

/** A slider with its name and its value in figures. */
function slider(name, title, get, set, { min = 0, max = 1, step = 0.01, text } = {}) {
  const output = h("output.slider-value");
  const input = h("input.slider", {
    type: "range", min, max, step, title, "aria-label": title,
    oninput: () => {
      set(Number(input.value));
      show();
    },
  });
  const show = () => {
    output.textContent = text ? text(Number(input.value)) : `${Math.round(input.value * 100)} %`;
  };
  const element = h("label.slider-row", {}, h("span.slider-name", {}, name), input, output);
  element.show = () => {
    if (document.activeElement !== input || !input.matches(":active")) input.value = get();
    show();
  };
  return element;
}

export class Controls {
  constructor(store, study, palettes) {
    this.store = store;
    this.study = study;
    const set = (name) => (value) => store.set({ [name]: value });
    const get = (name) => () => store.state[name];
    this.palettes = h(
      "div.palettes",
      { role: "radiogroup", "aria-label": "Palette" },
      Object.entries(palettes).map(([name, table]) => this.#palette(name, table)),
    );
    this.expression = [
      slider("Opacity", "How strongly expression covers the morphology", get("opacity"), set("opacity")),
      slider("Threshold", "Part of the range, from its low end, that stays transparent", get("threshold"), set("threshold")),
    ];
    this.morphology = study.stack
      ? slider("Spread", "How many times the distance between planes is stretched", () => study.depth,
        set("depth"), { min: 1, max: Math.max(10, 2 * study.defaultDepth), step: 1, text: (v) => `× ${v}` })
      : slider("Tissue", "How opaque the morphology is in 3D", get("morphology"), set("morphology"));
    this.planes = h("input", {
      type: "checkbox", onchange: (e) => store.set({ planes: e.target.checked }),
    });
    this.crops = ["x", "y", "z"].map((name, axis) => new CropRow(store, study, name, axis));
    this.labels = this.#labelChoice();
    this.element = h(
      "section.controls",
      { "aria-label": "Appearance" },
      h("div.expression-controls", {}, this.palettes, ...this.expression),
      this.morphology,
      h("div.crop", { role: "group", "aria-label": "Crop" },
        h("div.crop-head", {}, h("h2", {}, "Crop"),
          (this.uncrop = h("button.text-button", {
            type: "button", onclick: () => store.set({ crop_um: null }),
          }, "all"))),
        ...this.crops.map((row) => row.element)),
      h("label.check", {}, this.planes, "Slices in 3D"),
      this.labels ?? "",
    );
    this.show();
  }

  #palette(name, table) {
    // no canvas: the first one of a page waits until the browser's graphics process is up
    const strip = h("span.palette-strip");
    const colours = Array.from({ length: 17 }, (_, i) => {
      const at = 3 * Math.round((i / 16) * 255);
      return `rgb(${table.subarray(at, at + 3).join(" ")})`;
    });
    strip.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
    return h("button.palette", {
      type: "button", role: "radio", title: name, "aria-label": name, dataset: { palette: name },
      onclick: () => this.store.set({ palette: name }),
    }, strip);
  }

  #labelChoice() {
    const { labels } = this.study.record;
    if (!labels?.length) return null;
    this.labelSelect = h(
      "select",
      { "aria-label": "Labels beside the expression",
        onchange: (e) => this.store.set({ labels: e.target.value || null, hidden: [] }) },
      h("option", { value: "" }, "none"),
      labels.map(({ name }) => h("option", { value: name }, name)),
    );
    return h("label.select-row", {}, h("span", {}, "Side by side"), this.labelSelect);
  }

  /** Follow the state. */
  show() {
    const { state } = this.store;
    this.element.querySelector(".expression-controls").hidden = !this.study.geneIndexWanted();
    this.expression.forEach((row) => row.show());
    this.morphology.show();
    this.planes.checked = state.planes;
    this.crops.forEach((row) => row.show());
    this.uncrop.hidden = !state.crop_um;
    for (const button of this.palettes.children) {
      button.setAttribute("aria-checked", String(button.dataset.palette === state.palette));
    }
    if (this.labelSelect) this.labelSelect.value = state.labels ?? "";
  }
}

/** Two handles on one rail: the part of an axis that is shown. */
class CropRow {
  constructor(store, study, name, axis) {
    Object.assign(this, { store, study, axis });
    [this.low, this.high] = study.grid.bounds[axis];
    const input = (end) =>
      h("input.range", {
        type: "range", min: 0, max: 1000, step: 1,
        "aria-label": `${end ? "Upper" : "Lower"} end of ${name}`,
        oninput: () => this.#moved(end),
      });
    this.inputs = [input(0), input(1)];
    this.text = h("output.crop-text");
    this.fill = h("div.range-fill");
    this.element = h(
      "div.crop-row",
      {},
      h(`span.crop-name.axis-${name}`, {}, name),
      h("div.ranges", {}, this.fill, ...this.inputs),
      this.text,
    );
    this.apply = onceAFrame(() => store.set({ crop_um: this.pending }));
  }

  #moved(end) {
    const [a, b] = this.inputs.map((input) => Number(input.value));
    if (b - a < 10) this.inputs[end].value = end ? a + 10 : b - 10;
    const box = (this.store.state.crop_um ?? this.study.grid.bounds).map((pair) => [...pair]);
    box[this.axis] = this.inputs.map(
      (input) => this.low + (Number(input.value) / 1000) * (this.high - this.low),
    );
    const whole = this.study.grid.bounds;
    const same = box.every((pair, i) => pair.every((v, j) => Math.abs(v - whole[i][j]) < 1e-6));
    this.pending = same ? null : box;
    this.apply();
    this.#figures(box[this.axis]);
  }

  #figures([a, b]) {
    this.text.textContent = lengthText(b - a);
    const part = (v) => (100 * (v - this.low)) / (this.high - this.low);
    this.fill.style.left = `${part(a)}%`;
    this.fill.style.right = `${100 - part(b)}%`;
  }

  show() {
    const pair = this.store.state.crop_um?.[this.axis] ?? [this.low, this.high];
    this.inputs.forEach((input, end) => {
      if (!input.matches(":active")) {
        input.value = Math.round((1000 * (pair[end] - this.low)) / (this.high - this.low));
      }
    });
    this.#figures(pair);
  }
}
