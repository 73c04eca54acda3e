"""How a gene lies in space, and which genes lie alike: from cross-products of the factors.

Moran's I (Moran, Biometrika 1950) of every gene needs the factors' products between neighbouring
tokens, one k x k matrix, whatever the number of genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.analysis.moments import Floats, boxes, check_shape, quadratic
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent

NEAR = 2.0
"""Tokens are neighbours along an axis whose spacing is at most so many times the finest."""


Step = tuple[int, int, int]


@dataclass(frozen=True)
class Field:
    """Second moments of the factors over tissue tokens, and between tokens some steps apart.

    Attributes
    ----------
    count
        Tokens.
    mean
        Mean of the factors, (k,).
    covariance
        Of the factors, (k, k).
    steps
        Offsets (z, y, x) between two tokens of a pair.
    pairs
        Pairs at each step, (steps,).
    between
        Mean product of the factors about their mean over the pairs of each step, made
        symmetric, (steps, k, k).
    """

    count: int
    mean: Floats
    covariance: Floats
    steps: tuple[Step, ...]
    pairs: npt.NDArray[np.int64]
    between: Floats

    def correlation(self, loadings: npt.NDArray[Any]) -> Floats:
        """Each gene's autocorrelation at each step, (steps, genes); nan where it does not vary."""
        weight = np.asarray(loadings, dtype=np.float64)
        variance = quadratic(self.covariance, weight)
        out = np.full((len(self.steps), weight.shape[1]), np.nan)
        for row, matrix, pairs in zip(out, self.between, self.pairs, strict=True):
            product = ((matrix @ weight) * weight).sum(axis=0)
            np.divide(product, variance, out=row, where=self.varies(weight) & (pairs > 0))
        return out

    def varies(self, weight: Floats) -> npt.NDArray[np.bool_]:
        """Whether each gene varies by more than what rounding of sums makes, (genes,)."""
        largest = float(np.abs(self.covariance).max(initial=0.0))
        floor = 1e-9 * (weight**2).sum(axis=0) * max(largest, 1e-30)
        return np.asarray(quadratic(self.covariance, weight) > floor)


def field(
    prediction: Prediction,
    steps: Sequence[Step] | None = None,
    *,
    group: npt.NDArray[np.integer[Any]] | None = None,
    centres: Floats | None = None,
    share: float = 1.0,
    progress: Progress = silent,
) -> Field:
    """Moments over tissue tokens, and between tokens some steps apart.

    Parameters
    ----------
    steps
        Offsets (z, y, x), none negative. By default one token along each axis, but not along
        an axis much coarser than the others (planes of a stack).
    group, centres
        Group of each token, (z, y, x), below 0 for none, and the mean factors of each group,
        (groups, k): then tokens count from their group's mean, and pairs within a group only.
    share
        The part of the tokens that is looked at, drawn evenly; less than 1 is an estimate.

    Raises
    ------
    VortexError
        When no tissue token counts, or ``group`` is of another shape.
    """
    mask = prediction.mask
    if group is not None:
        check_shape(group, prediction)
        mask = mask & (group >= 0)
    if not mask.any():
        raise VortexError("No tissue token is left to be measured; choose a larger part.")
    steps = neighbour_steps(prediction.grid) if steps is None else steps
    sums = _Sums(prediction.loadings.shape[0], tuple(steps), share)
    shift = prediction.factors_of(np.argwhere(mask)[:1])[0]
    parts = list(boxes(prediction.grid.shape, mask))
    for done, (start, stop) in enumerate(parts):
        progress(done / len(parts), "products of neighbouring places")
        far = [min(int(b + r), n) for b, r, n in zip(stop, sums.reach, mask.shape, strict=True)]
        wide = tuple(slice(a, b) for a, b in zip(start, far, strict=True))
        values = np.moveaxis(prediction.factors_at(start, far), 0, -1) - shift
        number = np.where(mask[wide], 0 if group is None else group[wide], -1)
        if centres is not None:
            values -= (centres - shift)[np.maximum(number, 0)].astype(np.float32)
        sums.add(values, number, [b - a for a, b in zip(start, stop, strict=True)])
    return sums.made(shift.astype(np.float64), centred=centres is not None)


