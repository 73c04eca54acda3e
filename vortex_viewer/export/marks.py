"""What a picture needs to be read: scale bar, colour bar, words; drawn by matplotlib."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vortex_viewer.scene import palette

LONGEST = 0.28
"""A scale bar is at most this part of its picture's width."""


def bar_length(um_across: float) -> float:
    """The longest of 1, 2 or 5 times a power of ten micrometres that fits its share."""
    most = um_across * LONGEST
    power = 10.0 ** math.floor(math.log10(most))
    return max((n * power for n in (1.0, 2.0, 5.0) if n * power <= most), default=power)


def length_text(um: float) -> str:
    """A length for people."""
    return f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"


def scale_bar(axes: Axes, shape: tuple[int, ...], um_per_pixel: float, size: float = 7.0) -> float:
    """Draw a scale bar into the lower right corner of a picture (y, x); returns micrometres."""
    height, width = shape[:2]
    um = bar_length(width * um_per_pixel)
    pixels = um / um_per_pixel
    right, bottom = width * 0.96, height * 0.95
    # white on dark and on bright pictures
    edge = [withStroke(linewidth=2.6, foreground="black")]
    axes.plot(
        [right - pixels, right],
        [bottom, bottom],
        color="white",
        linewidth=1.8,
        solid_capstyle="butt",
        path_effects=edge,
        gid="scale-bar",
    )
    axes.text(
        right - pixels / 2,
        bottom - height * 0.022,
        length_text(um),
        color="white",
        fontsize=size,
        ha="center",
        va="bottom",
        # a path effect would turn the words of an SVG into outlines
        bbox={"facecolor": "black", "alpha": 0.4, "linewidth": 0, "pad": 1.2},
    )
    return um


def colour_bar(
    figure: Figure,
    place: Axes,
    name: str,
    window: tuple[float, float],
    label: str,
    size: float,
    align: Literal["left", "center"] = "center",
) -> Any:
    """A colour bar with its numbers in an axes of its own."""
    colours = ListedColormap(palette.table(name) / 255.0, name=name)
    bar = figure.colorbar(
        ScalarMappable(Normalize(*window), colours), cax=place, orientation="horizontal"
    )
    bar.set_ticks(np.linspace(*window, 3).tolist())
    bar.ax.set_xticklabels([f"{v:.3g}" for v in np.linspace(*window, 3)])
    bar.ax.tick_params(labelsize=size, length=2, pad=1.5)
    bar.set_label(label, fontsize=size, labelpad=1.5, loc=align)
    bar.outline.set_linewidth(0.4)
    return bar
