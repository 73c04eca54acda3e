"""Files that wait for a visitor to fetch them, under addresses that nobody can guess."""

from __future__ import annotations

import contextlib
import mimetypes
import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

AT_ONCE = 2
"""Exports that work at a time, of all visitors together."""
PIECE = 1 << 20
STALE_S = 24 * 3600.0


class Outbox:
    """The folders of the visitors' exports, and who may work.

    Parameters
    ----------
    folder
        Where; the user's cache directory by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_cache_path("vortex-viewer") / "exports"
        self.turns = threading.BoundedSemaphore(AT_ONCE)
        self._there: dict[str, Path] = {}

    def open(self) -> Path:
        """A new, empty folder; what earlier servers left behind for a day goes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > STALE_S:
                    shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=self.folder))

    def offer(self, file: Path) -> str:
        """Let a file be fetched; returns its address, relative to the page's."""
        token = secrets.token_urlsafe(16)
        self._there[token] = file
        return f"export/{token}/{quote(file.name)}"

    def close(self, folder: Path) -> None:
        """Take a folder and its addresses away."""
        self._there = {t: p for t, p in self._there.items() if folder not in p.parents}
        shutil.rmtree(folder, ignore_errors=True)

    def find(self, token: str) -> Path:
        """The file of an address.

        Raises
        ------
        HTTPError
            404 where there is none, or no more.
        """
        file = self._there.get(token)
        if file is None or not file.is_file():
            raise HTTPError(404)
        return file

    def patterns(self) -> list[Any]:
        """Routes for ``pn.serve(extra_patterns=...)``; the gate stands before them."""
        return [(r"/export/([\w-]+)/[^/]+", Fetch, {"outbox": self})]


class Fetch(RequestHandler):
    """One file, piece by piece: never whole in memory, and it does not hold the others up."""

    def initialize(self, outbox: Outbox) -> None:
        """Tornado's constructor."""
        self._outbox = outbox

    async def get(self, token: str) -> None:
        """Send it as a download."""
        file = self._outbox.find(token)
        self.set_header("Content-Type", mimetypes.guess_type(file.name)[0] or "application/zip")
        self.set_header("Content-Length", str(file.stat().st_size))
        self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(file.name)}")
        self.set_header("Cache-Control", "private, no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        with file.open("rb") as source:
            while piece := source.read(PIECE):
                self.write(piece)
                try:
                    await self.flush()
                except StreamClosedError:
                    return
