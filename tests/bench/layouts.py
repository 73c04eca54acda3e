"""Every layout of the app, and the export, light and dark, at both sizes: docs/images/layouts.

    python tests/bench/layouts.py STUDY.zarr [--gene NAME] [--second NAME]

Pictures are WebP, as there are many; docs/layouts.md shows them.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright
from screenshots import PROGRAM, SIZES, settle

sys.path.insert(0, str(Path(__file__).parents[1]))
from static_host import hosted

DOCS = Path(__file__).parents[2] / "docs"
OUT = DOCS / "images" / "layouts"
LAYOUTS = {
    "column": "3D beside three slices",
    "four": "four panes",
    "view": "3D alone",
    "xy": "one slice alone",
    "oblique": "the oblique slice alone",
    "beside": "two genes side by side",
    "difference": "difference of two genes",
}
THEMES = ("light", "dark")


def keep(page: Any, name: str) -> None:
    """A page as WebP."""
    page.mouse.move(page.viewport_size["width"] // 2, page.viewport_size["height"] - 2)
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").save(OUT / f"{name}.webp", quality=82, method=6)


def link(layout: str, gene: str, second: str) -> str:
    """What stands behind # in the address."""
    view = f"v=1&gene={gene}"
    if layout in ("beside", "difference"):
        return f"{view}&others=blue::{second}&together={layout}"
    return f"{view}&layout={layout}" + ("&oblique=35,20" if layout == "oblique" else "")


def app(browser: Any, address: str, gene: str, second: str, wanted: list[str]) -> None:
    """The live app."""
    for layout in wanted:
        for theme in THEMES:
            for width, height in SIZES:
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=theme
                )
                page.add_init_script("localStorage.setItem('vortex-viewer tour', 'seen')")
                page.goto(f"{address}#{link(layout, gene, second)}")
                settle(page)
                keep(page, f"{layout}-{theme}-{width}x{height}")
                page.close()


def export(browser: Any, study: Path, work: Path) -> None:
    """The static viewer."""
    site = work / "site"
    subprocess.run([PROGRAM, "export", "site", str(study), str(site)], check=True)
    with hosted(site) as address:
        for theme in THEMES:
            for width, height in SIZES:
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=theme
                )
                page.goto(f"{address}/")
                page.wait_for_timeout(8000)
                keep(page, f"export-{theme}-{width}x{height}")
                page.close()


def main() -> None:
    """Take all pictures, and write the page that shows them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--gene", default="ERBB2")
    parser.add_argument("--second", default="VIM")
    parser.add_argument("--only", nargs="*", choices=LAYOUTS, help="these of the app's layouts")
    options = parser.parse_args()
    wanted = options.only or list(LAYOUTS)
    OUT.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [PROGRAM, "serve", str(options.study), "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = next(m[1] for line in process.stdout if (m := re.search(r"(http://\S+)", line)))
        with sync_playwright() as play, tempfile.TemporaryDirectory() as work:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            app(browser, address, options.gene, options.second, wanted)
            if not options.only:
                export(browser, options.study, Path(work))
            browser.close()
    finally:
        process.terminate()
        process.wait(20)
    lines = ["# Layouts", "", "Made by `tests/bench/layouts.py`, on a phantom.", ""]
    for layout, title in {**LAYOUTS, "export": "the export, on a static host"}.items():
        lines += [f"## {title[0].upper()}{title[1:]}", ""]
        for width, height in SIZES:
            file = f"images/layouts/{layout}-{{}}-{width}x{height}.webp"
            shown = [f"![{title}, {t}]({file.format(t)})" for t in THEMES]
            lines += [f"{width} x {height}", "", *shown, ""]
    (DOCS / "layouts.md").write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
