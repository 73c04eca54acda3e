// DOM by one short function; styles through classes and CSSOM only, as the content policy asks.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children: h("button.primary", {onclick}, "text"). */
export function h(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  assign(element, props);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function assign(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "style") Object.assign(element.style, value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("aria-") || name === "role" || name === "for") {
      element.setAttribute(name, value);
    } else element[name] = value;
  }
}

/** An SVG element with attributes. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const ICONS = {
  grid: "M3 3h7v7H3zM14 3h7v7h-7zM3 14h7v7H3zM14 14h7v7h-7z",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 6 6l1-1",
  camera: "M3 8h4l2-3h6l2 3h4v11H3zM12 17a4 4 0 1 0 0-8 4 4 0 0 0 0 8z",
  help: "M9 9a3 3 0 1 1 4 3c-1 .4-1 1-1 2M12 17.5v.5M12 22a10 10 0 1 0 0-20 10 10 0 0 0 0 20z",
  rotate: "M20 12a8 8 0 1 1-2.5-5.8M20 3v5h-5",
  reset: "M3 12l9-8 9 8M6 10v10h12V10",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4",
  close: "M5 5l14 14M19 5L5 19",
  layers: "M12 3l9 5-9 5-9-5zM3 13l9 5 9-5",
  external: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
};

/** One of the interface's icons. */
export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", width: 18, height: 18, class: "icon", "aria-hidden": "true" },
    svg("path", { d: ICONS[name] }),
  );
}

/** A button that shows an icon and says what it does. */
export function iconButton(name, label, onclick) {
  return h("button.icon-button", { type: "button", title: label, "aria-label": label, onclick }, icon(name));
}

/** Numbers as people write them: 3 significant digits, no trailing zeros. */
export function short(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US").replaceAll(",", " ");
  return String(Number(value.toPrecision(digits)));
}

/** A length in micrometres with the unit that suits it. */
export function lengthText(um) {
  if (Math.abs(um) >= 1000) return `${short(um / 1000)} mm`;
  return `${short(um)} µm`;
}

/**
 * A canvas's 2D context, drawn by the processor: a slice is made there, and where there is no
 * graphics card, handing it over and reading it back costs far more than drawing it.
 */
export function context2d(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** Once what was drawn until now has been shown: the next frame begins when that one has left. */
export function shown() {
  return new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0))));
}

/** Run at most once a frame; later calls of the same frame replace earlier ones. */
export function onceAFrame(run) {
  let waiting = 0;
  return () => {
    if (!waiting) {
      waiting = requestAnimationFrame(() => {
        waiting = 0;
        run();
      });
    }
  };
}

/** Run when calls have stopped for a while. */
export function afterRest(run, milliseconds) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...args), milliseconds);
  };
}
