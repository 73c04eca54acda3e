"""Spatial domains: parts of the block that express alike, by clustering the factors.

Two places are as far apart as their predicted expression is, each gene with the weight of its
reliability; that distance is one between factors, so every gene has its say and none is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from vortex_model.analysis.moments import (
    Floats,
    Mask,
    boxes,
    check_shape,
    columns,
    grouped,
    reliable,
)
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, part, silent

MOST = 12
SAMPLE = 20_000
"""Tokens that clusters are learned on."""
STARTS = 4
AXES = 12
"""Directions of expression that count, the strongest first."""
STABLE = 0.9
TRIALS = 4
SEED = 7

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Domains:
    """Spatial domains of a prediction.

    Attributes
    ----------
    labels
        (z, y, x) uint8: 1 is the first domain; 0 is no tissue.
    names
        "Domain 1", ...; 1 is the largest.
    grid
        The token lattice.
    stability
        Index: number of domains; ``stability``: see :func:`suggest`. Empty where the number
        was given.
    """

    labels: Labels
    names: tuple[str, ...]
    grid: Grid
    stability: pd.DataFrame

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    def mask(self, number: int) -> Mask:
        """Tokens of a domain, from 1."""
        return np.asarray(self.labels == number)


def find_domains(
    prediction: Prediction,
    count: int | None = None,
    *,
    smooth_um: float | None = None,
    like: npt.NDArray[np.integer[Any]] | None = None,
    seed: int = SEED,
    progress: Progress = silent,
) -> Domains:
    """Cluster the tissue by what it is predicted to express (k-means on smoothed factors).

    Parameters
    ----------
    count
        How many domains, 2 to 12; suggested by :func:`suggest` when None.
    smooth_um
        Deviation of the Gaussian that the factors are smoothed by, in tissue; half a step of
        the lattice by default: more costs fine structures (docs/analysis.md).
    like
        Labels of earlier domains, (z, y, x): each new domain gets the number of the old one
        that it overlaps most.
    seed
        The same seed gives the same domains.

    Raises
    ------
    VortexError
        When the count cannot be, or there is too little tissue.
    """
    if count is not None and not 2 <= count <= MOST:
        raise VortexError(f"There can be 2 to {MOST} domains, not {count}.")
    if like is not None:
        check_shape(like, prediction)
    space = _Space(prediction, _smooth(prediction, smooth_um))
    sample = space.sample(seed, part(progress, 0.0, 0.4))
    if len(sample) < 10 * (count or 2):
        raise VortexError(
            f"The tissue has {len(sample)} tokens: too few for {count or 2} domains. "
            "Compute features on a finer lattice."
        )
    table = pd.DataFrame(columns=["stability"])
    if count is None:
        count, table = suggest(sample, seed, part(progress, 0.4, 0.7))
    centres = _cluster(sample, count, np.random.default_rng([seed, count]))
    labels = np.zeros(prediction.grid.shape, dtype=np.uint8)
    for where, values in space.blocks(part(progress, 0.7, 1.0)):
        labels[where] = _nearest(values, centres) + 1
    names = tuple(f"Domain {number}" for number in range(1, count + 1))
    made = Domains(_by_size(labels, count), names, prediction.grid, table)
    return made if like is None else replace(made, labels=matched(made.labels, like, count))


def suggest(
    sample: Floats, seed: int = SEED, progress: Progress = silent
) -> tuple[int, pd.DataFrame]:
    """A number of domains that the data bear, by stability (Lange et al., Neural Comput. 2004).

    Halves of the places are clustered apart; where both draw nearly the same borders through
    all places (adjusted Rand index, mean of several halvings), the number is stable. The largest
    number whose stability is at least 0.9 is taken; else the most stable one.

    Parameters
    ----------
    sample
        Places in the space of expression, (n, axes).

    Returns
    -------
    count, table
        ``table`` has the ``stability`` of each number.
    """
    rng = np.random.default_rng([seed, 1])
    points = sample[rng.permutation(len(sample))[: SAMPLE // 4]]
    most = max(2, min(MOST, len(points) // 20))
    scores = {}
    for count in range(2, most + 1):
        progress((count - 2) / (most - 1), f"how stable {count} domains are")
        found = []
        for _ in range(TRIALS):
            order = rng.permutation(len(points))
            halves = order[: len(order) // 2], order[len(order) // 2 :]
            one, two = (_nearest(points, _cluster(points[half], count, rng)) for half in halves)
            found.append(adjusted_rand(one, two))
        scores[count] = float(np.mean(found))
    table = pd.DataFrame({"stability": pd.Series(scores)}).rename_axis("domains")
    stable = [count for count, score in scores.items() if score >= STABLE]
    return (max(stable) if stable else max(scores, key=lambda c: scores[c])), table


def marker_genes(
    prediction: Prediction, labels: npt.NDArray[np.integer[Any]], count: int = 10
) -> pd.DataFrame:
    """Genes that stand out in each class of labels against the rest of the tissue.

    Returns
    -------
    pandas.DataFrame
        ``label``, ``gene``, ``mean``, ``rest``, ``difference``, ``standardised`` (over the root
        mean variance of both parts, that of the prediction included), ``reliability``,
        ``reliable``: the ``count`` of largest ``standardised`` of each label above 0, genes
        that can be trusted first.
    """
    check_shape(labels, prediction)
    present = [int(v) for v in np.unique(labels[prediction.mask]) if v > 0]
    of, trusted = columns(prediction), reliable(prediction.genes)
    parts = []
    for label in present:
        made = grouped(prediction, np.where(labels == label, 0, 1), 2)
        if not made.count.all():
            continue
        mean = made.gene_mean(of)
        variance = made.gene_deviation(of) ** 2 + made.gene_uncertainty(of) ** 2
        spread = np.sqrt(variance.mean(axis=0))
        difference = mean[0] - mean[1]
        effect = np.divide(difference, spread, out=np.zeros_like(spread), where=spread > 0)
        order = np.lexsort((-effect, ~trusted))
        best = [i for i in order if effect[i] > 0][:count]
        columns_ = {
            "label": label,
            "gene": np.asarray(of.names)[best],
            "mean": mean[0][best],
            "rest": mean[1][best],
            "difference": difference[best],
            "standardised": effect[best],
            "reliability": prediction.genes["reliability"].to_numpy()[best],
            "reliable": trusted[best],
        }
        parts.append(pd.DataFrame(columns_))
    if not parts:
        raise VortexError("The labels divide no tissue; there is nothing to compare.")
    return pd.concat(parts, ignore_index=True)


def adjusted_rand(one: npt.NDArray[Any], two: npt.NDArray[Any]) -> float:
    """Agreement of two partitions: 1 is the same, about 0 is chance (Hubert and Arabie 1985)."""
    first, second = (np.unique(v, return_inverse=True)[1].ravel() for v in (one, two))
    table = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    np.add.at(table, (first, second), 1.0)

    def pairs(counts: Floats) -> float:
        return float((counts * (counts - 1) / 2).sum())

    together, rows, cols = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = rows * cols / max(pairs(np.asarray([float(len(first))])), 1.0)
    most = (rows + cols) / 2
    return 1.0 if most == chance else float((together - chance) / (most - chance))


def matched(labels: Labels, like: npt.NDArray[np.integer[Any]], count: int) -> Labels:
    """Labels with the numbers of the earlier ones that they overlap most, as a whole."""
    most = max(count, int(like.max(initial=0)))
    overlap = np.zeros((most + 1, most + 1))
    both = (labels > 0) & (like > 0)
    np.add.at(overlap, (labels[both], like[both]), 1.0)
    rows, found = linear_sum_assignment(-overlap[1 : count + 1, 1:])
    new = np.zeros(most + 1, dtype=np.uint8)
    taken = {int(f) + 1 for r, f in zip(rows, found, strict=True) if f < count}
    free = iter(n for n in range(1, count + 1) if n not in taken)
    for row, column in zip(rows, found, strict=True):
        new[row + 1] = column + 1 if column < count else next(free)
    return new[labels]


# -- inner workings -------------------------------------------------------------------------


class _Space:
    """Places in the space of expression: distances there are distances between profiles."""

    def __init__(self, prediction: Prediction, smooth_um: float) -> None:
        self._prediction = prediction
        spacing = prediction.grid.spacing_um
        self._sigma = tuple(smooth_um / s if s <= 4 * smooth_um else 0.0 for s in spacing)
        self._reach = [int(np.ceil(3 * s)) for s in self._sigma]
        weight = np.asarray(prediction.loadings, dtype=np.float64) * _trust(prediction.genes)
        made = grouped(prediction, np.zeros(prediction.grid.shape, dtype=np.int8), 1)
        self._middle = made.mean[0]
        root = np.linalg.cholesky(weight @ weight.T + 1e-12 * np.eye(len(weight)))
        sizes, turn = np.linalg.eigh(root.T @ made.covariance[0] @ root)
        keep = np.argsort(sizes)[::-1][:AXES]
        self._turn = root @ turn[:, keep[sizes[keep] > 1e-9 * max(sizes.max(), 1e-300)]]

    def blocks(
        self, progress: Progress = silent
    ) -> Iterator[tuple[tuple[npt.NDArray[np.int64], ...], Floats]]:
        """Tissue tokens of each part of the lattice: their indices, and places (n, axes)."""
        prediction = self._prediction
        mask, shape = prediction.mask, prediction.grid.shape
        parts = list(boxes(shape, mask))
        for done, (start, stop) in enumerate(parts):
            progress(done / len(parts), f"part {done + 1} of {len(parts)}")
            low = [max(a - r, 0) for a, r in zip(start, self._reach, strict=True)]
            high = [min(b + r, n) for b, r, n in zip(stop, self._reach, shape, strict=True)]
            inside = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            factors = prediction.factors_at(low, high) * inside
            own = tuple(slice(a - o, b - o) for a, b, o in zip(start, stop, low, strict=True))
            tissue = inside[own]
            weight = ndimage.gaussian_filter(inside.astype(np.float32), self._sigma, truncate=3.0)
            smooth = np.stack(
                [
                    ndimage.gaussian_filter(f, self._sigma, truncate=3.0)[own][tissue]
                    for f in factors
                ],
                axis=1,
            )
            values = smooth / weight[own][tissue][:, None] - self._middle
            index = np.argwhere(tissue) + start
            yield tuple(index.T), values @ self._turn

    def sample(self, seed: int, progress: Progress) -> Floats:
        """Some places, evenly from everywhere, (n, axes)."""
        total = int(self._prediction.mask.sum())
        rng = np.random.default_rng(seed)
        chosen = []
        for where, values in self.blocks(progress):
            keep = rng.random(len(where[0])) < SAMPLE / max(total, 1)
            chosen.append(values[keep])
        return np.concatenate(chosen) if chosen else np.zeros((0, 1))


def _trust(genes: pd.DataFrame) -> Floats:
    """Weight of each gene: its held-out correlation; 0 where that may be chance."""
    share = np.where(reliable(genes), genes["reliability"].to_numpy(dtype=np.float64), 0.0)
    return share if (share > 0).sum() >= 2 else np.ones(len(genes))


def _smooth(prediction: Prediction, smooth_um: float | None) -> float:
    if smooth_um is None:
        return min(prediction.grid.spacing_um) / 2
    if not (np.isfinite(smooth_um) and smooth_um >= 0):
        raise VortexError(f"Smoothing is 0 or more micrometres, not {smooth_um}.")
    return max(float(smooth_um), 1e-6)


def _cluster(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Centres (count, axes) of the best of several k-means."""
    best, least = points[:count], np.inf
    for _ in range(STARTS):
        centres, which = kmeans2(points, count, iter=25, minit="++", missing="warn", rng=rng)
        spread = float(((points - centres[which]) ** 2).sum())
        if spread < least:
            best, least = centres, spread
    return np.asarray(best)


def _nearest(points: Floats, centres: Floats) -> npt.NDArray[np.int64]:
    return np.asarray(cKDTree(centres).query(points)[1], dtype=np.int64)


def _by_size(labels: Labels, count: int) -> Labels:
    """The largest domain first."""
    size = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    new = np.zeros(count + 1, dtype=np.uint8)
    new[np.argsort(-size, kind="stable") + 1] = np.arange(1, count + 1)
    return new[labels]
