"""One gene, or a signature, as the pictures need it: any part of it, at any resolution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vortex_model.expression import UNITS
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_viewer.scene.formula import is_formula, weights_of
from vortex_viewer.state import PRESETS, Range

Floats = npt.NDArray[np.float32]
BINS = 64


@dataclass(frozen=True)
class Gene:
    """One gene on the lattice, with the range that its picture starts from.

    Nothing of its volume is held: a slice asks for the planes that it shows, the volume for the
    level that it draws. ``key`` is what it was asked by: the gene, or a formula after "=".
    """

    key: str
    name: str
    prediction: Prediction
    weights: Mapping[str, float]
    low: float
    high: float
    auto: Range
    histogram: tuple[int, ...]
    windows: dict[str, Range]
    units: str = UNITS

    @classmethod
    def of(cls, prediction: Prediction, key: str) -> Gene:
        """A gene by name, or a signature by formula.

        Raises
        ------
        VortexError
            When it was not predicted, or the formula cannot be read.
        """
        if is_formula(key):
            name, weights = key[1:].strip(), weights_of(prediction, key)
        else:
            name = prediction.resolve(key)
            weights = {name: 1.0}
        return cls(key, name, prediction, weights, *_ranges(prediction.sample(weights)))

    @property
    def grid(self) -> Grid:
        """The token lattice."""
        return self.prediction.grid

    @property
    def span(self) -> float:
        """From the 2nd to the 98th percentile in tissue: what the gene's uncertainty is held to."""
        return self.auto[1] - self.auto[0]

    def level_for(self, step_um: Sequence[float]) -> int:
        """The coarsest level whose tokens are no larger than ``step_um`` (z, y, x)."""
        fit = [
            number
            for number, grid in enumerate(self.prediction.grids)
            if all(g <= 1.001 * s for g, s in zip(grid.spacing_um, step_um, strict=True))
        ]
        return fit[-1] if fit else 0

    def level_within(self, tokens: int) -> int:
        """The finest level of at most so many tokens; else the coarsest."""
        for number, grid in enumerate(self.prediction.grids):
            if math.prod(grid.shape) <= tokens:
                return number
        return number

    def values(self, level: int = 0) -> Floats:
        """All of a level, (z, y, x), nan outside tissue."""
        grid = self.prediction.grids[level]
        return self.part((0, 0, 0), grid.shape, level)

    def part(self, start: Sequence[int], stop: Sequence[int], level: int = 0) -> Floats:
        """A box of tokens (z, y, x) of a level, nan outside tissue."""
        return np.asarray(self.prediction.part(self.weights, start, stop, level), np.float32)

    def at(self, points_um: npt.ArrayLike) -> Floats:
        """Values (n,) at points (x, y, z), nan where there is no tissue."""
        return np.asarray(self.prediction.at(self.weights, points_um), np.float32)

    def deviation_at(self, points_um: npt.ArrayLike) -> Floats:
        """Predictive standard deviation (n,) at points (x, y, z)."""
        return np.asarray(self.prediction.deviation_at(self.weights, points_um), np.float32)


def _ranges(known: Floats) -> tuple[float, float, Range, tuple[int, ...], dict[str, Range]]:
    """Lowest, highest, the 2nd and 98th percentile, a histogram, all presets."""
    if not known.size:
        return 0.0, 1.0, (0.0, 1.0), (0,) * BINS, dict.fromkeys(PRESETS, (0.0, 1.0))
    low, high = float(known.min()), float(known.max())
    if high - low < 1e-6:
        high = low + 1.0
    windows = {}
    percents = np.percentile(known, [p for pair in PRESETS.values() for p in pair])
    for name, (start, stop) in zip(PRESETS, percents.reshape(-1, 2).tolist(), strict=True):
        windows[name] = (start, stop) if stop - start >= 1e-6 else (low, high)
    counts, _ = np.histogram(known, bins=BINS, range=(low, high))
    return low, high, windows["2-98"], tuple(int(c) for c in counts), windows
