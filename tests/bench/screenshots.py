"""Screenshots of the app for the docs, at both sizes that it is made for.

Usage: python tests/bench/screenshots.py demo.zarr her2st.zarr brain.zarr
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

OUT = Path(__file__).parents[2] / "docs" / "images"
PROGRAM = str(Path(sys.executable).parent / "vortex-viewer")
SIZES = ((1440, 900), (1024, 768))
SETTLED = """() => { const d = document.body.dataset;
  return d.cursor && d.drawn && !d.busy && !d.viewBusy && d.genes !== undefined; }"""


def settle(page: Any) -> None:
    """Wait for the finished picture."""
    page.wait_for_timeout(1500)
    page.wait_for_function(SETTLED, timeout=120_000)
    page.wait_for_timeout(2500)


def choose_gene(page: Any, gene: str) -> None:
    """Type a gene and take it."""
    box = page.get_by_placeholder("Search genes")
    box.fill(gene)
    box.press("Enter")
    settle(page)
    box.fill("")


def shoot(address: str, name: str, study: str, gene: str | None, cut: str | None) -> None:
    """One study at both sizes."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-background-networking"],
        )
        for width, height in SIZES:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme="dark"
            )
            page.add_init_script("localStorage.setItem('vortex-viewer tour', 'seen')")
            page.goto(address)
            settle(page)
            if page.evaluate("document.body.dataset.study") != study:
                page.locator(".picker").click()
                page.locator(f'[role="option"][data-study="{study}"]').click()
                settle(page)
            if gene:
                choose_gene(page, gene)
            if cut:
                page.get_by_role("button", name=cut, exact=True).click()
                settle(page)
            page.mouse.move(width // 2, height - 2)
            page.screenshot(path=OUT / f"{name}-{width}x{height}.png")
            page.close()
        browser.close()


def main() -> None:
    """Serve the studies and take the pictures."""
    OUT.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [PROGRAM, "serve", *sys.argv[1:4], "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = next(m[1] for line in process.stdout if (m := re.search(r"(http://\S+)", line)))
        shoot(address, "demo", "demo", "ERBB2", "S1")
        shoot(address, "her2st", "her2st", "BGN", None)
        shoot(address, "mouse-brain", "brain", None, None)
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
