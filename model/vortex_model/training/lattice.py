"""A prediction over the whole token lattice, part by part; its variance at as many as is cheap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vortex_model.crew import HERE, Crew
from vortex_model.expression import Measured
from vortex_model.features import Features
from vortex_model.grid import Grid
from vortex_model.predictors.base import Floats, Places, Predictor
from vortex_model.predictors.blocks import spatial_blocks
from vortex_model.predictors.kernels import pitch_um
from vortex_model.progress import Progress, silent

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Start = tuple[int, int, int]

MAX_TOKENS = 1_000_000
VARIANCE_WORK = 4e10
"""Multiplications spent on the variance of one component."""
MIN_VARIANCE_PLACES, MAX_VARIANCE_PLACES = 500, 30_000
REACH = 1.5
"""Without morphology, tissue is what lies within so many spot pitches of a spot."""


@dataclass(frozen=True)
class Lattice:
    """Factors at every tissue token, and the tokens that their variance can be worked out at.

    Attributes
    ----------
    factors
        (k, z, y, x), zero outside tissue.
    mask
        Tissue, (z, y, x).
    grid
        The lattice: the features', or one made from the spots where there is no morphology.
    some
        Indices (z, y, x) of all tokens, or of an even subset where they are many, (n, 3).
    places
        Where those are, with their features.
    """

    factors: Volume
    mask: Mask
    grid: Grid
    some: npt.NDArray[np.int64]
    places: Places

    def variance(
        self, predictor: Predictor, limit: int | None = None, progress: Progress = silent
    ) -> Volume:
        """Variance of the factors, (k, z, y, x), zero outside tissue.

        Exact at ``some``, or at ``limit`` of them, and interpolated elsewhere: one exact value
        costs as much as thousands of means.
        """
        out = np.zeros_like(self.factors)
        if len(self.some):
            keep = np.arange(len(self.some))
            if limit is not None:  # any one of each block: its first would lie on its edge
                blocks = spatial_blocks(self.places.points_um, limit)
                mixed = np.random.default_rng(0).permutation(keep)
                keep = mixed[np.unique(blocks[mixed], return_index=True)[1]]
            progress(0.0, f"variance at {len(keep):,} places")
            exact = predictor.variance(self.places[keep])
            _interpolate(out, self.some[keep], exact, self.mask, self.grid)
        progress(1.0, "predicted")
        return out


def predict_lattice(
    predictor: Predictor,
    rank: int,
    features: Features | None,
    measured: Measured,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> Lattice:
    """Factors at every tissue token of the features' lattice, or of one around the spots."""
    grid, mask = (features.grid, features.mask) if features else spot_lattice(measured)
    factors = np.zeros((rank, *grid.shape), np.float32)
    total, done = max(1, int(mask.sum())), 0
    some = _subset(mask, grid, _affordable(predictor.anchors))
    chosen = np.zeros(grid.shape, dtype=np.bool_)
    chosen[tuple(some.T)] = True
    shared = (predictor, features, grid, mask, chosen)
    starts = _starts(features, mask)
    kept: dict[Start, tuple[npt.NDArray[np.int64], Places]] = {}
    for start, (index, values, looked_at) in crew.map(_Part, shared, _predict, starts):
        progress(done / total, f"predicting token {done:,} of {total:,}")
        factors[:, index[:, 0], index[:, 1], index[:, 2]] = values
        kept[start] = (index[chosen[tuple(index.T)]], looked_at)
        done += len(index)
    progress(1.0, "predicted")
    if not kept:
        return Lattice(
            factors, mask, grid, some, Places(grid.to_points(some), np.zeros((0, 0)), ())
        )
    # in the order of the parts, whoever finished first
    where, looked = zip(*(kept[start] for start in sorted(kept)), strict=True)
    places = Places(
        np.vstack([p.points_um for p in looked]),
        np.vstack([p.features for p in looked]),
        looked[0].groups,
    )
    return Lattice(factors, mask, grid, np.vstack(where), places)


class _Part(NamedTuple):
    """What every part of the lattice needs."""

    predictor: Predictor
    features: Features | None
    grid: Grid
    mask: Mask
    chosen: Mask


def _predict(
    whole: _Part, start: Start
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], Places]:
    """Tissue tokens of one part, their factors (k, n), and the places chosen among them."""
    index, places = _places(whole.features, whole.grid, whole.mask, start)
    own = places[whole.chosen[tuple(index.T)]]
    chosen = replace(own, features=own.features.astype(np.float32))  # kept: as small as on disk
    return index, whole.predictor.predict(places).T.astype(np.float32), chosen


def section_depths(measured: Measured) -> tuple[Floats, bool]:
    """Mean z of each section, and whether all are planes: no deeper than a spot pitch."""
    pitch = pitch_um(measured.points_um, measured.section)
    each = [measured.points_um[measured.section == s, 2] for s in np.unique(measured.section)]
    return np.array([z.mean() for z in each]), all(np.ptp(z) <= pitch for z in each)


