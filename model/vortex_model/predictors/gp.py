"""The default predictor: one Gaussian process an expression component, over features and place.

``score = linear(features) + RBFs(features) + Gaussians(place) + Gaussian(place, a section's own)
+ noise``, fitted jointly: weights by marginal likelihood, noise by each spot's counts. A
whole-section fit with kriged residuals was worse than the joint one (EVIDENCE 3).

How it scales: weights are learned on at most ``max_learn`` spots (whole neighbourhoods of them,
so that short lengths can be seen). The posterior is exact up to ``max_exact`` spots. Above, it
is the fully independent training conditional (Snelson & Ghahramani, NIPS 2005) with
``inducing`` measured spots, whose cost grows with the number of spots only linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import strtri

from vortex_model.crew import HERE
from vortex_model.errors import VortexError
from vortex_model.predictors.base import (
    Floats,
    Places,
    Training,
    check_training,
    relative_noise,
)
from vortex_model.predictors.blocks import spatial_blocks
from vortex_model.predictors.kernels import Kernels
from vortex_model.predictors.likelihood import JITTER, factorise, learn_weights
from vortex_model.predictors.local import Local
from vortex_model.progress import Progress, silent

NEIGHBOURHOOD = 16
"""Spots that stay together when weights are learned on some of them."""
FACTOR_BYTES = 256 << 20
"""How much the factorised systems of components may take that share one pass over the places."""
STRIPES = 4
"""Parts of a triangle's rows that are multiplied one by one, each without what is 0 beside it."""
Single = npt.NDArray[np.float32]
Whiten = Callable[[Single], Single]


@dataclass(frozen=True)
class Posterior:
    """One component, fitted: weights of the kernels and of the anchors.

    Attributes
    ----------
    weights
        Of each kernel, then of the noise.
    alpha
        Weight of each anchor, (anchors,).
    inner
        Lower Cholesky factor of the whitened inducing system; ``None`` where the fit is exact.
    """

    weights: Floats
    alpha: Floats
    inner: Floats | None = None


