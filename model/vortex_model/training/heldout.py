"""Predictions of measured spots by models that never saw them: by spatial blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vortex_model.crew import HERE
from vortex_model.predictors.blocks import FOLDS, spatial_blocks
from vortex_model.progress import Progress, silent
from vortex_model.threads import MANY_SPOTS
from vortex_model.training.levels import expression_at
from vortex_model.training.model import Maker, fit_model
from vortex_model.training.samples import Sample
from vortex_model.trust import SpotPlaces

MOST_VARIANCES = 2000
"""Spots whose variance is worked out: one costs as much as thousands of means."""
FEWEST_SPOTS = 3
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class HeldOut:
    """What models said of spots that they had not seen.

    Attributes
    ----------
    mean
        Predicted expression, (spots, genes); nan where a spot could not be held out, because
        too few others were left.
    variance
        Its variance, (spots, genes); nan where it was not asked for.
    distance_um
        From the nearest section that was learned from, (spots,).
    """

    mean: Floats
    variance: Floats
    distance_um: npt.NDArray[np.float64]


def held_out(
    sample: Sample,
    genes: Sequence[str],
    make: Maker,
    rank: int | None = None,
    progress: Progress = silent,
    variance: bool = False,
    also: Sample | None = None,
) -> HeldOut:
    """Hold out spatial blocks in turn, learn all anew from the other spots, predict them.

    Parameters
    ----------
    also
        Spots of other blocks, which every model learns from.
    variance
        Whether the variance is worked out too, at no more than ``MOST_VARIANCES`` spots.
    """
    shape = (len(sample.places), len(genes))
    mean, spread = (np.full(shape, np.nan, dtype=np.float32) for _ in range(2))
    distance = np.full(shape[0], np.nan)
    folds = list(staggered(sample.places.points_um, sample.measured.section))
    shared = (sample, genes, make, rank, _some(sample, variance), also)
    # large matrices use all cores by themselves
    found = (
        HERE.map(_Fold, shared, _Fold.fit, folds)
        if len(sample.places) + (0 if also is None else len(also.places)) < MANY_SPOTS
        else ((fold, _Fold(*shared).fit(fold)) for fold in folds)
    )
    progress(0.0, f"reliability: block 1 of {len(folds)}")
    for done, ((_, held), said) in enumerate(found):
        if done:
            progress(done / len(folds), f"reliability: block {done + 1} of {len(folds)}")
        if said is not None:
            mean[held], distance[held], own, spread[own] = said
    return HeldOut(mean, spread, distance)


@dataclass(frozen=True)
class _Fold:
    """What all folds share; ``asked`` are the spots whose variance is worked out."""

    sample: Sample
    genes: Sequence[str]
    make: Maker
    rank: int | None
    asked: npt.NDArray[np.bool_]
    also: Sample | None

    def fit(
        self, fold: tuple[Indices, Indices]
    ) -> tuple[Floats, npt.NDArray[np.float64], Indices, Floats] | None:
        """Mean and distance at the held-out spots; which have a variance, and theirs.

        None where too few spots are left to learn from.
        """
        keep, held = fold
        if len(keep) < FEWEST_SPOTS:
            return None
        rest = self.sample.spots(keep)
        model = fit_model(rest, self.genes, self.make, self.rank, also=self.also)
        mean = expression_at(model, rest.measured, self.sample.places[held])
        there = SpotPlaces(rest.places.points_um, rest.measured.section)
        distance = there.distance_um(self.sample.places.points_um[held])
        own = held[self.asked[held]]
        spread = np.zeros((0, len(self.genes)), dtype=np.float32)
        if len(own):
            factors = model.predictor.variance(self.sample.places[own])
            spread = (factors @ model.basis.loadings**2).astype(np.float32)
        return mean.astype(np.float32), distance, own, spread


def staggered(
    points_um: npt.NDArray[np.float64], section: Indices, count: int = FOLDS
) -> Iterator[tuple[Indices, Indices]]:
    """Spatial blocks held out in turn, at another place in each section.

    Unmeasured tissue between two sections has measured spots above and below it. Blocks at the
    same place in all sections would take those away too, and make what is predicted there look
    worse than it is (docs/accuracy.md).
    """
    _, number = np.unique(section, return_inverse=True)
    turn = (spatial_blocks(points_um, count) + number) % count
    for fold in range(count):
        if (turn == fold).any():
            yield np.flatnonzero(turn != fold), np.flatnonzero(turn == fold)


def _some(sample: Sample, wanted: bool) -> npt.NDArray[np.bool_]:
    """Which spots the variance is worked out at, spread evenly."""
    chosen = np.zeros(len(sample.places), dtype=np.bool_)
    if wanted:
        blocks = spatial_blocks(sample.places.points_um, MOST_VARIANCES)
        chosen[np.unique(blocks, return_index=True)[1]] = True
    return chosen
