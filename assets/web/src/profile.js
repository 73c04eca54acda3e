// What is at a picked place: where it is, its morphology, and all genes, ranked.

import { h, iconButton, lengthText, short } from "./dom.js";

const SHOWN = 60;

export class Profile {
  constructor(study) {
    this.study = study;
    this.order = "unusual";
    this.body = h("div.profile-body");
    this.title = h("h2", {}, "At this place");
    this.place = h("p.profile-place");
    this.select = h(
      "select.order",
      { "aria-label": "Order of the profile", onchange: (e) => this.#reorder(e.target.value) },
      h("option", { value: "unusual" }, "most unusual"),
      h("option", { value: "value" }, "highest value"),
      h("option", { value: "lowest" }, "least for this tissue"),
    );
    this.element = h(
      "aside.profile",
      { hidden: true, "aria-label": "Gene profile of the picked place" },
      h("div.profile-head", {}, this.title, this.select,
        iconButton("close", "Close the profile", () => this.close())),
      this.place,
      this.body,
    );
  }

  close() {
    this.element.hidden = true;
    this.point = null;
  }

  #reorder(order) {
    this.order = order;
    if (this.values) this.#list();
  }

  /** Show the profile of a point (x, y, z). */
  async show(point) {
    this.point = point;
    this.element.hidden = false;
    const [x, y, z] = point;
    const tissue = this.study.morphologyText(point);
    const near = this.study.nearestSection(point);
    this.place.replaceChildren(
      h("span.profile-xyz", {}, `x ${lengthText(x)} · y ${lengthText(y)} · z ${lengthText(z)}`),
      ...(tissue ? [h("span", {}, tissue)] : []),
      ...(near ? [h("span", {}, `${lengthText(near.distance)} from measured section ${near.name}`)] : []),
    );
    if (!this.study.genes) {
      this.select.hidden = true;
      return this.body.replaceChildren(h("p.quiet", {}, "This study has no prediction."));
    }
    const values = await this.study.genes.profile(point);
    if (this.point !== point) return undefined;
    this.values = values;
    if (!values) {
      return this.body.replaceChildren(
        h("p.quiet", {}, "No tissue was predicted here. Click on tissue to see its genes."),
      );
    }
    return this.#list();
  }

  #list() {
    const { genes } = this.study;
    const { table } = genes;
    const unusual = (i) => (this.values[i] - table.average[i]) / Math.max(table.deviation[i], 1e-6);
    const key = {
      unusual: (i) => -unusual(i),
      value: (i) => -this.values[i],
      lowest: (i) => unusual(i),
    }[this.order];
    const ranked = Array.from({ length: genes.count }, (_, i) => i).sort((a, b) => key(a) - key(b));
    const rows = ranked.slice(0, SHOWN).map((i, rank) => {
      const row = genes.row(i);
      const fill = h("span.value-fill");
      const part = (this.values[i] - row.min) / Math.max(row.max - row.min, 1e-9);
      fill.style.width = `${100 * Math.min(1, Math.max(0, part))}%`;
      const doubt = row.reliability !== null && row.reliability < 0.25;
      return h(
        `button.profile-row${doubt ? ".doubt" : ""}`,
        {
          type: "button",
          title: `${row.name}: ${short(this.values[i])}, ${short(unusual(i), 2)} deviations from this tissue's mean; reliability ${row.reliability === null ? "unknown" : row.reliability.toFixed(2)}. Click to show it.`,
          onclick: () => this.study.store.set({ gene: row.name, window: null }),
        },
        h("span.profile-rank", {}, String(rank + 1)),
        h("span.profile-gene", {}, row.name),
        h("span.value-bar", {}, fill),
        h("span.profile-value", {}, short(this.values[i])),
        h("span.profile-sigma", {}, `${unusual(i) >= 0 ? "+" : "−"}${Math.abs(unusual(i)).toFixed(1)} σ`),
      );
    });
    this.body.replaceChildren(
      ...rows,
      h("p.quiet", {}, genes.count > SHOWN
        ? `The first ${SHOWN} of ${genes.count} genes. Values: ${genes.prediction.units}.`
        : `Values: ${genes.prediction.units}.`),
    );
  }
}
