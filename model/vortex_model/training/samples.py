"""Measured spots of a study with the features at their places: what a fit begins from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from vortex_model.crew import HERE, Crew
from vortex_model.encoders import Encoder
from vortex_model.errors import VortexError
from vortex_model.expression import Measured, stack
from vortex_model.features import Features, compute_features
from vortex_model.predictors.base import Places
from vortex_model.progress import Progress, silent
from vortex_model.study import Study


@dataclass(frozen=True)
class Sample:
    """Some sections' spots: counts and places, row by row."""

    measured: Measured
    places: Places

    def only(self, names: Sequence[str]) -> Sample:
        """The part that belongs to the named sections, in the order of the rows."""
        numbers = [self.measured.names.index(n) for n in names]
        keep = np.isin(self.measured.section, numbers)
        return Sample(self.measured.only(names), self.places[keep])

    def spots(self, keep: npt.NDArray[np.int64]) -> Sample:
        """The spots with these row numbers."""
        return Sample(self.measured.spots(keep), self.places[keep])


def study_features(
    study: Study, encoder: str | Encoder, progress: Progress = silent, crew: Crew = HERE
) -> Features | None:
    """The study's features, computed if they are not there; none where there is no morphology."""
    if not study.has_morphology:
        return None
    return Features.load(study, compute_features(study, encoder, progress=progress, crew=crew))


def gather(study: Study, names: Sequence[str], features: Features | None) -> Sample:
    """Stack sections and read the features under their spots.

    Spots without any count say nothing and are left out.

    Raises
    ------
    UnknownNameError
        When a section is not there.
    VortexError
        When no section is named, one is named twice, or no spot has a count.
    """
    if len(set(names)) != len(names):
        raise VortexError(f"A section is named twice: {', '.join(names)}. Name each once.")
    measured = stack({name: study.section(name) for name in names})
    keep = np.flatnonzero(measured.totals > 0)
    if len(keep) == 0:
        raise VortexError(f"No spot of {', '.join(names)} has a count. Choose other sections.")
    measured = measured.spots(keep)
    return Sample(measured, places_at(measured, features))


def places_at(measured: Measured, features: Features | None) -> Places:
    """Places of spots, with the features under them where there are any."""
    points = measured.points_um
    if features is None:
        return Places(points, np.zeros((len(points), 0)), ())
    values = features.at_points(points, measured.diameter_um)
    return Places(points, np.asarray(values, dtype=np.float64), features.groups)


def stacked(samples: Sequence[Sample]) -> Sample:
    """Samples of the same genes and channels, one under the other."""
    parts = [s.measured for s in samples]
    first = np.cumsum([0] + [len(p.names) for p in parts])
    measured = Measured(
        genes=parts[0].genes,
        counts=sp.csr_matrix(sp.vstack([p.counts for p in parts])),
        points_um=np.vstack([p.points_um for p in parts]),
        section=np.concatenate([p.section + n for p, n in zip(parts, first, strict=False)]),
        names=tuple(n for p in parts for n in p.names),
        diameter_um=np.concatenate([p.diameter_um for p in parts]),
        totals=np.concatenate([p.totals for p in parts]),
    )
    features = np.vstack([s.places.features for s in samples])
    several = any(s.places.block is not None for s in samples)
    block = np.concatenate([s.places.blocks for s in samples]) if several else None
    groups = samples[0].places.groups
    return Sample(measured, Places(measured.points_um, features, groups, block))
