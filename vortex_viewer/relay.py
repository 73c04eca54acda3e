"""Tornado handlers of the 3D view: trame's page, its websocket, nothing else."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import Any

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from vortex_viewer import relay_local
from vortex_viewer.scene.stream import Stream

LOADING = "<div style='position:absolute;inset:0;background:#0b0d12'></div>"
MAX_MESSAGE = 4 << 20


class Relays:
    """The streams that are open, by their token."""

    def __init__(self) -> None:
        self._streams: dict[str, Stream] = {}

    def add(self, stream: Stream) -> None:
        """Let a page reach this stream."""
        self._streams[stream.token] = stream

    def remove(self, stream: Stream) -> None:
        """The visitor is gone."""
        self._streams.pop(stream.token, None)

    def get(self, token: str) -> Stream:
        """A stream by token; nobody can guess one."""
        try:
            return self._streams[token]
        except KeyError:
            raise HTTPError(404) from None

    def patterns(self) -> list[Any]:
        """Routes for ``pn.serve(extra_patterns=...)``."""
        given = {"relays": self}
        return [
            *relay_local.patterns(self.get),
            (r"/scene/([\w-]+)/ws", Socket, given),
            (r"/scene/([\w-]+)/paraview/?", Launcher, given),
            (r"/scene/([\w-]+)/(.*)", Pages, given),
        ]


class Pages(RequestHandler):
    """trame's page and what it loads, from the folders of the installed packages."""

    def initialize(self, relays: Relays) -> None:
        """Tornado's constructor."""
        self._relays = relays

    def get(self, token: str, path: str) -> None:
        """One file."""
        stream = self._relays.get(token)
        path = path or "index.html"
        self.set_header("Cache-Control", "private, max-age=600")
        if path == "loading.tpl":
            self.set_header("Content-Type", "text/html")
            self.finish(LOADING)
            return
        first, _, rest = path.partition("/")
        folder, inner = stream.folders.get(first), rest
        if folder is None:
            folder, inner = stream.folders[""], path
        root = folder.resolve()
        place = (root / inner).resolve()
        if not place.is_relative_to(root) or not place.is_file():
            raise HTTPError(404)
        kind = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
        self.set_header("Content-Type", "text/javascript" if place.suffix == ".cjs" else kind)
        self.finish(_bytes(place))


class Launcher(RequestHandler):
    """Tells trame's client where its websocket is (the launcher protocol of wslink)."""

    def initialize(self, relays: Relays) -> None:
        """Tornado's constructor."""
        self._relays = relays

    def check_xsrf_cookie(self) -> None:
        """The guard has checked the origin; trame's client knows no such cookie."""

    def post(self, token: str) -> None:
        """The address of the websocket, and its secret."""
        stream = self._relays.get(token)
        scheme = "wss" if self.request.protocol == "https" else "ws"
        # as it was asked for: a proxy may mount the server under a path
        place = self.request.path.partition("/paraview")[0]
        address = f"{scheme}://{self.request.host}{place}/ws"
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"sessionURL": address, "secret": stream.secret}))


class _Message:
    """What wslink's handler expects a message to look like."""

    def __init__(self, data: Any) -> None:
        self.data = data


class Socket(WebSocketHandler):
    """Hands messages between a page and its trame server."""

    def initialize(self, relays: Relays) -> None:
        """Tornado's constructor."""
        self._relays = relays
        self._link: Any = None

    def check_origin(self, origin: str) -> bool:
        """Same origin only; the guard has checked host, origin and cookie before."""
        return super().check_origin(origin)

    async def open(self, token: str) -> None:
        """Connect to the visitor's trame server."""
        self.set_nodelay(True)
        self._link = await self._relays.get(token).connect()
        self._link.on_message(self._send)

    async def on_message(self, message: str | bytes) -> None:
        """From the page to trame."""
        if self._link is None or len(message) > MAX_MESSAGE:
            self.close()
            return
        await self._link.send(not isinstance(message, str), _Message(message))

    def on_close(self) -> None:
        """The page is gone."""
        link, self._link = self._link, None
        if link is not None:
            IOLoop.current().add_callback(link.close)

    async def _send(self, binary: bool, content: Any) -> None:
        try:
            await self.write_message(content, binary)
        except WebSocketClosedError:
            self._link = None


def _bytes(place: Path) -> bytes:
    return place.read_bytes()
