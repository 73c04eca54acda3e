"""A seeded sample of places in the tissue, for what is learned from the block itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vortex_model import tissue
from vortex_model.encoders.base import Floats, Source, Subject
from vortex_model.multiscale import Level

FEWEST = 8
Ranges = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Site:
    """A square of one plane of the level that is read.

    Attributes
    ----------
    plane
        Its plane.
    down, across
        Its voxels along y and x.
    ranges
        (low, high) a channel, of its section or volume.
    """

    plane: int
    down: slice
    across: slice
    ranges: Ranges

    def read(self, level: Level) -> Floats:
        """Its voxels (c, y, x)."""
        voxels = np.asarray(level.array[:, self.plane, self.down, self.across]).astype(np.float32)
        return np.asarray(np.nan_to_num(voxels, copy=False, posinf=0.0, neginf=0.0))


def sites(
    source: Source, subject: Subject, side: int, unit: int, most: int, apart: int = 0
) -> Iterator[tuple[Site, Site]]:
    """Squares whose middle is tissue, drawn evenly, each with the same place in another plane.

    Parameters
    ----------
    side
        Voxels along a square; cut where the image is smaller.
    unit
        A square starts at a multiple of so many voxels.
    most
        How many there are at most; a small block holds few different ones, and gets fewer.
    apart
        How many planes away the other square is, where there is tissue; else it is the same one.
    """
    level, planar = source.level, subject.planar
    mask, where = tissue.tissue_mask(source.image, max(subject.token_um[1:]), planar)
    ranges = tissue.channel_ranges(source.image, planar)
    flat = np.flatnonzero(mask)
    fields = len(flat) * np.prod(where.spacing_um[1:])
    fields /= np.prod(level.grid.spacing_um[1:]) * side**2
    count = min(most, len(flat), FEWEST + 2 * int(fields))
    random = np.random.default_rng(0)
    chosen = np.sort(random.choice(flat, count, replace=False))
    jitter = random.uniform(0, 1, (len(chosen), 3))
    ratio = 1.0 if planar else level.grid.spacing_um[0] / where.spacing_um[0]
    for number, (index, shift) in enumerate(
        zip(np.column_stack(np.unravel_index(chosen, mask.shape)), jitter, strict=True)
    ):
        corner = []
        for a, (i, u) in enumerate(zip(index, shift, strict=True)):
            um = (i + u) * where.spacing_um[a]
            corner.append(min(int(um / level.grid.spacing_um[a]), level.grid.shape[a] - 1))
        z = int(index[0]) if planar else corner[0]
        y, x = (
            max(0, min(c - side // 2, n - side)) // unit * unit
            for c, n in zip(corner[1:], level.grid.shape[1:], strict=True)
        )
        other = z
        for step in (apart, -apart) if number % 2 else (-apart, apart):
            there = min(int((z + step + 0.5) * ratio), len(mask) - 1)
            if 0 <= z + step < level.grid.shape[0] and mask[there, index[1], index[2]]:
                other = z + step
                break
        own, beside = (
            Site(p, slice(y, y + side), slice(x, x + side), ranges[p if planar else 0])
            for p in (z, other)
        )
        yield own, beside