class GaussianProcess:
    """Gaussian processes with linear, RBF and spatial kernels.

    Parameters
    ----------
    features, place
        Which parts to use: both, features alone (sections are not registered), or place alone
        (no morphology).
    max_learn, max_exact, inducing
        Spots that weights are learned on, spots up to which the fit is exact, and inducing spots
        above that. Place alone needs none: there, spots around each place are enough
        (:mod:`vortex_model.predictors.local`).
    """

    code = 4

    def __init__(
        self,
        *,
        features: bool = True,
        place: bool = True,
        max_learn: int = 300,
        max_exact: int = 4000,
        inducing: int = 1500,
    ) -> None:
        if not (features or place):
            raise VortexError("A Gaussian process needs features, place, or both.")
        self.name = "gp" if features and place else "gp-features" if features else "gp-place"
        self._features, self._place = features, place
        self._max_learn, self._max_exact, self._inducing = max_learn, max_exact, inducing
        self._kernels: Kernels | None = None
        self._posteriors: list[Posterior] = []
        self._noise: Floats = np.zeros(0)
        self._local: Local | None = None
        self._weights: Floats = np.zeros((0, 0))

    @property
    def weights(self) -> Floats:
        """Weights by component, (k, kernels + 1); the last column is the noise."""
        return self._weights

    @property
    def kernel_names(self) -> tuple[str, ...]:
        """Names of the columns of :attr:`weights`."""
        return (*self._fitted().names, "noise")

    @property
    def anchors(self) -> int:
        """Spots that are weighed at once: all, the inducing ones, or those around a place."""
        return self._local.around if self._local else len(self._fitted().anchors)

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Learn weights and anchors."""
        check_training(training, self.name, needs_features=not self._place)
        kernels = Kernels.between(
            training.places,
            training.section,
            features=self._features,
            place=self._place,
        )
        noise = relative_noise(training.totals)
        some = _neighbourhoods(training.places.points_um, self._max_learn)
        gram = kernels.at(some).gram()
        count = training.scores.shape[1]
        weights = []
        for c in range(count):
            progress(0.6 * c / count, f"learning component {c + 1} of {count}")
            weights.append(learn_weights(gram, noise[some], training.scores[some, c]))
        self._weights, self._local, self._posteriors = np.array(weights), None, []
        if len(training) > self._max_exact and not kernels.has_features:
            self._kernels, self._noise = kernels, noise
            self._local = Local(kernels, self._weights, training.scores, noise)
        elif len(training) <= self._max_exact:
            if len(some) < len(training):
                gram = kernels.gram()
            self._kernels, self._noise = kernels, noise
            for c in range(count):
                progress(0.6 + 0.4 * c / count, f"fitting component {c + 1} of {count}")
                lower = factorise(_system(gram, weights[c], noise))
                alpha = cho_solve((lower, True), training.scores[:, c], check_finite=False)
                self._posteriors.append(Posterior(weights[c], alpha))
        else:
            self._fit_inducing(training, kernels, noise, self._weights, progress)
        progress(1.0, "fitted")

    def predict(self, places: Places) -> Floats:
        """Mean of the factors, (n, k)."""
        kernels = self._fitted()
        if self._local is not None:
            return self._local.mean(places)
        alpha = np.array([p.alpha for p in self._posteriors]).T
        weighted = [
            (alpha * self.weights[:, j]).astype(np.float32) for j in range(len(kernels.names))
        ]
        out = np.zeros((len(places), len(self._posteriors)))
        for part in kernels.chunks(len(places)):
            for product, kernel in zip(weighted, kernels.against(places[part]), strict=False):
                out[part] += kernel @ product
        return out

    def variance(self, places: Places) -> Floats:
        """Posterior variance of the factors, (n, k); costs anchors squared a place."""
        kernels = self._fitted()
        if self._local is not None:
            return self._local.variance(places)
        gram = kernels.gram()
        out = np.empty((len(places), len(self._posteriors)))
        step = max(1, FACTOR_BYTES // (8 * self.anchors**2))
        for first in range(0, len(self._posteriors), step):
            some = self._posteriors[first : first + step]
            systems = (gram, self._noise, len(places))
            fits = [w for _, w in HERE.map(_Systems, systems, _Systems.white, some, len(some))]
            for part in kernels.chunks(len(places)):
                diagonal = kernels.diagonal(places[part])
                against = np.array(list(kernels.against(places[part])))
                found = HERE.map(_Told, (against,), _Told.by, fits, len(fits))
                for c, (_, known) in enumerate(found, first):
                    prior = self._posteriors[c].weights[:-1] @ diagonal
                    out[part, c] = np.maximum(prior - known, JITTER * prior)
        return out

    # -- inner -----------------------------------------------------------------------------

    def _fitted(self) -> Kernels:
        if self._kernels is None:
            raise VortexError(f"Predictor {self.name!r} was asked to predict before it was fitted.")
        return self._kernels

    def _fit_inducing(
        self,
        training: Training,
        kernels: Kernels,
        noise: Floats,
        weights: Floats,
        progress: Progress,
    ) -> None:
        """Condition on all spots through ``inducing`` of them, spread evenly over the block."""
        blocks = spatial_blocks(training.places.points_um, self._inducing)
        chosen = np.unique(blocks, return_index=True)[1]
        self._kernels, self._noise = kernels.at(chosen), noise[chosen]
        gram = self._kernels.gram()
        m, count = len(chosen), len(weights)
        lowers = [factorise(_system(gram, w, None)) for w in weights]
        inner = [np.eye(m) for _ in weights]
        right = np.zeros((count, m))
        parts = list(self._kernels.chunks(len(training)))
        for done, part in enumerate(parts):
            progress(0.6 + 0.4 * done / len(parts), f"spots {part.start} of {len(training)}")
            places = kernels.anchors[part]
            diagonal = self._kernels.diagonal(places)
            crosses = list(self._kernels.against(places))
            for c, own in enumerate(weights):
                cross = np.zeros((m, len(places)))
                for weight, kernel in zip(own[:-1], crosses, strict=True):
                    cross += weight * kernel.T
                white = solve_triangular(lowers[c], cross, lower=True, check_finite=False)
                rest = own[:-1] @ diagonal - (white**2).sum(axis=0)
                spread = np.maximum(rest, 0.0) + own[-1] * noise[part]
                scaled = white / spread
                inner[c] += scaled @ white.T
                right[c] += scaled @ training.scores[part, c]
        self._posteriors = []
        for c, own in enumerate(weights):
            inside = factorise(inner[c])
            solved = cho_solve((inside, True), right[c], check_finite=False)
            alpha = solve_triangular(lowers[c], solved, lower=True, trans="T", check_finite=False)
            self._posteriors.append(Posterior(own, alpha, inside))


class _White(NamedTuple):
    """What turns kernels between places and anchors into what anchors tell, of one component."""

    weights: Single
    outer: Whiten
    inner: Whiten | None


class _Systems(NamedTuple):
    """The anchors' kernels and noise, and how many places will be asked about."""

    gram: Floats
    noise: Floats
    places: int

    def white(self, own: Posterior) -> _White:
        """Of a component."""
        noise = None if own.inner is not None else self.noise
        outer = self._by(factorise(_system(self.gram, own.weights, noise)))
        inner = None if own.inner is None else self._by(own.inner)
        return _White(own.weights[:-1].astype(np.float32), outer, inner)

    def _by(self, factor: Floats) -> Whiten:
        """Solving with a lower factor. Threads share products with its inverse, but not solving."""
        lower = factor.astype(np.float32)
        if self.places < len(lower):
            return partial(_solved, lower)
        return partial(_times, np.ascontiguousarray(strtri(lower, lower=1)[0]))


