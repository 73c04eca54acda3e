"""Where visual words lie: patches of a brightfield block, learned on it and counted in tokens.

Words are learned on the very morphology that is encoded, so no weights are shipped. Brightfield
alone: on a fluorescence phantom words took 0.006 off the correlation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model import tissue
from vortex_model.encoders.base import Block, Floats, Source, Subject
from vortex_model.encoders.sites import sites
from vortex_model.encoders.vocabulary import BATCH, COMPONENTS, PATCH, WORDS, Vocabulary, learn
from vortex_model.grid import Grid

STRIDE = 4
"""Pixels from patch to patch."""
FINEST_UM = 0.7
"""Pixels of the finest patches, where voxels allow: .008 above 1.4 (docs/accuracy.md)."""
SCALES = 2
WIDEST_UM = 500.0
"""Wider patches say nothing that the windows do not: coarse voxels get fewer scales, or none."""
SITES = 600
SITE = 10
"""Patches along a site, a small field that words are learned on."""


class Dictionary:
    """The words of one subject at each scale; learned when first asked for.

    Attributes
    ----------
    patches_um
        Width of the patches of each scale.
    width
        Token channels of all scales together.
    halo_um
        Context that a patch needs (y and x).
    """

    def __init__(self, subject: Subject) -> None:
        self._subject, self._source = subject, subject.source
        self._factors = _factors(subject)
        voxel = max(subject.voxel_um[1:])
        self.patches_um = tuple(PATCH * f * voxel for f in self._factors)
        self.width = COMPONENTS * len(self._factors)
        self.halo_um = max((p * 0.5 + p / PATCH for p in self.patches_um), default=0.0)
        self._lock = threading.Lock()
        self._learned: list[Vocabulary] | None = None

    def tokens(self, block: Block, lattice: Grid) -> Iterator[Floats]:
        """Mean response of each token's patches, ``width`` times (z, y, x)."""
        if self._source is None:
            return
        for factor, words in zip(self._factors, self._words(self._source), strict=True):
            yield from self._scale(block, lattice, self._source.level.grid, factor, words)

    def _words(self, source: Source) -> list[Vocabulary]:
        with self._lock:
            if self._learned is None:
                self._learned = [
                    learn(list(_sites(source, self._subject, f))) for f in self._factors
                ]
            return self._learned

    def __getstate__(self) -> dict[str, Any]:
        """For another process: with the words, so that all use the same ones, once learned."""
        if self._source is not None:
            self._words(self._source)
        return {key: value for key, value in vars(self).items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In the other process."""
        vars(self).update(state, _lock=threading.Lock())

    def _scale(
        self, block: Block, lattice: Grid, whole: Grid, factor: int, words: Vocabulary
    ) -> Floats:
        start, low = _offset(block.grid, whole), _offset(lattice, whole)
        size = [round(t / v) for t, v in zip(lattice.spacing_um, whole.spacing_um, strict=True)]
        z, y, x = (
            _centres(a, min(a + s * n, b + m), step, unit)
            for a, s, n, b, m, step, unit in zip(
                low, size, lattice.shape, start, block.grid.shape,
                _steps(self._subject, factor, size), (1, factor, factor), strict=True,
            )
        )  # fmt: skip
        total = np.zeros((*lattice.shape, WORDS), dtype=np.float32).reshape(-1, WORDS)
        count = np.zeros(len(total), dtype=np.float32)
        for plane in z:
            inside = block.tissue[plane - start[0]][np.ix_(y - start[1], x - start[2])]
            if not inside.any():
                continue
            field = _field(block.voxels[:, plane - start[0]], block.scales, factor)
            row, column = np.nonzero(inside)
            token = np.ravel_multi_index(
                (
                    np.full(len(row), (plane - low[0]) // size[0]),
                    (y[row] - low[1]) // size[1],
                    (x[column] - low[2]) // size[2],
                ),
                lattice.shape,
            )
            top = (y[row] - start[1]) // factor
            left = (x[column] - start[2]) // factor
            for first in range(0, len(row), BATCH):
                part = slice(first, first + BATCH)
                found = words.responses(_patches(field, top[part], left[part]))
                edges = np.flatnonzero(np.diff(token[part], prepend=-1))
                np.add.at(total, token[part][edges], np.add.reduceat(found, edges, axis=0))
            count += np.bincount(token, minlength=len(count))
        mean = total / np.maximum(count, 1)[:, None]
        out = np.where(count[:, None] > 0, (mean - words.centre) @ words.project, 0)
        return np.moveaxis(out.reshape(*lattice.shape, -1), -1, 0).astype(np.float32)


# -- where and what -------------------------------------------------------------------------


def _factors(subject: Subject) -> tuple[int, ...]:
    """How many voxels make a pixel, at each scale."""
    if subject.source is None or not subject.is_rgb:
        return ()
    voxel = max(subject.voxel_um[1:])
    finest = 2 ** int(np.clip(round(np.log2(FINEST_UM / voxel)), 0, 2))
    size = min(subject.source.level.grid.shape[1:])
    wanted = [finest * 2**n for n in range(SCALES)]
    return tuple(f for f in wanted if PATCH * f * voxel <= WIDEST_UM and PATCH * f <= size)


def _steps(subject: Subject, factor: int, token: Sequence[int]) -> tuple[int, int, int]:
    """Voxels (z, y, x) from patch to patch, not more than a token has.

    Planes of sections are all seen; of volumes those as far apart as patches are.
    """
    apart = STRIDE * factor * max(subject.voxel_um[1:]) / subject.voxel_um[0]
    z = 1 if subject.planar else int(np.clip(round(apart), 1, token[0]))
    y, x = (int(np.clip(n // factor, 1, STRIDE)) * factor for n in token[1:])
    return z, y, x


def _centres(low: int, high: int, step: int, unit: int) -> npt.NDArray[np.int64]:
    """Middles of patches along an axis, in voxels: whole steps from the image's corner.

    So they do not depend on the block; they are multiples of ``unit``.
    """
    first = step // unit // 2 * unit
    return np.arange(first + -(-(low - first) // step) * step, high, step)


def _offset(grid: Grid, whole: Grid) -> list[int]:
    """Voxels of ``whole`` before the corner of ``grid``."""
    return [
        round((a[0] - b[0]) / s)
        for a, b, s in zip(grid.bounds_um, whole.bounds_um, whole.spacing_um, strict=True)
    ]


def _field(plane: Floats, scales: Sequence[tuple[float, float]], factor: int) -> Floats:
    """Optical density of a plane (c, y, x) in pixels of ``factor`` voxels, (y, x, c).

    Half a patch wider on each side, where the edge is repeated.
    """
    density = tissue.optical_density(np.moveaxis(plane, 0, -1), [high for _, high in scales])
    values = np.moveaxis(density, -1, 0)
    pad = [(0, 0), *((0, -n % factor) for n in values.shape[1:])]
    values = np.pad(values, pad, mode="edge")
    c, height, width = values.shape
    values = values.reshape(c, height // factor, factor, width // factor, factor).mean(axis=(2, 4))
    half = PATCH // 2
    values = np.pad(values, ((0, 0), (half, half), (half, half)), mode="edge")
    return np.ascontiguousarray(np.moveaxis(values, 0, -1), dtype=np.float32)


def _patches(field: Floats, top: npt.NDArray[np.int64], left: npt.NDArray[np.int64]) -> Floats:
    """Patches around these pixels of a field (y, x, c), (n, y * x * c)."""
    view = np.lib.stride_tricks.sliding_window_view(field, (PATCH, PATCH), axis=(0, 1))
    return np.moveaxis(view[top, left], 1, -1).reshape(len(top), -1)


# -- learning -------------------------------------------------------------------------------


def _sites(source: Source, subject: Subject, factor: int) -> Iterator[Floats]:
    """Patches (n, pixels) of each of a seeded sample of small fields of tissue."""
    side = ((SITE - 1) * STRIDE + PATCH) * factor
    for site, _ in sites(source, subject, side, factor, SITES):
        field = _field(site.read(source.level), site.ranges, factor)
        edge = PATCH // 2
        rows, columns = (np.arange(edge, n - edge - PATCH + 1, STRIDE) for n in field.shape[:2])
        y, x = (v.ravel() for v in np.meshgrid(rows, columns, indexing="ij"))
        yield _patches(field, y, x)
