"""Three linked orthogonal slices with one crosshair, in Bokeh; true aspect, micrometres."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    Label,
    MetricLength,
    Range1d,
    ScaleBar,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from vortex_viewer import drawing
from vortex_viewer.drawings import COLOURS
from vortex_viewer.panels.part import Part
from vortex_viewer.panels.piece import read
from vortex_viewer.scene.camera import Box
from vortex_viewer.scene.data import Spots
from vortex_viewer.scene.slices import AXES, Picture, Window
from vortex_viewer.scene.stage import AXIS_COLOURS
from vortex_viewer.state import Point

if TYPE_CHECKING:
    from vortex_viewer.session import Session

NAMES = "zyx"
FEWEST_PIXELS = 16
INK, BACK = "#e8ebf1", "#0b0d12"
FONT = "Inter, Segoe UI, Roboto, Helvetica Neue, Noto Sans, Liberation Sans, Arial, sans-serif"
LABEL = {
    "x": 8,
    "y": 8,
    "x_units": "screen",
    "y_units": "screen",
    "text_color": INK,
    "text_font": FONT,
    "text_font_size": "11px",
    "background_fill_color": BACK,
    "background_fill_alpha": 0.6,
    "padding": 3,
}
LENGTHS = {"ticks": [1, 2, 5, 10, 20, 50, 100, 200, 500], "include": ["µm", "mm"]}
BAR = {
    "unit": "µm",
    "location": "bottom_right",
    "bar_length": 0.22,
    "bar_line_color": INK,
    "bar_line_width": 3,
    "label_text_color": INK,
    "label_text_font": FONT,
    "label_text_font_size": "11px",
    "label_standoff": 2,
    "background_fill_color": BACK,
    "background_fill_alpha": 0.6,
    "border_line_color": None,
    "margin": 8,
    "padding": 4,
}


class Slice:
    """One slice's figure.

    Parameters
    ----------
    view
        "xy", "xz" or "yz".
    """

    def __init__(self, view: str, cursor: ColumnDataSource, extent: ColumnDataSource) -> None:
        self.view = view
        cut, down, across = (NAMES[a] for a in AXES[view])
        self._pixels = 0  # unknown until the page has drawn the figure
        self.image = ColumnDataSource(
            {"image": [np.zeros((1, 1), np.uint32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}
        )
        self.spots = ColumnDataSource({"x": [], "y": [], "r": [], "colour": []})
        self.figure = fig = figure(
            x_range=Range1d(0, 1),
            y_range=Range1d(1, 0),
            sizing_mode="stretch_both",
            toolbar_location=None,
            min_border=0,
            background_fill_color="#000000",
            border_fill_color="#000000",
            outline_line_color=None,
            tools=[],
            tags=[view, [0, 0]],
            output_backend="canvas",
        )
        fig.axis.visible = False
        fig.grid.visible = False
        fig.image_rgba("image", x="x", y="y", dw="dw", dh="dh", source=self.image)
        fig.circle(
            "x", "y", radius="r", source=self.spots, fill_color="colour", line_color="#0b0d12",
            line_width=0.5, line_alpha=0.6,
        )  # fmt: skip
        wheel = WheelZoomTool(zoom_on_axis=False, maintain_focus=True, speed=1 / 1000)
        fig.on_change("inner_width", self._resized)
        fig.add_tools(wheel)
        fig.toolbar.active_scroll = wheel
        self.lines = [
            (Span(dimension="height", line_color=AXIS_COLOURS[across], line_alpha=0.8), across),
            (Span(dimension="width", line_color=AXIS_COLOURS[down], line_alpha=0.8), down),
        ]
        for span, _ in self.lines:
            fig.add_layout(span)
        self.label = (Label(**LABEL, text=""), view.upper(), cut)
        fig.add_layout(self.label[0])
        self.bar = ScaleBar(range=fig.x_range, dimensional=MetricLength(**LENGTHS), **BAR)
        fig.add_layout(self.bar)
        parts = {"fig": fig, "cursor": cursor, "extent": extent, "across": across, "down": down}
        move = CustomJS(args=parts, code=read("slice_move.js"))
        fit = CustomJS(args=parts, code=read("slice_fit.js"))
        for event in ("tap", "panstart", "pan"):
            fig.js_on_event(event, move)
        fig.js_on_event("doubletap", fit)
        fig.js_on_change("inner_width", fit)
        fig.js_on_change("inner_height", fit)
        extent.js_on_change("data", fit)

    def _resized(self, _attr: str, _old: Any, new: Any) -> None:
        self._pixels = int(new or 0)

    @property
    def window(self) -> Window:
        """What is in sight."""
        fig = self.figure
        across = sorted((float(fig.x_range.start), float(fig.x_range.end)))
        down = sorted((float(fig.y_range.start), float(fig.y_range.end)))
        return Window((across[0], across[1]), (down[0], down[1]), self._pixels)

    def show(self, picture: Picture) -> None:
        """Show a picture in its place."""
        (x0, x1), (y0, y1) = picture.across_um, picture.down_um
        packed = np.ascontiguousarray(picture.rgba).view(np.uint32)[..., 0]
        self.image.data = {
            "image": [packed],
            "x": [x0],
            "y": [y0],
            "dw": [x1 - x0],
            "dh": [y1 - y0],
        }

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
        self.views = {view: Slice(view, self.cursor, self.extent) for view in AXES}
        self._session: Session | None = None
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
        for view, part in self.views.items():
            for model, name in (
                (part.figure.x_range, "start"),
                (part.figure.y_range, "start"),
                (part.figure, "inner_width"),
            ):
                model.on_change(name, partial(self._seen, view))

    def connect(self, session: Session) -> None:
        """One drawing a slice."""
        self._session = session
        for view in self.views:
            when = COLOURS | {"spots", "cursor_um"}
            session.drawings.add(view, partial(self._draw, view), when)

    async def opened(self) -> None:
        """Another block."""
        if self._session is not None:
            self._session.on_page(self._reset)

    def follow(self, changed: set[str]) -> None:
        """Bring the crosshair to where the state has it."""
        session = self._session
        if session is not None and session.data is not None and "cursor_um" in changed:
            session.on_page(partial(self.set_cursor, session.cursor))
        if session is not None and "bar" in changed:
            session.on_page(partial(self._show_bars, session.state.bar))

    def _show_bars(self, on: bool) -> None:
        for part in self.views.values():
            part.bar.visible = on

    def close(self) -> None:
        """Let go of the visitor."""
        self._session = None

    def _moved(self, _attr: str, _old: Any, new: Any) -> None:
        session, place = self._session, tuple(float(new[axis][0]) for axis in "xyz")
        if session is not None and session.data is not None and place != session.cursor:
            session.change(cursor_um=place)

    def _seen(self, view: str, _attr: str, _old: Any, _new: Any) -> None:
        if self._session is not None and self._session.data is not None:
            self._session.drawings.ask(view)

    async def _draw(self, view: str) -> None:
        session, part = self._session, self.views[view]
        if session is None or session.data is None:
            return
        data, state, gene, place = session.data, session.state, session.gene, session.cursor
        window = part.window
        if window.pixels < FEWEST_PIXELS:
            return
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
