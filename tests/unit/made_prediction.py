"""A made-up prediction of smooth random factors, quick to make, for tests of analysis."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from vortex_model.grid import Grid
from vortex_model.prediction import GeneCache, Prediction
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo


def make_prediction(
    place,
    factors,
    loadings,
    *,
    mask=None,
    spacing=(10.0, 10.0, 10.0),
    variance=0.1,
    low=None,
):
    """A study at ``place`` with a prediction of these factors (k, z, y, x)."""
    count = loadings.shape[1]
    genes = pd.DataFrame(
        {"mean": 1.0, "reliability": 0.5, "low": 0.1 if low is None else low, "high": 0.9},
        index=[f"G{i}" for i in range(count)],
    )
    shape = factors.shape[1:]
    with Study.create(place, StudyInfo("made up")):
        pass
    study = Study.open(place)
    record = PredictionRecord(
        factors.astype(np.float32),
        np.full(factors.shape, variance, np.float32),
        np.ones(shape, bool) if mask is None else mask,
        loadings,
        genes,
        Grid(shape, spacing),
    )
    write_prediction(study, Provenance("predictions", {}, {}, 1), record)
    return Prediction.load(study, cache=GeneCache(place.parent / "cache"))


def smooth_fields(shape, sigma, count, seed):
    """Independent stationary Gaussian fields of deviation 1, (count, z, y, x)."""
    rng = np.random.default_rng(seed)
    fields = np.stack(
        [gaussian_filter(rng.normal(size=shape), sigma, mode="wrap") for _ in range(count)]
    )
    return fields / fields.std(axis=(1, 2, 3), keepdims=True)
