"""A piece of the morphology as encoders get it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vortex_model.encoders.base import Block
from vortex_model.multiscale import Channel, Level


def cut(
    level: Level,
    start: Sequence[int],
    stop: Sequence[int],
    channels: tuple[Channel, ...],
    ranges: Sequence[tuple[tuple[float, float], ...]],
) -> Block:
    """The voxels between two corners (z, y, x) of a level, all taken as tissue.

    Parameters
    ----------
    ranges
        Of the channels, for each plane or one for all
        (:func:`vortex_model.tissue.channel_ranges`).
    """
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    voxels = np.asarray(level.array[(slice(None), *box)]).astype(np.float32)
    np.nan_to_num(voxels, copy=False, posinf=0.0, neginf=0.0)
    return Block(
        voxels,
        level.grid.crop(start, stop),
        np.ones(voxels.shape[1:], dtype=np.bool_),
        channels,
        ranges[start[0]] if len(ranges) > 1 else ranges[0],
    )
