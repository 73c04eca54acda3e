// ViewState: everything that a view is, and its form in the page's address.
// Field names and meanings are those of vortex_viewer/state.py; defaults never change meaning.

export const VERSION = 1;

export const DEFAULTS = Object.freeze({
  study: null, // id of the study; the gallery when null
  gene: null, // name; morphology alone when null
  palette: "magma",
  window: null, // [low, high] in expression; 2nd to 98th percentile when null
  opacity: 0.85, // how strongly expression covers morphology
  threshold: 0.1, // part of the window, from its low end, that stays transparent
  morphology: 0.5, // how opaque morphology is in 3D
  cursor_um: null, // crosshair (x, y, z); the middle when null
  crop_um: null, // [[x0, x1], [y0, y1], [z0, z1]] of the 3D view
  camera: null, // {focal, back, up, height_um}
  planes: true, // outlines of the slices in 3D
  depth: null, // how many times z is stretched; chosen for the study when null
  labels: null, // label image beside the expression
  hidden: [], // label numbers that are not drawn
  zoom: 1, // of the slices, relative to fitting their panes
  pane: "3d", // the large pane: 3d, xy, xz or yz
});

const number = (text) => {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value)) throw new RangeError(text);
  return value;
};
const within = (low, high) => (text) => Math.min(high, Math.max(low, number(text)));
const list = (count) => (text) => {
  const values = text.split(",").map(number);
  if (values.length !== count) throw new RangeError(text);
  return values;
};
const ascending = (pair) => {
  if (!(pair[0] < pair[1])) throw new RangeError(String(pair));
  return pair;
};
const round = (value) => Number(value.toPrecision(6));
const join = (values) => values.map(round).join(",");

const FORMS = {
  study: { read: (t) => t, write: (v) => v },
  gene: { read: (t) => t, write: (v) => v },
  palette: { read: (t) => t, write: (v) => v },
  window: { read: (t) => ascending(list(2)(t)), write: join },
  opacity: { read: within(0, 1), write: round },
  threshold: { read: within(0, 1), write: round },
  morphology: { read: within(0, 1), write: round },
  cursor_um: { read: list(3), write: join },
  crop_um: {
    read: (t) => {
      const v = list(6)(t);
      return [ascending(v.slice(0, 2)), ascending(v.slice(2, 4)), ascending(v.slice(4, 6))];
    },
    write: (v) => join(v.flat()),
  },
  camera: {
    read: (t) => {
      const v = list(10)(t);
      return { focal: v.slice(0, 3), back: v.slice(3, 6), up: v.slice(6, 9), height_um: v[9] };
    },
    write: (v) => join([...v.focal, ...v.back, ...v.up, v.height_um]),
  },
  planes: { read: (t) => t !== "false", write: String },
  depth: { read: within(0.1, 1000), write: round },
  labels: { read: (t) => t, write: (v) => v },
  hidden: { read: (t) => t.split(",").map(number), write: (v) => v.join(",") },
  zoom: { read: within(1, 64), write: round },
  pane: {
    read: (t) => (["3d", "xy", "xz", "yz"].includes(t) ? t : "3d"),
    write: (v) => v,
  },
};

/** The state in an address's hash; a field that cannot be read keeps its default. */
export function parse(hash) {
  const state = { ...DEFAULTS };
  const params = new URLSearchParams(hash.replace(/^#/, ""));
  for (const [name, form] of Object.entries(FORMS)) {
    const text = params.get(name);
    if (text === null) continue;
    try {
      state[name] = form.read(text);
    } catch {
      // a damaged field of a link shows its default: the rest of the view still counts
    }
  }
  return state;
}

/** The hash of a state: the version, and the fields that differ from their default. */
export function format(state) {
  const parts = [`version=${VERSION}`];
  for (const [name, form] of Object.entries(FORMS)) {
    const value = state[name];
    if (value === null || JSON.stringify(value) === JSON.stringify(DEFAULTS[name])) continue;
    const text = encodeURIComponent(form.write(value)).replaceAll("%2C", ",");
    parts.push(`${name}=${text}`);
  }
  return `#${parts.join("&")}`;
}

/** One state with listeners; a change is a new state. */
export class Store {
  #listeners = new Set();
  #timer = 0;
  #written = null;

  constructor(state) {
    this.state = Object.freeze({ ...state });
  }

  /** Change some fields; listeners get the new state and the set of changed names. */
  set(changes) {
    const changed = new Set(
      Object.keys(changes).filter(
        (name) => JSON.stringify(changes[name]) !== JSON.stringify(this.state[name]),
      ),
    );
    if (!changed.size) return;
    this.state = Object.freeze({ ...this.state, ...changes });
    this.#write();
    for (const listener of [...this.#listeners]) listener(this.state, changed);
  }

  /** Listen to changes; returns what stops it. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether the address was written by this store, not by the visitor. */
  wrote(hash) {
    return hash === this.#written || hash === format(this.state);
  }

  #write() {
    clearTimeout(this.#timer);
    // browsers refuse hundreds of address changes a second
    this.#timer = setTimeout(() => this.flush(), 150);
  }

  /** Write the address now. */
  flush() {
    clearTimeout(this.#timer);
    this.#written = format(this.state);
    history.replaceState(null, "", this.#written);
  }
}
