// Lines over the 3D picture: the block's edges with lengths, the slices' outlines, the crosshair.

import { lengthText, svg } from "./dom.js";
import { niceBar } from "./pane.js";

const EDGES = [
  [0, 1], [2, 3], [4, 5], [6, 7],
  [0, 2], [1, 3], [4, 6], [5, 7],
  [0, 4], [1, 5], [2, 6], [3, 7],
];
const NAMES = ["x", "y", "z"];

export class Overlay {
  constructor(view, depth) {
    this.view = view;
    this.depth = depth;
    this.element = svg("svg", { class: "overlay", "aria-hidden": "true" });
  }

  #world([x, y, z]) {
    return [x, y, z * this.depth];
  }

  /** @param what {bounds, crop, cursor, planes} in micrometres */
  draw({ bounds, crop, cursor, planes }) {
    const { view } = this;
    if (!view.width) return;
    const axes = view.axes();
    const to = (point) => view.project(this.#world(point), axes);
    this.element.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
    const parts = [];
    const box = crop ?? bounds;
    const corners = Array.from({ length: 8 }, (_, i) => to([0, 1, 2].map((a) => box[a][(i >> a) & 1])));
    const back = corners.reduce((far, c, i) => (c[2] < corners[far][2] ? i : far), 0);
    EDGES.forEach(([a, b]) => {
      const hidden = a === back || b === back;
      parts.push(line(corners[a], corners[b], hidden ? "edge hidden-edge" : "edge"));
    });
    parts.push(...this.#lengths(corners, box, back));
    if (planes) parts.push(...this.#slices(box, cursor, to));
    const c = to(cursor);
    parts.push(svg("circle", { cx: c[0], cy: c[1], r: 4, class: "cursor-dot" }));
    parts.push(...this.#bar(axes));
    this.element.replaceChildren(...parts);
  }

  /** The scale bar; a narrow pane leaves the room to the colour bar. */
  #bar(axes) {
    const { view } = this;
    if (view.width < 400 && view.besideAnother) return [];
    const bar = niceBar(axes.height_um / view.height, 130);
    const right = view.width - 16;
    const bottom = view.height - 18;
    return [
      svg("path", { class: "bar", d: `M${right - bar.pixels} ${bottom}H${right}` }),
      text(right - bar.pixels / 2, bottom - 7, bar.text, "bar-text"),
    ];
  }

  /** One length along each axis, on the edge of the outline that is nearest to the lower left. */
  #lengths(corners, box, back) {
    const front = 7 - back;
    return [0, 1, 2].flatMap((axis) => {
      const candidates = EDGES.filter(
        ([a, b]) => b - a === 1 << axis && ![a, b].includes(back) && ![a, b].includes(front),
      );
      if (!candidates.length) return [];
      const middle = ([a, b]) => [0, 1].map((i) => (corners[a][i] + corners[b][i]) / 2);
      const best = candidates.reduce((one, two) => {
        const [p, q] = [middle(one), middle(two)];
        return p[1] - p[0] * 0.3 > q[1] - q[0] * 0.3 ? one : two;
      });
      const [x, y] = middle(best);
      const centre = [0, 1].map((i) => corners.reduce((s, c) => s + c[i], 0) / 8);
      const off = Math.hypot(x - centre[0], y - centre[1]) || 1;
      const label = `${NAMES[axis]} ${lengthText(box[axis][1] - box[axis][0])}`;
      const length = Math.hypot(
        ...[0, 1].map((i) => corners[best[0]][i] - corners[best[1]][i]),
      );
      if (length < 36) return [];
      const outward = (x - centre[0]) / off;
      const words = text(x + outward * 12, y + ((y - centre[1]) / off) * 16 + 4, label,
        `edge-text axis-${NAMES[axis]}`);
      if (outward < -0.3) words.setAttribute("x", Math.max(64, x + outward * 12));
      words.classList.add(outward < -0.3 ? "ends" : outward > 0.3 ? "starts" : "middles");
      return [words];
    });
  }

  #slices(box, cursor, to) {
    return [0, 1, 2].flatMap((axis) => {
      const at = cursor[axis];
      if (at < box[axis][0] || at > box[axis][1]) return [];
      const [u, v] = [0, 1, 2].filter((a) => a !== axis);
      const corner = (i, j) => {
        const point = [0, 0, 0];
        point[axis] = at;
        point[u] = box[u][i];
        point[v] = box[v][j];
        return to(point);
      };
      const points = [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)];
      return [
        svg("polygon", {
          points: points.map((p) => `${p[0].toFixed(1)},${p[1].toFixed(1)}`).join(" "),
          class: `slice-outline axis-${NAMES[axis]}`,
        }),
      ];
    });
  }
}

function line(a, b, name) {
  return svg("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], class: name });
}

function text(x, y, content, name) {
  const element = svg("text", { x, y, class: name });
  element.textContent = content;
  return element;
}
