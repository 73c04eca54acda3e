// A study on the page: panes, panels, and what a change of the state redraws.

import { Cameras, PRESETS } from "./cameras.js";
import { Controls } from "./controls.js";
import { h, icon, iconButton, shown } from "./dom.js";
import { facts } from "./gallery.js";
import { GeneList } from "./genelist.js";
import { Helper } from "./genes.js";
import { Help, listen } from "./keys.js";
import { Legend } from "./legend.js";
import { links } from "./links.js";
import { SlicePane } from "./pane.js";
import { Profile } from "./profile.js";
import { Scene } from "./scene.js";
import { capture, save } from "./screenshot.js";
import { DEFAULTS } from "./state.js";
import { StudyModel } from "./study.js";

const PANES = ["3d", "xy", "xz", "yz"];

export class Viewer {
  #ticket = 0;

  constructor({ record, base, store, palettes, workerUrl, toGallery }) {
    this.store = store;
    this.study = new StudyModel(record, base, store, palettes);
    this.study.pick = (point) => this.pick(point);
    this.helper = new Helper(workerUrl);
    this.painter = new Helper(workerUrl);
    this.helper.onerror = (error) => this.fail(error);
    this.painter.onerror = (error) => this.fail(error);
    this.help = new Help();
    this.panes = ["xy", "xz", "yz"].map((view) => new SlicePane(view, this.study));
    this.legend = new Legend(store, this.study.units);
    this.profile = new Profile(this.study);
    this.controls = new Controls(store, this.study, this.study.palettes);
    this.status = h("output.status", { role: "status", "aria-live": "polite" });
    // what is fetched is asked for before the page is built: the one goes on beside the other
    this.loading = {
      coarse: this.study.image?.whole(this.study.image.levels.length - 1),
      genes: this.study.openGenes(this.helper, (level) => this.#levelCame(level)),
    };
    this.#build(toGallery);
    this.cameras = new Cameras(store, this.study);
    this.scene = new Scene(this);
    this.views3d = this.scene.views;
    this.stopKeys = listen(this);
    this.stopState = store.subscribe((state, changed) => this.#changed(changed));
  }

  #build(toGallery) {
    const { record } = this.study;
    this.side = h("div.side-genes");
    this.hero3d = h("section.pane.pane-3d", { role: "group", "aria-label": "3D view", tabIndex: 0 });
    this.hero3d.append(
      h("div.camera-buttons", { role: "toolbar", "aria-label": "Camera" },
        Object.entries(PRESETS).map(([name, { title, text }]) =>
          h("button.camera-button", { type: "button", title, "aria-label": title,
            onclick: () => this.preset(name) }, text)),
        (this.rotateButton = iconButton("rotate", "Turn by itself (a)", () => this.toggleRotation()))),
    );
    this.hero3d.append(h("button.expand", {
      type: "button", title: "Make 3D the large picture (f)",
      "aria-label": "Make 3D the large picture", onclick: () => this.store.set({ pane: "3d" }),
    }, "⤢"));
    this.stage = h("main.stage", { "aria-label": "Pictures" }, this.hero3d,
      ...this.panes.map((pane) => pane.element), this.legend.element, this.profile.element);
    this.linkMenu = h("div.link-menu", { hidden: true });
    this.element = h(
      "div.viewer",
      {},
      h("header.topbar", {},
        h("button.back", { type: "button", title: "All studies", onclick: toGallery },
          icon("grid"), h("span", {}, "Studies")),
        h("h1.study-name", { title: record.description ?? record.name }, record.name),
        h("span.study-facts", {}, shortFacts(record)),
        this.status,
        h("nav.actions", { "aria-label": "Actions" },
          iconButton("link", "Copy a link to this view (c)", () => this.copyLink()),
          iconButton("camera", "Save a picture (s)", () => this.screenshot()),
          iconButton("external", "Open in other programs", () => this.toggleLinks()),
          iconButton("reset", "Reset the view (r)", () => this.reset()),
          iconButton("help", "Keyboard and mouse (?)", () => this.help.toggle()))),
      h("aside.sidebar", { "aria-label": "Genes and appearance" }, this.side, this.controls.element),
      this.stage,
      this.linkMenu,
      this.help.dialog,
    );
    this.#arrange();
  }

  /** Load coarse before fine: a first picture at once, then genes, then sharper pictures. */
  async start() {
    const { study, store } = this;
    const { coarse, genes } = this.loading;
    if (!study.record.prediction) this.side.append(this.#about());
    await (study.image ? coarse : genes);
    const solid = this.scene.prepare();
    this.panes.forEach((pane) => pane.draw());
    await shown(); // slices stand in the page before the graphics driver is asked for anything
    await solid; // then nothing waits between the driver's start and the picture
    this.scene.open();
    if (!this.cameras.restore()) this.cameras.preset("corner", false);
    await this.scene.first();
    await shown(); // and the volume, before anything finer keeps the page busy
    document.documentElement.dataset.ready = "picture";
    study.setPictured();
    if (await genes) {
      study.genes.load("coarse");
      study.genes.load("finer");
      this.geneList = new GeneList(store, study.genes);
      this.side.append(this.geneList.element);
      await this.#showGene();
    }
    await this.scene.better();
    document.documentElement.dataset.ready = "full";
    await this.scene.sharp();
    document.documentElement.dataset.sharp = "true";
  }

  #about() {
    const { record } = this.study;
    return h("div.about", {}, h("h2", {}, "About this study"),
      record.description ? h("p", {}, record.description) : null,
      h("dl.facts", {}, facts(record).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  }

  #levelCame() {
    if (this.study.genes?.table && this.study.geneIndexWanted()) this.#showGene();
    document.documentElement.dataset.level = this.study.genes?.level ?? "";
  }

  async #showGene() {
    const { study, store } = this;
    const { genes } = study;
    const ticket = ++this.#ticket;
    const i = genes ? genes.find(store.state.gene) : -1;
    if (store.state.gene !== null && i < 0) {
      this.say(`${store.state.gene} was not predicted in this study.`);
    }
    const gene = i < 0 ? null : genes.cached(i) ?? (await genes.gene(i));
    if (ticket !== this.#ticket) return;
    study.gene = gene;
    this.panes.forEach((pane) => pane.draw());
    this.scene.setGene();
    this.#showLegend();
    document.documentElement.dataset.gene = gene ? `${gene.name}/${gene.level}` : "";
  }

  #showLegend() {
    const { look, gene } = this.study;
    this.legend.show(gene, look.window, look.colours);
  }

  #changed(changed) {
    const any = (...names) => names.some((name) => changed.has(name));
    if (any("gene")) this.#showGene();
    if (any("palette", "window", "opacity", "threshold")) {
      this.panes.forEach((pane) => pane.redraw());
      this.#showLegend();
    }
    if (any("palette", "window", "opacity", "threshold", "morphology")) this.scene.setLook();
    if (any("cursor_um")) {
      this.panes.forEach((pane) => pane.moved());
      this.scene.overlay();
    }
    if (any("zoom")) this.panes.forEach((pane) => pane.redraw());
    if (any("depth")) {
      this.scene.setDepth();
      this.panes.forEach((pane) => pane.redraw());
    }
    if (any("crop_um")) this.scene.setCrop();
    if (any("planes")) this.scene.overlay();
    if (any("labels", "hidden")) {
      this.#arrange();
      this.scene.setLabels().catch((error) => this.fail(error));
    }
    if (any("pane")) this.#arrange();
    if (any("gene")) this.geneList?.show();
    // the crosshair and the camera move many times a second and no control shows them
    if ([...changed].some((name) => name !== "cursor_um" && name !== "camera")) this.controls.show();
  }

