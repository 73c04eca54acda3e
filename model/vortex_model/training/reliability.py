"""Reliability: how well each gene is predicted where nothing was measured, by spatial blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vortex_model.metrics import interval, pearson, resampled_pearson
from vortex_model.predictors.blocks import spatial_blocks
from vortex_model.progress import Progress, silent
from vortex_model.training.heldout import HeldOut, held_out
from vortex_model.training.model import Maker
from vortex_model.training.samples import Sample

DRAWS = 200
PATCH = 6
"""Spots drawn together for the interval, as neighbours are alike."""


def reliability(
    sample: Sample,
    genes: Sequence[str],
    make: Maker,
    rank: int | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """Held-out Pearson correlation of each gene, with its 95 % interval.

    Spatial blocks are held out in turn, at another place in each section
    (:func:`vortex_model.training.heldout.staggered`). Basis and predictor are learned anew
    without them: a basis that has seen held-out spots flatters by .05 (EVIDENCE 3). The
    correlation is taken within each section and averaged over sections by their spots; the
    interval is a bootstrap over patches of neighbouring spots. It is cautious: where a whole
    block is high, the rest is low, so a predictor that knows nothing scores below 0.

    Returns
    -------
    pandas.DataFrame
        Index: gene; columns ``reliability``, ``low``, ``high``; nan where it cannot be said
        (too few spots).
    """
    return reliability_of(held_out(sample, genes, make, rank, progress), sample, genes)


def reliability_of(held: HeldOut, sample: Sample, genes: Sequence[str]) -> pd.DataFrame:
    """The same from spots that were held out before."""
    predicted = held.mean
    measured = sample.measured
    found, draws, weight = np.zeros(len(genes)), np.zeros((DRAWS, len(genes))), 0
    for number in range(len(measured.names)):
        own = np.flatnonzero((measured.section == number) & np.isfinite(predicted[:, 0]))
        if len(own) < 3:
            continue
        part = measured.only([measured.names[number]])
        keep = np.isfinite(predicted[measured.section == number, 0])
        truth = part.expression(genes)[keep].astype(np.float32)
        patch = spatial_blocks(measured.points_um[own], -(-len(own) // PATCH))
        found += len(own) * pearson(predicted[own], truth)
        draws += len(own) * resampled_pearson(predicted[own], truth, DRAWS, patch, seed=number)
        weight += len(own)
    if weight == 0:
        nothing = np.full(len(genes), np.nan)
        columns = {"reliability": nothing, "low": nothing, "high": nothing}
        return pd.DataFrame(columns, index=pd.Index(list(genes)))
    low, high = interval(draws / weight)
    return pd.DataFrame(
        {"reliability": found / weight, "low": low, "high": high}, index=pd.Index(list(genes))
    )
