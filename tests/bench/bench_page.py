"""The app in Chromium: from the event to pixels that changed, read after each drawn frame."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from made import block
from playwright.sync_api import Page, sync_playwright
from rows import BENCH, ROOT, Row, small

sys.path.insert(0, str(ROOT / "tests" / "browser"))
from visiting import Running, Visitor, chromium_path, running

WIDE = {"width": 1440, "height": 900}
GENES, RANK, ROUNDS, DRAG_S = 1000, 24, 9, 4.0
CUBE, BLOCK = (250, 250, 250), (154, 857, 1000)
SMALL_CUBE, SMALL_BLOCK = (60, 60, 60), (40, 160, 200)
COMMAND = f"{BENCH} page"
DRAWN_HERE = "vtk.js by Chromium's SwiftShader, no GPU, on the server's own cores"

WATCH = """
(() => {
  if (window !== window.top) return;
  const find = (test, from = document) => {
    for (const node of from.querySelectorAll('*')) {
      if (test(node)) return node;
      const inner = node.shadowRoot && find(test, node.shadowRoot);
      if (inner) return inner;
    }
    return null;
  };
  const size = 48, board = new OffscreenCanvas(size, size);
  const context = board.getContext('2d', {willReadFrequently: true});
  const look = (node, width, height) => {
    context.clearRect(0, 0, size, size);
    // the label and the scale bar stand in the lowest quarter; the page draws them by itself
    context.drawImage(node, 0, 0, width, height * 0.7, 0, 0, size, size);
    return context.getImageData(0, 0, size, size).data.slice();
  };
  const nodes = {};
  const once = (name, test, from) => {  // a page being made replaces its nodes
    if (!nodes[name]?.isConnected) nodes[name] = find(test, from);
    return nodes[name];
  };
  const see = {
    view: () => {
      const frame = once('frame', (n) => n.tagName === 'IFRAME');
      const inner = frame?.contentDocument, canvas = inner?.querySelector('canvas');
      if (canvas && !inner.body.dataset.shown) return null;
      if (canvas) return look(canvas, canvas.width, canvas.height);
      const picture = inner?.querySelector('img');
      return picture?.complete && picture.naturalWidth
        ? look(picture, picture.naturalWidth, picture.naturalHeight) : null;
    },
  };
  for (const name of ['xy', 'xz', 'yz']) see[name] = () => {
    const slot = document.querySelector(`[data-slice="${name}"]`);
    if (!slot) return null;
    const canvas = once(name, (n) => n.tagName === 'CANVAS', slot);
    return canvas?.width ? look(canvas, canvas.width, canvas.height) : null;
  };
  see.pick = () => document.body.dataset.answerStamp ?? '';
  const apart = (a, b) => {
    if (typeof a === 'string') return a === b ? 0 : 1;
    let sum = 0;
    for (let i = 0; i < a.length; i++) if (i % 4 < 3) sum += Math.abs(a[i] - b[i]);
    return sum / (a.length * 0.75);
  };
  const bench = window.bench = {first: {}, times: {}, watched: [], count: 0};
  let before = {}, start = 0, counted = null, last = null;
  const begin = (event) => {
    if (event.key === undefined || event.key === 'Enter') start ||= performance.now();
  };
  for (const kind of ['pointerdown', 'keydown']) document.addEventListener(kind, begin, true);
  bench.arm = (...watched) => {
    bench.watched = watched; bench.times = {}; start = 0;
    before = Object.fromEntries(watched.map((name) => [name, see[name]()]));
  };
  bench.done = () => bench.watched.every((name) => name in bench.times);
  bench.countChanges = (name) => { counted = name; last = null; bench.count = 0; };
  const tick = () => {
    for (const name of ['xy', 'view']) {
      if (name in bench.first) continue;
      const now = see[name]();
      // more than the dark ground: a tenth of the pixels are bright
      const lit = now && now.filter((v, i) => i % 4 < 3 && v > 40).length;
      if (lit > 0.1 * size * size * 3) bench.first[name] = performance.now();
    }
    if (start) for (const name of bench.watched) {
      if (name in bench.times) continue;
      const now = see[name]();
      if (now && apart(now, before[name]) > 0.15) bench.times[name] = performance.now() - start;
    }
    if (counted) {
      const now = see[counted]();
      if (now && last && apart(now, last) > 0.01) bench.count += 1;
      if (now) last = now;
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})();
"""


def opened(
    play: Any, server: Running, drawer: str = "auto"
) -> tuple[Any, Visitor, dict[str, float]]:
    """A fresh browser at the page, with when it showed what, and the bytes sent before that.

    ``drawer`` is who draws 3D: the server, unless it is ``browser``.
    """
    browser = play.chromium.launch(
        executable_path=chromium_path(), args=["--no-sandbox", "--disable-gpu"]
    )
    context = browser.new_context(viewport=WIDE)
    context.add_init_script("localStorage.setItem('vortex-viewer tour', 'seen')")
    context.add_init_script(f"localStorage.setItem('vortex-viewer drawer', '{drawer}')")
    context.add_init_script(WATCH)
    page = context.new_page()
    received = [0]

    def count(data: Any) -> None:
        received[0] += len(data)

    page.on("websocket", lambda socket: socket.on("framereceived", count))
    page.goto(server.address)
    page.wait_for_function("bench.first.xy && bench.first.view", timeout=180_000)
    found = dict(page.evaluate("bench.first"))
    found["bytes"] = received[0]
    visitor = Visitor(page)
    visitor.settle()
    time.sleep(3)
    return browser, visitor, found


def timed(page: Page, act: Any, *watched: str) -> dict[str, float]:
    """Milliseconds from the event of ``act`` until each picture has changed."""
    page.evaluate("names => bench.arm(...names)", list(watched))
    act()
    page.wait_for_function("bench.done()", timeout=60_000)
    found = page.evaluate("bench.times")
    time.sleep(1.0)
    return found


def genes(visitor: Visitor) -> dict[str, float]:
    """Click after click on the gene list: medians for genes not seen before, and seen."""
    rows = visitor.page.locator(".v-genes .row")
    numbers = list(range(1, 1 + ROUNDS))
    found = {}
    for kind in ("new", "seen"):
        times = [timed(visitor.page, rows.nth(n).click, "xy", "view") for n in numbers]
        for where in ("xy", "view"):
            found[f"{kind} {where}"] = float(np.median([t[where] for t in times]))
    return found


def drag(visitor: Visitor) -> float:
    """Slices a second: YZ while the crosshair is dragged along x in XY."""
    box = visitor.box('[data-slice="xy"]')
    mouse, y = visitor.page.mouse, box["y"] + 0.45 * box["height"]
    places = np.concatenate([np.linspace(0.2, 0.8, 120), np.linspace(0.8, 0.2, 120)])
    mouse.move(box["x"] + places[0] * box["width"], y)
    mouse.down()
    mouse.move(box["x"] + (places[0] + 0.02) * box["width"], y)
    time.sleep(0.5)
    visitor.page.evaluate("bench.countChanges('yz')")
    start, step = time.perf_counter(), 0
    while time.perf_counter() - start < DRAG_S:
        mouse.move(box["x"] + places[step % len(places)] * box["width"], y)
        step += 1
    seconds = time.perf_counter() - start
    seen = visitor.page.evaluate("bench.count")
    mouse.up()
    visitor.page.evaluate("bench.countChanges(null)")
    return seen / seconds


def turn(visitor: Visitor) -> float:
    """Pictures a second while the block is dragged round."""
    box = visitor.box("iframe.scene")
    mouse, y = visitor.page.mouse, box["y"] + 0.5 * box["height"]
    mouse.move(box["x"] + 0.3 * box["width"], y)
    mouse.down()
    visitor.page.evaluate("bench.countChanges('view')")
    start, step = time.perf_counter(), 0
    while time.perf_counter() - start < DRAG_S:
        mouse.move(box["x"] + (0.3 + 0.4 * abs(np.sin(step / 40))) * box["width"], y)
        step += 1
    seconds = time.perf_counter() - start
    seen = visitor.page.evaluate("bench.count")
    mouse.up()
    visitor.page.evaluate("bench.countChanges(null)")
    return seen / seconds


def rows(work: Path) -> list[Row]:
    """Measure."""
    cube, slab = (SMALL_CUBE, SMALL_BLOCK) if small() else (CUBE, BLOCK)
    made = []
    with sync_playwright() as play:
        study = block(work / "cube.zarr", cube, 4.0, RANK, GENES)
        with running([study], work) as server:
            browser, visitor, _ = opened(play, server)
            found = genes(visitor)
            browser.close()
            browser, visitor, _ = opened(play, server, "browser")
            here = genes(visitor)
            browser.close()
        lattice = " x ".join(map(str, cube))
        for kind, bar in (("seen", 200.0), ("new", 500.0)):
            for where, named in (("view", "3D"), ("xy", "slices")):
                before = "seen before" if kind == "seen" else "not seen before"
                made.append(
                    Row(f"gene {before}: click to changed {named}", found[f"{kind} {where}"], bar,
                        "at most", "ms", COMMAND, f"lattice of {lattice}, {GENES} genes")
                )  # fmt: skip
            made.append(
                Row(f"gene {before}: click to changed 3D, local rendering", here[f"{kind} view"],
                    bar, "at most", "ms", COMMAND, f"lattice of {lattice}; {DRAWN_HERE}")
            )  # fmt: skip
        study = block(work / "slab.zarr", slab, 40.0, RANK, GENES)
        size = " x ".join(str(n) for n in reversed(slab))
        with running([study], work) as server:
            opened(play, server)[0].close()  # the server's own start is not the page's
            browser, visitor, first = opened(play, server)
            speed, turning = drag(visitor), turn(visitor)
            browser.close()
            browser, visitor, _ = opened(play, server, "browser")
            turning_here = turn(visitor)
            browser.close()
        sent = first["bytes"] / 1e6
        made += [
            Row("first picture after the page opens", max(first["xy"], first["view"]) / 1e3, 2.0,
                "at most", "s", COMMAND,
                f"{size}; slice after {first['xy']:.0f} ms, 3D after {first['view']:.0f} ms"),
            Row("sent over websockets before it", sent, 2.0, "at most", "MB", COMMAND,
                "pictures, gene list and the page's own messages"),
            Row("crosshair drag: slices that follow", speed, 20.0, "at least", "/s", COMMAND, size),
            Row("frames while turning, remote rendering", turning, 5.0, "at least", "/s", COMMAND,
                f"{size}; no GPU"),
            Row("frames while turning, local rendering", turning_here, 5.0, "at least", "/s",
                COMMAND, f"{size}; {DRAWN_HERE}"),
        ]  # fmt: skip
    return made
