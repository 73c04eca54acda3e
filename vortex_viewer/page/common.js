// Helpers that every component starts with.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child != null) node.append(child);
  return node;
}

function bind(model, draw) {
  let text = null, bulk = {};
  const run = () => {
    if (model.bulk !== text) { text = model.bulk; bulk = JSON.parse(text); }
    draw({ ...bulk, ...JSON.parse(model.props) });
  };
  model.on("props", run); model.on("bulk", run);
  run();
  return (name, value = null) => model.send_msg({ do: name, value });
}

function latest(send, wait = 40) {
  // at most one message each `wait` ms, and always the last one
  let timer = null, next = null, last = 0;
  return (...args) => {
    next = args;
    const due = Math.max(0, wait - (performance.now() - last));
    if (timer === null) timer = setTimeout(() => {
      timer = null; last = performance.now(); send(...next);
    }, due);
  };
}

function number(value, digits = 2) {
  if (value == null || !isFinite(value)) return "–";
  return value.toFixed(digits);
}

function length(um) {
  if (um == null || !isFinite(um)) return "–";
  return Math.abs(um) >= 1000 ? `${(um / 1000).toFixed(2)} mm` : `${um.toFixed(um < 10 ? 1 : 0)} µm`;
}

function hook(values) {
  // the page's own account of itself, for tests and for scripts of users
  for (const [name, value] of Object.entries(values)) {
    if (value == null) delete document.body.dataset[name];
    else document.body.dataset[name] = String(value);
  }
}


const ICONS = {
  undo: "M6 3.5 2.5 7 6 10.5M2.5 7h7a4 4 0 0 1 0 8H7", redo: "M10 3.5 13.5 7 10 10.5M13.5 7h-7a4 4 0 0 0 0 8H9",
  link: "M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.2-2.2A2.6 2.6 0 0 0 9 3.3L8 4.3M9.2 6.8a2.6 2.6 0 0 0-3.7 0L3.3 9A2.6 2.6 0 0 0 7 12.7l1-1",
  star: "m8 2.2 1.8 3.7 4 .6-2.9 2.8.7 4L8 11.4l-3.6 1.9.7-4L2.2 6.5l4-.6z", pen: "M3 13l.6-2.8 7-7 2.2 2.2-7 7zM9.4 4.4l2.2 2.2",
  list: "M2.5 4h11M2.5 8h11M2.5 12h7", pin: "M6 2.5h4M8 9.5v4M6.5 2.5v3L4.5 9.5h7l-2-4v-3", plus: "M8 3v10M3 8h10", check: "M3 8.5 6.5 12 13 4.5",
  column: "M2.5 3h11v10h-11zM9.5 3v10M9.5 8h4", four: "M2.5 3h11v10h-11zM8 3v10M2.5 8h11", cube: "M8 2 13.5 5v6L8 14 2.5 11V5zM2.5 5 8 8l5.5-3M8 8v6",
  spin: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3", sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  help: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M6.2 6.3a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.8.6-.8 1.3M8 11.3v.1", heart: "M8 13 3 8.2a3 3 0 0 1 4.3-4.3L8 4.6l.7-.7A3 3 0 0 1 13 8.2z",
  tilt: "M2 9.5 9 13.5 14 6.5 7 2.5z",
  save: "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M2.5 10.5v3h11v-3", cross: "M4 4l8 8M12 4l-8 8",
};
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "path");
  for (const [k, v] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" })) svg.setAttribute(k, v);
  path.setAttribute("d", ICONS[name]); svg.append(path);
  return svg;
}
