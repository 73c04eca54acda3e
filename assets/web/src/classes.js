// The classes of a label image: colours, names, shares; a click hides or shows one.

import { h } from "./dom.js";

const LARGE = 0.3;

/** How opaque a class is drawn: a class that fills the block would hide all others. */
export function classLook(label, hidden) {
  const classes = new Map();
  for (const { number, color, share } of label.classes) {
    const rgb = [0, 2, 4].map((i) => parseInt(color.slice(i, i + 2), 16) / 255);
    const opacity = hidden.includes(number) ? 0 : share > LARGE ? 0.025 : 0.4;
    classes.set(number, { rgb, opacity });
  }
  return classes;
}

export class ClassLegend {
  constructor(store) {
    this.store = store;
    this.list = h("ul.class-list");
    this.element = h("div.class-legend", { "aria-label": "Classes", role: "group" }, this.list);
  }

  show(label, hidden) {
    const rows = [...label.classes].sort((a, b) => b.share - a.share);
    this.list.replaceChildren(
      ...rows.map(({ number, name, color, share }) => {
        const swatch = h("span.swatch");
        swatch.style.background = `#${color}`;
        const shown = !hidden.includes(number);
        return h("li", {}, h("button.class-row", {
          type: "button",
          "aria-pressed": String(shown),
          title: shown ? `Hide ${name}` : `Show ${name}`,
          onclick: () => this.#toggle(number),
        }, swatch, h("span.class-name", {}, name),
        h("span.class-share", {}, `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`)));
      }),
    );
  }

  #toggle(number) {
    const { hidden } = this.store.state;
    const next = hidden.includes(number)
      ? hidden.filter((n) => n !== number)
      : [...hidden, number].sort((a, b) => a - b);
    this.store.set({ hidden: next });
  }
}
