"""A segmentation learned from a few painted strokes: a linear classifier on the features.

Regularised multinomial logistic regression (Bishop 2006, 4.3.4), on the features' strongest
directions in the tissue. Reading the features is done once; learning anew after each stroke then
takes a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from vortex_model.analysis.moments import check_shape, columns, grouped
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent
from vortex_model.study import Study

AXES = 32
"""Directions of the features that are kept."""
SAMPLE = 20_000
MOST_TRAINING = 6000
MOST_CLASSES = 30
PENALTY = 10.0
SEED = 5

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class FeatureSource(Protocol):
    """Features as :class:`vortex_model.features.Features` gives them."""

    grid: Grid
    mask: Mask

    def blocks(self) -> Iterable[Any]:
        """Parts of the lattice with ``values`` (n, channels) and ``tokens`` (n, 3)."""
        ...


@dataclass(frozen=True)
class Stroke:
    """A painted stroke: places (x, y, z) in micrometres, a brush's radius, and a class."""

    label: str
    points_um: tuple[tuple[float, float, float], ...]
    radius_um: float

    def __post_init__(self) -> None:
        if not self.label.strip():
            raise VortexError("A stroke needs the name of a class.")
        if not self.points_um or not np.isfinite(self.points_um).all():
            raise VortexError("A stroke needs at least one place (x, y, z) in micrometres.")
        if not (np.isfinite(self.radius_um) and self.radius_um > 0):
            raise VortexError(f"A brush needs a radius above 0 um, not {self.radius_um}.")

    def tokens(self, grid: Grid) -> npt.NDArray[np.int64]:
        """Tokens (z, y, x) under the stroke, (n, 3): at least the nearest to each place.

        A brush is a disc in the slice that it paints; planes beside it count where the
        lattice's planes lie within the radius.
        """
        points = self._dense(min(grid.spacing_um))
        near = grid.nearest(points[grid.contains(points)])
        reach = [int(self.radius_um / s) for s in grid.spacing_um]
        steps = np.argwhere(np.ones([2 * r + 1 for r in reach])) - reach
        length = np.linalg.norm(steps * np.asarray(grid.spacing_um), axis=1)
        steps = steps[length <= self.radius_um]
        found = (near[:, None] + steps).reshape(-1, 3) if len(steps) else near
        inside = ((found >= 0) & (found < grid.shape)).all(axis=1)
        return np.asarray(np.unique(found[inside], axis=0), dtype=np.int64)

    def _dense(self, step: float) -> Floats:
        points = np.asarray(self.points_um, dtype=np.float64).reshape(-1, 3)
        parts = [points[:1]]
        for start, end in pairwise(points):
            count = min(max(int(np.linalg.norm(end - start) / step * 2), 1), 10_000)
            share = np.arange(1, count + 1)[:, None] / count
            parts.append(start + share * (end - start))
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Classes on the token lattice.

    Attributes
    ----------
    labels
        (z, y, x) uint8: 1 is the first of ``names``; 0 is no tissue.
    names
        The classes, in the order in which they were first painted.
    confidence
        Probability of the class, (z, y, x) float32; 0 outside tissue.
    grid
        The token lattice.
    """

    labels: npt.NDArray[np.uint8]
    names: tuple[str, ...]
    confidence: npt.NDArray[np.float32]
    grid: Grid


class Learner:
    """Features made ready once, so that each new stroke is learned at once.

    Parameters
    ----------
    features
        Features of the study.

    Raises
    ------
    VortexError
        When there is no tissue.
    """

    def __init__(self, features: FeatureSource, progress: Progress = silent) -> None:
        self.grid, self.mask = features.grid, features.mask
        total = int(self.mask.sum())
        if not total:
            raise VortexError("The features hold no tissue, so there is nothing to learn from.")
        turn = _directions(features, total)
        self._row = np.full(self.mask.shape, -1, dtype=np.int64)
        self._values = np.zeros((total, turn.shape[1]), dtype=np.float32)
        at = 0
        for block in features.blocks():
            count = len(block.tokens)
            self._row[tuple(block.tokens.T)] = np.arange(at, at + count)
            self._values[at : at + count] = block.values @ turn
            at += count
            progress(at / total, f"features of {at:,} of {total:,} places")

    def learn(self, strokes: Sequence[Stroke], smooth_um: float | None = None) -> Segmentation:
        """Segment the whole block by what was painted.

        Parameters
        ----------
        smooth_um
            Deviation of the Gaussian by which neighbours share their probabilities; half the
            finest step of the lattice by default, 0 for none.

        Raises
        ------
        VortexError
            When fewer than two classes were painted in tissue, or more than 30.
        """
        names = tuple(dict.fromkeys(stroke.label.strip() for stroke in strokes))
        if len(names) > MOST_CLASSES:
            raise VortexError(f"{len(names)} classes were painted; at most {MOST_CLASSES} are.")
        rows, which = self._painted(strokes, names)
        missing = [n for i, n in enumerate(names) if i not in set(which.tolist())]
        if missing:
            raise VortexError(f"The strokes of {', '.join(missing)} meet no tissue. Paint in it.")
        if len(names) < 2:
            raise VortexError("Paint at least two classes, such as gland and stroma.")
        weight = _fit(self._values[rows].astype(np.float64), which, len(names))
        scores = self._values @ weight[:-1].astype(np.float32) + weight[-1].astype(np.float32)
        chance = self._smoothed(softmax(scores, axis=1), smooth_um)
        chance /= np.maximum(chance.sum(axis=1, keepdims=True), 1e-12)
        labels = np.zeros(self.mask.shape, dtype=np.uint8)
        confidence = np.zeros(self.mask.shape, dtype=np.float32)
        known = self._row >= 0
        order = self._row[known]
        labels[known] = chance.argmax(axis=1)[order] + 1
        confidence[known] = chance.max(axis=1)[order]
        return Segmentation(labels, names, confidence, self.grid)

    # -- inner -----------------------------------------------------------------------------

    def _painted(
        self, strokes: Sequence[Stroke], names: tuple[str, ...]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows of painted tokens and their classes; a later stroke paints over an earlier."""
        colour: dict[int, int] = {}
        for stroke in strokes:
            rows = self._row[tuple(stroke.tokens(self.grid).T)]
            colour.update(
                dict.fromkeys(rows[rows >= 0].tolist(), names.index(stroke.label.strip()))
            )
        rows = np.fromiter(colour, dtype=np.int64, count=len(colour))
        which = np.fromiter(colour.values(), dtype=np.int64, count=len(colour))
        if len(rows) > MOST_TRAINING:
            keep = np.random.default_rng(SEED).permutation(len(rows))[:MOST_TRAINING]
            rows, which = rows[keep], which[keep]
        return rows, which

    def _smoothed(
        self, chance: npt.NDArray[np.floating[Any]], smooth_um: float | None
    ) -> npt.NDArray[np.float32]:
        width = min(self.grid.spacing_um) / 2 if smooth_um is None else smooth_um
        made = np.asarray(chance, dtype=np.float32)
        if width <= 0:
            return made
        sigma = [width / s for s in self.grid.spacing_um]
        known = self._row >= 0
        order = self._row[known]
        out = np.empty_like(made)
        for column, target in zip(made.T, out.T, strict=True):
            volume = np.zeros(self.mask.shape, dtype=np.float32)
            volume[known] = column[order]
            target[order] = ndimage.gaussian_filter(volume, sigma, truncate=3.0)[known]
        return out