def spot_lattice(measured: Measured) -> tuple[Grid, Mask]:
    """A lattice around the spots, for a block without morphology.

    Half the spot pitch apart, coarser where that would be more than a million tokens. Where all
    sections are flat, planes are as far apart as the sections; otherwise z is like x and y.
    """
    points = measured.points_um
    pitch = pitch_um(points, measured.section)
    low, high = points.min(axis=0) - pitch, points.max(axis=0) + pitch
    levels, flat = section_depths(measured)
    step = np.full(3, pitch / 2)
    if flat:
        gaps = np.diff(np.unique(levels))
        step[2] = float(gaps.min()) if len(gaps) else pitch
        low[2], high[2] = levels.min(), levels.max()
    tokens = np.prod(np.maximum((high - low) / step, 1.0))
    axes = 2 if flat else 3
    step[:axes] *= max(1.0, float(tokens / MAX_TOKENS)) ** (1 / axes)
    count = np.maximum(np.ceil((high - low) / step).astype(int) + 1, 1)
    x, y, z = (int(n) for n in count)
    grid = Grid((z, y, x), tuple(step[::-1]), tuple(low[::-1]))
    places = grid.points()
    if flat:
        near = np.full(len(places), False)
        section = np.unique(measured.section)[np.abs(places[:, 2:] - levels).argmin(axis=1)]
        for number in np.unique(section):
            own = section == number
            near[own] = _within(
                points[measured.section == number, :2], places[own, :2], REACH * pitch
            )
    else:
        near = _within(points, places, REACH * pitch)
    return grid, near.reshape(grid.shape)


def _within(points: Floats, places: Floats, reach: float) -> Mask:
    """Whether each place has a point within reach."""
    return np.asarray(np.isfinite(cKDTree(points).query(places, distance_upper_bound=reach)[0]))


def tissue_parts(
    features: Features | None, grid: Grid, mask: Mask
) -> Iterator[tuple[npt.NDArray[np.int64], Places]]:
    """Indices and places of the tissue tokens, part by part."""
    for start in _starts(features, mask):
        yield _places(features, grid, mask, start)


def _starts(features: Features | None, mask: Mask) -> list[Start]:
    """Where parts with tissue begin: blocks of features, or planes where there are none."""
    if features is not None:
        return features.block_starts()
    return [(int(z), 0, 0) for z in np.flatnonzero(mask.any(axis=(1, 2)))]


def _places(
    features: Features | None, grid: Grid, mask: Mask, start: Start
) -> tuple[npt.NDArray[np.int64], Places]:
    """The tissue tokens of a block of features, or of a plane where there are none."""
    if features is not None:
        block = features.block(start)
        points = grid.to_points(block.tokens)
        return block.tokens, Places(points, block.values.astype(np.float64), features.groups)
    index = np.argwhere(mask[start[0] : start[0] + 1]) + start
    return index, Places(grid.to_points(index), np.zeros((len(index), 0)), ())


def _affordable(anchors: int) -> int:
    """How many places the variance is computed at."""
    return int(
        np.clip(VARIANCE_WORK / max(1, anchors) ** 2, MIN_VARIANCE_PLACES, MAX_VARIANCE_PLACES)
    )


def _subset(mask: Mask, grid: Grid, limit: int) -> npt.NDArray[np.int64]:
    """Indices of at most about ``limit`` tissue tokens, as evenly spread in space as a grid."""
    index = np.argwhere(mask)
    if len(index) <= limit:
        return index
    spacing = np.asarray(grid.spacing_um)
    side = float(np.prod(spacing) * len(index) / limit) ** (1 / 3)
    for _ in range(20):
        step = np.clip(np.rint(side / spacing), 1, None).astype(int)
        keep = ((index - step // 2) % step == 0).all(axis=1)
        if keep.sum() <= limit:
            break
        side *= 1.1
    return index[keep] if keep.any() else index[:: -(-len(index) // limit)]


def _interpolate(
    out: Volume,
    where: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    mask: Mask,
    grid: Grid,
) -> None:
    """Fill ``out`` at all tissue tokens: inverse-distance mean of the four nearest values."""
    spacing = np.asarray(grid.spacing_um)
    tree = cKDTree(where * spacing)
    index = np.argwhere(mask)
    for start in range(0, len(index), 100_000):
        own = index[start : start + 100_000]
        near = min(4, len(where))
        distance, nearest = (
            np.asarray(a).reshape(-1, near) for a in tree.query(own * spacing, k=near)
        )
        weight = 1.0 / np.maximum(distance, 1e-6 * spacing.min())
        weight /= weight.sum(axis=1, keepdims=True)
        filled = np.einsum("nj,njk->kn", weight, values[nearest])
        out[:, own[:, 0], own[:, 1], own[:, 2]] = filled
