"""A slice's pane: a Bokeh figure with a picture, a label and a scale bar; true aspect."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    Label,
    MetricLength,
    Range1d,
    ScaleBar,
    WheelZoomTool,
)
from bokeh.plotting import figure

from vortex_viewer.panels.piece import read
from vortex_viewer.scene.slices import Picture, Window

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


class Pane:
    """One slice's figure.

    Parameters
    ----------
    view
        Its name: "xy", "xz", "yz" or "oblique".
    """

    def __init__(self, view: str) -> None:
        self.view = view
        self._pixels = 0  # unknown until the page has drawn the figure
        self._fitted = False
        self.image = ColumnDataSource(
            {"image": [np.zeros((1, 1), np.uint32)], "x": [0], "y": [0], "dw": [1], "dh": [1]}
        )
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
        wheel = WheelZoomTool(zoom_on_axis=False, maintain_focus=True, speed=1 / 1000)
        fig.on_change("inner_width", self._resized)
        fig.add_tools(wheel)
        fig.toolbar.active_scroll = wheel
        self.title = Label(**LABEL, text="")
        fig.add_layout(self.title)
        self.bar = ScaleBar(range=fig.x_range, dimensional=MetricLength(**LENGTHS), **BAR)
        fig.add_layout(self.bar)

    def trace(self, source: ColumnDataSource) -> None:
        """Draw where the oblique slice and the others cut each other: lines of any colour."""
        self.figure.segment(
            "x0", "y0", "x1", "y1", source=source, line_color="colour", line_alpha=0.9,
            line_width=1.5, line_dash="dashed",
        )  # fmt: skip

    def drag(self, code: str, parts: dict[str, Any]) -> None:
        """What a click and a drag do: a script of the page."""
        move = CustomJS(args=parts, code=read(code))
        for event in ("tap", "panstart", "pan"):
            self.figure.js_on_event(event, move)

    def fit(self, code: str, parts: dict[str, Any], extent: ColumnDataSource) -> None:
        """What shows all of it: at a double click, in another size, for another extent."""
        fit = CustomJS(args=parts, code=read(code))
        self.figure.js_on_event("doubletap", fit)
        self.figure.js_on_change("inner_width", fit)
        self.figure.js_on_change("inner_height", fit)
        extent.js_on_change("data", fit)

    def listen(self, seen: Callable[[], None]) -> None:
        """Call ``seen`` whenever something else is in sight."""
        fig = self.figure
        for model, name in ((fig.x_range, "start"), (fig.y_range, "start"), (fig, "inner_width")):
            model.on_change(name, partial(_without_words, seen))
        fig.y_range.on_change("start", self._fits)

    def _fits(self, _attr: str, _old: Any, _new: Any) -> None:
        self._fitted = True

    def _resized(self, _attr: str, _old: Any, new: Any) -> None:
        self._pixels = int(new or 0)

    @property
    def window(self) -> Window:
        """What is in sight."""
        fig = self.figure
        across = sorted((float(fig.x_range.start), float(fig.x_range.end)))
        down = sorted((float(fig.y_range.start), float(fig.y_range.end)))
        return Window((across[0], across[1]), (down[0], down[1]), self._pixels)

    @property
    def hidden(self) -> bool:
        """Whether it is too small to show anything, or not there, or the page is yet to fit it."""
        return self._pixels < FEWEST_PIXELS or not self._fitted

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


def _without_words(seen: Callable[[], None], _attr: str, _old: Any, _new: Any) -> None:
    seen()
