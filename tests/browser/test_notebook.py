"""The app from a Python session: what a notebook draws opens the study, and closes again."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from studies import block
from visiting import Visitor, site

CELL = """
import sys, vortex_viewer
from vortex_model import Study
shown = vortex_viewer.show(Study.open(sys.argv[1]))
print(shown._repr_html_().replace("\\n", " "), flush=True)
sys.stdin.readline()
shown.close()
print("closed", flush=True)
"""


def test_a_notebook_shows_a_study_in_a_frame(
    visitors: Callable[..., Visitor], tmp_path: Path
) -> None:
    place = block(tmp_path / "block.zarr")
    session = subprocess.Popen(
        [sys.executable, "-c", CELL, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        markup = session.stdout.readline()
        address = re.search(r'href="([^"]+)"', markup).group(1)
        assert address.startswith("http://127.0.0.1:")
        visitor = visitors()
        with site(markup) as notebook:
            visitor.page.goto(notebook)
            visitor.page.frame_locator("iframe").locator(".row[data-name=RIGHT]").click()
            shown = address.split("?")[0].replace("127.0.0.1", "localhost")
            frame = next(f for f in visitor.page.frames if f.url.split("#")[0] == shown)
            frame.wait_for_function("document.body.dataset.drawn?.startsWith('RIGHT')")
        session.stdin.write("\n")
        session.stdin.flush()
        assert session.stdout.readline().strip() == "closed"
    finally:
        session.kill()
        session.wait(10)
        session.stdin.close()
        session.stdout.close()
