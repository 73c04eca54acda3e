// Bundle src into dist: one script, one worker, one style sheet, named by their contents.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync, existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");

// Exports are compressed by gzip, which browsers inflate by themselves; the other codecs of
// zarrita are WebAssembly, which the page's content policy forbids. They stay out.
const noWasmCodecs = {
  name: "no-wasm-codecs",
  setup(pack) {
    pack.onResolve({ filter: /^numcodecs\// }, ({ path }) => ({ path, namespace: "absent-codec" }));
    pack.onLoad({ filter: /.*/, namespace: "absent-codec" }, ({ path }) => ({
      contents: `export default { fromConfig() { throw new Error("This viewer reads gzip, not ${basename(path)}."); } };`,
    }));
  },
};

// vtk.js asks for a graphics context of its own, and a shader, only to learn whether textures of
// 16 bits can be filtered. All of ours have 8.
const noTrial = {
  name: "no-trial-context",
  setup(pack) {
    pack.onLoad({ filter: /supportsNorm16Linear\.js$/ }, () => ({ contents: "export default () => false;" }));
  },
};

async function bundle(entry) {
  const result = await build({
    entryPoints: [join(here, "src", entry)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "iife",
    target: ["chrome110", "firefox115", "safari16.4"],
    legalComments: "none",
    define: { "process.env.NODE_ENV": '"production"', global: "globalThis" },
    plugins: [noWasmCodecs, noTrial],
    absWorkingDir: here,
    logLevel: "warning",
  });
  return { bytes: result.outputFiles[0].contents, inputs: Object.keys(result.metafile.inputs) };
}

function write(folder, name, bytes) {
  const [stem, extension] = name.split(".");
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 10);
  const file = `${stem}-${hash}.${extension}`;
  writeFileSync(join(folder, "assets", file), bytes);
  return `assets/${file}`;
}

/** The licences of every package that a bundle contains. */
function licences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(input);
    if (found) packages.add(found[1]);
  }
  const parts = ["Third-party code in this viewer, and its licences.\n"];
  for (const name of [...packages].sort()) {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).filter((f) => /^(licen[cs]e|copying)/i.test(f)).sort()[0];
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${about.license}`;
    parts.push(`${"=".repeat(72)}\n${name} ${about.version} (${about.license})\n${"=".repeat(72)}\n${text}\n`);
  }
  return parts.join("\n");
}

if (existsSync(out)) rmSync(out, { recursive: true });
mkdirSync(join(out, "assets"), { recursive: true });
const app = await bundle("app.js");
const worker = await bundle("worker.js");
const style = await bundle("style.css");
const names = {
  "@APP@": write(out, "app.js", app.bytes),
  "@WORKER@": write(out, "worker.js", worker.bytes),
  "@STYLE@": write(out, "style.css", style.bytes),
};
let page = readFileSync(join(here, "src", "index.html"), "utf8");
for (const [mark, name] of Object.entries(names)) page = page.replace(mark, name);
writeFileSync(join(out, "index.html"), page);

// the live app's 3D view, where the visitor's browser draws it; exports leave it out
const live = join(out, "live");
mkdirSync(join(live, "assets"), { recursive: true });
const local = await bundle("local/local.js");
const localStyle = await bundle("local/local.css");
const localPage = readFileSync(join(here, "src", "local", "index.html"), "utf8")
  .replace("@LOCAL@", write(live, "local.js", local.bytes))
  .replace("@LOCAL_STYLE@", write(live, "local.css", localStyle.bytes));
writeFileSync(join(live, "index.html"), localPage);
const inputs = [...app.inputs, ...worker.inputs, ...local.inputs];
writeFileSync(join(out, "THIRD-PARTY-LICENCES.txt"), licences(inputs));
