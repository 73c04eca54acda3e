"""Voxels of an image as means over the tokens of a lattice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_model.multiscale import Image, Level

SLAB = 32
FINER = 2.0
"""Voxels are averaged where they are so many times finer; then every token has some."""
Floats = npt.NDArray[np.float32]
Convert = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def on_lattice(image: Image, channel: int, grid: Grid, convert: Convert = np.asarray) -> Floats:
    """Mean of a channel over each token, (z, y, x); nan where the image does not reach.

    Read slab by slab from the coarsest level that is still twice as fine as the lattice. Along
    an axis where none is, the nearest voxel.

    Parameters
    ----------
    convert
        Applied to voxels before they are averaged, such as whether they have a label.
    """
    level = _level(image, grid)
    maps = [_Axis(level.grid, grid, axis) for axis in range(3)]
    total = np.zeros(grid.shape, dtype=np.float32)
    count = np.zeros(grid.shape[0])
    for planes, tokens in maps[0].slabs():
        y, x = maps[1].voxels, maps[2].voxels
        block = np.asarray(level.array[channel, planes, y, x])
        values = maps[2].mean(maps[1].mean(np.asarray(convert(block), dtype=np.float32), 1), 2)
        for token, plane in zip(tokens, values, strict=True):
            total[token] += plane
            count[token] += 1
    out = np.full(grid.shape, np.nan, dtype=np.float32)
    known = np.ix_(count > 0, maps[1].known, maps[2].known)
    out[known] = (total / np.maximum(count, 1)[:, None, None].astype(np.float32))[known]
    return out


def _level(image: Image, grid: Grid) -> Level:
    fit = [
        level
        for level in image.levels
        if all(
            FINER * a <= b * 1.001 or n == 1
            for a, b, n in zip(
                level.grid.spacing_um, grid.spacing_um, image.grid.shape, strict=True
            )
        )
    ]
    return fit[-1] if fit else image.levels[0]


class _Axis:
    """How voxels become tokens along one axis: means of several, or the nearest of few."""

    def __init__(self, voxels: Grid, tokens: Grid, axis: int) -> None:
        self._size = tokens.shape[axis]
        self._many = FINER * voxels.spacing_um[axis] <= tokens.spacing_um[axis] * 1.001
        source, target = (voxels, tokens) if self._many else (tokens, voxels)
        points = np.tile(np.asarray(target.centre_um), (source.shape[axis], 1))
        points[:, 2 - axis] = source.axis_um(axis)
        inside = target.contains(points)
        found = target.nearest(points)[:, axis]
        if self._many:
            rows = np.flatnonzero(inside)
            first, stop = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
            self._token = found[first:stop]
        else:
            first, stop = (int(found.min()), int(found.max()) + 1)
            self._voxel = found - first
            self._inside = inside
        self.voxels = slice(first, stop)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which tokens have a voxel."""
        return np.isin(np.arange(self._size), self._token) if self._many else self._inside

    def mean(self, values: Floats, axis: int) -> Floats:
        """Values along ``axis`` as means by token; what has none is 0."""
        if not self._many:
            return np.take(values, self._voxel, axis=axis)
        present, first, count = np.unique(self._token, return_index=True, return_counts=True)
        shape = list(values.shape)
        shape[axis] = self._size
        out = np.zeros(shape, dtype=np.float32)
        if len(present):
            sums = np.add.reduceat(values, first, axis=axis)
            where = tuple(present if a == axis else slice(None) for a in range(values.ndim))
            scale = count.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
            out[where] = sums / scale.astype(np.float32)
        return out

    def slabs(self) -> list[tuple[slice, npt.NDArray[np.int64]]]:
        """Slabs of voxel planes to read, with the token of each; for the first axis."""
        if self._many:
            start, stop = self.voxels.start, self.voxels.stop
            return [
                (slice(a, min(a + SLAB, stop)), self._token[a - start : a - start + SLAB])
                for a in range(start, stop, SLAB)
            ]
        pairs = [(self.voxels.start + v, t) for t, v in enumerate(self._voxel) if self._inside[t]]
        return [(slice(v, v + 1), np.asarray([t])) for v, t in pairs]
