"""From a click or Enter in the app to what it shows, drawn by the server and by the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from bench_page import BLOCK, DRAWN_HERE, GENES, RANK, SMALL_BLOCK, opened, timed
from made import block
from playwright.sync_api import sync_playwright
from rows import BENCH, Row, small
from visiting import Visitor, running

COMMAND = f"{BENCH} clicks"
SHOWN = {"pick": "all genes there"}
DRAWERS = {"server": "no GPU", "browser": DRAWN_HERE}


def clicks(visitor: Visitor) -> dict[str, float]:
    """Milliseconds from a click or Enter to what it shows: slice, window, crop, pick; medians."""
    page, box = visitor.page, visitor.box('[data-slice="xy"]')

    def at(x: float) -> Any:
        return lambda: page.mouse.click(
            box["x"] + x * box["width"], box["y"] + 0.45 * box["height"]
        )

    def typed(label: str, text: str) -> Any:
        field = page.get_by_label(label, exact=True)
        field.fill(text)
        return lambda: field.press("Enter")

    found: dict[str, list[float]] = {"slice": [], "window": [], "crop": [], "pick": []}
    for x in np.linspace(0.35, 0.65, 5):
        found["slice"].append(timed(page, at(x), "yz")["yz"])
    high = float(page.get_by_label("High", exact=True).input_value())
    for part in (0.4, 1.0, 0.4, 1.0, 0.4):
        times = timed(page, typed("High", f"{high * part:.3f}"), "xy")
        found["window"].append(times["xy"])
    page.get_by_role("tab", name="Crop").click()
    low, far = page.evaluate("document.body.dataset.crop?.split(',').map(Number) ?? [0, 0]")[:2]
    for part in (0.3, 0.1, 0.4, 0.2, 0.5):
        text = f"{low + part * (far - low or 400):.0f}"
        found["crop"].append(timed(page, typed("x from, micrometres", text), "view")["view"])
    page.get_by_role("tab", name="Pick").click()
    page.get_by_role("button", name="Genes here").click()
    page.wait_for_function("document.body.dataset.answer === 'pick'")
    for x in np.linspace(0.36, 0.64, 5):
        found["pick"].append(timed(page, at(x), "pick")["pick"])
    return {name: float(np.median(times)) for name, times in found.items()}


def rows(work: Path) -> list[Row]:
    """Measure."""
    slab = SMALL_BLOCK if small() else BLOCK
    study = block(work / "clicks.zarr", slab, 40.0, RANK, GENES)
    size = " x ".join(str(n) for n in reversed(slab))
    made = []
    with sync_playwright() as play, running([study], work) as server:
        for drawer, note in DRAWERS.items():
            browser, visitor, _ = opened(play, server, drawer)
            for what, ms in clicks(visitor).items():
                name = f"{what}: click to {SHOWN.get(what, 'picture')}, drawn by the {drawer}"
                made.append(
                    Row(name, ms, 500.0, "at most", "ms", COMMAND, f"{size}; {note}")
                )  # fmt: skip
            browser.close()
    return made
