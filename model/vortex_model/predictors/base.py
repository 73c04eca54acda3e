"""What a predictor is: measured spots in, expression factors and their variance anywhere out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vortex_model.progress import Progress, silent

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Places to predict at, or that were measured.

    Attributes
    ----------
    points_um
        (x, y, z), (n, 3).
    features
        Normalised features, (n, channels); no column where there is no morphology.
    groups
        Group of each column (an encoder's scale or kind).
    """

    points_um: Floats
    features: Floats
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points_um)

    def __getitem__(self, keep: npt.NDArray[np.generic] | slice) -> Places:
        return Places(self.points_um[keep], self.features[keep], self.groups)


@dataclass(frozen=True)
class Training:
    """Measured spots of the training sections.

    Attributes
    ----------
    places
        Where, with features, (n).
    section
        Section number of each spot, (n,).
    scores
        Low-rank expression, centred by section, (n, k).
    totals
        Counts of each spot over all genes; more counts, less noise, (n,).
    """

    places: Places
    section: npt.NDArray[np.int64]
    scores: Floats
    totals: Floats

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, keep: npt.NDArray[np.generic]) -> Training:
        return Training(self.places[keep], self.section[keep], self.scores[keep], self.totals[keep])


class Predictor(Protocol):
    """One way to predict expression factors."""

    name: str

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Learn from the measured spots."""
        ...

    def predict(self, places: Places) -> tuple[Floats, Floats]:
        """Mean and variance of the factors, each (n, k)."""
        ...
