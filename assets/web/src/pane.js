// One slice: picture, crosshair, scale bar, value under the pointer; zoom, pan and scroll.

import { paint } from "./compose.js";
import { afterRest, context2d, h, lengthText, onceAFrame, svg } from "./dom.js";
import { VIEWS } from "./grid.js";
import { paintIndices } from "./lattice.js";

const NAMES = { xy: "XY", xz: "XZ", yz: "YZ" };
const LETTERS = { 0: "z", 1: "y", 2: "x" };
const REST = 110;

export class SlicePane {
  #still = 0;
  #drawn = "";
  #picture = null;

  /** @param study what is shown: image, grid, look(), gene(), store, depth */
  constructor(view, study) {
    this.view = view;
    this.study = study;
    this.axes = VIEWS[view];
    this.canvas = h("canvas.slice-canvas");
    this.mark = svg("svg", { class: "slice-mark", "aria-hidden": "true" });
    this.place = h("output.slice-place");
    this.value = h("output.slice-value");
    this.expand = h("button.expand", {
      type: "button",
      title: `Make ${NAMES[view]} the large picture (double click)`,
      "aria-label": `Make ${NAMES[view]} the large picture`,
      onclick: () => this.#enlarge(),
    }, "⤢");
    this.element = h(
      "section.pane.slice",
      { tabIndex: 0, role: "group", "aria-label": `${NAMES[view]} slice`, dataset: { view } },
      this.canvas,
      this.mark,
      h("header.pane-head", {}, h("span.pane-name", {}, NAMES[view]), this.place),
      this.value,
      this.expand,
    );
    this.redraw = onceAFrame(() => this.draw());
    this.refine = afterRest(() => this.#refine(), REST);
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.element);
    this.#listen();
  }