def keep_labels(
    study: Study,
    name: str,
    labels: npt.NDArray[np.integer[Any]],
    grid: Grid,
    classes: Mapping[int, str],
) -> None:
    """Keep labels (z, y, x), such as domains or a segmentation, as a label image of the study.

    Raises
    ------
    VortexError
        When the labels are of another shape than the lattice.
    """
    if labels.shape != grid.shape:
        raise VortexError(f"The labels have {labels.shape} tokens (z, y, x), not {grid.shape}.")
    source: Any = ArraySource(np.asarray(labels)[None], grid, (Channel(name),))
    study.write_label(name, source, classes=classes)


def class_summary(
    prediction: Prediction, labels: npt.NDArray[np.integer[Any]], names: Mapping[int, str]
) -> pd.DataFrame:
    """How much of the tissue each class of labels takes.

    Returns
    -------
    pandas.DataFrame
        Index: class. ``label``, ``tokens``, ``volume_mm3``, ``fraction`` of what is labelled in
        tissue.

    Raises
    ------
    VortexError
        When no label lies in tissue.
    """
    check_shape(labels, prediction)
    own = labels[prediction.mask]
    count = np.array([int((own == value).sum()) for value in names])
    if not count.sum():
        raise VortexError("No label lies in tissue.")
    voxel = float(np.prod(prediction.grid.spacing_um)) * 1e-9
    return pd.DataFrame(
        {
            "label": list(names),
            "tokens": count,
            "volume_mm3": count * voxel,
            "fraction": count / count.sum(),
        },
        index=pd.Index(list(names.values()), name="class"),
    )


