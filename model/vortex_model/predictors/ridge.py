"""Ridge regression of expression scores on features, alpha by blocked cross-validation.

HEST-bench: choosing alpha by cross-validation is worth more than most gaps between encoders.
"""

from __future__ import annotations

import numpy as np

from vortex_model.errors import VortexError
from vortex_model.predictors.base import Floats, Places, Training, check_training
from vortex_model.predictors.blocks import folds
from vortex_model.predictors.kernels import group_weights
from vortex_model.progress import Progress, silent

ALPHAS = tuple(float(a) for a in np.logspace(-4, 4, 25))
"""Penalties tried, relative to the features' mean squared singular value."""


class Ridge:
    """Low-rank ridge: one penalty for all components, features only.

    Parameters
    ----------
    alphas
        Penalties to choose from, relative to the mean squared singular value of the features.
    """

    name = "ridge"
    code = 2

    def __init__(self, alphas: tuple[float, ...] = ALPHAS) -> None:
        self._alphas = alphas
        self.alpha: float | None = None
        self._centre = self._weights = np.zeros(0)
        self._coefficients: Floats | None = None
        self._right = np.zeros((0, 0))
        self._penalised = np.zeros(0)
        self._penalty = 1.0
        self._noise = np.zeros(0)

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Choose the penalty on held-out blocks, then fit on all spots."""
        check_training(training, self.name, needs_features=True)
        features = training.places.features
        self._weights = group_weights(training.places.groups)
        self._centre = features.mean(axis=0)
        x, y = (features - self._centre) * self._weights, training.scores
        error = np.zeros((len(self._alphas), y.shape[1]))
        parts = list(folds(training.places.points_um))
        for done, (keep, held) in enumerate(parts):
            progress(done / (len(parts) + 1), f"block {done + 1} of {len(parts)}")
            left, size, right = np.linalg.svd(x[keep], full_matrices=False)
            projected, target = x[held] @ right.T, left.T @ y[keep]
            for row, alpha in enumerate(self._alphas):
                shrunk = _shrink(size, alpha)
                error[row] += ((projected @ (shrunk[:, None] * target) - y[held]) ** 2).sum(axis=0)
        best = int(error.sum(axis=1).argmin())
        self.alpha = self._alphas[best]
        self._noise = error[best] / len(training)
        left, size, self._right = np.linalg.svd(x, full_matrices=False)
        self._coefficients = self._right.T @ (_shrink(size, self.alpha)[:, None] * (left.T @ y))
        self._penalty = _penalty(size, self.alpha)
        self._penalised = 1.0 / (size**2 + self._penalty)
        progress(1.0, f"fitted with alpha = {self.alpha:.3g}")

    @property
    def anchors(self) -> int:
        """Directions of the features that the spots tell of."""
        return len(self._penalised)

    def predict(self, places: Places) -> Floats:
        """Mean of the factors, (n, k)."""
        coefficients = self._fitted()
        return self._scaled(places) @ coefficients

    def variance(self, places: Places) -> Floats:
        """Variance of the factors under a Gaussian prior on the coefficients, (n, k).

        Bishop, Pattern Recognition and Machine Learning (2006), equation 3.59, with the noise
        taken from held-out blocks.
        """
        self._fitted()
        x = self._scaled(places)
        inside = x @ self._right.T
        outside = (x**2).sum(axis=1) - (inside**2).sum(axis=1)
        share = (inside**2) @ self._penalised + np.maximum(outside, 0.0) / self._penalty
        return np.asarray(share[:, None] * self._noise)

    def _scaled(self, places: Places) -> Floats:
        return (places.features - self._centre) * self._weights

    def _fitted(self) -> Floats:
        if self._coefficients is None:
            raise VortexError("Predictor 'ridge' was asked to predict before it was fitted.")
        return self._coefficients


def _penalty(size: Floats, alpha: float) -> float:
    return max(alpha * float(np.mean(size**2)), 1e-12)


def _shrink(size: Floats, alpha: float) -> Floats:
    return np.asarray(size / (size**2 + _penalty(size, alpha)))