class _Told(NamedTuple):
    """The kernels between some places and the anchors, (kernels, n, anchors)."""

    against: Single

    def by(self, white: _White) -> Single:
        """How much of the prior variance at the places the spots take away, (n,)."""
        # Single precision, as the kernels are: half the time, and within 1e-4 of the prior.
        count, *size = self.against.shape
        cross = (white.weights[:count] @ self.against.reshape(count, -1)).reshape(size)
        left = white.outer(cross.T)
        known = _squares(left)
        return known if white.inner is None else known - _squares(white.inner(left))


def _squares(values: Single) -> Single:
    """Sum of squares of each column."""
    return np.asarray(np.einsum("ij,ij->j", values, values))


def _solved(lower: Single, right: Single) -> Single:
    return np.asarray(solve_triangular(lower, right, lower=True, check_finite=False))


def _times(lower: Single, right: Single) -> Single:
    """A lower triangle times a matrix, without most of what is 0."""
    out = np.empty(right.shape, np.float32)
    for start, stop in pairwise(np.linspace(0, len(lower), STRIPES + 1).astype(int)):
        out[start:stop] = lower[start:stop, :stop] @ right[:stop]
    return out


def _system(gram: Floats, weights: Floats, noise: Floats | None) -> Floats:
    """The weighted sum of kernels, plus noise (or a little jitter) on the diagonal."""
    matrix: Floats = np.tensordot(weights[:-1], gram, axes=1)
    own = weights[-1] * noise if noise is not None else JITTER * np.diag(matrix)
    matrix[np.diag_indices(len(matrix))] += own
    return matrix


def _neighbourhoods(points_um: Floats, limit: int) -> npt.NDArray[np.int64]:
    """At most ``limit`` spots, evenly spread, in patches that are whole."""
    if len(points_um) <= limit:
        return np.arange(len(points_um))
    blocks = spatial_blocks(points_um, -(-len(points_um) // NEIGHBOURHOOD))
    number = int(blocks.max()) + 1
    keep = np.linspace(0, number - 1, max(1, limit // NEIGHBOURHOOD)).round().astype(np.int64)
    return np.flatnonzero(np.isin(blocks, keep))
