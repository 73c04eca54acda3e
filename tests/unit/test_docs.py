"""Every Python block of the docs runs, in order, as it stands on the page."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_between_pages_and_pictures_lead_somewhere(page):
    dead = [t for t in LINK.findall(page.read_text()) if not (page.parent / t).exists()]
    assert dead == []


@pytest.mark.parametrize(
    "page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=lambda p: p.name
)
def test_python_blocks_run(page, phantom, tmp_path, monkeypatch):
    shutil.copytree(phantom, tmp_path / "block.zarr")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code in BLOCK.findall(page.read_text()):
        exec(compile(code, page.name, "exec"), names)
