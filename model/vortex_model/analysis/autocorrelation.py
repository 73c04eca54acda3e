"""How far a gene's expression hangs together, and what that does to the means of regions.

A mean over tokens that are alike is less certain than their number says: its variance is the
sum of the autocorrelation over all pairs of tokens. The pairs of a region at every offset are one
Fourier transform; the autocorrelation of every gene comes from products of the factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from vortex_model.analysis.moments import Floats, quadratic
from vortex_model.analysis.spatial import Step, field
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent

FADED = 0.05
"""An autocorrelation below this is taken for none, there and farther away."""
MOST_TOKENS = 1 << 21
"""Larger regions are counted on a coarser lattice."""
ENOUGH_TOKENS = 60_000
"""The autocorrelation of larger regions is estimated from so many of their tokens."""


@dataclass(frozen=True)
class Correlogram:
    """Autocorrelation of every gene by distance, within regions.

    Attributes
    ----------
    distance_um
        (distances,), from 0.
    values
        (distances, genes), from 1; 0 from where it has faded.
    variance
        Of each gene about its region's mean, (genes,).
    """

    distance_um: Floats
    values: Floats
    variance: Floats

    @property
    def length_um(self) -> Floats:
        """Distance at which each gene's autocorrelation falls to 1/e, (genes,)."""
        return _crossing(self.distance_um, self.values, math.exp(-1.0))

    def variance_of(self, weight: Floats, grid: Grid) -> Floats:
        """Variance of the weighted sum of each gene over tokens, (genes,).

        Parameters
        ----------
        weight
            Of each token, (z, y, x) of the lattice.
        """
        pairs = _pairs(weight, grid, self.distance_um)
        return np.asarray(self.variance * np.maximum(pairs @ self.values, 0.0))


def correlogram(
    prediction: Prediction,
    group: npt.NDArray[np.integer[Any]],
    centres: Floats,
    progress: Progress = silent,
) -> Correlogram:
    """Measure it over tissue tokens of some groups, each from its group's mean.

    Parameters
    ----------
    group
        Number of each token's group, (z, y, x), below 0 for none.
    centres
        Mean factors of each group, (groups, k).
    """
    grid = prediction.grid
    distances = _distances(grid, group)
    steps, owner = _steps(grid, distances)
    share = min(1.0, ENOUGH_TOKENS / max(int(((group >= 0) & prediction.mask).sum()), 1))
    found = field(prediction, steps, group=group, centres=centres, share=share, progress=progress)
    each = found.correlation(prediction.loadings)
    rows, at = [np.ones(prediction.loadings.shape[1])], [0.0]
    for number, distance in enumerate(distances):
        own = (owner == number) & (found.pairs > 0)
        if own.any():
            rows.append(np.average(np.nan_to_num(each[own]), axis=0, weights=found.pairs[own]))
            at.append(float(distance))
    if len(at) == 1:
        rows.append(np.zeros_like(rows[0]))
        at.append(min(grid.spacing_um))
    values = np.stack(rows)
    values[np.logical_or.accumulate(values < FADED, axis=0)] = 0.0
    return Correlogram(np.asarray(at), values, quadratic(found.covariance, prediction.loadings))


def _pairs(weight: Floats, grid: Grid, distances: Floats) -> Floats:
    """Sum of products of weights over all pairs of tokens, shared out to distances."""
    where = np.argwhere(weight)
    low, high = where.min(axis=0), where.max(axis=0) + 1
    part = weight[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    spacing = np.asarray(grid.spacing_um)
    while part.size > MOST_TOKENS:
        axis = int(np.argmax(np.asarray(part.shape) / (spacing / spacing.min())))
        part = np.add.reduceat(part, np.arange(0, part.shape[axis], 2), axis=axis)
        spacing[axis] *= 2
    size = [fft.next_fast_len(2 * n - 1, real=True) for n in part.shape]
    wave = fft.rfftn(part, size)
    product = fft.irfftn(wave.real**2 + wave.imag**2, size)
    square = np.zeros(())
    for axis, (n, step) in enumerate(zip(size, spacing, strict=True)):
        lag = np.minimum(np.arange(n), n - np.arange(n)) * step
        square = square + (lag**2).reshape([-1 if a == axis else 1 for a in range(3)])
    apart = np.sqrt(square).ravel()
    near = apart < distances[-1]
    apart, product = apart[near], product.ravel()[near]
    left = np.searchsorted(distances, apart, side="right") - 1
    share = (apart - distances[left]) / (distances[left + 1] - distances[left])
    out = np.bincount(left, product * (1 - share), len(distances))
    out += np.bincount(left + 1, product * share, len(distances))
    return np.asarray(out)


def _distances(grid: Grid, group: npt.NDArray[np.integer[Any]]) -> Floats:
    """Distances to look at: from the finest spacing by powers of root 2 to half the regions."""
    extent = 0.0
    for axis in range(3):
        where = np.flatnonzero((group >= 0).any(axis=tuple(a for a in range(3) if a != axis)))
        extent = max(extent, (where[-1] - where[0] + 1) * grid.spacing_um[axis])
    usable = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    finest = min(usable, default=min(grid.spacing_um))
    count = max(1, int(2 * np.log2(max(extent / 2 / finest, 1.0))) + 1)
    return np.asarray(finest * np.sqrt(2.0) ** np.arange(count), dtype=np.float64)


def _steps(grid: Grid, distances: Floats) -> tuple[list[Step], npt.NDArray[np.int64]]:
    """Whole steps along each axis near each distance, and which distance each belongs to."""
    steps: list[Step] = []
    owner = []
    for number, distance in enumerate(distances):
        for axis in range(3):
            count = round(distance / grid.spacing_um[axis])
            near = abs(count * grid.spacing_um[axis] / distance - 1.0) < 0.2
            if near and 0 < count < grid.shape[axis]:
                step = [0, 0, 0]
                step[axis] = count
                steps.append((step[0], step[1], step[2]))
                owner.append(number)
    return steps, np.asarray(owner, dtype=np.int64)


def _crossing(at: Floats, values: Floats, level: float) -> Floats:
    """Where each column of values (distances, genes) first falls below a level, linearly."""
    below = values < level
    first = np.where(below.any(axis=0), below.argmax(axis=0), len(at) - 1)
    before = np.maximum(first - 1, 0)
    column = np.arange(values.shape[1])
    high, low = values[before, column], values[first, column]
    drop = np.where(high > low, high - low, 1.0)
    share = np.clip((high - level) / drop, 0.0, 1.0)
    return np.asarray(at[before] + share * (at[first] - at[before]))
