"""What a predictor is: measured spots in, expression factors and their variance anywhere out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vortex_model.errors import VortexError
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
    block
        Number of the tissue block that each place is of, (n,); None where all are of one, number 0.
        Columns that other blocks than it do not have are 0 there.
    section
        Number of the measured section that each place is a spot of, (n,); None where of none.
    """

    points_um: Floats
    features: Floats
    groups: tuple[str, ...]
    block: npt.NDArray[np.int64] | None = None
    section: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.points_um)

    def __getitem__(self, keep: npt.NDArray[np.generic] | slice) -> Places:
        block, section = (None if n is None else n[keep] for n in (self.block, self.section))
        return Places(self.points_um[keep], self.features[keep], self.groups, block, section)

    @property
    def blocks(self) -> npt.NDArray[np.int64]:
        """Number of the block of each place, (n,)."""
        return np.zeros(len(self), np.int64) if self.block is None else self.block


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
    """One way to predict expression factors.

    Attributes
    ----------
    name
        As :func:`vortex_model.predictors.create` spells it.
    code
        Raised by hand when the same spots would give other numbers.
    anchors
        What the variance of a place is weighed against: it costs their number squared.
    """

    name: str
    code: int

    @property
    def anchors(self) -> int:
        """How many there are, once it is fitted."""
        ...

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Learn from the measured spots.

        Raises
        ------
        VortexError
            When it needs what the spots do not have, such as features.
        """
        ...

    def predict(self, places: Places) -> Floats:
        """Mean of the factors, (n, k)."""
        ...

    def variance(self, places: Places) -> Floats:
        """Variance of the factors (not of single counts), (n, k)."""
        ...


def relative_noise(totals: Floats) -> Floats:
    """Noise variance of each spot relative to the median spot's, (n,).

    ``clip(0.5 + 0.5 median / total, 0.3, 4)``: half of it does not depend on depth, half falls
    with the counts as sampling noise does (EVIDENCE 3; it lifted Pearson by about .03).
    """
    median = float(np.median(totals[totals > 0])) if (totals > 0).any() else 1.0
    ratio = np.divide(median, totals, out=np.full(len(totals), np.inf), where=totals > 0)
    return np.asarray(np.clip(0.5 + 0.5 * ratio, 0.3, 4.0))


def check_training(training: Training, name: str, needs_features: bool) -> None:
    """Refuse what cannot be learned from.

    Raises
    ------
    VortexError
        When there are fewer than 3 spots, a number is not finite, or features are needed and
        absent.
    """
    if len(training) < 3:
        raise VortexError(
            f"Predictor {name!r} needs at least 3 measured spots, not {len(training)}. "
            "Choose a section with more spots inside the tissue."
        )
    if needs_features and training.places.features.shape[1] == 0:
        raise VortexError(
            f"Predictor {name!r} needs morphology, and this study has none. "
            "Use 'gp' or 'knn', which can work with places alone."
        )
    for what, values in (
        ("features", training.places.features),
        ("places", training.places.points_um),
        ("expression", training.scores),
    ):
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).any(axis=1).sum())
            raise VortexError(
                f"The {what} of {count} of {len(training)} spots are not finite numbers. "
                "Compute the features again, or leave those spots out."
            )
