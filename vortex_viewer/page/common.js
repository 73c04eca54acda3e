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
  return (name, value) => model.send_msg({ do: name, value });
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

