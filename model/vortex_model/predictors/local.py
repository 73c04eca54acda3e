"""Kriging of many spots by place: near places are predicted together from the spots around them.

What lies far away is screened by what lies between, so a few hundred spots say nearly all
(Stein, Annals of Statistics 30:298, 2002). A tile of places shares its spots, and the Gaussian
process on those is exact. Memory does not grow with the number of spots.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular
from scipy.spatial import cKDTree

from vortex_model.predictors.base import Floats, Places
from vortex_model.predictors.kernels import Kernels
from vortex_model.predictors.likelihood import JITTER, factorise

AROUND = 500
"""Spots that a tile is predicted from; against all of them, errors grew by less than 0.5 %."""
MOST_PLACES = 2000
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tile:
    """Places that lie together, and the spots around them."""

    places: Indices
    spots: Indices


class Local:
    """A Gaussian process over places, conditioned tile by tile on the spots around.

    Parameters
    ----------
    kernels
        Of place alone, with every spot as anchor.
    weights
        Of kernels and noise by component, (k, kernels + 1).
    scores
        Of the spots, (n, k).
    noise
        Relative noise of the spots, (n,).

    Attributes
    ----------
    around
        How many spots a tile is predicted from.
    """

    def __init__(self, kernels: Kernels, weights: Floats, scores: Floats, noise: Floats) -> None:
        self._kernels, self._weights = kernels, weights
        self._scores, self._noise = scores, noise
        self.around = min(AROUND, len(scores))
        self._tree = cKDTree(kernels.anchors_um)

    def mean(self, places: Places) -> Floats:
        """Mean of the factors, (n, k)."""
        out = np.zeros((len(places), len(self._weights)))
        for tile in self._tiles(places.points_um):
            alpha = np.empty((len(tile.spots), len(self._weights)))
            for c, lower in self._factorised(tile.spots):
                own = self._scores[tile.spots, c]
                alpha[:, c] = cho_solve((lower, True), own, check_finite=False)
            near = self._kernels.at(tile.spots).against(places[tile.places])
            for weight, kernel in zip(self._weights[:, :-1].T, near, strict=False):
                out[tile.places] += kernel @ (alpha * weight).astype(np.float32)
        return out

    def variance(self, places: Places) -> Floats:
        """Posterior variance of the factors, (n, k)."""
        out = np.empty((len(places), len(self._weights)))
        for tile in self._tiles(places.points_um):
            near = list(self._kernels.at(tile.spots).against(places[tile.places]))
            for c, lower in self._factorised(tile.spots):
                weight = self._weights[c, :-1]
                shared = weight[: len(near)]  # what a section shows of its own ends there
                cross = np.tensordot(shared, np.asarray(near, dtype=np.float64), axes=1)
                white = solve_triangular(lower, cross.T, lower=True, check_finite=False)
                prior = weight.sum()  # each kernel is 1 between a place and itself
                known = (white**2).sum(axis=0)
                out[tile.places, c] = np.maximum(prior - known, JITTER * prior)
        return out

    # -- inner -----------------------------------------------------------------------------

    def _factorised(self, spots: Indices) -> Iterator[tuple[int, Floats]]:
        """Cholesky factor of each component among some spots."""
        gram = self._kernels.at(spots).gram()
        diagonal = np.diag_indices(len(spots))
        for c, own in enumerate(self._weights):
            matrix: Floats = np.tensordot(own[:-1], gram, axes=1)
            matrix[diagonal] += own[-1] * self._noise[spots]
            yield c, factorise(matrix)

    def _tiles(self, points_um: Floats) -> Iterator[Tile]:
        """Places in compact groups, no wider than the spots around their middle reach."""
        waiting = [np.arange(len(points_um))] if len(points_um) else []
        while waiting:
            own = waiting.pop()
            points = points_um[own]
            low, high = points.min(axis=0), points.max(axis=0)
            middle = (low + high) / 2
            if len(own) <= MOST_PLACES:
                distance, spots = self._tree.query(middle, k=np.arange(1, self.around + 1))
                widest = float(np.sqrt(((points - middle) ** 2).sum(axis=1)).max())
                if len(own) == 1 or widest <= float(np.max(distance)):
                    yield Tile(own, np.sort(spots))
                    continue
            axis = int((high - low).argmax())
            order = own[np.argsort(points[:, axis], kind="stable")]
            waiting += [order[len(order) // 2 :], order[: len(order) // 2]]
