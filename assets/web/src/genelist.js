// The list of genes: search, order, reliability; only the rows in sight are in the page.

import { afterRest, h } from "./dom.js";

const ROW = 30;
const ORDERS = {
  reliability: { text: "reliability", key: (t, i) => -(t.reliability?.[i] ?? -2) },
  average: { text: "mean", key: (t, i) => -t.average[i] },
  deviation: { text: "variability", key: (t, i) => -t.deviation[i] },
  name: { text: "name", key: null },
};

export class GeneList {
  constructor(store, genes) {
    this.store = store;
    this.genes = genes;
    this.order = "reliability";
    this.active = -1;
    this.input = h("input.search", {
      type: "search",
      id: "gene-search",
      placeholder: `Search ${genes.count.toLocaleString("en-US")} genes`,
      autocomplete: "off",
      spellcheck: false,
      role: "combobox",
      "aria-label": "Search genes",
      "aria-expanded": "true",
      "aria-controls": "gene-rows",
      oninput: () => this.#filter(),
    });
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.select = h(
      "select.order",
      { "aria-label": "Order of the genes", onchange: (e) => this.#reorder(e.target.value) },
      Object.entries(ORDERS).map(([value, { text }]) => h("option", { value }, text)),
    );
    this.rows = h("div.gene-rows", { id: "gene-rows", role: "listbox", "aria-label": "Genes" });
    this.scroll = h("div.gene-scroll", { tabIndex: -1 }, this.rows);
    this.scroll.addEventListener("scroll", () => this.#render());
    this.count = h("output.gene-count");
    this.element = h(
      "section.genes",
      { "aria-label": "Genes" },
      h("div.genes-head", {}, h("h2", {}, "Gene"), h("label.order-label", {}, "by ", this.select)),
      this.input,
      this.scroll,
      this.count,
    );
    this.observer = new ResizeObserver(() => this.#render());
    this.observer.observe(this.scroll);
    this.announce = afterRest(() => {
      const length = this.found.filter((i) => i >= 0).length;
      this.count.textContent =
        length > 1 ? `${length} genes` : length ? "1 gene" : "No gene of this name was predicted.";
    }, 200);
    this.#filter();
  }

  #reorder(order) {
    this.order = order;
    this.#filter();
  }

  #filter() {
    const { table, count } = this.genes;
    const text = this.input.value.trim().toLowerCase();
    let found = Array.from({ length: count }, (_, i) => i);
    if (text) {
      found = found.filter((i) => table.name[i].toLowerCase().includes(text));
    }
    const { key } = ORDERS[this.order];
    if (key) {
      const keys = new Map(found.map((i) => [i, key(table, i)]));
      found.sort((a, b) => keys.get(a) - keys.get(b));
    } else found.sort((a, b) => table.name[a].localeCompare(table.name[b]));
    if (text) {
      // what begins with the letters comes before what only holds them
      const rank = (i) => {
        const name = table.name[i].toLowerCase();
        return name === text ? 0 : name.startsWith(text) ? 1 : 2;
      };
      found = found.map((i, at) => [rank(i), at, i]).sort((a, b) => a[0] - b[0] || a[1] - b[1])
        .map(([, , i]) => i);
    }
    this.found = [-1, ...found];
    if (text) this.found.shift();
    this.active = text && found.length ? 0 : -1;
    this.scroll.scrollTop = 0;
    this.#render();
    this.announce();
  }

  #render() {
    const height = this.scroll.clientHeight || 300;
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / ROW) - 3);
    const last = Math.min(this.found.length, first + Math.ceil(height / ROW) + 6);
    this.rows.style.height = `${this.found.length * ROW}px`;
    const chosen = this.genes.find(this.store.state.gene);
    const rows = [];
    for (let at = first; at < last; at++) rows.push(this.#row(at, chosen));
    this.rows.replaceChildren(...rows);
  }

  #row(at, chosen) {
    const i = this.found[at];
    const row = i < 0 ? null : this.genes.row(i);
    const selected = i === chosen;
    const classes = `gene-row${selected ? " chosen" : ""}${at === this.active ? " active" : ""}`;
    const element = h(
      "div",
      {
        className: classes,
        id: `gene-row-${at}`,
        role: "option",
        "aria-selected": String(selected),
        style: { top: `${at * ROW}px` },
        onclick: () => this.choose(i),
      },
      h("span.gene-name", {}, row ? row.name : "Morphology only"),
    );
    if (row) {
      const value = row.reliability;
      const bar = h("span.rel-bar", {}, h("span.rel-fill"));
      bar.firstChild.style.width = `${100 * Math.max(0, Math.min(1, value ?? 0))}%`;
      bar.firstChild.classList.add(value >= 0.5 ? "good" : value >= 0.25 ? "fair" : "poor");
      element.append(bar, h("span.rel-number", {}, value === null ? "–" : value.toFixed(2)));
      element.title =
        value === null ? "Reliability unknown" : `Reliability (held-out Pearson r) ${value.toFixed(2)}`;
    }
    return element;
  }

  choose(i) {
    this.store.set({ gene: i < 0 ? null : this.genes.table.name[i], window: null });
  }

  /** The next or previous gene of the list. */
  step(by) {
    const now = this.found.indexOf(this.genes.find(this.store.state.gene));
    const next = Math.min(this.found.length - 1, Math.max(0, now + by));
    this.choose(this.found[next]);
    this.#reveal(next);
  }

  #reveal(at) {
    const top = at * ROW;
    const { scrollTop, clientHeight } = this.scroll;
    if (top < scrollTop) this.scroll.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.scroll.scrollTop = top + ROW - clientHeight;
  }

  #key(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const by = event.key === "ArrowDown" ? 1 : -1;
      this.active = Math.min(this.found.length - 1, Math.max(0, this.active + by));
      this.#reveal(this.active);
      this.#render();
      this.input.setAttribute("aria-activedescendant", `gene-row-${this.active}`);
    } else if (event.key === "Enter") {
      if (this.active >= 0 && this.found.length) this.choose(this.found[this.active]);
    } else if (event.key === "Escape") {
      if (this.input.value) {
        this.input.value = "";
        this.#filter();
      } else this.input.blur();
    } else return;
    event.stopPropagation();
  }

  /** Follow the state. */
  show() {
    this.#render();
  }

  destroy() {
    this.observer.disconnect();
  }
}
