"""A server to visit, and a person at its page."""

import http.server
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SECRET = "a-secret-for-tests"
START = """
import sys
from pathlib import Path
from vortex_viewer.server import serve
serve([Path(p) for p in sys.argv[1:]], port=0, secret={secret!r})
"""
READY = """() => { const d = document.body.dataset;
  return d.cursor && d.drawn && !d.busy && !d.viewBusy && d.genes !== undefined; }"""


def chromium_path() -> str:
    """Where Chromium is."""
    found = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if found is None:
        pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)")
    return found


@dataclass
class Running:
    """A server in a process of its own."""

    port: int
    process: subprocess.Popen
    log: Path

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"{self.origin}/?secret={SECRET}"


@contextmanager
def running(studies: list[Path], folder: Path) -> Iterator[Running]:
    """Serve studies until the block ends."""
    log = folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", START.format(secret=SECRET), *map(str, studies)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        )
    try:
        until = time.monotonic() + 90
        while "is ready: " not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, f"no server after 90 s: {log.read_text()}"
            time.sleep(0.1)
        address = log.read_text().split("is ready: ")[1].split()[0]
        yield Running(int(address.split(":")[2].split("/")[0]), process, log)
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def site(markup: str) -> Iterator[str]:
    """Another site, with one page; its address until the block ends."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(markup.encode())

        def log_message(self, *args: object) -> None:
            pass

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{other.server_port}"
    finally:
        other.shutdown()
        other.server_close()


class Visitor:
    """A person at a page."""

    def __init__(self, page: object) -> None:
        self.page = page

    def go(self, address: str) -> None:
        self.page.goto(address)
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.wait_for_function(READY, timeout=60_000)

    def said(self, name: str) -> str | None:
        """What the page says of itself: gene, cursor, window, ..."""
        return self.page.evaluate("name => document.body.dataset[name] ?? null", name)

    def wait_said(self, name: str, value: str) -> None:
        self.page.wait_for_function(
            "([name, value]) => document.body.dataset[name] === value",
            arg=[name, value],
            timeout=30_000,
        )

    def choose_gene(self, typed: str) -> None:
        """Type into the search box and press Enter."""
        box = self.page.get_by_placeholder("Search genes")
        box.fill("")
        box.click()
        self.page.keyboard.type(typed)
        self.page.keyboard.press("Enter")

    def show(self, gene: str) -> None:
        """Choose a gene by its whole name, and wait until it is drawn."""
        self.choose_gene(gene)
        self.page.wait_for_function(
            "g => document.body.dataset.gene === g && document.body.dataset.drawn.startsWith(g)",
            arg=gene,
            timeout=30_000,
        )
        self.settle()

    def still(self, where: str) -> np.ndarray:
        """The pixels there, once nothing moves any more."""
        seen = self.pixels(where)
        for _ in range(60):
            time.sleep(0.6)
            seen, before = self.pixels(where), seen
            if np.array_equal(seen, before) and seen.mean() > 15:
                return seen
        raise AssertionError(f"{where} never comes to rest")

    def choose_study(self, name: str) -> None:
        self.page.locator(".picker").click()
        self.page.locator(f'[role="option"][data-study="{name}"]').click()
        self.wait_said("study", name)
        self.settle()

    def box(self, where: str) -> dict[str, float]:
        return self.page.locator(where).bounding_box()

    def pixels(self, where: str) -> np.ndarray:
        """What is on the screen there, (y, x, 3)."""
        png = self.page.locator(where).screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float64)

    def see(
        self, where: str, look: Callable[[np.ndarray], bool], wait_s: float = 20.0
    ) -> np.ndarray:
        """The pixels there, once they look as they should."""
        until = time.monotonic() + wait_s
        while True:
            seen = self.pixels(where)
            if look(seen):
                return seen
            assert time.monotonic() < until, f"{where} does not look as it should after {wait_s} s"
            time.sleep(0.15)
