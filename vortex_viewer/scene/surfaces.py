"""Where a gene reaches a value: a surface on the lattice, with its light baked in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.measure import marching_cubes

from vortex_model.grid import Grid

TOWARDS_LIGHT = np.array([-0.50, -0.60, -0.62])
"""The light of the volume (``compose.light``), as x, y, z."""


@dataclass(frozen=True)
class Surface:
    """Points (n, 3) in micrometres, triangles (m, 3), and the colour of each point (n, 3)."""

    points_um: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.int64]
    colours: npt.NDArray[np.uint8]


def surface(
    values: npt.NDArray[np.float32], grid: Grid, level: float, colour: npt.NDArray[np.float32]
) -> Surface | None:
    """Where ``values`` (z, y, x), nan outside tissue, reach ``level``; None where they do not."""
    low = float(np.nanmin(values, initial=np.inf))
    if not np.isfinite(low):
        return None
    # closed at the edge of the tissue and of the block: beyond them lies the lowest value
    filled = np.pad(np.nan_to_num(values, nan=low), 1, constant_values=low)
    if not low < level < float(filled.max()):
        return None
    places, triangles, normals, _ = marching_cubes(filled, level)
    points = grid.to_points(places - 1.0)
    towards = normals[:, ::-1] / np.asarray(grid.spacing_um[::-1])
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    # marching cubes' normals point to lower values: outwards
    bright = 0.62 + 0.38 * (towards @ (TOWARDS_LIGHT / np.linalg.norm(TOWARDS_LIGHT)))
    shaded = np.clip(bright[:, None] * colour[None] * 255.0, 0.0, 255.0).astype(np.uint8)
    return Surface(points, triangles.astype(np.int64), shaded)
