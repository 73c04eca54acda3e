"""Studies that benchmarks share: predictions and blocks of any size, made from smooth noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from export_site import Mirrored
from scipy import ndimage

from vortex_model.grid import Grid
from vortex_model.multiscale import Channel
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo

CHANNELS = (Channel("nuclei", "nuclear", "00FFFF"), Channel("stroma", "cytoplasm", "FF00FF"))


def smooth(shape: tuple[int, ...], seed: int, coarser: int = 8) -> np.ndarray:
    """Smooth noise with a little rough noise on it, float32, deviation about 1."""
    rng = np.random.default_rng(seed)
    small = rng.normal(size=[n // coarser + 3 for n in shape]).astype(np.float32)
    out = ndimage.zoom(small, coarser, order=1)[tuple(slice(0, n) for n in shape)]
    out += 0.05 * rng.standard_normal(shape, dtype=np.float32)
    return out / out.std()


def predict(study: Study, grid: Grid, rank: int, genes: int) -> str:
    """Write a prediction whose tissue is an ellipsoid that fills half of the lattice."""
    axes = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in grid.shape)]
    mask = sum(a**2 for a in axes) < 0.97
    factors = np.stack([smooth(grid.shape, k).astype(np.float16) for k in range(rank)])
    rng = np.random.default_rng(99)
    loadings = rng.normal(size=(rank, genes)) * np.exp(-np.arange(rank) / 8)[:, None] / 4
    table = pd.DataFrame(
        {"mean": 1.0, "reliability": np.linspace(0.8, 0, genes), "low": 0.0, "high": 0.9},
        index=[f"GENE{i}" for i in range(genes)],
    )
    # deviations change slowly between measured places, as those of a fit do
    spread = smooth(grid.shape, 1000, 32) * 0.02 + 0.3
    variance = np.broadcast_to((spread**2).astype(np.float16), factors.shape)
    record = PredictionRecord(factors, variance, mask, loadings, table, grid)
    made_by = Provenance("predictions", {}, {"bench": [*grid.shape, rank, genes]}, 1)
    return write_prediction(study, made_by, record)


def block(place: Path, shape: tuple[int, int, int], token_um: float, rank: int, genes: int) -> Path:
    """A two-channel block of any size, mirrored from a small one, and a prediction of it."""
    grid = Grid(shape, (4.0, 4.0, 4.0))
    small = np.stack([smooth((96, 160, 160), c, 6) for c in (7, 8)])
    small = np.clip(small * 6000 + 14000, 0, 65535).astype(np.uint16)
    with Study.create(place, StudyInfo("block", modality="light-sheet")) as study:
        study.write_morphology(Mirrored(small, grid, CHANNELS))
    predict(Study.open(place), grid.lattice((token_um,) * 3), rank, genes)
    return place