  #enlarge() {
    const { store } = this.study;
    store.set({ pane: store.state.pane === this.view ? "3d" : this.view });
  }

  /** How many times the picture's vertical axis is stretched: sections lie closer than they are. */
  get stretch() {
    return this.axes.down === 0 ? this.study.depth : 1;
  }

  /** Micrometres a pixel, and where the middle of the pane lies. */
  #frame() {
    const { grid, store } = this.study;
    const { down, across } = this.axes;
    const box = this.element.getBoundingClientRect();
    const fit = Math.max(
      grid.size(across) / Math.max(1, box.width - 16),
      (grid.size(down) * this.stretch) / Math.max(1, box.height - 16),
    );
    const { zoom } = store.state;
    const cursor = this.study.cursor;
    const um = fit / zoom;
    const middle = (axis, pixels, stretch) => {
      const half = (pixels * um) / stretch / 2;
      const [low, high] = [grid.low(axis), grid.high(axis)];
      if (high - low <= 2 * half) return (low + high) / 2;
      const pad = (8 * um) / stretch;
      return Math.min(high + pad - half, Math.max(low - pad + half, cursor[2 - axis]));
    };
    return {
      um,
      width: box.width,
      height: box.height,
      x: middle(across, box.width, 1),
      y: middle(down, box.height, this.stretch),
    };
  }

  #window(frame) {
    const half = [(frame.width * frame.um) / 2, (frame.height * frame.um) / this.stretch / 2];
    return {
      across: [frame.x - half[0], frame.x + half[0]],
      down: [frame.y - half[1], frame.y + half[1]],
    };
  }

  get cutUm() {
    return this.study.cursor[2 - this.axes.cut];
  }

  /** The crosshair moved: a picture whose plane and place stay is left as it is. */
  moved() {
    const frame = this.#frame();
    if (this.stands === this.#where(frame)) this.#marks(frame);
    else this.redraw();
  }

  #where(frame) {
    return [this.cutUm, frame.um, frame.x, frame.y, frame.width, frame.height].join();
  }

  /** Draw what is at hand now; the finer picture follows once the hand rests. */
  draw() {
    const frame = this.#frame();
    if (frame.width < 2 || frame.height < 2) return;
    const { image } = this.study;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const wanted = image ? image.levelFor(this.view, frame.um / ratio) : 0;
    const window_ = this.#window(frame);
    const picture = image
      ? image.slice(this.view, this.cutUm, window_, wanted)
      : this.study.blank(this.view, window_);
    this.#still += 1;
    if (picture) {
      this.#show(picture, frame);
      if (image && picture.level > wanted) this.refine();
    }
    this.#marks(frame);
  }

  async #refine() {
    const ticket = this.#still;
    const { image } = this.study;
    await this.study.pictured; // nothing finer before all that is coarse
    if (ticket !== this.#still) return;
    const frame = this.#frame();
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const wanted = image.levelFor(this.view, frame.um / ratio);
    const picture = await image.fine(
      this.view, this.cutUm, this.#window(frame), wanted, () => ticket === this.#still,
    );
    if (picture && ticket === this.#still) this.#show(picture, this.#frame());
  }

  #show(picture, frame) {
    const { study } = this;
    const gene = study.gene;
    const look = study.look;
    const numbers = gene
      ? paintIndices(gene, this.view, this.cutUm, picture, look.window)
      : study.classNumbers?.(this.view, this.cutUm, picture) ?? null;
    picture.glass = study.glassAt(study.cursor[2]);
    const pixels = paint(
      picture, study.channels, study.rgb, numbers, look.colours, look, study.tables,
    );
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const sheet = this.#sheet(picture.width, picture.height);
    context2d(sheet).putImageData(pixels, 0, 0);
    const context = context2d(this.canvas);
    // sections that lie far apart are bands, not a smear between them
    const apart = study.stack && this.axes.down === 0;
    context.imageSmoothingEnabled = !apart && picture.dx / frame.um < 6;
    context.imageSmoothingQuality = "high";
    context.clearRect(0, 0, width, height);
    const scale = ratio / frame.um;
    const left = width / 2 + (picture.x - picture.dx / 2 - frame.x) * scale;
    const top = height / 2 + (picture.y - picture.dy / 2 - frame.y) * scale * this.stretch;
    const size = [picture.width * picture.dx * scale, picture.height * picture.dy * scale];
    if (study.rgb) {
      context.fillStyle = "#f4f3f1"; // glass is bright: stained tissue is seen against it
      context.fillRect(left, top, size[0], size[1] * this.stretch);
    }
    context.drawImage(sheet, left, top, size[0], size[1] * this.stretch);
    this.stands = this.#where(frame);
    this.element.dataset.level = picture.level;
    this.element.dataset.frames = Number(this.element.dataset.frames ?? 0) + 1;
  }

  #sheet(width, height) {
    if (!this.sheet || this.sheet.width !== width || this.sheet.height !== height) {
      this.sheet = new OffscreenCanvas(width, height);
    }
    return this.sheet;
  }

  #pixel(frame, across, down) {
    return [
      frame.width / 2 + (across - frame.x) / frame.um,
      frame.height / 2 + ((down - frame.y) / frame.um) * this.stretch,
    ];
  }

  #marks(frame) {
    const cursor = this.study.cursor;
    const { down, across, cut } = this.axes;
    const [x, y] = this.#pixel(frame, cursor[2 - across], cursor[2 - down]);
    const gap = 9;
    const line = (x1, y1, x2, y2, axis) =>
      svg("line", { x1, y1, x2, y2, class: `cross axis-${LETTERS[axis]}` });
    const bar = niceBar(frame.um, Math.min(110, frame.width / 3));
    const right = frame.width - 12;
    const bottom = frame.height - 12;
    this.mark.replaceChildren(
      line(0, y, x - gap, y, down),
      line(x + gap, y, frame.width, y, down),
      line(x, 0, x, y - gap, across),
      line(x, y + gap, x, frame.height, across),
      svg("path", { class: "bar", d: `M${right - bar.pixels} ${bottom}H${right}` }),
      svgText(right - bar.pixels / 2, bottom - 6, bar.text),
    );
    this.mark.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    this.place.textContent = `${LETTERS[cut]} ${lengthText(this.cutUm)}`;
  }

  /** The point (x, y, z) under a pointer. */
  #under(event) {
    const box = this.element.getBoundingClientRect();
    const frame = this.#frame();
    const point = [...this.study.cursor];
    point[2 - this.axes.across] = frame.x + (event.clientX - box.left - box.width / 2) * frame.um;
    point[2 - this.axes.down] =
      frame.y + ((event.clientY - box.top - box.height / 2) * frame.um) / this.stretch;
    return point;
  }

  /** Move the cut by whole planes. */
  step(planes) {
    const { grid } = this.study;
    const { cut } = this.axes;
    const index = Math.round(grid.index(cut, this.cutUm)) + planes;
    const held = Math.min(grid.shape[cut] - 1, Math.max(0, index));
    const point = [...this.study.cursor];
    point[2 - cut] = grid.um(cut, held);
    this.study.store.set({ cursor_um: point });
  }

  #listen() {
    const { element } = this;
    const place = (event) => this.study.moveCursor(this.#under(event));
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest("button")) return;
      element.setPointerCapture(event.pointerId);
      this.dragging = true;
      place(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (this.dragging) place(event);
      this.#tell(event);
    });
    const stop = (event) => {
      if (!this.dragging) return;
      this.dragging = false;
      if (event.type === "pointerup") this.study.pick(this.study.cursor);
    };
    element.addEventListener("pointerup", stop);
    element.addEventListener("pointercancel", stop);
    element.addEventListener("pointerleave", () => (this.value.textContent = ""));
    element.addEventListener("dblclick", (event) => {
      if (!event.target.closest("button")) this.#enlarge();
    });
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey || event.shiftKey) {
        const { store } = this.study;
        const turn = event.deltaY || event.deltaX;
        const zoom = store.state.zoom * Math.exp(-turn / 300);
        store.set({ zoom: Math.min(64, Math.max(1, zoom)) });
      } else this.step(Math.sign(event.deltaY));
    }, { passive: false });
  }

  #tell(event) {
    const point = this.#under(event);
    const { grid } = this.study;
    if (!grid.contains(point)) {
      this.value.textContent = "";
      return;
    }
    this.value.textContent = this.study.describe(point);
  }

  destroy() {
    this.observer.disconnect();
  }
}

function svgText(x, y, text) {
  const element = svg("text", { x, y, class: "bar-text" });
  element.textContent = text;
  return element;
}

/** A scale bar of 1, 2 or 5 times a power of ten, no longer than so many pixels. */
export function niceBar(umPerPixel, longest) {
  const most = umPerPixel * longest;
  const power = 10 ** Math.floor(Math.log10(most));
  const um = [5, 2, 1].map((n) => n * power).find((length) => length <= most) ?? power;
  return { pixels: um / umPerPixel, um, text: lengthText(um) };
}
