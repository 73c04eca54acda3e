"""A chain of registrations: a section's own micrometres -> its neighbour's -> the study's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vortex_model.register import Registration

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """Registrations in the order in which a section's points go through them; none: identity."""

    steps: tuple[Registration, ...] = ()

    def after(self, first: Registration) -> Transform:
        """``first``, then this; plain matrices are multiplied."""
        if first.displacement is None and self.steps and self.steps[0].displacement is None:
            joined = Registration(self.steps[0].matrix @ first.matrix)
            return Transform((joined, *self.steps[1:]))
        return Transform((first, *self.steps))

    def apply(self, points: npt.ArrayLike) -> Points:
        """Study places (n, 2) of a section's points (n, 2), x, y in micrometres."""
        place: Points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        for step in self.steps:
            place = step.apply(place)
        return place

    def inverse(self, points: npt.ArrayLike) -> Points:
        """The section's places (n, 2) of study points (n, 2)."""
        place: Points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        for step in reversed(self.steps):
            place = step.inverse(place)
        return place

    @property
    def scale(self) -> float:
        """How much lengths grow, on average."""
        area = 1.0
        for step in self.steps:
            area *= abs(float(np.linalg.det(step.matrix[:2, :2])))
        return float(np.sqrt(area))
