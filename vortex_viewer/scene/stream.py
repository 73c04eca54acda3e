"""The 3D picture on its way to one visitor's page: a trame server of their own.

trame carries the pictures and the visitor's pointer (trame-rca); wslink's ``generic`` backend
leaves the socket to us, so that Panel and trame share one port and one guard. The drawing
itself happens in the render thread; this file runs in the event loop. Where the visitor's own
browser draws (``local``), it is told what stands in the scene, and nothing is drawn here.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene import panes
from vortex_viewer.scene.local import LocalView, heard
from vortex_viewer.scene.panes import pane_size
from vortex_viewer.scene.render import RenderThread, Task
from vortex_viewer.scene.stage import Frame, Stage
from vortex_viewer.state import Camera

AREA = "view"
LONGEST_SIDE = 2048
WHEEL = 1.12


class Stream:
    """One visitor's 3D view.

    Parameters
    ----------
    renderer
        The process' render thread.
    on_camera
        Called in the event loop with the camera after the visitor turned it, and with how
        many micrometres a pixel of the page is.
    """

    def __init__(
        self, renderer: RenderThread, on_camera: Callable[[Camera, float, bool], None]
    ) -> None:
        self.token = secrets.token_hex(16)  # the client lower-cases its address
        self.secret = secrets.token_hex(16)
        self.stages: list[Stage] = []
        self.panes = 1
        self.camera: Camera | None = None
        self.home: Callable[[float], Camera] | None = None
        self.on_click: Callable[[float, float], None] | None = None
        self.on_lost: Callable[[], None] | None = None
        self.at_home = False
        self.depth = 1.0
        self.largest_um = 1.0
        self.size = self.page_size = (640, 480)
        self.ready = asyncio.Event()
        self.local: LocalView | None = None
        self._renderer, self._on_camera = renderer, on_camera
        self._loop = asyncio.get_running_loop()
        self._task = Task(self._draw)
        self._last: tuple[float, float] | None = None
        self._button: str | None = None
        self._dragged = False
        self._pinch = 1.0
        self._streamer: Any = None
        self._web: Any = None
        self._closed = False
        self.area_name = AREA
        self.folders: dict[str, Path] = {}
        self._server = self._make_server()

    @property
    def aspect(self) -> float:
        """Width of a pane over its height."""
        width, height = pane_size(self.size, self.panes)
        return width / height

    # -- drawing ---------------------------------------------------------------------------

    def change(self, *work: Callable[[Any], None]) -> asyncio.Future[None]:
        """Change the scene in the render thread, then draw it: quickly, and well once it rests.

        One piece of work changes every pane; several change a pane each.
        """

        def run() -> None:
            if self._closed or self.local is not None:
                return
            if not self.stages:
                self._renderer.add(self._task)
            while len(self.stages) < self.panes:
                self.stages.append(Stage())
            while len(self.stages) > self.panes:
                self.stages.pop().close()
            each = work if len(work) > 1 else work * len(self.stages)
            for stage, one in zip(self.stages, each, strict=False):
                one(stage)

        if self.local is not None:
            return self._tell(self.local, work)
        future = asyncio.wrap_future(self._renderer.call(run))
        future.add_done_callback(lambda _: self.redraw(moving=True))
        return future

    def _tell(
        self, local: LocalView, work: Sequence[Callable[[Any], None]]
    ) -> asyncio.Future[None]:
        told: asyncio.Future[None] = self._loop.create_future()
        try:
            work[0](local.stage)
            told.set_result(None)
        except Exception as error:  # noqa: BLE001  it is raised where the result is asked
            told.set_exception(error)
        local.changed()
        return told

    def draw_in_browser(self, wanted: bool) -> bool:
        """Let the visitor's browser draw, or this machine; whether that is another than before.

        The scene is empty after a change.
        """
        if wanted == (self.local is not None):
            return False
        if self.local is not None:
            self.local.close()
            self.local = None
        else:
            self.local = LocalView(lambda: self.camera)
            self._renderer.call(self._put_away)
        return True

    def _put_away(self) -> None:
        self._renderer.remove(self._task)
        while self.stages:
            self.stages.pop().close()

    def set_panes(self, count: int) -> bool:
        """Show so many panes from the next change on; whether that is another number."""
        changed, self.panes = count != self.panes, count
        if changed:
            self._seen_anew()
        return changed

    def spin(self, part: float) -> None:
        """Turn the block by a part of half a turn, as a drag to the right does."""
        if self.camera is not None:
            self.camera = cameras.turn(self.camera, part, 0.0)
            self._moved(done=False)
            self._aimed()

    def redraw(self, *, moving: bool = False) -> None:
        """Ask for a picture."""
        if not self._closed and self.local is None:
            self._renderer.touch(self._task, moving=moving)

    def set_camera(self, camera: Camera) -> None:
        """See the scene from elsewhere."""
        self.at_home = False
        self._set_camera(camera)

    def go_home(self) -> None:
        """See the scene from where it is seen at first, and again so when the view is resized."""
        if self.home is not None:
            self.at_home = True
            self._set_camera(self.home(self.aspect))

    def _seen_anew(self) -> None:
        """The panes have another shape."""
        if self.at_home:
            self.go_home()
        elif self.camera is not None:
            self._set_camera(self.camera)

    def _set_camera(self, camera: Camera) -> None:
        self.camera = camera
        self._on_camera(camera, self._um_per_pixel(camera), True)
        self._aimed()
        self.redraw()

    def _aimed(self) -> None:
        if self.local is not None:
            self.local.aimed()

    def _um_per_pixel(self, camera: Camera) -> float:
        return camera.height_um / pane_size(self.page_size, self.panes)[1]

    def _draw(self, still: bool) -> None:
        camera, stages = self.camera, self.stages[: self.panes]
        if camera is None or not stages or self._closed or self.local is not None:
            return
        frame = panes.render(stages, camera, self.size, still)
        self._loop.call_soon_threadsafe(self._push, frame)

    def _push(self, frame: Frame) -> None:
        if self._streamer is None or self._closed:
            return
        meta = {"type": "image/jpeg", "key": "key", "st": 0, "w": self.size[0], "h": self.size[1]}
        self._streamer.push_content(AREA, meta, frame.jpeg)

    def hear(self, message: dict[str, Any]) -> None:
        """What a page says that draws by itself: its size, its camera, a click, its end."""
        if "size" in message:
            width, height = message["size"]
            self.update_size("", {"w": width, "h": height})
        camera = heard(message.get("camera"))
        if camera is not None:
            self.camera = camera
            self._moved(done=bool(message.get("done")))
        if "click" in message and self.on_click is not None:
            across, up = message["click"]
            self.on_click(float(across), float(up))
        if message.get("lost") and self.on_lost is not None:
            self.on_lost()

    # -- what trame-rca calls --------------------------------------------------------------

    def set_streamer(self, streamer: Any) -> None:
        """Where pictures are pushed to."""
        self._streamer = streamer

    def update_size(self, _origin: str, size: dict[str, Any]) -> None:
        """The page's view has another size."""
        width, height = int(size.get("w", 300)), int(size.get("h", 300))
        if width < 16 or height < 16:
            return
        shrink = min(1.0, LONGEST_SIDE / max(width, height))
        self.page_size = (width, height)  # a picture may have fewer pixels than its place
        self.size = (int(width * shrink), int(height * shrink))
        self.ready.set()
        self._seen_anew()

    def on_interaction(self, _origin: str, event: dict[str, Any]) -> None:
        """The visitor's pointer, wheel or fingers."""
        if self.camera is None:
            return
        kind = str(event.get("type", ""))
        if kind.endswith("ButtonPress"):
            self._button = kind.removesuffix("ButtonPress")
            self._last, self._dragged = _place(event), False
        elif kind.endswith("ButtonRelease"):
            last, self._button, self._last = self._last, None, None
            if self._dragged:
                self._moved(done=True)
            elif last is not None and kind.startswith("Left") and self.on_click is not None:
                self.on_click(*self._from_middle(event))
        elif kind == "MouseMove" and self._button is not None:
            self._drag(event)
        elif kind in ("StartMouseWheel", "MouseWheel"):
            spin = max(-4.0, min(4.0, float(event.get("spinY", 0.0))))
            self.camera = cameras.zoom(self.camera, WHEEL**-spin, self.largest_um)
            self._moved(done=True)
        elif kind == "StartPinch":
            self._pinch = 1.0
        elif kind == "Pinch":
            factor = max(0.05, float(event.get("factor", 1.0)))
            self.camera = cameras.zoom(self.camera, factor / self._pinch, self.largest_um)
            self._pinch = factor
            self._moved(done=False)

    def reset(self) -> None:
        """A page asks for a fresh picture."""
        self.redraw()

    def video_codecs(self) -> list[str]:
        """Pictures are sent, no video."""
        return []

    def negotiate_video(self, _codecs: list[str]) -> dict[str, str]:
        """Pictures are sent, no video."""
        return {"error": "not-a-video-stream"}

    def _drag(self, event: dict[str, Any]) -> None:
        place = _place(event)
        last, self._last = self._last, place
        if last is None or self.camera is None:
            return
        height = max(1.0, float(event.get("h") or self.size[1]))
        right, up = (place[0] - last[0]) / height, (place[1] - last[1]) / height
        if self._button == "Right":
            self.camera = cameras.zoom(self.camera, 4.0**up, self.largest_um)
        elif self._button == "Middle" or event.get("shiftKey"):
            self.camera = cameras.shift(self.camera, right, up, self.depth)
        else:
            self.camera = cameras.turn(self.camera, right, up)
        self._dragged = True
        self._moved(done=False)

    def _from_middle(self, event: dict[str, Any]) -> tuple[float, float]:
        """A place in the pane under the pointer, to the right and up, in heights of the pane."""
        x, y = _place(event)
        wide = float(event.get("w") or self.size[0])
        high = float(event.get("h") or self.size[1])
        columns, rows = panes.arrangement(self.panes)
        across, up = x / wide * columns % 1.0, y / high * rows % 1.0
        return (across - 0.5) * (wide / columns) / (high / rows), up - 0.5

    def _moved(self, *, done: bool) -> None:
        assert self.camera is not None
        self.at_home = False
        self._on_camera(self.camera, self._um_per_pixel(self.camera), done)
        self.redraw(moving=True)

    # -- trame -----------------------------------------------------------------------------

    def _make_server(self) -> Any:
        from trame.ui.html import DivLayout
        from trame.widgets import rca
        from trame_client import module as client
        from trame_server.core import Server

        server = Server(name=f"view-{self.token}")
        server.client_type = "vue3"
        server.enable_module(client)
        server.state.trame__title = "3D view"
        with DivLayout(server, style="position:absolute;inset:0;background:#0b0d12"):
            rca.RemoteControlledArea(
                name=AREA,
                display="image",
                event_throttle_ms=30,
                resize_throttle_ms=80,
                image_style=({"width": "100%", "height": "100%", "objectFit": "fill"},),
            )
        # the command line is ours, not trame's
        server.cli.parse_known_args = functools.partial(
            server.cli.parse_known_args, [f"--authKey={self.secret}"]
        )
        server.controller.on_server_bind.add(self._bound)
        server.controller.on_server_ready.add(self._register)
        return server

    def _bound(self, web: Any) -> None:
        self._web = web

    def _register(self, **_: Any) -> None:
        self._server.controller.rc_area_register(self)

    async def start(self) -> None:
        """Begin to answer."""
        self._server.start(
            backend="generic",
            exec_mode="task",
            port=0,
            timeout=0,
            open_browser=False,
            show_connection_info=False,
            disable_logging=True,
        )
        await self._server.ready
        self.folders = {name: Path(_folder(place)) for name, place in self._server.serve.items()}
        self.folders[""] = Path(self._server._www)

    async def connect(self) -> Any:
        """A connection to trame for one websocket."""
        return await self._web["ws"].connect()

    async def close(self) -> None:
        """Free the scene and the server."""
        if self._closed:
            return
        self._closed = True
        self._renderer.remove(self._task)
        stages, self.stages = self.stages, []
        for stage in stages:
            await asyncio.wrap_future(self._renderer.call(stage.close))
        self._streamer = None
        await self._server.stop()


def warm() -> None:
    """Import trame ahead of the first visitor."""
    for name in ("trame.ui.html", "trame.widgets.rca", "trame_client.module", "trame_server.core"):
        importlib.import_module(name)


def _place(event: dict[str, Any]) -> tuple[float, float]:
    return float(event.get("x", 0.0)), float(event.get("y", 0.0))


def _folder(place: Any) -> str:
    return str(place[0] if isinstance(place, tuple | list) else place)
