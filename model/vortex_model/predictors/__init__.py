"""Predictors, by name: ``gp`` (the default), ``ridge``, and baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.predictors.base import Places, Predictor, Training
from vortex_model.predictors.baselines import NearestSection, NearestSpots, SectionMean
from vortex_model.predictors.gp import GaussianProcess
from vortex_model.predictors.ridge import Ridge

__all__ = ["BASELINES", "DEFAULT", "Places", "Predictor", "Training", "available", "create"]

DEFAULT = "gp"
BASELINES = ("mean", "nearest", "knn", "ridge")


def _gp_features(**options: Any) -> Predictor:
    return GaussianProcess(place=False, **options)


def _gp_place(**options: Any) -> Predictor:
    return GaussianProcess(features=False, **options)


_KINDS: dict[str, tuple[Callable[..., Predictor], str]] = {
    "gp": (GaussianProcess, "Gaussian processes over features and place"),
    "gp-features": (_gp_features, "the same without place: for sections that are not registered"),
    "gp-place": (_gp_place, "the same without features: for blocks without morphology"),
    "ridge": (Ridge, "ridge regression on features, alpha by blocked cross-validation"),
    "knn": (NearestSpots, "mean of the k nearest spots, k by blocked cross-validation"),
    "nearest": (NearestSection, "the nearest spot of the nearest measured section"),
    "mean": (SectionMean, "the training sections' mean"),
}


def available() -> dict[str, str]:
    """Name of each predictor -> what it does."""
    return {name: text for name, (_, text) in _KINDS.items()}


def create(name: str = DEFAULT, **options: Any) -> Predictor:
    """A predictor, not fitted yet.

    Raises
    ------
    UnknownNameError
        When there is none of this name.
    VortexError
        When it has no such option.
    """
    if name not in _KINDS:
        raise UnknownNameError("predictor", name, list(_KINDS))
    try:
        return _KINDS[name][0](**options)
    except TypeError as error:
        raise VortexError(f"Predictor {name!r} does not take these options: {error}.") from error
