"""Three linked orthogonal slices with one crosshair, in Bokeh; true aspect, micrometres."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from bokeh.models import ColumnDataSource, CustomJS, Span

from vortex_viewer import drawing
from vortex_viewer.drawings import COLOURS
from vortex_viewer.panels.oblique import Oblique
from vortex_viewer.panels.pane import Pane
from vortex_viewer.panels.part import Part
from vortex_viewer.panels.piece import read
from vortex_viewer.panels.zoom import ZoomLink
from vortex_viewer.scene.agreed import AXIS_COLOURS
from vortex_viewer.scene.camera import Box
from vortex_viewer.scene.data import Spots
from vortex_viewer.scene.slices import AXES
from vortex_viewer.state import Point

if TYPE_CHECKING:
    from vortex_viewer.session import Session

NAMES = "zyx"
SEEN_S = 0.03
"""A pane that is laid out tells of its range and its size in several messages."""


class Slice(Pane):
    """One orthogonal slice's figure.

    Parameters
    ----------
    view
        "xy", "xz" or "yz".
    """

    def __init__(
        self, view: str, cursor: ColumnDataSource, extent: ColumnDataSource, zoom: ZoomLink
    ) -> None:
        super().__init__(view)
        fig = self.figure
        cut, down, across = (NAMES[a] for a in AXES[view])
        self.spots = ColumnDataSource({"x": [], "y": [], "r": [], "colour": []})
        fig.circle(
            "x", "y", radius="r", source=self.spots, fill_color="colour", line_color="#0b0d12",
            line_width=0.5, line_alpha=0.6,
        )  # fmt: skip
        self.lines = [
            (Span(dimension="height", line_color=AXIS_COLOURS[across], line_alpha=0.8), across),
            (Span(dimension="width", line_color=AXIS_COLOURS[down], line_alpha=0.8), down),
        ]
        for span, _ in self.lines:
            fig.add_layout(span)
        self.cut = cut
        self.label = (self.title, view.upper(), cut)
        parts = {"fig": fig, "cursor": cursor, "extent": extent, "across": across, "down": down}
        self.drag("slice_move.js", parts)
        self.fit("slice_fit.js", {**parts, "zoom": zoom.source}, extent)
        zoom.add(self, across, down)

    def show_spots(self, found: tuple[Spots, list[str], Any] | None) -> None:
        """Show the measured spots of a section that lies in this slice: colours and radii."""
        if found is None:
            if len(self.spots.data["x"]):
                self.spots.data = {"x": [], "y": [], "r": [], "colour": []}
            return
        spots, colours, radii = found
        self.spots.data = {
            "x": spots.points_um[:, 0],
            "y": spots.points_um[:, 1],
            "r": radii,
            "colour": colours,
        }


class Slices(Part):
    """The three slices and their crosshair."""

    def __init__(self) -> None:
        self.cursor = ColumnDataSource({"x": [0.0], "y": [0.0], "z": [0.0]})
        self.extent = ColumnDataSource({key: [0.0, 1.0] for n in "xyz" for key in (n, f"fit {n}")})
        self.zoom = ZoomLink()
        self.views = {view: Slice(view, self.cursor, self.extent, self.zoom) for view in AXES}
        self.oblique = Oblique(self.cursor, self.extent, self.zoom, self.views)
        self.panes: dict[str, Pane] = {**self.views, "oblique": self.oblique}
        self._session: Session | None = None
        self._resting: set[str] = set()
        self.cursor.js_on_change(
            "data",
            CustomJS(
                args={
                    "cursor": self.cursor,
                    "spans": [line for v in self.views.values() for line in v.lines],
                    "labels": [v.label for v in self.views.values()],
                },
                code=read("slice_link.js"),
            ),
        )
        self.cursor.on_change("data", self._moved)
        for view, part in self.panes.items():
            part.listen(partial(self._seen, view))

    def connect(self, session: Session) -> None:
        """One drawing a slice."""
        self._session = session
        self.zoom.connect(session)
        self.oblique.connect(session)
        for view, part in self.views.items():
            when = COLOURS | {"spots", f"cursor {part.cut}", "stained"}
            session.drawings.add(view, partial(self._draw, view), when)

    async def opened(self) -> None:
        """Another block."""
        if self._session is not None:
            self._session.on_page(self._reset)
            await self.oblique.opened()

    def follow(self, changed: set[str]) -> None:
        """Bring the crosshair to where the state has it."""
        session = self._session
        if session is not None and session.data is not None and "cursor_um" in changed:
            session.on_page(partial(self.set_cursor, session.cursor))
        self.zoom.follow(changed)
        self.oblique.follow(changed)
        if session is not None and "bar" in changed:
            session.on_page(partial(self._show_bars, session.state.bar))

    def _show_bars(self, on: bool) -> None:
        for part in self.panes.values():
            part.bar.visible = on

    def close(self) -> None:
        """Let go of the visitor."""
        self._session = None
        self.zoom.close()
        self.oblique.close()

    def switch_zoom(self) -> None:
        """One zoom for all slices, as they are now; or each its own again."""
        session = self._session
        if session is not None and session.data is not None:
            on = session.state.zoom is not None
            session.change(zoom=None if on else self.zoom.now(self.views, session.cursor))

    def _moved(self, _attr: str, _old: Any, new: Any) -> None:
        session, place = self._session, tuple(float(new[axis][0]) for axis in "xyz")
        if session is not None and session.data is not None and place != session.cursor:
            session.change(cursor_um=place)

    def _seen(self, view: str) -> None:
        if view not in self._resting:
            self._resting.add(view)
            asyncio.get_running_loop().call_later(SEEN_S, self._rests, view)

    def _rests(self, view: str) -> None:
        self._resting.discard(view)
        if self._session is not None and self._session.data is not None:
            self._session.drawings.ask(view)

    async def _draw(self, view: str) -> None:
        session, part = self._session, self.views[view]
        if session is None or session.data is None:
            return
        data, state, gene, place = session.data, session.state, session.gene, session.cursor
        if part.hidden:
            return
        window = part.window
        picture = await session.run(
            partial(drawing.slice_picture, data, state, gene, view, place, window, session.mixed)
        )
        found = None
        if view == "xy" and state.spots and state.gene is not None:
            found = await session.run(partial(drawing.spots_in_plane, data, state, gene, place[2]))

        def put() -> None:
            part.show(picture)
            if view == "xy":
                part.show_spots(found)

        session.on_page(put)

    def _reset(self) -> None:
        session = self._session
        if session is not None and session.data is not None:
            self._set_extent(session.data.frame.bounds_um[::-1], session.data.content)
            self.set_cursor(session.cursor)

    def _set_extent(self, bounds: Box, content: Box) -> None:
        """Another block, and the part of it that every slice shows at first."""
        named = zip("xyz", bounds, content, strict=True)
        self.extent.data = {
            key: list(span)
            for n, all_, part in named
            for key, span in ((n, all_), (f"fit {n}", part))
        }

    def set_cursor(self, place: Point) -> None:
        """Move the crosshair from here."""
        where = dict(zip("xyz", place, strict=True))
        if all(self.cursor.data[name][0] == value for name, value in where.items()):
            return  # the visitor's own move comes back: the page may be further by now
        self.cursor.data = {name: [value] for name, value in where.items()}
        # the page's script does the same on every move; it has not run yet in a page just opened
        for part in self.views.values():
            for span, axis in part.lines:
                span.location = where[axis]
            label, name, axis = part.label
            label.text = f"{name}   {axis} = {where[axis]:.0f} µm"
