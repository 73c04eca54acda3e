"""Where morphology is unlike what the measured spots show: what was learned may not hold there.

A place is compared with the measured spots in two ways: its distance from the nearest of them in
the principal directions of their features, and what of it lies off those directions. What is usual
is found on spatial blocks that are held out, as neighbours look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from vortex_model.features import Features
from vortex_model.predictors.base import Places
from vortex_model.predictors.blocks import folds, spatial_blocks
from vortex_model.predictors.kernels import group_weights
from vortex_model.training.samples import Sample

Floats = npt.NDArray[np.float32]
MOST_DIRECTIONS = 12
SHARE = 0.95
"""Of the features' variance, at least so much is looked at, if that many directions hold it."""
MOST_SPOTS = 1000
"""Spots that places are compared with, spread evenly."""
FEWEST_SPOTS = 20
BEYOND = 0.01
"""Share of held-out places that look more unlike than the limits, half of them by each."""
NORMAL_QUANTILE = 2.576
"""Of a normal distribution, half of ``BEYOND`` lies above so many standard deviations."""
ONE_SIGMA = 0.8413
WARN_SHARE = 0.05
AT_ONCE = 2000
"""Places, whose distances from all spots a processor's cache still holds."""
POINT_UM = 1e-3
"""Diameter of a place that is looked at by itself, as tokens are, and not averaged as spots are."""


@dataclass(frozen=True)
class Familiar:
    """What the measured spots look like.

    Attributes
    ----------
    centre, weights
        Of the features, (channels,).
    directions
        Principal directions of the weighted features, (directions, channels).
    spread
        Standard deviation along each, (directions,).
    spots
        The measured spots along them, in standard deviations, (n, directions).
    limits
        Of the distance from the nearest spot, and of what lies off the directions.
    """

    centre: Floats
    weights: Floats
    directions: Floats
    spread: Floats
    spots: Floats
    limits: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, sample: Sample, features: Features) -> Familiar | None:
        """Learn it from measured spots; None where there are too few."""
        places = sample.places
        if len(places) < FEWEST_SPOTS or not places.features.shape[1]:
            return None
        alone = features.at_points(places.points_um, POINT_UM)
        found = [
            cls._learn(places[keep])._apart(alone[held]) for keep, held in folds(places.points_um)
        ]
        near, off = (_limit(np.concatenate(part)) for part in zip(*found, strict=True))
        return replace(cls._learn(places), limits=(near, off))

    @classmethod
    def _learn(cls, places: Places) -> Familiar:
        weights = group_weights(places.groups)
        centre = places.features.mean(axis=0)
        values = (places.features - centre) * weights
        size, right = _principal(values)
        share = np.cumsum(size**2) / max(float((values**2).sum()), 1e-12)
        count = min(int(np.searchsorted(share, SHARE)) + 1, len(size))
        spread = np.maximum(size[:count] / np.sqrt(len(values)), 1e-6)
        some = np.arange(len(values))
        if len(values) > MOST_SPOTS:
            some = np.unique(spatial_blocks(places.points_um, MOST_SPOTS), return_index=True)[1]
        spots = values[some] @ right[:count].T / spread
        return cls(
            centre=centre.astype(np.float32),
            weights=weights.astype(np.float32),
            directions=right[:count].astype(np.float32),
            spread=spread.astype(np.float32),
            spots=spots.astype(np.float32),
        )

    def __call__(self, features: npt.ArrayLike) -> Floats:
        """How unlike the measured spots features (n, channels) are; above 1 more than usual."""
        near, off = self._apart(np.asarray(features, dtype=np.float32))
        return np.asarray(np.maximum(near / self.limits[0], off / self.limits[1]), np.float32)

    def _apart(self, features: Floats) -> tuple[Floats, Floats]:
        """Distance from the nearest spot, and off the directions, (n,) each."""
        near, off = np.empty((2, len(features)), dtype=np.float32)
        size = (self.spots**2).sum(axis=1)
        for start in range(0, len(features), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            values = (features[part] - self.centre) * self.weights
            along = values @ self.directions.T
            rest = (values**2).sum(axis=1) - (along**2).sum(axis=1)
            here = along / self.spread
            square = (size - 2 * here @ self.spots.T).min(axis=1) + (here**2).sum(axis=1)
            near[part] = np.sqrt(np.maximum(square, 0.0))
            off[part] = np.sqrt(np.maximum(rest, 0.0))
        return near, off


def _principal(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The largest singular values, and their directions (directions, channels).

    From the smaller Gram matrix: a whole decomposition takes ten times as long, for directions
    that nobody looks at.
    """
    tall = values.shape[0] > values.shape[1]
    gram = values.T @ values if tall else values @ values.T
    most = min(MOST_DIRECTIONS, len(gram))
    power, sides = eigh(gram, subset_by_index=(len(gram) - most, len(gram) - 1))
    size = np.sqrt(np.maximum(power[::-1], 0.0))
    sides = sides[:, ::-1].T
    return size, sides if tall else sides @ values / np.maximum(size, 1e-12)[:, None]


def _limit(values: Floats) -> float:
    """What half of ``BEYOND`` of such values exceed.

    The tail of few spots is not seen, so what a lognormal one would have counts too, as wide as
    the upper half of the values is.
    """
    usual = np.log(np.maximum(values, 1e-6))
    middle, upper = (float(q) for q in np.quantile(usual, [0.5, ONE_SIGMA]))
    tail = middle + NORMAL_QUANTILE * (upper - middle)
    return float(np.exp(max(float(np.quantile(usual, 1 - BEYOND / 2)), tail)))


def unlike_map(
    known: Familiar, features: Features, parts: Iterator[tuple[npt.NDArray[np.int64], Places]]
) -> Floats:
    """How unlike the measured spots each token looks, (z, y, x); 0 outside tissue."""
    out = np.zeros(features.grid.shape, dtype=np.float32)
    for index, places in parts:
        out[tuple(index.T)] = known(places.features)
    return out


def warning(unlike: Floats, mask: npt.NDArray[np.bool_]) -> str | None:
    """A sentence where much of the tissue looks like nothing that was measured."""
    share = float((unlike[mask] > 1).mean()) if mask.any() else 0.0
    if share <= WARN_SHARE:
        return None
    return (
        f"{share:.0%} of the tissue looks unlike the measured spots (about {BEYOND:.0%} would by "
        "chance): what was learned from them may not hold there. Measure a section through it, or "
        "leave those places out."
    )
