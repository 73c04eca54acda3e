"""What all that draw the 3D scene agree on: colours, opacity, where outlines and spots lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_viewer.scene.camera import Box

BACKGROUND = "#0b0d12"
AXIS_COLOURS = {"x": "#ff7a6b", "y": "#6fd08c", "z": "#6aa8ff"}
OBLIQUE_COLOUR = "#f2c94c"
UNITS_ACROSS = 400
"""A voxel's alpha is its opacity per this part of the block's longest side, as in the static
viewer (``assets/web/src/volume.js``): a block looks as dense whatever its size and its voxels."""
Ring = list[tuple[float, float, float]]


def ring_of(box: Box, axis: int, place: float) -> Ring:
    """The four corners, in order, of the slice of a box at a place of an axis (x, y, z)."""
    spans = [list(span) for span in box]
    spans[axis] = [place, place]
    (x0, x1), (y0, y1), (z0, z1) = spans
    if axis == 2:
        return [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)]
    if axis == 1:
        return [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)]
    return [(x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)]


def spots_seen(
    points_um: npt.NDArray[Any], crop: Box | None, step_um: float, apart_um: float = 0.0
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Which spots lie in a crop, by number, and the places (n, 3) where those are drawn.

    On a cut they lie a part of a step before it, or the cut would swallow half of each. On planes
    that are drawn, of a stack, each lies on both sides, ``apart_um`` away, or the plane would.
    """
    keep = np.ones(len(points_um), bool)
    for axis, (low, high) in enumerate(crop or ()):
        keep &= (points_um[:, axis] >= low) & (points_um[:, axis] <= high)
    which = np.flatnonzero(keep)
    points = points_um[which]
    if apart_um > 0:
        away = np.array([0.0, 0.0, apart_um])
        return np.tile(which, 2), np.vstack([points - away, points + away])
    if crop is not None:
        low, high = crop[2]
        points[points[:, 2] == low, 2] -= 0.8 * step_um
        points[points[:, 2] == high, 2] += 0.8 * step_um
    return which, points


def apart_um(widths_um: list[float], depth: float) -> float:
    """How far spots lie from the planes of a stack of these widths; 0 where there is no stack."""
    return 2e-4 * max(widths_um) / depth if widths_um else 0.0
