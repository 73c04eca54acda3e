export function render({ model }) {
  const rows = [["opacity", "Expression", "How strongly expression covers the morphology"],
    ["threshold", "Hide below", "The part of the colour range, from its low end, that stays transparent"],
    ["morphology", "Morphology", "How opaque the morphology is in 3D"]];
  const inputs = {}, outputs = {};
  const root = make("section", { class: "form" });
  for (const [name, label, title] of rows) {
    inputs[name] = make("input", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": label });
    outputs[name] = make("output", {});
    const push = latest((value) => send(name, value), 80);
    inputs[name].addEventListener("input", () => { fill(name); push(parseFloat(inputs[name].value)); });
    root.append(make("label", { class: "slider", title }, make("span", {}, label), inputs[name], outputs[name]));
  }
  const depth = make("input", { type: "range", min: "0", max: "2", step: "0.01", "aria-label": "Stretch z" }), depthOut = make("output", {});
  const pushDepth = latest((v) => send("depth", v), 200);
  const asDepth = () => Math.max(1, Math.round(10 ** parseFloat(depth.value)));
  depth.addEventListener("input", () => { depthOut.textContent = `× ${asDepth()}`; depth.style.setProperty("--part", depth.value / 2); pushDepth(asDepth()); });
  root.append(make("label", { class: "slider", title: "How far z is stretched in 3D, to tell planes apart" }, make("span", {}, "Stretch z"), depth, depthOut));
  const modes = make("div", { class: "segments", role: "radiogroup", "aria-label": "3D mode" });
  const modeRow = make("div", { class: "slider two" }, make("span", { title: "How the 3D view sees expression" }, "3D mode"), modes);
  const level = make("input", { type: "range", min: "0.02", max: "0.98", step: "0.01", "aria-label": "Surface at" }), levelOut = make("output", {});
  const pushLevel = latest((v) => send("level", v), 150);
  level.addEventListener("input", () => { showLevel(); pushLevel(parseFloat(level.value)); });
  const levelRow = make("label", { class: "slider", title: "Where in the colour range the surface lies" }, make("span", {}, "Surface at"), level, levelOut);
  const doubt = make("input", { type: "range", min: "0", max: "1", step: "0.01", "aria-label": "Grey where uncertain" }), doubtOut = make("output", {});
  const pushDoubt = latest((v) => send("doubt", v), 150);
  // to the right all is shown; to the left, only where the prediction is sure
  doubt.addEventListener("input", () => { const v = parseFloat(doubt.value); doubtOut.textContent = v >= 1 ? "off" : `± ${Math.round(100 * v)} %`; doubt.style.setProperty("--part", v); pushDoubt(v >= 1 ? null : Math.max(0.01, v)); });
  const doubtRow = make("label", { class: "slider", title: "Leave out voxels whose standard deviation is above this part of the gene's range (2nd to 98th percentile)" }, make("span", {}, "Uncertainty"), doubt, doubtOut);
  const greyed = make("p", { class: "faint small", hidden: true });
  const showLevel = () => { levelOut.textContent = `${Math.round(level.value * 100)} %`; level.style.setProperty("--part", level.value); };
  root.append(modeRow, levelRow, doubtRow, greyed);
  const line = make("div", { class: "toggles" });
  root.append(line);
  const tilts = ["x", "y"].map((axis, i) => {
    const input = make("input", { type: "range", min: "-90", max: "90", step: "1", "aria-label": `Tilt about ${axis}` }), out = make("output", {});
    const row = make("label", { class: "slider", title: `How far the oblique slice is turned about ${axis}` }, make("span", {}, `Tilt about ${axis}`), input, out);
    const fill = () => { out.textContent = `${Math.round(input.value)}°`; input.style.setProperty("--part", (parseFloat(input.value) + 90) / 180); };
    input.addEventListener("input", () => { fill(); pushTilt(tilts.map((t) => parseFloat(t.input.value))); });
    root.append(row);
    return { row, input, fill };
  });
  const pushTilt = latest((value) => send("tilt", value), 60);
  const who = make("select", { "aria-label": "3D drawn by", onchange: () => {
    try { localStorage.setItem("vortex-viewer drawer", who.value); } catch { /* the browser keeps nothing */ }
    send("drawer", { ...graphics(), wish: who.value });
  } }, ...[["auto", "Automatic"], ["server", "The server"], ["browser", "This browser"]].map(([value, label]) => make("option", { value }, label)));
  const whoNow = make("p", { class: "faint small", role: "status" });
  root.append(make("label", { class: "slider pair", title: "Where the 3D picture is made. Automatic: by a graphics card, the server's or this browser's; without one, by the server" }, make("span", {}, "3D drawn by"), who), whoNow);
  const cuts = make("div", { class: "cuts", role: "group", "aria-label": "Cut at a measured section" });
  root.append(cuts);
  const toggles = {};
  for (const [name, label, title] of [["spots", "Spots", "Draw the measured spots in their plane, on the same colour scale"], ["planes", "Slice outlines", "Draw where the slices lie in 3D"],
    ["zoom", "One zoom", "As many micrometres a pixel in every slice, about the same point (z)"],
    ["oblique", "Oblique slice", "One more slice through the crosshair, tilted; drag it with Alt to tilt it (a)"],
    ["stained", "Virtual H&E", "In the slices, show the nuclear and the other channel in the colours of a stained section (Giacomelli et al. 2016)"]]) {
    toggles[name] = make("input", { type: "checkbox", onchange: () => send(name, toggles[name].checked) });
    line.append(make("label", { class: "toggle", title }, toggles[name], make("span", {}, label)));
  }
  function fill(name) { outputs[name].textContent = `${Math.round(inputs[name].value * 100)} %`; inputs[name].style.setProperty("--part", inputs[name].value); }
  const send = bind(model, (props) => {
    for (const [name] of rows) if (root.getRootNode().activeElement !== inputs[name] || !inputs[name].matches(":active")) { inputs[name].value = props[name] ?? 0; fill(name); }
    for (const name of Object.keys(toggles)) toggles[name].checked = name === "zoom" || name === "oblique" ? props[name] != null : !!props[name];
    toggles.stained.parentNode.hidden = !props.stainable;
    document.querySelector("main.app").toggleAttribute("data-oblique", props.oblique != null);
    for (const [i, tilt] of tilts.entries()) {
      tilt.row.hidden = props.oblique == null;
      if (props.oblique != null && !tilt.input.matches(":active")) { tilt.input.value = props.oblique[i]; tilt.fill(); }
    }
    if (props.drawn_by) whoNow.textContent = `Now: ${props.drawn_by}.`;
    cuts.hidden = !(props.sections ?? []).length;
    cuts.replaceChildren(make("span", { class: "label" }, "Cut at"), ...(props.sections ?? []).map(([name, z]) => {
      const on = name === props.cut;
      return make("button", { type: "button", class: `chip${on ? " on" : ""}`, "aria-pressed": on ? "true" : "false", "data-section": name,
        title: `Open the block at section ${name}, z = ${z.toFixed(0)} µm, and bring the crosshair there`, onclick: () => send("cut", on ? null : name) }, name);
    }));
    modeRow.hidden = !!props.flat; levelRow.hidden = !!props.flat || props.mode !== "surface";
    modes.replaceChildren(...[["composite", "Solid", "Expression mixed into the tissue"], ["maximum", "Brightest", "The strongest voxel along each line of sight"], ["surface", "Surface", "Where expression reaches a value"]].map(([value, label, title]) =>
      make("button", { type: "button", role: "radio", title, "aria-checked": value === props.mode ? "true" : "false", onclick: () => send("mode", value) }, label)));
    if (!level.matches(":active")) { level.value = props.level ?? 0.5; showLevel(); }
    doubtRow.hidden = !props.gene;
    if (!doubt.matches(":active")) { doubt.value = props.doubt ?? 1; doubtOut.textContent = props.doubt == null ? "off" : `± ${Math.round(100 * props.doubt)} %`; doubt.style.setProperty("--part", doubt.value); }
    greyed.hidden = props.greyed == null; greyed.textContent = props.greyed == null ? "" : `${Math.round(100 * props.greyed)} % of the tissue is left gray.`;
    hook({ stained: props.stained ? "1" : null, zoom: props.zoom == null ? null : props.zoom.toPrecision(4), oblique: props.oblique == null ? null : props.oblique.map((v) => v.toFixed(1)).join(","), mode: props.mode, doubt: props.doubt, greyed: props.greyed == null ? null : props.greyed.toFixed(3) });
    if (!depth.matches(":active")) { depth.value = Math.log10(props.depth ?? 1); depth.style.setProperty("--part", depth.value / 2); depthOut.textContent = `× ${props.depth ?? 1}`; }
  });
  let wish = null;
  try { wish = localStorage.getItem("vortex-viewer drawer"); } catch { /* the browser keeps nothing */ }
  who.value = ["auto", "server", "browser"].includes(wish) ? wish : "auto";
  send("drawer", { ...graphics(), wish: who.value });
  return root;
}

function graphics() {
  // what this browser draws with, asked of a picture that nobody sees
  const ask = (more) => document.createElement("canvas").getContext("webgl2", more);
  const quick = ask({ failIfMajorPerformanceCaveat: true }), gl = quick ?? ask({});
  if (!gl) return { webgl2: false };
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const said = { webgl2: true, slow: !quick, side: gl.getParameter(gl.MAX_3D_TEXTURE_SIZE),
    renderer: gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER) };
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return said;
}
