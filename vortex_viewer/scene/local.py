"""One visitor's 3D view where their own browser draws it: what it is told, and what it says.

The page opens a websocket, gets the scene and the camera, and asks for the parts that it lacks.
Turning happens there; the camera comes back, so that everything else goes on as if it had happened
here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from vortex_viewer.scene.told import Part, ToldStage
from vortex_viewer.state import Camera

Send = Callable[[dict[str, Any]], None]


class LocalView:
    """The scene that a browser draws, and the pages that draw it.

    Parameters
    ----------
    camera
        Gives the present camera.
    """

    def __init__(self, camera: Callable[[], Camera | None]) -> None:
        self.stage = ToldStage()
        self._camera = camera
        self._pages: list[Send] = []
        self._waiting = False

    def join(self, send: Send) -> None:
        """A page is there: it gets everything."""
        self._pages.append(send)
        send({"scene": self.stage.told(), "camera": told(self._camera())})

    def leave(self, send: Send) -> None:
        """It is gone."""
        if send in self._pages:
            self._pages.remove(send)

    def changed(self) -> None:
        """The scene is another: told soon, once for all that changes now."""
        if not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._waiting = False
        self.say({"scene": self.stage.told()})

    def aimed(self) -> None:
        """The server wants the scene seen from elsewhere."""
        self.say({"camera": told(self._camera())})

    def part(self, name: str, version: int) -> Part | None:
        """Some numbers of the scene, if they are still in it."""
        found = self.stage.parts.get(name)
        return found if found is not None and found.version == version else None

    def say(self, message: dict[str, Any]) -> None:
        """Tell every page."""
        for send in list(self._pages):
            send(message)

    def close(self) -> None:
        """Another draws from now on."""
        self.say({"gone": True})
        self._pages = []
        self.stage.close()


def told(camera: Camera | None) -> dict[str, Any] | None:
    """A camera in plain values."""
    if camera is None:
        return None
    return {
        "focal": camera.focal, "back": camera.back, "up": camera.up, "height_um": camera.height_um,
    }  # fmt: skip


def heard(wish: Any) -> Camera | None:
    """A camera from a page; None where it is none."""
    try:
        focal, back, up = (_point(wish[name]) for name in ("focal", "back", "up"))
        found = Camera(focal, back, up, float(wish["height_um"]))
    except (TypeError, KeyError, ValueError):
        return None
    upright = abs(math.hypot(*found.back) - 1) < 0.01 and abs(math.hypot(*found.up) - 1) < 0.01
    return found if upright and 0 < found.height_um < math.inf else None


def _point(wish: Any) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in wish)
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(wish)
    return x, y, z
