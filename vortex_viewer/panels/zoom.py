"""One zoom for all slices: as many micrometres a pixel in each, about one point."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from bokeh.models import ColumnDataSource, CustomJS

from vortex_viewer.panels.pane import Pane
from vortex_viewer.panels.piece import read
from vortex_viewer.scene.slices import AXES
from vortex_viewer.state import Point, Zoom

if TYPE_CHECKING:
    from vortex_viewer.session import Session

OFF: dict[str, list[float]] = {"on": [0.0], "um": [1.0], "x": [0.0], "y": [0.0], "z": [0.0]}


class ZoomLink:
    """What the panes share of their zoom; the page itself keeps them together."""

    def __init__(self) -> None:
        self.source = ColumnDataSource(OFF)
        self.source.on_change("data", self._moved)
        self._session: Session | None = None

    def add(
        self, pane: Pane, across: str, down: str, plane: ColumnDataSource | None = None
    ) -> None:
        """Keep a pane together with the others: the axes along it and down it, or its plane."""
        fig = pane.figure
        parts = {"fig": fig, "zoom": self.source, "across": across, "down": down, "plane": plane}
        leave = CustomJS(args=parts, code=read("zoom_leave.js"))
        for span in (fig.x_range, fig.y_range):
            span.js_on_change("start", leave)
            span.js_on_change("end", leave)
        self.source.js_on_change("data", CustomJS(args=parts, code=read("zoom_take.js")))

    def connect(self, session: Session) -> None:
        """Hear of what the visitor zooms."""
        self._session = session

    def close(self) -> None:
        """Let go of the visitor."""
        self._session = None

    def follow(self, changed: set[str]) -> None:
        """Bring the slices to where the state has them."""
        session = self._session
        if session is not None and session.data is not None and "zoom" in changed:
            session.on_page(partial(self._set, session.state.zoom))

    def now(self, views: Mapping[str, Pane], place: Point) -> Zoom:
        """The zoom of the first slice that is in sight, about what the slices show now."""
        centre, um = list(place), 1.0
        for view, pane in reversed([*views.items()]):
            if pane.hidden:
                continue
            window = pane.window
            um = (window.across_um[1] - window.across_um[0]) / window.pixels
            for axis, span in zip(AXES[view][1:], (window.down_um, window.across_um), strict=True):
                centre[2 - axis] = (span[0] + span[1]) / 2
        return Zoom(um, (centre[0], centre[1], centre[2]))

    def _moved(self, _attr: str, _old: Any, new: Any) -> None:
        session = self._session
        if session is None or session.data is None or session.state.zoom is None:
            return
        zoom = _zoom(new)
        if zoom is not None and zoom != session.state.zoom:
            session.change(zoom=zoom)

    def _set(self, zoom: Zoom | None) -> None:
        if zoom == _zoom(self.source.data):
            return  # the visitor's own move comes back: the page may be further by now
        if zoom is None:
            self.source.data = {**self.source.data, "on": [0.0]}
            return
        x, y, z = zoom.centre
        self.source.data = {"on": [1.0], "um": [zoom.um_per_pixel], "x": [x], "y": [y], "z": [z]}


def _zoom(data: Any) -> Zoom | None:
    if not data["on"][0]:
        return None
    x, y, z = (float(data[axis][0]) for axis in "xyz")
    return Zoom(float(data["um"][0]), (x, y, z))
