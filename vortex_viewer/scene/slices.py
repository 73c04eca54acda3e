"""One orthogonal slice: the part that is in sight, at the resolution that it is seen at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.multiscale import Level
from vortex_viewer.scene.data import StudyData

AXES = {"xy": (0, 1, 2), "xz": (1, 0, 2), "yz": (2, 0, 1)}
"""View -> array axis that is cut, axis down the picture, axis along it."""
MAX_PIXELS = 2048
ValuesAt = Callable[[Any], list[npt.NDArray[np.float32]]]
Paint = Callable[[npt.NDArray[np.uint8], Sequence[Any], Any], npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Window:
    """What of a slice is wanted: (low, high) along and down the picture, and its width."""

    across_um: tuple[float, float]
    down_um: tuple[float, float]
    pixels: int


@dataclass(frozen=True)
class Picture:
    """A slice's picture and where it lies, in micrometres."""

    rgba: npt.NDArray[np.uint8]
    across_um: tuple[float, float]
    down_um: tuple[float, float]


def cut(
    data: StudyData,
    view: str,
    place_um: float,
    window: Window,
    values_at: ValuesAt,
    paint: Paint,
    stained: bool = False,
) -> Picture:
    """A slice of morphology with expression over it.

    Parameters
    ----------
    view
        "xy", "xz" or "yz".
    place_um
        Where it is cut, along the axis that the view leaves out.
    values_at
        Each gene's values (z, y, x) at the crossings of three axes, nan where there are none.
    paint
        The RGBA of a flat picture, its genes' values, and its opacity (None is opaque).
    stained
        Whether fluorescence is shown as virtual H&E.
    """
    cut_axis, down, across = AXES[view]
    level = level_in_sight(data, across, window)
    if level is None:
        step = max((window.across_um[1] - window.across_um[0]) / window.pixels, 1e-6)
        axes = {
            down: centres(window.down_um, step),
            across: centres(window.across_um, step),
        }
        morphology = np.zeros((len(axes[down]), len(axes[across])), np.uint8)
        bounds = (window.across_um, window.down_um)
    else:
        grid = level.grid
        spans: dict[int, slice] = {}
        for axis, (low, high) in ((down, window.down_um), (across, window.across_um)):
            origin, spacing, count = grid.origin_um[axis], grid.spacing_um[axis], grid.shape[axis]
            start = int(np.clip(np.floor((low - origin) / spacing + 0.5), 0, count - 1))
            stop = int(np.clip(np.ceil((high - origin) / spacing + 0.5), start + 1, count))
            spans[axis] = slice(start, stop)
        where = round((place_um - grid.origin_um[cut_axis]) / grid.spacing_um[cut_axis])
        plane = int(np.clip(where, 0, grid.shape[cut_axis] - 1))
        spans[cut_axis] = slice(plane, plane + 1)
        box = [spans[axis] for axis in range(3)]
        block = data.voxels(level, [s.start for s in box], [s.stop for s in box])
        morphology = data.shown(np.squeeze(block, axis=1 + cut_axis), stained)
        axes = {a: grid.axis_um(a)[spans[a]] for a in (down, across)}
        bounds = (
            _edges(axes[across], grid.spacing_um[across]),
            _edges(axes[down], grid.spacing_um[down]),
        )
    coords: list[Any] = [None, None, None]
    coords[cut_axis] = np.array([place_um])
    coords[down], coords[across] = axes[down], axes[across]
    values = [np.squeeze(v, axis=cut_axis) for v in values_at(coords)]
    glass = None
    if level is None and values:
        glass = np.isfinite(values[0]).astype(np.float32)
    return Picture(paint(morphology, values, glass), *bounds)


def level_in_sight(data: StudyData, across: int, window: Window) -> Level | None:
    """The coarsest level that still fills the picture's pixels; none without morphology."""
    if data.image is None:
        return None
    span = window.across_um[1] - window.across_um[0]
    wanted = span / max(1, min(window.pixels, MAX_PIXELS))
    fit = [v for v in data.image.levels if v.grid.spacing_um[across] <= wanted * 1.3]
    level = fit[-1] if fit else data.image.levels[0]
    while (
        level is not data.image.levels[-1]
        and span / level.grid.spacing_um[across] > 1.6 * MAX_PIXELS
    ):
        level = data.image.levels[data.image.levels.index(level) + 1]
    return level


def centres(span: tuple[float, float], step: float) -> npt.NDArray[np.float64]:
    """The middles of a picture's pixels, about ``step`` apart."""
    count = max(2, min(MAX_PIXELS, round((span[1] - span[0]) / step)))
    pitch = (span[1] - span[0]) / count
    return np.asarray(span[0] + pitch * (np.arange(count) + 0.5), np.float64)


def _edges(centres: npt.NDArray[np.float64], spacing: float) -> tuple[float, float]:
    return float(centres[0]) - spacing / 2, float(centres[-1]) + spacing / 2
