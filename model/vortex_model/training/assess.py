"""All that is said of how far a fit can be trusted: reliability, intervals, unlike morphology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vortex_model.features import Features
from vortex_model.grid import Grid
from vortex_model.progress import Progress, silent
from vortex_model.training.conformal import calibrate
from vortex_model.training.heldout import held_out
from vortex_model.training.lattice import Mask, tissue_parts
from vortex_model.training.model import Maker
from vortex_model.training.reliability import reliability_of
from vortex_model.training.samples import Sample
from vortex_model.training.unlike import Familiar, unlike_map, warning
from vortex_model.trust import Calibration, SpotPlaces, Trust

FAR_SHARE = 0.05


@dataclass(frozen=True)
class Assessment:
    """What held-out spots tell of a fit.

    Attributes
    ----------
    reliability
        Index: gene; columns ``reliability``, ``low``, ``high``.
    calibration
        Of intervals; none where too few spots could be held out.
    spots
        Where was measured.
    """

    reliability: pd.DataFrame
    calibration: Calibration | None
    spots: SpotPlaces


def assess(
    sample: Sample,
    genes: Sequence[str],
    make: Maker,
    rank: int | None = None,
    progress: Progress = silent,
    also: Sample | None = None,
) -> Assessment:
    """Hold out spatial blocks and see how fits do there; ``also`` is learned from every time."""
    blocks = held_out(sample, genes, make, rank, progress, variance=True, also=also)
    spots = SpotPlaces(sample.places.points_um, sample.measured.section)
    calibration = calibrate(blocks, sample.measured, genes, spots.pitch_um)
    return Assessment(reliability_of(blocks, sample, genes), calibration, spots)


def trust_of(
    found: Assessment, sample: Sample, features: Features | None, grid: Grid, mask: Mask
) -> Trust:
    """What is kept with a prediction on a lattice, with its warnings."""
    warnings = []
    unlike = None
    if features is not None and (known := Familiar.of(sample, features)) is not None:
        unlike = unlike_map(known, features, tissue_parts(features, grid, mask))
        if (said := warning(unlike, mask)) is not None:
            warnings.append(said)
    if (said := _far(found, grid, mask)) is not None:
        warnings.append(said)
    return Trust(found.calibration, found.spots, unlike, tuple(warnings))


def _far(found: Assessment, grid: Grid, mask: Mask) -> str | None:
    """A sentence where much of the tissue is farther off than intervals were checked."""
    if found.calibration is None:
        return "Too few spots were measured to say how wide intervals must be, so there are none."
    index = np.argwhere(mask)
    some = index[:: max(1, len(index) // 20_000)]
    if not len(some):
        return None
    reach = found.calibration.reach_um
    share = float((found.spots.distance_um(grid.to_points(some)) > reach).mean())
    if share <= FAR_SHARE:
        return None
    return (
        f"{share:.0%} of the tissue lies farther from the measured sections than intervals could "
        f"be checked ({reach:,.0f} um). Trust them less there, or measure another section."
    )
