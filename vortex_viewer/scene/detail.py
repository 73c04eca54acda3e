"""How finely, and how much of, the morphology stands in 3D: coarse at once, fine in a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vortex_model.grid import Grid
from vortex_model.multiscale import Image
from vortex_viewer.scene.camera import Box

QUICK_VOXELS = 600_000
"""The first picture of a block has no more: it stands while the fine one is read."""
WORTH = 3.0
"""How many times more voxels the fine picture has, where a quick one comes first."""
PARTS = 16
"""A crop is looked at in so many parts of the block along an axis, so that a small step of its
slider reads nothing anew."""


@dataclass(frozen=True)
class Detail:
    """A level of the morphology, and its voxels from ``start`` to before ``stop`` (z, y, x)."""

    level: int
    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def grid(self, image: Image) -> Grid:
        """Where its voxels are."""
        return image.levels[self.level].grid.crop(self.start, self.stop)


def finest(image: Image, budget: int, crop: Box | None = None) -> Detail:
    """The finest level that holds the crop, or the whole block, in ``budget`` voxels.

    A crop's part is as fine as the budget allows, where that is finer than the whole block would
    be; else it is the whole block, which moving the crop does not change.
    """
    whole = _within(image, budget, None)
    if crop is None:
        return whole
    near = _within(image, budget, crop)
    return near if near.level < whole.level else whole


def quick(image: Image, fine: Detail) -> Detail | None:
    """What is shown until ``fine`` is there; None where that would not be much sooner."""
    first = _within(image, QUICK_VOXELS, None)
    return first if _count(fine) >= WORTH * QUICK_VOXELS else None


def _within(image: Image, budget: int, crop: Box | None) -> Detail:
    for number, level in enumerate(image.levels):
        found = Detail(number, *_part(level.grid, crop))
        if _count(found) <= budget:
            return found
    return found


def _count(detail: Detail) -> int:
    return int(np.prod(np.subtract(detail.stop, detail.start)))


def _part(grid: Grid, crop: Box | None) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    if crop is None:
        return (0, 0, 0), grid.shape
    low, high = ([span[side] for span in crop] for side in (0, 1))
    step = np.maximum(1, np.ceil(np.array(grid.shape) / PARTS)).astype(np.int64)
    # voxel i reaches from i - 1/2 to i + 1/2
    first, last = (grid.to_index([p])[0] + 0.5 for p in (low, high))
    start = np.clip(np.floor(first / step) * step, 0, np.array(grid.shape) - 1)
    stop = np.clip(np.ceil(last / step) * step, start + 1, grid.shape)
    a, b = (tuple(int(n) for n in edge) for edge in (start, stop))
    return (a[0], a[1], a[2]), (b[0], b[1], b[2])
