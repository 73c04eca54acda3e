// Opacity points over the histogram: drag a point, double-click to add or remove one, keys too.
function rampEditor(changed) {
  let points = [], ends = [0, 100], drag = -1, mine = 0;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS(svg.namespaceURI, "polyline");
  svg.setAttribute("class", "rampline"); svg.setAttribute("viewBox", "0 0 100 100"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  const dots = make("div", { class: "rampdots" });
  const root = make("div", { class: "ramp", title: "Opacity over the range: drag a point, double-click to add or remove one" }, svg, dots);
  const across = (p) => ends[0] + p * (ends[1] - ends[0]);
  function fence(i, [part, height]) {
    const low = i > 0 ? points[i - 1][0] + 0.01 : 0, high = i < points.length - 1 ? points[i + 1][0] - 0.01 : 1;
    return [i === 0 ? 0 : i === points.length - 1 ? 1 : Math.max(low, Math.min(high, part)), Math.max(0, Math.min(1, height))];
  }
  // what the server echoes of a row of keys is older than what stands here
  const tell = () => { mine = performance.now(); draw(); changed(points); };
  function put(i, point) { points = points.map((p, k) => k === i ? fence(i, point) : p); tell(); }
  function at(event) {
    const box = root.getBoundingClientRect(), whole = 100 * (event.clientX - box.left) / box.width;
    return [(whole - ends[0]) / Math.max(1e-6, ends[1] - ends[0]), 1 - (event.clientY - box.top) / box.height];
  }
  function dot(i) {
    const node = make("button", { type: "button", class: "rampdot", role: "slider", "data-point": i });
    node.addEventListener("pointerdown", (event) => { drag = i; node.setPointerCapture(event.pointerId); event.preventDefault(); event.stopPropagation(); node.focus(); });
    node.addEventListener("pointermove", (event) => { if (drag === i) put(i, at(event)); });
    node.addEventListener("pointerup", () => { drag = -1; });
    node.addEventListener("dblclick", (event) => { event.stopPropagation(); if (i > 0 && i < points.length - 1) { points = points.filter((_, k) => k !== i); tell(); } });
    node.addEventListener("keydown", (event) => {
      const [dx, dy] = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }[event.key] ?? [0, 0];
      if (dx || dy) { event.preventDefault(); event.stopPropagation(); put(i, [points[i][0] + dx, points[i][1] + dy]); }
      if ((event.key === "Delete" || event.key === "Backspace") && i > 0 && i < points.length - 1) { points = points.filter((_, k) => k !== i); tell(); }
    });
    return node;
  }
  root.addEventListener("dblclick", (event) => {
    const [part, height] = at(event);
    if (part <= 0.01 || part >= 0.99 || points.length >= 12) return;
    points = [...points, [part, Math.max(0, Math.min(1, height))]].sort((a, b) => a[0] - b[0]); tell();
  });
  function draw() {
    line.setAttribute("points", [[0, points[0]?.[1] ?? 0], ...points.map(([p, h]) => [across(p), h]), [100, points.at(-1)?.[1] ?? 0]].map(([x, h]) => `${x},${100 - 100 * h}`).join(" "));
    while (dots.children.length > points.length) dots.lastChild.remove();
    while (dots.children.length < points.length) dots.append(dot(dots.children.length));
    points.forEach(([p, h], i) => {
      const node = dots.children[i];
      node.style.left = `${across(p)}%`; node.style.top = `${100 - 100 * h}%`;
      const words = `${Math.round(100 * h)} % opaque at ${Math.round(100 * p)} % of the range`;
      node.setAttribute("aria-label", `Opacity point ${i + 1}`); node.setAttribute("aria-valuenow", Math.round(100 * h)); node.setAttribute("aria-valuetext", words); node.title = words;
    });
  }
  return { root, show(next, span) { if (drag < 0 && performance.now() - mine > 700) points = next.map((p) => [...p]); ends = span; if (points.length) draw(); } };
}
