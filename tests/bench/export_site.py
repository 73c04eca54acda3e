"""How fast the exported site is, timed as EVIDENCE.md 4 timed its peers.

Run ``python tests/bench/export_site.py FOLDER``.

A block of 1000 x 857 x 154 voxels in two channels with 1,000 genes of 32 factors is made once (in
the folder that is named), exported, served by ``python -m http.server`` and opened in Chromium
at 1440x900. Pixels are read after each drawn frame; times start at the event; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from playwright.sync_api import Page, Request, sync_playwright

from vortex_model.grid import Grid
from vortex_model.multiscale import Channel
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo
from vortex_viewer.export import export_site

SHAPE = (154, 857, 1000)
SPACING = (3.0, 9.33, 8.5)
RANK, GENES, TOKEN_UM = 32, 1000, 40.0
ROUNDS = 9

IN_PAGE = """async ({what, rounds}) => {
  const small = new OffscreenCanvas(40, 40);
  const context = small.getContext('2d', {willReadFrequently: true});
  const sum = (bytes) => bytes.reduce((s, v, i) => (s * 31 + v * (i % 7 + 1)) % 1e9, 7);
  const flat = () => {
    context.drawImage(viewer.panes[0].canvas, 0, 0, 40, 40);
    return sum(context.getImageData(0, 0, 40, 40).data);
  };
  const view = viewer.views3d[0];
  const gl = view.canvas.getContext('webgl2');
  let solid = 0;
  const inner = view.ondraw;
  view.ondraw = () => {
    const bytes = new Uint8Array(4 * 64 * 64);
    const [x, y] = [view.canvas.width / 2 - 32, view.canvas.height / 2 - 32];
    // vtk.js leaves a picture of its own bound while the view moves
    const bound = gl.getParameter(gl.FRAMEBUFFER_BINDING);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.readPixels(x, y, 64, 64, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.bindFramebuffer(gl.FRAMEBUFFER, bound);
    solid = sum(bytes);
    inner();
  };
  const frame = () => new Promise(requestAnimationFrame);
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  const until = async (test, start) => {
    for (let i = 0; i < 2000; i++) { await frame(); if (test()) return performance.now() - start; }
    return null;
  };
  const names = viewer.study.genes.table.name;
  const gene = async (name) => {
    const [a, b] = [flat(), solid];
    const start = performance.now();
    let slice = null, volume = null;
    viewer.geneList.choose(viewer.study.genes.find(name));
    await until(() => {
      const come = document.documentElement.dataset.gene === `${name}/0`;
      if (slice === null && come && flat() !== a) slice = performance.now() - start;
      if (volume === null && solid !== b) volume = performance.now() - start;
      return slice !== null && volume !== null;
    }, start);
    await rest(900);
    return {slice, volume};
  };
  const made = [];
  if (what === 'new') {
    for (let i = 0; i < rounds; i++) made.push(await gene(names[100 + 37 * i]));
  } else if (what === 'seen') {
    for (let i = 0; i < rounds; i++) made.push(await gene(names[100 + 37 * i]));
  } else if (what === 'drag') {
    const n = viewer.study.grid.shape[0];
    const start = performance.now();
    let seen = flat(), count = 0;
    for (let i = 0; performance.now() - start < 4000; i++) {
      const z = viewer.study.grid.um(0, (2 * i) % n);
      viewer.study.moveCursor([viewer.study.cursor[0], viewer.study.cursor[1], z]);
      await frame();
      const now = flat();
      if (now !== seen) count += 1;
      seen = now;
    }
    made.push(count / ((performance.now() - start) / 1000));
  } else if (what === 'turn') {
    let drawn = 0;
    const counted = view.ondraw;
    view.ondraw = () => { drawn += 1; counted(); };
    viewer.toggleRotation();
    await rest(1500);
    drawn = 0;
    const start = performance.now();
    await rest(3000);
    made.push(drawn / ((performance.now() - start) / 1000));
    viewer.toggleRotation();
  }
  view.ondraw = inner;
  return made;
}"""

WATCH = """
window.first = null;
const look = () => {
  const v = window.viewer;
  if (v && !window.first) {
    const small = new OffscreenCanvas(20, 20);
    const c = small.getContext('2d', {willReadFrequently: true});
    const canvas = v.panes[0].canvas;
    if (canvas.width) c.drawImage(canvas, 0, 0, 20, 20);
    const lit = c.getImageData(0, 0, 20, 20).data.filter((x, i) => i % 4 < 3 && x > 40).length;
    if (lit > 40 && !window.slices) window.slices = {ms: performance.now()};
    if (window.ready) {
      window.first = {ms: window.ready, epoch: performance.timeOrigin + window.ready};
    }
  }
  if (!window.first) requestAnimationFrame(look);
};
requestAnimationFrame(look);
// the page says so once the picture has been shown
new MutationObserver(() => {
  if (document.documentElement?.dataset.ready) window.ready ??= performance.now();
}).observe(document, {attributes: true, subtree: true, attributeFilter: ['data-ready']});
"""


class Mirrored:
    """A small phantom, mirrored until it fills a large block: noise and all, so it packs alike."""

    def __init__(self, small: Any, grid: Grid, channels: tuple[Channel, ...]) -> None:
        self._small, self.grid, self.channels = small, grid, channels
        self.dtype, self.planar = small.dtype, False

    def read(self, channel: int, z: slice, y: slice, x: slice) -> Any:
        """A part of the block."""
        index = []
        for part, n, size in zip((z, y, x), self.grid.shape, self._small.shape[1:], strict=True):
            places = np.arange(*part.indices(n)) % (2 * size)
            index.append(np.where(places < size, places, 2 * size - 1 - places))
        return self._small[channel][np.ix_(*index)]


def make_block(place: Path, shape: tuple[int, int, int] = SHAPE) -> None:
    """The study: 1000 x 857 x 154 voxels unless said, 1,000 genes."""
    phantom = place.with_name("small.zarr")
    if not phantom.exists():
        make_phantom(phantom, PhantomSpec())
    image = Study.open(phantom).morphology
    grid = Grid(shape, SPACING)
    lattice = grid.lattice((TOKEN_UM,) * 3)
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(0, 1, n) for n in lattice.shape)
    waves = [
        np.sin(a * z + p)[:, None, None] * np.sin(b * y + q)[:, None] * np.sin(c * x + r)
        for a, b, c, p, q, r in rng.uniform(3, 60, (RANK, 6))
    ]
    factors = np.stack(waves) + 0.1 * rng.normal(size=(RANK, *lattice.shape))
    names = [f"GENE{i}" for i in range(GENES)]
    table = pd.DataFrame(
        {"mean": 1.0, "reliability": np.linspace(0.8, 0, GENES), "low": 0.0, "high": 0.9},
        index=names,
    )
    record = PredictionRecord(
        factors.astype(np.float16),
        np.full(factors.shape, 0.1, np.float16),
        np.ones(lattice.shape, bool),
        rng.normal(size=(RANK, GENES)) / 4,
        table,
        lattice,
    )
    small = np.asarray(image.levels[0].array[:])
    with Study.create(place, StudyInfo("block", modality="light-sheet")) as study:
        study.write_morphology(Mirrored(small, grid, image.channels))
    write_prediction(Study.open(place), Provenance("predictions", {}, {"bench": 1}, 1), record)


def median(rows: list[dict[str, float]], name: str) -> float:
    """Median in milliseconds, whole."""
    return round(float(np.median([row[name] for row in rows])))


def sent_before(requests: list[Request], epoch_ms: float) -> int:
    """Bytes of study data, those of the page's workers too, that had begun to come by then."""
    total = 0
    for request in requests:
        timing = request.timing
        answered = timing["startTime"] + max(timing["responseStart"], 0.0)
        if "/studies/" in request.url and answered <= epoch_ms:
            total += request.sizes()["responseBodySize"]
    return total


def visit(page: Page, address: str) -> dict[str, Any]:
    """Open the site and time it."""
    page.add_init_script(WATCH)
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    page.goto(address)
    until = time.monotonic() + 300
    while page.evaluate("document.documentElement.dataset.sharp") != "true":
        assert time.monotonic() < until, "the site was not ready in 300 s"
        time.sleep(0.1)
    time.sleep(2)
    found = {"first": page.evaluate("first"), "first_slices": page.evaluate("slices")}
    found["first"]["bytes"] = sent_before(finished, found["first"]["epoch"])
    for what in ("new", "seen", "drag", "turn"):
        found[what] = page.evaluate(IN_PAGE, {"what": what, "rounds": ROUNDS})
    return found


def measure(site: Path, visits: int = 3) -> dict[str, Any]:
    """Serve an export, open it in so many fresh browsers; medians over them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(site)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(1)
    seen = []
    try:
        with sync_playwright() as play:
            for _ in range(visits):
                browser = play.chromium.launch(
                    executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
                    args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
                          "--enable-unsafe-swiftshader"],
                )  # fmt: skip
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                address = f"http://127.0.0.1:{port}/index.html#version=1&study=block"
                seen.append(visit(page, address))
                browser.close()
    finally:
        server.terminate()
        server.wait()
    genes = {w: [row for v in seen for row in v[w]] for w in ("new", "seen")}
    return {
        "first_picture_ms": round(float(np.median([v["first"]["ms"] for v in seen]))),
        "first_slices_ms": round(float(np.median([v["first_slices"]["ms"] for v in seen]))),
        "first_picture_data_bytes": int(np.median([v["first"]["bytes"] for v in seen])),
        "gene_new_ms": {k: median(genes["new"], k) for k in ("slice", "volume")},
        "gene_seen_ms": {k: median(genes["seen"], k) for k in ("slice", "volume")},
        "drag_slices_per_s": round(float(np.median([v["drag"][0] for v in seen])), 1),
        "turn_frames_per_s": round(float(np.median([v["turn"][0] for v in seen])), 1),
        "site_bytes": sum(p.stat().st_size for p in site.rglob("*") if p.is_file()),
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the study and the export are kept")
    parser.add_argument("--layout", default="shards", choices=("shards", "chunks"))
    parser.add_argument("--visits", type=int, default=3, help="fresh browsers; medians over them")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    study, site = options.folder / "block.zarr", options.folder / f"site-{options.layout}"
    if not study.exists():
        make_block(study)
    if not site.exists():
        export_site([study], site, layout=options.layout)
    sys.stdout.write(json.dumps(measure(site, options.visits), indent=2) + "\n")


if __name__ == "__main__":
    main()
