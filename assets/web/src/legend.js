// The colour bar: numbers with units, and the range by dragging its ends or typing.

import { context2d, h, onceAFrame, short } from "./dom.js";

export class Legend {
  constructor(store, units) {
    this.store = store;
    this.canvas = h("canvas.legend-bar", { width: 256, height: 1 });
    this.low = this.#field("low", 0);
    this.high = this.#field("high", 1);
    this.handles = [0, 1].map((end) => this.#handle(end));
    this.track = h("div.legend-track", {}, h("div.legend-rail"), this.canvas, ...this.handles);
    this.title = h("strong.legend-gene");
    this.trust = h("span.legend-trust");
    this.auto = h("button.text-button", {
      type: "button",
      title: "Range from the 2nd to the 98th percentile in tissue",
      onclick: () => store.set({ window: null }),
    }, "auto");
    this.element = h(
      "div.legend",
      { role: "group", "aria-label": "Colour bar and range", hidden: true },
      h("div.legend-head", {}, this.title, this.trust),
      this.track,
      h("div.legend-numbers", {}, this.low, this.auto, this.high),
      h("div.legend-unit", {}, units),
    );
    this.apply = onceAFrame(() => store.set({ window: this.pending }));
  }

  #field(name, end) {
    return h("input.number", {
      type: "text",
      inputMode: "decimal",
      "aria-label": `${name} end of the colour range`,
      onchange: (event) => {
        const value = Number(event.target.value);
        const next = [...this.window];
        next[end] = value;
        if (Number.isFinite(value) && next[0] < next[1]) this.store.set({ window: next });
        else this.show(this.gene, this.window, this.colours);
      },
      onkeydown: (event) => event.key === "Enter" && event.target.blur(),
    });
  }

  #handle(end) {
    const handle = h("button.legend-handle", {
      type: "button",
      role: "slider",
      "aria-label": end ? "High end of the colour range" : "Low end of the colour range",
    });
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      handle.dragging = true;
      event.preventDefault();
      handle.focus();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.dragging) return;
      const box = this.track.getBoundingClientRect();
      const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      this.#move(end, this.extent[0] + part * (this.extent[1] - this.extent[0]));
    });
    handle.addEventListener("pointerup", () => (handle.dragging = false));
    handle.addEventListener("keydown", (event) => {
      const step = (this.extent[1] - this.extent[0]) / 50;
      const move = { ArrowLeft: -step, ArrowRight: step, ArrowDown: -step, ArrowUp: step }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      this.#move(end, this.window[end] + move);
    });
    return handle;
  }

  #move(end, value) {
    const gap = (this.extent[1] - this.extent[0]) / 200;
    const next = [...this.window];
    next[end] = end ? Math.max(value, next[0] + gap) : Math.min(value, next[1] - gap);
    this.pending = next;
    this.window = next;
    this.#place();
    this.apply();
  }

  /** Show a gene's range; nothing without a gene. */
  show(gene, window, colours) {
    this.element.hidden = !gene;
    if (!gene) return;
    this.gene = gene;
    this.window = window;
    this.colours = colours;
    const pad = (gene.max - gene.min) * 0.02;
    this.extent = [Math.min(gene.min - pad, window[0]), Math.max(gene.max + pad, window[1])];
    this.title.textContent = gene.name;
    this.trust.replaceChildren(...trustText(gene));
    this.#place();
  }

  #place() {
    const [first, last] = this.extent;
    const part = (value) => (value - first) / (last - first);
    const [low, high] = this.window;
    this.handles.forEach((handle, end) => {
      handle.style.left = `${100 * part(this.window[end])}%`;
      handle.setAttribute("aria-valuenow", short(this.window[end], 4));
      handle.setAttribute("aria-valuemin", short(first, 4));
      handle.setAttribute("aria-valuemax", short(last, 4));
    });
    if (document.activeElement !== this.low) this.low.value = short(low);
    if (document.activeElement !== this.high) this.high.value = short(high);
    const context = context2d(this.canvas);
    const pixels = context.createImageData(256, 1);
    for (let i = 0; i < 256; i++) {
      const value = first + (i / 255) * (last - first);
      const at = 3 * Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low))));
      pixels.data.set([...this.colours.subarray(at, at + 3), 255], 4 * i);
    }
    context.putImageData(pixels, 0, 0);
  }
}

/** How far a gene can be trusted, in words and as a number with its interval. */
export function trustText({ reliability, low, high }) {
  if (reliability === null || reliability === undefined) {
    return [h("span.trust.unknown", { title: "No held-out measurement of this gene" }, "not measured")];
  }
  const word = reliability >= 0.5 ? "good" : reliability >= 0.25 ? "fair" : "poor";
  const span = low === null || high === null ? "" : ` (${low.toFixed(2)} to ${high.toFixed(2)})`;
  return [
    h(`span.trust.${word}`, {
      title: `Reliability: held-out Pearson correlation ${reliability.toFixed(2)}${span}, by spatial blocks`,
    }, `${word} · r ${reliability.toFixed(2)}`),
  ];
}
