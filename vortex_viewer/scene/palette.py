"""Perceptually uniform palettes, readable with colour-blind eyes, as tables."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from bokeh import palettes

from vortex_viewer.state import PALETTES

Table = npt.NDArray[np.uint8]


@cache
def table(name: str) -> Table:
    """A palette's 256 colours, (256, 3)."""
    colours = getattr(palettes, f"{name.capitalize()}256")
    return np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours], dtype=np.uint8)


def css(name: str) -> list[str]:
    """Seventeen stops of a palette, for a gradient in the page."""
    rows = table(name)[np.linspace(0, 255, 17).round().astype(int)]
    return [f"rgb({r},{g},{b})" for r, g, b in rows]


def all_css() -> dict[str, list[str]]:
    """The stops of every palette."""
    return {name: css(name) for name in PALETTES}
