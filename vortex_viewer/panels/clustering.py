"""Spatial domains as a view names them: found, and found again in another browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.analysis.domains import SEED, find_domains, matched
from vortex_model.prediction import Prediction
from vortex_viewer.placed import Clusters

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Found:
    """Domains of a prediction, what finds them again, and words on their number."""

    prediction: str
    clusters: Clusters
    labels: Labels
    note: str

    def answers(self, prediction: Prediction, wanted: Clusters) -> bool:
        """Whether these are the ones that a view wants."""
        return self.prediction == prediction.id and self.clusters == wanted


def find_new(prediction: Prediction, count: int | None, like: Labels | None) -> Found:
    """Domains, as many as asked or suggested, with the numbers of earlier ones.

    Raises
    ------
    VortexError
        When there cannot be so many.
    """
    made = find_domains(prediction, count)
    note = "Number as asked."
    if not made.stability.empty:
        steady = float(made.stability["stability"].loc[made.count])
        note = (
            f"{made.count} domains: the most that two halves of the tissue agree on "
            f"(agreement {steady:.2f} of 1)."
        )
    numbers: tuple[int, ...] = ()
    if like is not None and like.shape == made.labels.shape:
        numbers = _numbers(made.labels, matched(made.labels, like, made.count), made.count)
    clusters = Clusters(made.count, SEED, numbers)
    return Found(prediction.id, clusters, _numbered(made.labels, clusters), note)


def find_again(prediction: Prediction, wanted: Clusters) -> Found:
    """The domains that a view names."""
    made = find_domains(prediction, wanted.count, seed=wanted.seed)
    return Found(prediction.id, wanted, _numbered(made.labels, wanted), "Number as asked.")


def _numbers(labels: Labels, like: Labels, count: int) -> tuple[int, ...]:
    """Which number each domain has, the largest first; () where it is its own."""
    values, first = np.unique(labels, return_index=True)
    given = {int(v): int(like.flat[i]) for v, i in zip(values, first, strict=True) if v > 0}
    free = iter(n for n in range(1, count + 1) if n not in given.values())
    order = tuple(given[n] if n in given else next(free) for n in range(1, count + 1))
    return () if order == tuple(range(1, count + 1)) else order


def _numbered(labels: Labels, clusters: Clusters) -> Labels:
    if not clusters.numbers:
        return labels
    return np.asarray([0, *clusters.numbers], dtype=labels.dtype)[labels]
