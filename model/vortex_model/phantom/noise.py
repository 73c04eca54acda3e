"""Random fields without borders: the same place has the same value, however it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Axes = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]

# The integral of a squared cubic B-spline: what white noise loses in variance an axis.
_KEPT = 151.0 / 315.0


def uniform(seed: int, *index: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each integer place, by hashing (splitmix64's finaliser).

    ``index`` are integer arrays that broadcast together; their common shape comes back.
    """
    with np.errstate(over="ignore"):
        state = np.uint64(seed & 0xFFFFFFFFFFFFFFFF) * np.uint64(0x9E3779B97F4A7C15)
        out = np.asarray(state)
        for number, part in enumerate(index, start=1):
            out = out ^ (part.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93 + 2 * number))
            out = (out ^ (out >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            out = (out ^ (out >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            out = out ^ (out >> np.uint64(31))
    return np.asarray((out >> np.uint64(11)).astype(np.float64) * 2.0**-53)


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
    field = ((white - 0.5) * np.sqrt(12.0 / _KEPT**3)).astype(np.float32)
    field = np.tensordot(weights[0], field, axes=(1, 0))
    field = np.matmul(weights[1], field)
    return np.asarray(np.matmul(field, weights[2].T))


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
