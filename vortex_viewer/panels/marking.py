"""What lies over the pictures, and the strokes that a visitor draws in a slice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS

from vortex_viewer.panels.part import Part
from vortex_viewer.panels.piece import read
from vortex_viewer.scene import marks

if TYPE_CHECKING:
    from vortex_viewer.session import Session

EMPTY: dict[str, list[Any]] = {"image": [], "x": [], "y": [], "dw": [], "dh": []}
ACROSS = {"xy": (1, 2), "xz": (0, 2), "yz": (0, 1)}
"""Axes (z is 0) down and across each slice."""


class Marking(Part):
    """Overlays in the slices and in 3D; one for regions, one for labels beneath them."""

    def __init__(self) -> None:
        self._layers: dict[str, marks.Marks] = {}
        self._sources: dict[tuple[str, str], ColumnDataSource] = {}
        self._drawn: list[Callable[[str, list[tuple[float, float]]], None]] = []
        self._shells: list[Any] = []

    def connect(self, session: Session) -> None:
        """Add the overlays and the pen to every slice."""
        self._session = session
        for view, part in session.slices.views.items():
            for layer in ("labels", "regions"):
                source = ColumnDataSource(EMPTY)
                part.figure.image_rgba("image", x="x", y="y", dw="dw", dh="dh", source=source)
                self._sources[view, layer] = source
            trace, done = ColumnDataSource({"x": [], "y": []}), ColumnDataSource({"x": [], "y": []})
            part.figure.line("x", "y", source=trace, line_color="#ffffff", line_width=2)
            pen = CustomJS(args={"trace": trace, "done": done}, code=read("pen.js"))
            for event in ("panstart", "pan", "panend"):
                part.figure.js_on_event(event, pen)
            done.on_change("data", partial(self._stroke, view))
            session.drawings.add(
                f"marks {view}", partial(self._draw, view), {"cursor_um", "loaded"}
            )
        session.drawings.add("shells", self._stand, {"crop_um", "depth", "together", "others"})

    async def opened(self) -> None:
        """Another block has other marks."""
        self._layers, self._shells = {}, []
        self._ask()

    def on_stroke(self, told: Callable[[str, list[tuple[float, float]]], None]) -> None:
        """Call ``told(view, corners)`` when a stroke was drawn; corners are across, down, in um."""
        self._drawn.append(told)

    def set(self, layer: str, what: marks.Marks | None) -> None:
        """Lay ``labels`` or ``regions`` over the pictures, or take them away."""
        if what is None:
            self._layers.pop(layer, None)
        else:
            self._layers[layer] = what
        self._ask()

    def _ask(self) -> None:
        for view in ACROSS:
            self._session.drawings.ask(f"marks {view}")
        self._session.drawings.ask("shells")

    def _stroke(self, view: str, _attr: str, _old: Any, new: Any) -> None:
        corners = [(float(x), float(y)) for x, y in zip(new["x"], new["y"], strict=True)]
        for told in self._drawn if len(corners) > 1 else ():
            told(view, corners)

    async def _draw(self, view: str) -> None:
        session = self._session
        if session.data is None:
            return
        place, layers = session.cursor, dict(self._layers)
        made = {}
        for layer in ("labels", "regions"):
            found = layers.get(layer)
            made[layer] = (
                None
                if found is None
                else await session.run(partial(marks.plane, found, view, place))
            )

        def put() -> None:
            for layer, picture in made.items():
                source = self._sources[view, layer]
                if picture is None:
                    if source.data["image"]:
                        source.data = EMPTY
                    continue
                rgba, grid = picture
                (y0, y1), (x0, x1) = (grid.bounds_um[a] for a in ACROSS[view])
                packed = np.ascontiguousarray(rgba).view(np.uint32)[..., 0]
                source.data = {
                    "image": [packed], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0],
                }  # fmt: skip

        session.on_page(put)

    async def _stand(self) -> None:
        session = self._session
        if session.data is None:
            return
        found = []
        for layer in self._layers.values():
            found += await session.run(partial(marks.shells, layer))
        if not found and not self._shells:
            return
        self._shells = found
        depth, crop = session.depth, session.state.crop_um
        await session.stream.change(lambda stage: marks.put(stage, found, depth, crop))
