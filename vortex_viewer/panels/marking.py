"""What lies over the pictures, and the strokes that a visitor draws in a slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
Told = Callable[[str, list[tuple[float, float]]], None]


@dataclass(frozen=True)
class Pen:
    """Who hears of the next stroke, and how they learn that somebody else has the pen."""

    owner: str
    told: Told
    dropped: Callable[[], None]


class Marking(Part):
    """Overlays in the slices and in 3D: regions, and labels beneath them; the one pen."""

    def __init__(self) -> None:
        self._layers: dict[str, marks.Marks] = {}
        self._sources: dict[tuple[str, str], ColumnDataSource] = {}
        self._pen: Pen | None = None
        self._shells = False

    def connect(self, session: Session) -> None:
        """Add the overlays and the pen to every slice."""
        self._session = session
        for view, part in session.slices.views.items():
            for layer in ("labels", "regions"):
                source = ColumnDataSource(EMPTY)
                part.figure.image_rgba("image", x="x", y="y", dw="dw", dh="dh", source=source)
                self._sources[view, layer] = source
            trace, done = ColumnDataSource({"x": [], "y": []}), ColumnDataSource({"x": [], "y": []})
            part.figure.line("x", "y", source=trace, line_color="#0b0d12", line_width=4)
            part.figure.line("x", "y", source=trace, line_color="#ffffff", line_width=2)
            pen = CustomJS(args={"trace": trace, "done": done}, code=read("pen.js"))
            for event in ("panstart", "pan", "panend"):
                part.figure.js_on_event(event, pen)
            done.on_change("data", partial(self._stroke, view))
            when = {f"cursor {part.cut}", "loaded", "label_as"}
            session.drawings.add(f"marks {view}", partial(self._draw, view), when)
        when = {"crop_um", "depth", "together", "others", "label_as"}
        session.drawings.add("shells", self._stand, when)

    async def opened(self) -> None:
        """Another block has other marks."""
        self._layers, self._pen = {}, None
        self._ask()

    def take(self, pen: Pen) -> None:
        """Hear of the strokes from now on; whoever had the pen is told."""
        if self._pen is not None and self._pen.owner != pen.owner:
            self._pen.dropped()
        self._pen = pen

    def leave(self, owner: str) -> None:
        """Hear of strokes no more."""
        if self._pen is not None and self._pen.owner == owner:
            self._pen = None

    @property
    def labels(self) -> marks.Marks | None:
        """The labels that are shown."""
        return self._layers.get("labels")

    def set(self, layer: str, what: marks.Marks | None) -> None:
        """Lay ``labels`` or ``regions`` over the pictures, or take them away."""
        if what is None:
            self._layers.pop(layer, None)
        else:
            self._layers[layer] = what
        self._ask()
        if layer == "labels":
            self._session.drawings.ask("body")

    def _ask(self) -> None:
        for view in ACROSS:
            self._session.drawings.ask(f"marks {view}")
        self._session.drawings.ask("shells")

    def _stroke(self, view: str, _attr: str, _old: Any, new: Any) -> None:
        corners = [(float(x), float(y)) for x, y in zip(new["x"], new["y"], strict=True)]
        if self._pen is not None and len(corners) > 1:
            self._pen.told(view, corners)

    async def _draw(self, view: str) -> None:
        session = self._session
        if session.data is None:
            return
        place, layers = session.cursor, dict(self._layers)
        if "labels" in layers and session.state.label_as != "fill":
            layers["labels"] = replace(layers["labels"], fill=0.0)
        made = {}
        for layer in ("labels", "regions"):
            found = layers.get(layer)
            work = None if found is None else partial(marks.plane, found, view, place)
            made[layer] = None if work is None else await session.run(work)
        session.on_page(partial(self._put, view, made))

    def _put(self, view: str, made: dict[str, Any]) -> None:
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

    async def _stand(self) -> None:
        session = self._session
        if session.data is None:
            return
        found: list[Any] = []
        for name, layer in list(self._layers.items()):
            if name == "regions" or session.state.label_as == "surface":
                found += await session.run(partial(marks.shells, layer))
        if not found and not self._shells:
            return
        self._shells = bool(found)
        depth, crop = session.depth, session.state.crop_um
        await session.stream.change(lambda stage: marks.put(stage, found, depth, crop))
