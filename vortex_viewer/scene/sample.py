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
    start, stop = around(grid, axes_um)
    out = np.array(volume[tuple(map(slice, start, stop))], dtype=np.float32)
    return _crossings(out, grid.crop(start, stop), axes_um)


def _crossings(out: Floats, grid: Grid, axes_um: Axes) -> Floats:
    """``out`` itself where the axes are the grid's own."""
    # the axis that shrinks most goes first, so that the least is computed
    order = sorted(range(3), key=lambda a: len(axes_um[a]) / grid.shape[a])
    for axis in order:
        out = _along(out, axis, grid.origin_um[axis], grid.spacing_um[axis], axes_um[axis])
    return np.ascontiguousarray(out)


def around(grid: Grid, axes_um: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First voxel, and the one after the last, that places between three axes depend on."""
    start, stop = [], []
    for places, origin, spacing, count in zip(
        axes_um, grid.origin_um, grid.spacing_um, grid.shape, strict=True
    ):
        if not len(places):
            return (0, 0, 0), grid.shape
        first, last = ((f(places) - origin) / spacing for f in (np.min, np.max))
        start.append(int(np.clip(np.floor(first), 0, count - 1)))
        stop.append(int(np.clip(np.floor(last) + 2, start[-1] + 1, count)))
    return tuple(start), tuple(stop)


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

    Attributes
    ----------
    start, stop
        The box of the lattice that the places depend on: what a call is given.
    """

    def __init__(self, mask: npt.NDArray[np.bool_], grid: Grid, axes_um: Axes) -> None:
        self.start, self.stop = around(grid, axes_um)
        self._grid, self._axes = grid.crop(self.start, self.stop), axes_um
        weight = interpolate(mask, grid, axes_um)
        known = (weight >= 0.5) & inside(grid, axes_um)
        self._weight = np.where(known, weight, np.float32(np.nan))

    def __call__(self, near: npt.NDArray[Any]) -> Floats:
        """The box of a volume, nan outside tissue, at the sampled places; float32, nan outside."""
        out = _crossings(_filled(near), self._grid, self._axes)
        out /= self._weight
        return out


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
        self.start, self.stop = around(grid, tuple(self._points.T[::-1]))
        self._grid = grid.crop(self.start, self.stop)
        weight = self._at(mask[tuple(map(slice, self.start, self.stop))])
        known = (weight >= 0.5) & grid.contains(self._points).reshape(self._shape)
        self._weight = np.where(known, weight, np.float32(np.nan))

    def __call__(self, near: npt.NDArray[Any]) -> Floats:
        """The box of a volume, nan outside tissue, at the places; float32, nan outside."""
        return np.asarray(self._at(near) / self._weight, dtype=np.float32)

    def _at(self, near: npt.NDArray[Any]) -> Floats:
        from scipy.ndimage import map_coordinates

        index = self._grid.to_index(self._points).T
        found = map_coordinates(_filled(near), index, order=1, mode="nearest")
        return np.asarray(found, dtype=np.float32).reshape(self._shape)


def _filled(near: npt.NDArray[Any]) -> Floats:
    return np.nan_to_num(np.asarray(near, dtype=np.float32), nan=0.0)


def _along(
    volume: Floats, axis: int, origin: float, spacing: float, places: npt.NDArray[Any]
) -> Floats:
    count = volume.shape[axis]
    index = np.clip((np.asarray(places) - origin) / spacing, 0.0, count - 1)
    if len(index) == count and np.allclose(index, np.arange(count), rtol=0.0, atol=1e-4):
        return volume
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
