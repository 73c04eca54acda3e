// The scene as the server tells it: fetches the parts that are new, and stands them in the window.

import { meshes, outline, sheets, spots } from "./layers.js";
import { Block, composed } from "./volume.js";

const VOLUME = ["base", "levels", "table", "rgba"];

export class Scene {
  #parts = new Map(); // name -> {version, buffer}
  #wanted = null;
  #busy = false;
  #actors = new Map(); // name -> {key, actors}
  #block = null;
  #order = 0;

  constructor(canvas, base) {
    Object.assign(this, { canvas, base, depth: 1, largest: 1, told: null });
    this.onshown = () => {};
  }

  /** Stand another scene; while one is being fetched, only the newest waits. */
  async show(told) {
    this.#wanted = told;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#wanted) {
      const next = this.#wanted;
      this.#wanted = null;
      if (await this.#fetch(next)) this.#stand(next);
    }
    this.#busy = false;
  }

  /** Whether all parts of a scene are here; one that is gone by now belongs to an older scene. */
  async #fetch(told) {
    for (const name of this.#parts.keys()) if (!(name in told.parts)) this.#parts.delete(name);
    const missing = Object.entries(told.parts).filter(([name, version]) =>
      this.#parts.get(name)?.version !== version);
    const found = await Promise.all(missing.map(async ([name, version]) => {
      const answer = await fetch(`${this.base}part/${name}/${version}`);
      if (answer.status !== 200) return false;
      this.#parts.set(name, { version, buffer: await answer.arrayBuffer() });
      return true;
    }));
    return found.every(Boolean);
  }

  #stand(told) {
    const { depth, crop, volume } = told;
    this.told = told;
    this.depth = depth;
    if (volume) this.largest = Math.max(...volume.extent);
    else if (told.sheets.length) {
      this.largest = Math.max(...told.sheets.flatMap((s) => [s.x[1] - s.x[0], s.y[1] - s.y[0]]));
    }
    this.#volume(told);
    const names = new Set();
    const put = (name, key, make) => {
      names.add(name);
      this.#put(name, JSON.stringify(key), make);
    };
    for (const line of told.lines) put(line.name, [line, depth], () => [outline(line, depth)]);
    const version = (name) => told.parts[name];
    const buffer = (name) => this.#parts.get(name).buffer;
    if (version("spots")) put("spots", [version("spots"), depth], () => [spots(buffer("spots"), depth)]);
    for (const name of ["surfaces", "shells"]) {
      if (!version(name)) continue;
      put(name, [version(name), depth, crop], () => meshes(buffer(name), told.meshes[name], depth, crop));
    }
    if (version("sheets")) {
      put("sheets", [version("sheets"), depth, crop], () => {
        this.sheets = sheets(buffer("sheets"), told.sheets, depth, crop);
        return this.sheets.map(({ actor }) => actor);
      });
    } else this.sheets = null;
    for (const name of this.#actors.keys()) if (!names.has(name)) this.#put(name, null, () => []);
    this.#order = 0; // glass comes after whatever is new
    this.onshown(told);
  }

  #put(name, key, make) {
    const old = this.#actors.get(name);
    if (old?.key === key) return;
    old?.actors.forEach((actor) => this.canvas.renderer.removeActor(actor));
    const actors = make();
    actors.forEach((actor) => this.canvas.renderer.addActor(actor));
    if (actors.length) this.#actors.set(name, { key, actors });
    else this.#actors.delete(name);
  }

  #volume(told) {
    if (!told.volume) {
      this.#block?.remove();
      this.shown = null;
      return;
    }
    this.#block ??= new Block(this.canvas);
    const of = VOLUME.filter((name) => name in told.parts);
    const key = JSON.stringify([of.map((name) => told.parts[name]), told.volume, told.depth]);
    if (key !== this.shown) {
      const buffers = Object.fromEntries(of.map((name) => [name, this.#parts.get(name).buffer]));
      this.#block.set(told.volume, composed(buffers), told);
      this.shown = key;
    } else this.#block.look(told);
  }

  /** Draw translucent planes from the far one to the near one, as glass needs it. */
  order(towards) {
    const way = towards >= 0 ? 1 : -1;
    if (!this.sheets || way === this.#order) return;
    this.#order = way;
    const { renderer } = this.canvas;
    this.sheets.sort((a, b) => way * (a.z - b.z));
    for (const { actor } of this.sheets) {
      renderer.removeActor(actor);
      renderer.addActor(actor);
    }
  }
}
