// The start: which study the address names, the gallery where it names none.

import { gallery } from "./gallery.js";
import { h } from "./dom.js";
import { readJson } from "./http.js";
import { Store, parse } from "./state.js";
import { Viewer } from "./viewer.js";

const root = document.getElementById("app");
const workerUrl = document.querySelector("script[data-worker]").dataset.worker;

class App {
  #viewer = null;
  #store = null;

  async start() {
    this.site = await readJson("site.json");
    window.addEventListener("hashchange", () => {
      if (!this.#store?.wrote(location.hash)) this.open();
    });
    await this.open();
  }

  async open() {
    const state = parse(location.hash);
    const { studies } = this.site;
    const only = studies.length === 1 ? studies[0].id : null;
    const id = state.study ?? (this.asked ? null : only);
    const entry = studies.find((study) => study.id === id);
    this.#close();
    if (!entry) {
      this.#showGallery(state.study);
      return;
    }
    const base = `studies/${entry.id}`;
    const store = new Store({ ...state, study: entry.id });
    this.#store = store;
    const record = await readJson(`${base}/study.json`);
    if (this.#store !== store) return; // another was opened meanwhile
    document.title = `${record.name} · vortex-viewer`;
    this.#viewer = new Viewer({
      record,
      base,
      store,
      palettes: this.site.palettes,
      workerUrl,
      toGallery: () => this.toGallery(),
    });
    root.replaceChildren(this.#viewer.element);
    window.viewer = this.#viewer; // for the curious, and for tests
    await this.#viewer.start();
  }

  toGallery() {
    this.asked = true;
    history.pushState(null, "", "#");
    this.open();
  }

  #showGallery(missing) {
    document.title = "Studies · vortex-viewer";
    const page = gallery(this.site.studies, (id) => {
      history.pushState(null, "", `#version=1&study=${encodeURIComponent(id)}`);
      this.open().catch(fail);
    });
    if (missing) {
      page.prepend(h("p.notice", { role: "alert" }, `There is no study "${missing}" here. These are:`));
    }
    root.replaceChildren(page);
  }

  #close() {
    this.#viewer?.destroy();
    this.#viewer = null;
    this.#store = null;
    delete document.documentElement.dataset.ready;
    delete document.documentElement.dataset.sharp;
  }
}

function fail(error) {
  root.replaceChildren(
    h("main.failure", { role: "alert" },
      h("h1", {}, "This page could not be loaded"),
      h("p", {}, String(error.message ?? error)),
      location.protocol === "file:"
        ? h("p", {}, "Browsers do not load data from files: serve the folder, for instance with “python -m http.server”, and open its address.")
        : h("p", {}, "Reload the page; if that does not help, the export may be incomplete.")),
  );
}

new App().start().catch(fail);
