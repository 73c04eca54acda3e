"""Values of a lattice at the places of a picture: separable linear interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Axes = Sequence[npt.NDArray[np.floating[Any]]]


def interpolate(volume: npt.NDArray[Any], grid: Grid, axes_um: Axes) -> Floats:
    """A volume (z, y, x) on ``grid`` at every crossing of three axes (z, y, x), in micrometres.

    Beyond the outermost voxel centres the outermost value holds.
    """
    near, grid = around(volume, grid, axes_um)
    out = np.asarray(near, dtype=np.float32)
    # the axis that shrinks most goes first, so that the least is computed
    order = sorted(range(3), key=lambda a: len(axes_um[a]) / grid.shape[a])
    for axis in order:
        out = _along(out, axis, grid.origin_um[axis], grid.spacing_um[axis], axes_um[axis])
    return np.ascontiguousarray(out)


def around(volume: npt.NDArray[Any], grid: Grid, axes_um: Axes) -> tuple[npt.NDArray[Any], Grid]:
    """The part of a volume that places between three axes depend on: a slice needs two planes."""
    start, stop = [], []
    for places, origin, spacing, count in zip(
        axes_um, grid.origin_um, grid.spacing_um, grid.shape, strict=True
    ):
        if not len(places):
            return volume, grid
        first, last = ((f(places) - origin) / spacing for f in (np.min, np.max))
        start.append(int(np.clip(np.floor(first), 0, count - 1)))
        stop.append(int(np.clip(np.floor(last) + 2, start[-1] + 1, count)))
    part = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    return volume[part], grid.crop(start, stop)


def inside(grid: Grid, axes_um: Axes) -> npt.NDArray[np.bool_]:
    """Whether the crossings of three axes (z, y, x) lie in the block of ``grid``."""
    z, y, x = (
        (axis >= low) & (axis <= high)
        for axis, (low, high) in zip(axes_um, grid.bounds_um, strict=True)
    )
    return np.asarray(z[:, None, None] & y[None, :, None] & x[None, None, :])


class TissueSampler:
    """Interpolates over tissue only: what is outside of the mask has no say, and stays nan.

    Parameters
    ----------
    mask
        Tissue on the lattice, (z, y, x).
    grid
        The lattice.
    axes_um
        Where to sample, (z, y, x) in micrometres.
    """

    def __init__(self, mask: npt.NDArray[np.bool_], grid: Grid, axes_um: Axes) -> None:
        self._grid, self._axes = grid, axes_um
        weight = interpolate(mask, grid, axes_um)
        known = (weight >= 0.5) & inside(grid, axes_um)
        self._weight = np.where(known, weight, np.float32(np.nan))

    def __call__(self, volume: npt.NDArray[Any]) -> Floats:
        """A lattice volume, nan outside tissue, at the sampled places; float32, nan outside."""
        near, grid = around(volume, self._grid, self._axes)
        filled = np.nan_to_num(np.asarray(near, dtype=np.float32), nan=0.0)
        return np.asarray(interpolate(filled, grid, self._axes) / self._weight, dtype=np.float32)


class PlaceSampler:
    """As :class:`TissueSampler`, at any places.

    Parameters
    ----------
    mask, grid
        Tissue on the lattice, (z, y, x), and the lattice.
    points_um
        Where to sample: places (x, y, z), (..., 3).
    """

    def __init__(self, mask: npt.NDArray[np.bool_], grid: Grid, points_um: Points) -> None:
        self._points, self._shape = points_um.reshape(-1, 3), points_um.shape[:-1]
        self._grid = grid
        weight = self._at(mask)
        known = (weight >= 0.5) & grid.contains(self._points).reshape(self._shape)
        self._weight = np.where(known, weight, np.float32(np.nan))

    def __call__(self, volume: npt.NDArray[Any]) -> Floats:
        """A lattice volume at the places, nan outside tissue; float32."""
        return np.asarray(self._at(volume) / self._weight, dtype=np.float32)

    def _at(self, volume: npt.NDArray[Any]) -> Floats:
        from scipy.ndimage import map_coordinates

        near, grid = around(volume, self._grid, tuple(self._points.T[::-1]))
        filled = np.nan_to_num(np.asarray(near, dtype=np.float32), nan=0.0)
        index = grid.to_index(self._points).T
        found = map_coordinates(filled, index, order=1, mode="nearest")
        return np.asarray(found, dtype=np.float32).reshape(self._shape)


def _along(
    volume: Floats, axis: int, origin: float, spacing: float, places: npt.NDArray[Any]
) -> Floats:
    count = volume.shape[axis]
    index = np.clip((np.asarray(places) - origin) / spacing, 0.0, count - 1)
    low = np.floor(index).astype(np.intp)
    low = np.minimum(low, max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    shape = [1, 1, 1]
    shape[axis] = -1
    part = (index - low).astype(np.float32).reshape(shape)
    start = np.take(volume, low, axis=axis)
    step = np.take(volume, high, axis=axis)
    step -= start
    step *= part
    start += step
    return start
