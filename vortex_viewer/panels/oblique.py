"""The oblique slice's pane: tilted by two angles, through the crosshair of the others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bokeh.models import ColumnDataSource, CustomJS

from vortex_viewer import drawing
from vortex_viewer.drawings import COLOURS
from vortex_viewer.panels.pane import Pane
from vortex_viewer.panels.piece import read
from vortex_viewer.panels.zoom import ZoomLink
from vortex_viewer.scene.agreed import AXIS_COLOURS, OBLIQUE_COLOUR
from vortex_viewer.scene.oblique import Plane
from vortex_viewer.scene.slices import AXES
from vortex_viewer.state import Range

if TYPE_CHECKING:
    from vortex_viewer.session import Session

NAMES = "zyx"
FIRST: Range = (30.0, -20.0)
"""The tilt of an oblique slice that has just been asked for: plainly none of the others."""
NO_LINES: dict[str, list[Any]] = {"x0": [], "y0": [], "x1": [], "y1": [], "colour": []}


class Oblique(Pane):
    """The oblique slice, and the lines where it and the other slices cut each other.

    Parameters
    ----------
    cursor, extent
        The crosshair and the block, as all slices share them.
    zoom
        What keeps the slices' zoom together.
    others
        The orthogonal slices by name.
    """

    def __init__(
        self,
        cursor: ColumnDataSource,
        extent: ColumnDataSource,
        zoom: ZoomLink,
        others: Mapping[str, Pane],
    ) -> None:
        super().__init__("oblique")
        self._session: Session | None = None
        self.plane = ColumnDataSource(
            {"on": [0] * 3, "origin": [0.0] * 3, "across": [1.0, 0.0, 0.0], "down": [0.0, 1.0, 0.0]}
        )
        self.tilt = ColumnDataSource({"x": [0.0], "y": [0.0]})
        self.tilt.on_change("data", self._tilted)
        self.whole = ColumnDataSource({"across": [0.0, 1.0], "down": [0.0, 1.0], "now": [0, 0]})
        own = ColumnDataSource(NO_LINES)
        self.trace(own)
        traces = []
        for view, pane in others.items():
            source = ColumnDataSource(NO_LINES)
            pane.trace(source)
            traces.append([source, *(2 - a for a in AXES[view])])
        lines = CustomJS(
            args={
                "plane": self.plane, "cursor": cursor, "extent": extent, "own": own,
                "traces": traces, "colours": [AXIS_COLOURS[n] for n in "xyz"],
                "colour": OBLIQUE_COLOUR,
            },
            code=read("oblique_lines.js"),
        )  # fmt: skip
        cursor.js_on_change("data", lines)
        self.plane.js_on_change("data", lines)
        for pane in (self, *others.values()):
            pane.figure.js_on_change("inner_width", lines)
        parts = {"fig": self.figure, "plane": self.plane, "zoom": zoom.source}
        moved = {**parts, "cursor": cursor, "extent": extent, "tilt": self.tilt}
        self.drag("oblique_move.js", moved)
        self.fit("oblique_fit.js", {**parts, "whole": self.whole}, self.whole)
        zoom.add(self, "", "", self.plane)

    def connect(self, session: Session) -> None:
        """Drawn as the others are."""
        self._session = session
        when = COLOURS | {"cursor_um", "oblique", "stained", "layout"}
        session.drawings.add("oblique", self._draw, when)

    async def opened(self) -> None:
        """Another block: another plane, seen whole."""
        if self._session is not None:
            self._session.on_page(partial(self._place, True))

    def follow(self, changed: set[str]) -> None:
        """Lay the plane where the state has it."""
        session = self._session
        if session is None or session.data is None:
            return
        if changed & {"oblique", "cursor_um", "layout"}:
            session.on_page(partial(self._place, False))

    def close(self) -> None:
        """Let go of the visitor."""
        self._session = None

    def switch(self) -> None:
        """An oblique slice, or none."""
        session = self._session
        if session is not None:
            on = session.state.oblique is not None
            gone = {"layout": "column"} if on and session.state.layout == "oblique" else {}
            session.change(oblique=None if on else FIRST, **gone)

    def _place(self, fit: bool) -> None:
        session = self._session
        if session is None or session.data is None:
            return
        state = session.state
        x, y = state.oblique or (0.0, 0.0)
        on, was = state.oblique is not None or state.layout == "oblique", self.plane.data["on"][0]
        if not (on or was or fit):
            return
        appears = on and not was
        plane = drawing.plane_of(session.data, state, session.cursor)
        self._show(plane, on)
        if (x, y) != (self.tilt.data["x"][0], self.tilt.data["y"][0]):
            self.tilt.data = {"x": [x], "y": [y]}
        self.title.text = f"Oblique   x {x:.0f}°   y {y:.0f}°".replace("-", "\N{MINUS SIGN}")
        across, down = plane.extent(session.data.content)
        now = int(fit or appears)  # else the visitor's zoom is kept, and a double click fits
        whole = {"across": list(across), "down": list(down), "now": [now, now]}
        if whole != self.whole.data:
            self.whole.data = whole

    def _show(self, plane: Plane, on: bool) -> None:
        named = {n: getattr(plane, n).tolist() for n in ("origin", "across", "down")}
        told = {"on": [int(on)] * 3, **named}
        if told != self.plane.data:
            self.plane.data = told

    def _tilted(self, _attr: str, _old: Any, new: Any) -> None:
        session = self._session
        if session is None or session.data is None or session.state.oblique is None:
            return
        wish = (float(new["x"][0]), float(new["y"][0]))
        if wish != session.state.oblique:
            session.change(oblique=wish)

    async def _draw(self) -> None:
        session = self._session
        if session is None or session.data is None or self.hidden:
            return
        data, state, gene, place = session.data, session.state, session.gene, session.cursor
        if state.oblique is None and state.layout != "oblique":
            return
        work = partial(drawing.oblique_picture, data, state, gene, place)
        picture = await session.run(partial(work, self.window, session.mixed))
        session.on_page(partial(self.show, picture))