class _Sums:
    """Running sums of one pass over the lattice."""

    def __init__(self, k: int, steps: tuple[Step, ...], share: float) -> None:
        self.steps = steps
        self._share, self._rng = share, np.random.default_rng(0)
        self.reach = np.max([*steps, (0, 0, 0)], axis=0)
        self.count = 0
        self.total, self.square = np.zeros(k), np.zeros((k, k))
        self.pairs = np.zeros(len(steps), dtype=np.int64)
        self.ends, self.cross = np.zeros((len(steps), k)), np.zeros((len(steps), k, k))

    def add(
        self, values: npt.NDArray[np.float32], number: npt.NDArray[Any], size: list[int]
    ) -> None:
        """Add a box of ``size``; values (z, y, x, k) and groups reach beyond it."""
        own = tuple(slice(0, n) for n in size)
        chosen = number[own] >= 0
        if self._share < 1:
            chosen &= self._rng.random(chosen.shape) < self._share
        flat = values[own][chosen].astype(np.float64)
        self.count += len(flat)
        self.total += flat.sum(axis=0)
        self.square += flat.T @ flat
        for index, step in enumerate(self.steps):
            part = [min(n, m - s) for n, m, s in zip(size, number.shape, step, strict=True)]
            if min(part) < 1:
                continue
            here = tuple(slice(0, n) for n in part)
            there = tuple(slice(s, s + n) for s, n in zip(step, part, strict=True))
            both = chosen[here] & (number[here] == number[there])
            left = values[here][both].astype(np.float64)
            right = values[there][both].astype(np.float64)
            self.pairs[index] += len(left)
            self.cross[index] += left.T @ right
            self.ends[index] += left.sum(axis=0) + right.sum(axis=0)

    def made(self, shift: Floats, *, centred: bool) -> Field:
        """The moments, about the mean of all unless the values came centred."""
        count = max(self.count, 1)
        mean = np.zeros_like(shift) if centred else self.total / count
        product = np.outer(mean, mean)
        cross = (self.cross + self.cross.transpose(0, 2, 1)) / 2
        ends = self.ends[:, :, None] * mean
        pairs = self.pairs[:, None, None]
        between = cross - (ends + ends.transpose(0, 2, 1)) / 2 + pairs * product
        return Field(
            self.count,
            mean + shift,
            self.square / count - product,
            self.steps,
            self.pairs,
            between / np.maximum(pairs, 1),
        )


def neighbour_steps(grid: Grid) -> list[Step]:
    """The next token along each axis that is not much coarser than the finest one."""
    usable = [s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1]
    finest = min(usable, default=min(grid.spacing_um))
    unit = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    return [
        step
        for step, spacing, n in zip(unit, grid.spacing_um, grid.shape, strict=True)
        if n > 1 and spacing <= NEAR * finest * (1 + 1e-9)
    ]


def spatial_table(prediction: Prediction, measured: Field | None = None) -> pd.DataFrame:
    """Mean, deviation and Moran's I of every gene over all tissue.

    Moran's I with weight 1 for each pair of neighbours: 1 where neighbours are equal, near 0
    where they know nothing of each other. Exact for the predicted volume.

    Returns
    -------
    pandas.DataFrame
        Index: gene; columns ``mean``, ``deviation``, ``moran`` (nan where a gene does not vary).
    """
    measured = measured or field(prediction)
    mean = prediction.genes["mean"].to_numpy() + measured.mean @ prediction.loadings
    variance = quadratic(measured.covariance, prediction.loadings)
    share = measured.pairs / max(int(measured.pairs.sum()), 1)
    moran = share @ measured.correlation(prediction.loadings)
    if not measured.pairs.any():
        moran = np.full(len(variance), np.nan)
    return pd.DataFrame(
        {"mean": mean, "deviation": np.sqrt(variance), "moran": moran},
        index=prediction.genes.index,
    )


def likeness(prediction: Prediction, gene: str, measured: Field | None = None) -> pd.Series[float]:
    """Correlation over all tissue of one gene's predicted volume with every gene's.

    Returns
    -------
    pandas.Series
        Index: gene, -1 to 1; nan where a gene does not vary.

    Raises
    ------
    UnknownNameError
        When the gene was not predicted.
    """
    measured = measured or field(prediction)
    weight = np.asarray(prediction.loadings, dtype=np.float64)
    own = weight[:, prediction.genes.index.get_loc(prediction.resolve(gene))]
    varies = measured.varies(weight)
    spread = np.sqrt(quadratic(measured.covariance, weight))
    scale = spread * np.sqrt(own @ measured.covariance @ own)
    together = own @ measured.covariance @ weight
    found = np.divide(together, scale, out=np.full(len(scale), np.nan), where=varies & (scale > 0))
    return pd.Series(np.clip(found, -1.0, 1.0), index=prediction.genes.index, name="likeness")
