"""An oblique slice: a plane through the crosshair, sampled where its pixels lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.multiscale import Level
from vortex_viewer.scene.camera import Box
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.slices import (
    MAX_PIXELS,
    Paint,
    Picture,
    ValuesAt,
    Window,
    centres,
    level_in_sight,
)
from vortex_viewer.state import Point, Range

Floats = npt.NDArray[np.float64]
MOST_VOXELS = 1 << 23
"""More than these are not read at once."""


@dataclass(frozen=True)
class Plane:
    """A plane in the block; its pane has coordinates of its own, in micrometres.

    Attributes
    ----------
    origin
        The place (x, y, z) of the pane's (0, 0).
    across, down, normal
        Unit vectors (x, y, z): along the pane, down it, and into it.
    """

    origin: Floats
    across: Floats
    down: Floats
    normal: Floats

    @classmethod
    def tilted(cls, middle: Point, place: Point, degrees: Range) -> Plane:
        """The XY slice at ``place``, turned about it; no turn is the XY slice itself.

        Parameters
        ----------
        middle
            Where the pane's coordinates are counted from, so that they stay while ``place``
            moves within the plane.
        degrees
            The turn about x and about y at once: a rotation vector, applied by Rodrigues'
            formula.
        """
        vector = np.radians([*degrees, 0.0])
        angle = float(np.linalg.norm(vector))
        axis = vector / angle if angle > 0 else vector
        cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        across, down, normal = turn.T
        start = np.asarray(middle, np.float64)
        away = float((np.asarray(place) - start) @ normal)
        return cls(start + away * normal, across, down, normal)

    def points(self, across: npt.ArrayLike, down: npt.ArrayLike) -> Floats:
        """Places (x, y, z) of the pane's coordinates, (..., 3)."""
        a, d = np.broadcast_arrays(np.asarray(across, np.float64), np.asarray(down, np.float64))
        return np.asarray(self.origin + a[..., None] * self.across + d[..., None] * self.down)

    def flat(self, points_um: npt.ArrayLike) -> tuple[Floats, Floats]:
        """The pane's coordinates of places (..., 3): of their nearest places in the plane."""
        away = np.asarray(points_um, np.float64) - self.origin
        return away @ self.across, away @ self.down

    def ring(self, box: Box) -> Floats:
        """The corners (n, 3) of what of the plane lies in a box (x, y, z ranges), in order."""
        corners = np.array(np.meshgrid(*box, indexing="ij")).reshape(3, -1).T
        side = (corners - self.origin) @ self.normal
        found = []
        for i, j in _edges():
            if side[i] * side[j] <= 0 and side[i] != side[j]:
                part = side[i] / (side[i] - side[j])
                found.append(corners[i] + part * (corners[j] - corners[i]))
        # a plane that holds a face of the box meets it in that face's corners
        found += list(corners[np.abs(side) < 1e-9])
        if not found:
            return np.zeros((0, 3))
        points = np.unique(np.round(found, 6), axis=0)
        a, d = self.flat(points)
        return points[np.argsort(np.arctan2(d - d.mean(), a - a.mean()))]

    def extent(self, box: Box) -> tuple[Range, Range]:
        """What of the pane lies in a box: along it and down it."""
        ring = self.ring(box)
        if not len(ring):
            return (0.0, 1.0), (0.0, 1.0)
        a, d = self.flat(ring)
        return (float(a.min()), float(a.max())), (float(d.min()), float(d.max()))


def cut_plane(
    data: StudyData, plane: Plane, window: Window, values_at: ValuesAt, paint: Paint, stained: bool
) -> Picture:
    """What of an oblique slice is in sight, at the resolution that it is seen at.

    Each pixel is its nearest voxel, as in the other slices; genes are interpolated.

    Parameters
    ----------
    values_at
        Each gene's values (y, x) at places (y, x, 3), nan where there are none.
    paint
        As in :func:`vortex_viewer.scene.slices.cut`.
    stained
        Whether fluorescence is shown as virtual H&E.
    """
    span = window.across_um[1] - window.across_um[0]
    step = max(span / max(1, min(window.pixels, MAX_PIXELS)), 1e-6)
    across, down = centres(window.across_um, step), centres(window.down_um, step)
    points = plane.points(across[None, :], down[:, None])
    level = level_in_sight(data, 2, window)
    if level is None:
        morphology = np.zeros(points.shape[:2], np.uint8)
    else:
        morphology = data.shown(_voxels(data, level, points), stained)
    values = values_at(points)
    glass = data.frame.contains(points.reshape(-1, 3)).reshape(points.shape[:2])
    if level is None and values:
        glass = glass & np.isfinite(values[0])
    picture = paint(morphology, values, glass.astype(np.float32))
    return Picture(picture, window.across_um, window.down_um)


def _voxels(data: StudyData, level: Level, points_um: Floats) -> npt.NDArray[Any]:
    """The voxel nearest to each place, (channel, y, x); 0 outside of the block."""
    flat = points_um.reshape(-1, 3)
    inside = np.flatnonzero(level.grid.contains(flat))
    index = level.grid.nearest(flat[inside])
    array = level.array
    out = np.zeros((array.shape[0], len(flat)), array.dtype)
    for own in _groups(index, array.chunks[1], array.chunks[2]):
        low, high = index[own].min(axis=0), index[own].max(axis=0) + 1
        piece = data.voxels(level, [int(n) for n in low], [int(n) for n in high])
        out[:, inside[own]] = piece[(slice(None), *(index[own] - low).T)]
    return out.reshape(array.shape[0], *points_um.shape[:2])


def _groups(index: npt.NDArray[np.int64], deep: int, high: int) -> Iterator[npt.NDArray[Any]]:
    """Numbers of voxels (z, y, x) that are read together: by chunk along z, and along y too."""
    for own in _by(index[:, 0] // deep):
        size = np.ptp(index[own], axis=0) + 1
        if int(np.prod(size)) <= MOST_VOXELS:
            yield own
        else:
            yield from (own[some] for some in _by(index[own, 1] // high))


def _by(key: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[Any]]:
    order = np.argsort(key, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(key[order])) + 1) if len(key) else ()


def _edges() -> list[tuple[int, int]]:
    """Numbers of the two corners of each edge of a box: they differ in one of three bits."""
    return [(i, i | bit) for bit in (1, 2, 4) for i in range(8) if not i & bit]
