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
  const run = () => draw(JSON.parse(model.props));
  model.on("props", run);
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
  cross: "M4 4l8 8M12 4l-8 8",
};
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "path");
  for (const [k, v] of Object.entries({ viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" })) svg.setAttribute(k, v);
  path.setAttribute("d", ICONS[name]); svg.append(path);
  return svg;
}
