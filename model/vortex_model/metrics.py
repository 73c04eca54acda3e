"""How well a prediction agrees with measurement: Pearson by gene, intervals, noise ceiling."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.spatial import cKDTree

from vortex_model.expression import normalise

Floats = npt.NDArray[np.floating[Any]]
LEVEL = 0.95
GENES_AT_ONCE = 512


def pearson(predicted: Floats, measured: Floats) -> npt.NDArray[np.float64]:
    """Pearson correlation of each gene over spots, (genes,).

    A gene whose prediction or measurement is constant has no correlation; it counts as 0, so
    that a predictor that says the same everywhere scores 0 and not nothing.

    Parameters
    ----------
    predicted, measured
        (spots, genes), of one section: spots of several sections, pooled, inflate it.
    """
    ones = np.ones((1, len(predicted)))
    return np.asarray(_weighted_pearson(ones, predicted, measured)[0])


def resampled_pearson(
    predicted: Floats,
    measured: Floats,
    draws: int,
    patch: npt.NDArray[np.int64] | None = None,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """Pearson by gene in bootstrap samples, (draws, genes).

    Parameters
    ----------
    patch
        Patch of each spot, (spots,): whole patches are drawn, as neighbours are alike and single
        spots would make the interval too narrow. Single spots are drawn when it is not given.
    """
    spots = len(predicted)
    owner = np.arange(spots) if patch is None else np.unique(patch, return_inverse=True)[1]
    units = int(owner.max(initial=-1)) + 1
    random = np.random.default_rng(seed)
    counts = random.multinomial(units, np.full(units, 1 / units), size=draws).astype(np.float64)
    return _weighted_pearson(counts[:, owner], predicted, measured)


def interval(draws: npt.NDArray[np.float64], level: float = LEVEL) -> tuple[Floats, Floats]:
    """Percentile interval along the first axis."""
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def noise_ceiling(
    counts: sp.csr_matrix,
    totals: npt.NDArray[np.float64],
    columns: npt.NDArray[np.int64],
    repeats: int = 5,
    seed: int = 0,
) -> npt.NDArray[np.float64]:
    """The best Pearson that a perfect predictor of true expression would reach, by gene.

    Each count is split binomially into two halves; their correlation, brought to full depth by
    Spearman-Brown, is the reliability of the measurement, and its square root the ceiling.

    Parameters
    ----------
    counts
        Raw counts of one section, (spots, all genes).
    totals
        Counts of each spot over all genes, (spots,).
    columns
        The genes that are asked for.
    """
    random = np.random.default_rng(seed)
    part = np.rint(counts[:, columns].toarray()).astype(np.int64)
    rest = np.maximum(totals - part.sum(axis=1), 0).astype(np.int64)
    found = np.zeros(part.shape[1])
    for _ in range(repeats):
        half, half_rest = random.binomial(part, 0.5), random.binomial(rest, 0.5)
        depth = half.sum(axis=1) + half_rest
        first = normalise(half, depth.astype(np.float64)).toarray()
        second = normalise(part - half, (totals - depth).astype(np.float64)).toarray()
        found += pearson(first, second) / repeats
    return np.asarray(np.sqrt(np.clip(2 * found / (1 + found), 0.0, 1.0)))


def _weighted_pearson(
    weights: npt.NDArray[np.float64], predicted: Floats, measured: Floats
) -> npt.NDArray[np.float64]:
    """Pearson (rows of weights, genes) where each spot counts as often as its weight says."""
    share = weights / weights.sum(axis=1, keepdims=True)
    out = np.zeros((len(weights), predicted.shape[1]))
    for start in range(0, predicted.shape[1], GENES_AT_ONCE):
        genes = slice(start, start + GENES_AT_ONCE)
        a = np.asarray(predicted[:, genes], dtype=np.float64)
        b = np.asarray(measured[:, genes], dtype=np.float64)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        mean_a, mean_b = share @ a, share @ b
        var_a = share @ a**2 - mean_a**2
        var_b = share @ b**2 - mean_b**2
        both = share @ (a * b) - mean_a * mean_b
        tiny = 1e-12 * np.maximum((a**2).mean(axis=0), 1e-12)
        known = (var_a > tiny) & (var_b > 1e-12 * np.maximum((b**2).mean(axis=0), 1e-12))
        np.divide(both, np.sqrt(np.abs(var_a * var_b)), out=out[:, genes], where=known)
    return np.clip(out, -1.0, 1.0)


def nearest_neighbours(points_um: Floats, count: int = 6) -> npt.NDArray[np.int64]:
    """Each spot's nearest others, (spots, count) or fewer where there are fewer."""
    count = min(count, len(points_um) - 1)
    if count < 1:
        return np.zeros((len(points_um), 0), dtype=np.int64)
    found = np.asarray(cKDTree(points_um).query(points_um, k=count + 1)[1], dtype=np.int64)
    own = found == np.arange(len(found))[:, None]
    own[~own.any(axis=1), -1] = True  # spots at one place: the last stands for the spot itself
    return np.asarray(found[~own].reshape(len(found), count), dtype=np.int64)


def morans_i(values: Floats, neighbours: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Moran's I of each gene, (genes,); 0 where a gene does not vary (Biometrika 37:17, 1950).

    Parameters
    ----------
    values
        (spots, genes).
    neighbours
        As :func:`nearest_neighbours` gives them; all weigh the same.
    """
    centred = np.asarray(values, dtype=np.float64) - np.mean(values, axis=0)
    power = (centred**2).sum(axis=0)
    around = np.zeros_like(centred)
    for column in neighbours.T:
        around += centred[column]
    product = (centred * around).sum(axis=0) / max(1, neighbours.shape[1])
    tiny = 1e-12 * np.maximum((np.asarray(values, dtype=np.float64) ** 2).sum(axis=0), 1e-12)
    return np.asarray(np.divide(product, power, out=np.zeros(len(power)), where=power > tiny))
