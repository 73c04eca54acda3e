"""Baselines that see no morphology: section mean, nearest measured section, kNN in space."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from vortex_model.errors import VortexError
from vortex_model.predictors.base import Floats, Places, Training, check_training
from vortex_model.predictors.blocks import folds
from vortex_model.progress import Progress, silent

NEIGHBOURS = (1, 2, 4, 8, 16, 32, 64)


class SectionMean:
    """The training sections' mean everywhere: what knowing nothing of the place gives."""

    name = "mean"
    code = 1
    anchors = 1

    def __init__(self) -> None:
        self._mean: Floats | None = None
        self._variance = np.zeros(0)

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Remember the mean (0, as scores are centred by section) and the spread."""
        check_training(training, self.name, needs_features=False)
        self._mean = training.scores.mean(axis=0)
        self._variance = training.scores.var(axis=0)
        progress(1.0, "fitted")

    def predict(self, places: Places) -> Floats:
        """The same at every place, (n, k)."""
        if self._mean is None:
            raise _unfitted(self.name)
        return np.tile(self._mean, (len(places), 1))

    def variance(self, places: Places) -> Floats:
        """The spots' own variance, (n, k)."""
        return np.tile(self._variance, (len(places), 1))


class NearestSection:
    """The nearest spot of the nearest measured section (by z)."""

    name = "nearest"
    code = 1
    anchors = 1

    def __init__(self) -> None:
        self._trees: list[cKDTree] = []
        self._scores: list[Floats] = []
        self._z_um = np.zeros(0)
        self._variance = np.zeros(0)

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Index each section's spots in x and y."""
        check_training(training, self.name, needs_features=False)
        self._variance = _residual_variance(NearestSection, training)
        self._index(training)
        progress(1.0, "fitted")

    def predict(self, places: Places) -> Floats:
        """The copied scores, (n, k)."""
        if not self._trees:
            raise _unfitted(self.name)
        nearest = np.abs(places.points_um[:, 2:] - self._z_um).argmin(axis=1)
        out = np.empty((len(places), self._scores[0].shape[1]))
        for number, (tree, scores) in enumerate(zip(self._trees, self._scores, strict=True)):
            own = nearest == number
            if own.any():
                out[own] = scores[tree.query(places.points_um[own, :2])[1]]
        return out

    def variance(self, places: Places) -> Floats:
        """Squared error on held-out blocks, the same everywhere, (n, k)."""
        return np.tile(self._variance, (len(places), 1))

    def _index(self, training: Training) -> None:
        numbers = np.unique(training.section)
        points = [training.places.points_um[training.section == s] for s in numbers]
        self._trees = [cKDTree(p[:, :2]) for p in points]
        self._scores = [training.scores[training.section == s] for s in numbers]
        self._z_um = np.array([p[:, 2].mean() for p in points])


class NearestSpots:
    """Mean of the k nearest spots in space, of all sections; k by blocked cross-validation."""

    name = "knn"
    code = 1
    anchors = 1

    def __init__(self, k: int | None = None) -> None:
        self.k = k
        self._tree: cKDTree | None = None
        self._scores: Floats = np.zeros((0, 0))
        self._variance = np.zeros(0)

    def fit(self, training: Training, progress: Progress = silent) -> None:
        """Choose k on held-out blocks; index all spots."""
        check_training(training, self.name, needs_features=False)
        points, scores = training.places.points_um, training.scores
        options = [self.k] if self.k else [k for k in NEIGHBOURS if k <= len(training) // 2]
        error = np.zeros((len(options), scores.shape[1]))
        for keep, held in folds(points):
            tree = cKDTree(points[keep])
            for row, k in enumerate(options):
                found = _average(tree, scores[keep], points[held], min(k, len(keep)))
                error[row] += ((found - scores[held]) ** 2).sum(axis=0)
        best = int(error.sum(axis=1).argmin())
        self.k = options[best]
        self._variance = error[best] / len(training)
        self._tree, self._scores = cKDTree(points), scores
        progress(1.0, f"fitted with k = {self.k}")

    def predict(self, places: Places) -> Floats:
        """Mean of the k nearest spots, (n, k)."""
        if self._tree is None or self.k is None:
            raise _unfitted(self.name)
        return _average(self._tree, self._scores, places.points_um, min(self.k, len(self._scores)))

    def variance(self, places: Places) -> Floats:
        """Squared error on held-out blocks, the same everywhere, (n, k)."""
        return np.tile(self._variance, (len(places), 1))


def _average(tree: cKDTree, scores: Floats, points_um: Floats, k: int) -> Floats:
    nearest = np.asarray(tree.query(points_um, k=k)[1]).reshape(len(points_um), k)
    out = np.zeros((len(points_um), scores.shape[1]))
    for column in nearest.T:
        out += scores[column]
    return out / k


def _residual_variance(kind: type[NearestSection], training: Training) -> Floats:
    total = np.zeros(training.scores.shape[1])
    for keep, held in folds(training.places.points_um):
        own = kind()
        own._index(training[keep])
        total += ((own.predict(training.places[held]) - training.scores[held]) ** 2).sum(axis=0)
    return np.asarray(total / len(training))


def _unfitted(name: str) -> VortexError:
    return VortexError(f"Predictor {name!r} was asked to predict before it was fitted.")
