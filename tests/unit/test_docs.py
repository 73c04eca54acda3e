"""Every Python block of the docs runs, in order, as it stands on the page."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from vortex_model import io

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


def test_the_manifest_of_the_readme_lacks_nothing_but_its_files(tmp_path):
    text = re.search(r"^ +```yaml\n(.*?)^ +```", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    manifest = tmp_path / "block.yaml"
    manifest.write_text(textwrap.dedent(text))
    problems = io.check(manifest, None)
    assert len(problems) == 2
    assert all("there is no" in problem for problem in problems)