  #arrange() {
    const { pane } = this.store.state;
    this.stage.dataset.pane = pane;
    this.stage.style.gridTemplateRows = this.#rows(pane);
    this.hero3d.classList.toggle("hero", pane === "3d");
    this.panes.forEach((p) => p.element.classList.toggle("hero", p.view === pane));
  }

  /** Heights of the small panes: as their blocks' sides ask, none too low to be read. */
  #rows(pane) {
    const { grid, depth } = this.study;
    const [x, y, z] = [grid.size(2), grid.size(1), grid.size(0) * depth];
    const share = { "3d": 1, xy: y / x, xz: z / x, yz: z / y };
    const small = PANES.filter((name) => name !== pane);
    return small.map((name) => `minmax(0, ${Math.min(1.4, Math.max(0.42, share[name]))}fr)`).join(" ");
  }

  // -- what keys and buttons do -----------------------------------------------------------

  pick(point) {
    this.profile.show(point).catch((error) => this.fail(error));
  }

  preset(name) {
    this.cameras.preset(name);
  }

  toggleRotation() {
    this.cameras.toggleRotation();
    this.rotateButton.setAttribute("aria-pressed", String(this.cameras.rotating));
  }

  toggleGene() {
    const { gene } = this.store.state;
    if (gene !== null) this.lastGene = gene;
    this.store.set({ gene: gene === null ? this.lastGene ?? null : null });
  }

  #focused() {
    return this.panes.find((pane) => pane.element.contains(document.activeElement)) ??
      this.panes.find((pane) => pane.view === this.store.state.pane) ?? this.panes[0];
  }

  stepPlane(by) {
    this.#focused().step(by);
  }

  nudge(key) {
    const { axes } = this.#focused();
    const axis = key === "ArrowLeft" || key === "ArrowRight" ? axes.across : axes.down;
    const sign = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
    const point = [...this.study.cursor];
    point[2 - axis] += sign * this.study.grid.spacing[axis];
    this.study.moveCursor(point);
  }

  zoom(by) {
    this.store.set({ zoom: Math.min(64, Math.max(1, this.store.state.zoom * by)) });
  }

  nextPane() {
    const at = PANES.indexOf(this.store.state.pane);
    this.store.set({ pane: PANES[(at + 1) % PANES.length] });
  }

  toggleLabels() {
    const names = (this.study.record.labels ?? []).map((l) => l.name);
    if (!names.length) return this.say("This study has no labels.");
    return this.store.set({ labels: this.store.state.labels ? null : names[0] });
  }

  togglePlanes() {
    this.store.set({ planes: !this.store.state.planes });
  }

  toggleLinks() {
    this.linkMenu.hidden = !this.linkMenu.hidden;
    if (!this.linkMenu.hidden) this.linkMenu.replaceChildren(...links(this.study));
  }

  async copyLink() {
    this.store.flush();
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("Link copied: it shows this very view.");
    } catch {
      this.say("The address bar holds the link to this view.");
    }
  }

  async screenshot() {
    this.store.flush();
    const blob = await capture(this);
    const { gene, record } = this.study;
    save(blob, `${record.id}${gene ? `-${gene.name}` : ""}.png`);
    this.say("Picture saved.");
  }

  reset() {
    const { study, gene, labels } = this.store.state;
    this.store.set({ ...DEFAULTS, study, gene, labels });
    this.cameras.preset("corner");
  }

  escape() {
    if (this.help.dialog.open) this.help.dialog.close();
    else if (!this.linkMenu.hidden) this.linkMenu.hidden = true;
    else this.profile.close();
  }

  say(text) {
    this.status.textContent = text;
    clearTimeout(this.saying);
    this.saying = setTimeout(() => (this.status.textContent = ""), 4000);
  }

  fail(error) {
    this.status.textContent = `Something could not be loaded: ${error.message}. Reload the page.`;
    this.status.classList.add("error");
  }

  destroy() {
    this.stopKeys();
    this.stopState();
    this.cameras.destroy();
    this.scene.destroy();
    this.panes.forEach((pane) => pane.destroy());
    this.geneList?.destroy();
    this.helper.end();
    this.painter.end();
    this.element.remove();
  }
}

function shortFacts(record) {
  const parts = [];
  const mm = (um) => (um / 1000).toPrecision(3).replace(/\.?0+$/, "");
  if (record.size_um) parts.push(`${record.size_um.map(mm).join(" × ")} mm`);
  if (record.prediction) parts.push(`${record.prediction.count.toLocaleString("en-US")} genes`);
  return parts.join(" · ");
}
