"""Scores of one unit: correlation, error, pattern and variance kept, coverage of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.errors import VortexError
from vortex_model.expression import Measured
from vortex_model.metrics import (
    interval,
    morans_i,
    nearest_neighbours,
    noise_ceiling,
    pearson,
    resampled_pearson,
)
from vortex_model.predictors.blocks import spatial_blocks

DRAWS = 1000
PATCH = 9
"""Spots drawn together in the paired test, as neighbours are alike."""
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Guess:
    """What a predictor says of a unit's spots: mean and bounds, (spots, genes)."""

    genes: tuple[str, ...]
    mean: Floats
    low: Floats | None = None
    high: Floats | None = None

    def of(self, genes: Sequence[str]) -> Guess:
        """The part that is about these genes."""
        index = {g: i for i, g in enumerate(self.genes)}
        columns = [index[g] for g in genes]
        parts = (None if a is None else a[:, columns] for a in (self.low, self.high))
        return Guess(tuple(genes), self.mean[:, columns], *parts)


def comparable(genes: Sequence[str], measured: Measured) -> list[str]:
    """The genes that the held-out spots measured too.

    Raises
    ------
    VortexError
        When there is none.
    """
    shared = set(measured.genes)
    found = [g for g in genes if g in shared]
    if not found:
        raise VortexError(
            f"Section {measured.names[0]} measured none of the panel's genes. "
            "Use the same kind of gene id in all sections."
        )
    return found


def score(guess: Guess, measured: Measured, distance_um: Floats) -> dict[str, Any]:
    """All scores of one unit's spots, as :func:`vortex_model.evaluate.evaluate` names them."""
    panel = comparable(guess.genes, measured)
    own = guess.of(panel)
    truth = measured.expression(panel)
    draws = resampled_pearson(own.mean, truth, DRAWS).mean(axis=1)
    low, high = interval(draws)
    near = nearest_neighbours(measured.points_um)
    pattern = {
        name: float(morans_i(values, near).mean())
        for name, values in (("moran", own.mean), ("moran_measured", truth))
    }
    spread = truth.var(axis=0).sum()
    return {
        "pearson": float(pearson(own.mean, truth).mean()),
        "low": float(low),
        "high": float(high),
        "n_genes": len(panel),
        "n_spots": len(truth),
        "ceiling": _ceiling(measured, panel),
        "mse": float(((own.mean - truth) ** 2).mean()),
        **pattern,
        "variance_kept": float(own.mean.var(axis=0).sum() / spread) if spread > 0 else 0.0,
        "distance_um": float(np.median(distance_um)) if len(distance_um) else None,
        **_coverage(own, truth),
    }


def _coverage(guess: Guess, truth: Floats) -> dict[str, Any]:
    if guess.low is None or guess.high is None:
        return {"coverage": None, "coverage_genes": None, "width": None}
    inside = (truth >= guess.low) & (truth <= guess.high)
    genes = np.quantile(inside.mean(axis=0), [0.05, 0.95])
    return {
        "coverage": float(inside.mean()),
        "coverage_genes": [float(q) for q in genes],
        "width": float((guess.high - guess.low).mean()),
    }


def _ceiling(measured: Measured, panel: Sequence[str]) -> float | None:
    """The noise ceiling; none where values are no counts."""
    values = measured.counts.data
    if not np.array_equal(values, np.rint(values)):
        return None
    index = {g: i for i, g in enumerate(measured.genes)}
    columns = np.array([index[g] for g in panel])
    return float(noise_ceiling(measured.counts, measured.totals, columns).mean())


def against(guess: Guess, baseline: Guess, measured: Measured) -> npt.NDArray[np.float64]:
    """Paired bootstrap: difference of mean Pearson, first as measured, then in draws of patches.

    Returns
    -------
    numpy.ndarray
        (1 + DRAWS,).
    """
    panel = comparable(guess.genes, measured)
    truth = measured.expression(panel)
    patch = spatial_blocks(measured.points_um, -(-len(truth) // PATCH))
    sides = [g.of(panel).mean for g in (guess, baseline)]
    plain = [pearson(side, truth).mean() for side in sides]
    drawn = [resampled_pearson(side, truth, DRAWS, patch).mean(axis=1) for side in sides]
    return np.concatenate([[plain[0] - plain[1]], drawn[0] - drawn[1]])


def paired(name: str, differences: Sequence[npt.NDArray[np.float64]]) -> dict[str, Any]:
    """What :func:`against` found over several units, averaged: interval and two-sided p."""
    mean = np.mean(differences, axis=0)
    low, high = interval(mean[1:])
    rarer = min(float((mean[1:] <= 0).mean()), float((mean[1:] >= 0).mean()))
    p = min(1.0, 2 * max(rarer, 1 / len(mean)))
    return {
        "baseline": name,
        "difference": float(mean[0]),
        "low": float(low),
        "high": float(high),
        "p": p,
    }
