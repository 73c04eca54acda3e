"""Random fields without borders: the same place has the same value, however it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Axes = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]

# The integral of a squared cubic B-spline: what white noise loses in variance an axis.
_KEPT = 151.0 / 315.0


def uniform(seed: int, *index: npt.NDArray[np.int64]) -> Floats:
    """A number in [0, 1) for each integer place, by hashing (murmur3's finaliser).

    ``index`` are integer arrays that broadcast together; their common shape comes back.
    """
    state = np.asarray((seed * 0x9E3779B9 + 0x85EBCA6B) & 0xFFFFFFFF, dtype=np.uint32)
    for number, part in enumerate(index):
        state = state ^ (part.astype(np.uint32) * np.uint32(0xC2B2AE35 + 2 * number))
        state ^= state >> np.uint32(16)
        state *= np.uint32(0x85EBCA6B)
        state ^= state >> np.uint32(13)
        state *= np.uint32(0xC2B2AE35)
        state ^= state >> np.uint32(16)
    return np.asarray((state >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24))


def smooth(seed: int, knot_um: float | Sequence[float], axes: Axes) -> Floats:
    """Smooth noise of mean 0 and variance about 1 on a lattice of places.

    White noise at knots, hashed, under cubic B-splines; grains are about two knots wide.

    Parameters
    ----------
    knot_um
        Distance between knots, one number or (z, y, x).
    axes
        Places along z, y, x, in micrometres.

    Returns
    -------
    array
        (z, y, x) float32.
    """
    knots = (knot_um,) * 3 if isinstance(knot_um, int | float) else tuple(knot_um)
    weights, ranges = [], []
    for place, knot in zip(axes, knots, strict=True):
        at = place / knot
        first = np.floor(at).astype(np.int64)
        low, high = int(first.min()) - 1, int(first.max()) + 2
        matrix = np.zeros((len(place), high - low + 1), dtype=np.float32)
        t = at - first
        spline = (
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        )
        rows = np.arange(len(place))
        for offset, value in enumerate(spline):
            matrix[rows, first - 1 + offset - low] = value
        weights.append(matrix)
        ranges.append(np.arange(low, high + 1))
    z, y, x = ranges
    white = uniform(seed, z[:, None, None], y[None, :, None], x[None, None, :])
    field = (white - np.float32(0.5)) * np.float32(np.sqrt(12.0 / _KEPT**3))
    field = np.tensordot(weights[0], field, axes=(1, 0))
    field = np.matmul(weights[1], field)
    return np.asarray(np.matmul(field, weights[2].T))


def borders(
    seed: int, pitch_um: float, index: npt.NDArray[np.int64], axes: Axes
) -> npt.NDArray[np.float32]:
    """How far places are from the border between two cells of a random foam, in micrometres.

    Cells are those of points jittered on a lattice (Worley noise, second less first distance).

    Parameters
    ----------
    pitch_um
        Usual size of a cell.
    index
        Places, (n, 3), as indices into ``axes``.
    """
    place = np.column_stack([a[i] for a, i in zip(axes, index.T, strict=True)])
    home = np.floor(place / pitch_um).astype(np.int64)
    first = np.full(len(place), np.inf, dtype=np.float32)
    second = first.copy()
    for shift in np.ndindex(3, 3, 3):
        cell = home + np.asarray(shift) - 1
        square = np.zeros(len(place), dtype=np.float32)
        for axis in range(3):
            jitter = uniform(seed * 3 + axis, *cell.T)
            centre = (cell[:, axis] + 0.5 + 0.8 * (jitter - 0.5)) * pitch_um
            square += (place[:, axis] - centre).astype(np.float32) ** 2
        distance = np.sqrt(square)
        second = np.minimum(second, np.maximum(first, distance))
        first = np.minimum(first, distance)
    return np.asarray(second - first)


def linear(block: Floats, start_um: Sequence[float], step_um: float, axes: Axes) -> Floats:
    """Linear interpolation of a lattice (z, y, x) that starts at ``start_um``, at other places."""
    out = block
    for axis, (place, start) in enumerate(zip(axes, start_um, strict=True)):
        at = (place - start) / step_um
        low = np.clip(np.floor(at).astype(np.int64), 0, max(block.shape[axis] - 2, 0))
        high = np.minimum(low + 1, block.shape[axis] - 1)
        part = (at - low).astype(np.float32)
        part = part.reshape([-1 if a == axis else 1 for a in range(3)])
        below = np.take(out, low, axis=axis)
        out = below + part * (np.take(out, high, axis=axis) - below)
    return out
