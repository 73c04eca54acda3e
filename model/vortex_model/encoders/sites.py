"""A seeded sample of places in the tissue, for what is learned from the block itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vortex_model import tissue
from vortex_model.encoders.base import Floats, Source, Subject
from vortex_model.grid import Grid
from vortex_model.multiscale import Level

FEWEST = 8
Mask = npt.NDArray[np.bool_]
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
    tissue
        Which of its cells are tissue, (y, x); of none where no cells were asked for.
    """

    plane: int
    down: slice
    across: slice
    ranges: Ranges
    tissue: Mask

    def read(self, level: Level) -> Floats:
        """Its voxels (c, y, x)."""
        voxels = np.asarray(level.array[:, self.plane, self.down, self.across]).astype(np.float32)
        return np.asarray(np.nan_to_num(voxels, copy=False, posinf=0.0, neginf=0.0))


def sites(
    source: Source,
    subject: Subject,
    side: int,
    unit: int,
    most: int,
    apart: int = 0,
    cell: int = 0,
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
    cell
        Voxels along a cell of which ``Site.tissue`` tells; 0 for none.
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
            Site(
                p,
                slice(y, y + side),
                slice(x, x + side),
                ranges[p if planar else 0],
                _cells(mask, where, level.grid, (p, y, x), side // cell if cell else 0, cell),
            )
            for p in (z, other)
        )
        yield own, beside


def _cells(
    mask: Mask, where: Grid, grid: Grid, start: tuple[int, int, int], count: int, cell: int
) -> Mask:
    """Whether the middle of each cell of a square, (count, count), is tissue."""
    z, y, x = start
    middle = (np.arange(count) + 0.5) * cell - 0.5
    along = np.zeros((count, 3)) + start
    along[:, 1], along[:, 2] = y + middle, x + middle
    found = where.nearest(grid.to_points(along))
    plane = z if len(mask) == grid.shape[0] else int(found[0, 0]) if count else 0
    return np.asarray(mask[plane][np.ix_(found[:, 1], found[:, 2])], dtype=np.bool_)
