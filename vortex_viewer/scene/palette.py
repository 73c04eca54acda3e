"""Perceptually uniform palettes, readable with colour-blind eyes, as tables."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from bokeh import palettes

from vortex_viewer.state import COLOURS, PALETTES

DIVERGING = "difference"
"""The palette of a difference of two genes."""
Table = npt.NDArray[np.uint8]


@cache
def table(name: str) -> Table:
    """A palette's 256 colours, (256, 3)."""
    if name == DIVERGING:
        return _diverging()
    colours = getattr(palettes, f"{name.capitalize()}256")
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype=np.uint8)


def _diverging() -> Table:
    """From purple by white to orange: apart for colour-blind eyes on both sides."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in palettes.PuOr11[::-1]])
    places = np.linspace(0, 255, len(stops))
    columns = [np.interp(np.arange(256), places, stops[:, i]) for i in range(3)]
    return np.stack(columns, axis=1).astype(np.uint8)


def rgb(colour: str) -> npt.NDArray[np.float32]:
    """One of the state's ``COLOURS``, (3,), 0 to 1."""
    text = COLOURS[colour]
    return np.array([int(text[i : i + 2], 16) / 255.0 for i in (1, 3, 5)], np.float32)


def css(name: str) -> list[str]:
    """Seventeen stops of a palette, for a gradient in the page."""
    rows = table(name)[np.linspace(0, 255, 17).round().astype(int)]
    return [f"rgb({r},{g},{b})" for r, g, b in rows]


def all_css() -> dict[str, list[str]]:
    """The stops of every palette."""
    return {name: css(name) for name in (*PALETTES, DIVERGING)}