def class_expression(
    prediction: Prediction,
    labels: npt.NDArray[np.integer[Any]],
    names: Mapping[int, str],
    genes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Mean of genes or formulas in each class; all genes by default, from factors alone.

    Returns
    -------
    pandas.DataFrame
        Index: gene; a column a class; nan where a class has no tissue.
    """
    check_shape(labels, prediction)
    number = np.full(labels.shape, -1, dtype=np.int64)
    for index, value in enumerate(names):
        number[labels == value] = index
    of = columns(prediction, genes)
    made = grouped(prediction, number, len(names), spread=False)
    return pd.DataFrame(
        made.gene_mean(of).T, index=pd.Index(of.names, name="gene"), columns=list(names.values())
    )


# -- inner workings -------------------------------------------------------------------------


def _directions(features: FeatureSource, total: int) -> npt.NDArray[np.float32]:
    """Turn and scale that take features to their strongest directions, (channels, axes)."""
    rng = np.random.default_rng(SEED)
    chosen = []
    for block in features.blocks():
        keep = rng.random(len(block.tokens)) < SAMPLE / total
        chosen.append(np.asarray(block.values[keep], dtype=np.float64))
    some = np.concatenate(chosen)
    covariance = some.T @ some / max(len(some), 1)
    sizes, turn = np.linalg.eigh(covariance)
    axes = np.argsort(sizes)[::-1][:AXES]
    axes = axes[sizes[axes] > 1e-6 * max(float(sizes.max()), 1e-12)]
    # the root of the root: weak directions may speak, but not as loud as the strong ones
    return np.asarray(turn[:, axes] / sizes[axes] ** 0.25, dtype=np.float32)


def _fit(values: Floats, which: npt.NDArray[np.int64], count: int) -> Floats:
    """Weights (axes + 1, classes), the last row for the intercept; each class counts the same."""
    rows = np.column_stack([values, np.ones(len(values))])
    truth = np.zeros((len(values), count))
    truth[np.arange(len(values)), which] = 1.0
    share = (1.0 / np.bincount(which, minlength=count))[which]
    shape = (rows.shape[1], count)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight = flat.reshape(shape)
        scores = rows @ weight
        total = logsumexp(scores, axis=1)
        value = float(share @ (total - (scores * truth).sum(axis=1)))
        chance = np.exp(scores - total[:, None])
        slope = rows.T @ (share[:, None] * (chance - truth))
        slope[:-1] += PENALTY / scale * weight[:-1]
        value += PENALTY / scale * float((weight[:-1] ** 2).sum()) / 2
        return value, slope.ravel()

    scale = 0.5 * len(values) ** 0.5
    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B")
    return np.asarray(found.x.reshape(shape))
