"""Tornado handlers of the 3D view that a visitor's browser draws: its page, scene and parts."""

from __future__ import annotations

import contextlib
import json
import mimetypes
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from vortex_viewer.built import live_folder
from vortex_viewer.scene.stream import Stream

Find = Callable[[str], Stream]
LONGEST = 4096
"""A page's message is a camera, a size or a click."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self' ws://{host} wss://{host}; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
"""Older Safari does not take a websocket of the same host for ``'self'``."""


def patterns(find: Find) -> list[Any]:
    """Routes; ``find`` gives a stream by its token, or raises a 404."""
    given = {"find": find}
    return [
        (r"/scene/([\w-]+)/local/ws", Talk, given),
        (r"/scene/([\w-]+)/local/part/(\w+)/(\d+)", Parts, given),
        (r"/scene/([\w-]+)/local/(.*)", Page, given),
    ]


class Page(RequestHandler):
    """The small page that draws, its script and its style."""

    def initialize(self, find: Find) -> None:
        """Tornado's constructor."""
        self._find = find

    def get(self, token: str, path: str) -> None:
        """One file."""
        self._find(token)
        root = live_folder().resolve()
        place = (root / (path or "index.html")).resolve()
        if not place.is_relative_to(root) or not place.is_file():
            raise HTTPError(404)
        self.set_header("Cache-Control", "private, max-age=600")
        self.set_header("Content-Security-Policy", POLICY.format(host=self.request.host))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header(
            "Content-Type", mimetypes.guess_type(place.name)[0] or "application/octet-stream"
        )
        self.finish(place.read_bytes())


class Parts(RequestHandler):
    """The numbers of a scene, by name and version."""

    def initialize(self, find: Find) -> None:
        """Tornado's constructor."""
        self._find = find

    async def get(self, token: str, name: str, version: str) -> None:
        """One part, gzipped; empty (204) when the scene has moved on."""
        local = self._find(token).local
        found = None if local is None else local.part(name, int(version))
        if found is None:
            self.set_status(204)
            return
        packed = await IOLoop.current().run_in_executor(None, found.packed)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Encoding", "gzip")
        self.set_header("Cache-Control", "private, no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        with contextlib.suppress(RuntimeError):  # the page has gone on
            await self.finish(packed)


class Talk(WebSocketHandler):
    """Tells a page what stands in the scene; hears where it is seen from."""

    def initialize(self, find: Find) -> None:
        """Tornado's constructor."""
        self._find = find
        self._stream: Stream | None = None

    def check_origin(self, origin: str) -> bool:
        """Same origin only; the guard has checked host, origin and cookie before."""
        return super().check_origin(origin)

    def open(self, token: str) -> None:
        """Join the view; a page that came too late is told so."""
        self.set_nodelay(True)
        self._stream = self._find(token)
        if self._stream.local is None:
            self.close(4000, "drawn elsewhere")
            return
        self._stream.local.join(self._say)

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(json.dumps(message, separators=(",", ":")))

    def on_message(self, message: str | bytes) -> None:
        """What the visitor does."""
        if self._stream is None or self._stream.local is None or len(message) > LONGEST:
            self.close()
            return
        try:
            self._stream.hear(json.loads(message))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            self.close(4001, "not understood")

    def on_close(self) -> None:
        """The page is gone."""
        if self._stream is not None and self._stream.local is not None:
            self._stream.local.leave(self._say)
