export function render({ model }) {
  const frame = document.querySelector("iframe.scene"), scene = frame.getAttribute("src").replace("index.html", "");
  const line = make("i"), size = make("span");
  const bar = make("div", { class: "scalebar", hidden: true }, line, size);
  const what = make("div", { class: "what" });
  const stretch = make("div", { class: "stretch", hidden: true });
  const cameras = make("div", { class: "cameras", role: "group", "aria-label": "Camera" });
  const spinner = make("div", { class: "spinner", hidden: true }, make("i"), make("span"));
  const empty = make("div", { class: "emptyview", hidden: true });
  const triad = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  triad.setAttribute("class", "triad"); triad.setAttribute("viewBox", "-40 -40 80 80"); triad.setAttribute("aria-hidden", "true");
  function axes(back, up) {
    // where +x, +y, +z of the block point in the picture; what points away is drawn first, and fainter
    const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    const right = cross(up, back);
    const ends = ["x", "y", "z"].map((name, i) => ({ name, x: right[i] * 24, y: -up[i] * 24, near: back[i] })).sort((a, b) => a.near - b.near);
    triad.innerHTML = ends.map(({ name, x, y, near }) => `<g style="color:var(--${name});opacity:${near < -0.2 ? 0.6 : 1}"><line x2="${x}" y2="${y}" stroke="currentColor" stroke-width="2" stroke-linecap="round"/><text x="${x * 1.42}" y="${y * 1.42 + 4}" text-anchor="middle" fill="currentColor" font-size="12">${name}</text></g>`).join("");
  }
  const help = make("div", { class: "help" }, "drag to turn · shift-drag to move · wheel to zoom");
  const root = make("section", { class: "v-view" }, what, cameras, triad, stretch, bar, help, spinner, empty);
  const buttons = [["corner", "Reset", "See the whole block from a corner"], ["-z", "XY", "Look along z"], ["-y", "XZ", "Look along y"], ["+x", "YZ", "Look along x"]];
  const spin = make("button", { type: "button", title: "Turn the block by itself", "aria-label": "Turn by itself", class: "spin", onclick: () => send("turning", spin.getAttribute("aria-pressed") !== "true") }, icon("spin"));
  cameras.append(spin);
  for (const [side, label, title] of buttons)
    cameras.append(make("button", { type: "button", title, "data-side": side, onclick: () => send("side", side) }, label));
  // whoever has clicked into the picture still means the page by a key
  const pass = (event) => {
    const { key, code, ctrlKey, metaKey, altKey, shiftKey } = event;
    const again = new KeyboardEvent("keydown", { key, code, ctrlKey, metaKey, altKey, shiftKey, bubbles: true, cancelable: true });
    if (!document.body.dispatchEvent(again)) event.preventDefault();
  };
  const listen = () => frame.contentWindow.addEventListener("keydown", pass);  // twice is once
  frame.addEventListener("load", listen); listen();
  const send = bind(model, (props) => {
    spinner.hidden = !props.busy; spinner.lastChild.textContent = props.busy ?? "";
    empty.hidden = !props.empty; empty.textContent = props.empty ?? "";
    const genes = [...(props.genes ?? []), ...(props.labelled ? [["", null]] : [])], beside = (props.panes ?? 1) > 1;
    what.className = beside ? `what panes n${genes.length}` : "what";
    what.replaceChildren(...genes.map(([name, colour]) => { const b = make("b", {}, name); if (colour) b.style.color = colour; return b; }), ...(props.about && !beside ? [make("em", {}, props.about)] : []));
    spin.setAttribute("aria-pressed", props.turning ? "true" : "false");
    const app = document.querySelector("main.app");
    if (props.layout && app.dataset.layout !== props.layout) app.dataset.layout = props.layout;
    stretch.hidden = !(props.depth && props.depth !== 1);
    stretch.textContent = `z stretched × ${props.depth}`;
    bar.hidden = !props.um_per_pixel || props.scalebar === false;
    if (props.um_per_pixel) {
      const most = 150 * props.um_per_pixel, ten = 10 ** Math.floor(Math.log10(most));
      const um = [5, 2, 1].map((m) => m * ten).find((v) => v <= most);
      line.style.width = `${um / props.um_per_pixel}px`;
      size.textContent = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
    }
    if (props.local != null) {
      const wanted = `${scene}${props.local ? "local/" : ""}index.html`;
      if (frame.getAttribute("src") !== wanted) frame.setAttribute("src", wanted);
    }
    help.hidden = !!props.turned;
    if (props.back) axes(props.back, props.up);
    if (props.extent) {
      // the column's height goes to each slice by its own shape
      const [x, y, z] = props.extent, parts = { xy: y / x, xz: z / x, yz: z / y };
      for (const [name, part] of Object.entries(parts)) document.querySelector(`[data-slice="${name}"]`)?.style.setProperty("--tall", Math.max(part, 0.12));
    }
    hook({ drawn: props.drawn, detail: props.detail, umPerPixel: props.um_per_pixel, viewBusy: props.busy || null, camera: props.camera, crop: props.crop, layout: props.layout, panes: props.panes, turning: props.turning ? '1' : null, drawnBy: props.local == null ? null : props.local ? "browser" : "server" });
  });
  return root;
}
