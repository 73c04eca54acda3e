"""Spatial blocks: held-out places that lie together, so that neighbours give nothing away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from vortex_model.predictors.base import Floats

FOLDS = 5
Indices = npt.NDArray[np.int64]


def spatial_blocks(points_um: Floats, count: int) -> Indices:
    """Compact blocks with near-equal numbers of places, by cutting across the longest side.

    All sections are cut together, because the same place in the next section is a neighbour too.

    Parameters
    ----------
    points_um
        (x, y, z), (n, 3).
    count
        How many blocks; never more than there are places.

    Returns
    -------
    numpy.ndarray
        The block of each place, (n,), from 0.
    """
    label = np.zeros(len(points_um), dtype=np.int64)

    def cut(own: Indices, pieces: int, first: int) -> None:
        if pieces <= 1:
            label[own] = first
            return
        axis = int(np.ptp(points_um[own], axis=0).argmax())
        order = own[np.argsort(points_um[own, axis], kind="stable")]
        low = pieces // 2
        middle = round(len(order) * low / pieces)
        cut(order[:middle], low, first)
        cut(order[middle:], pieces - low, first + low)

    if len(points_um):
        cut(np.arange(len(points_um)), min(count, len(points_um)), 0)
    return label


def folds(points_um: Floats, count: int = FOLDS) -> Iterator[tuple[Indices, Indices]]:
    """Indices to train on and to hold out, one spatial block at a time."""
    blocks = spatial_blocks(points_um, count)
    for block in range(int(blocks.max(initial=-1)) + 1):
        yield np.flatnonzero(blocks != block), np.flatnonzero(blocks == block)
