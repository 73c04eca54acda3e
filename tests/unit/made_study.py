"""A small made-up study, quick to make, for tests of predictors, fine-tuning, evaluation."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy import ndimage

from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import Study, StudyInfo

GRID = Grid((9, 96, 96), (20.0, 10.0, 10.0))
PITCH = 80.0
GENES = 40


def make_study(path: Path, *, morphology: bool = True, seed: int = 0) -> Path:
    """Sections S1, S2, S3 on three planes; genes 0-9 follow the bright tissue, 10-19 a gradient."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=GRID.shape), (3, 8, 8))
    field = (field - field.mean()) / field.std()
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in GRID.shape), indexing="ij")
    with Study.create(path, StudyInfo(name="made up", modality="light-sheet")) as study:
        if morphology:
            nuclear = 200 + 60 * np.clip(field + 2, 0, None) + random.normal(0, 5, GRID.shape)
            other = 300 + 30 * x + random.normal(0, 5, GRID.shape)
            study.write_morphology(
                ArraySource(
                    np.stack([nuclear, other]).astype(np.uint16),
                    GRID,
                    (Channel("nuclei", "nuclear"), Channel("eosin", "cytoplasm")),
                )
            )
        for number, plane in enumerate((1, 4, 7), start=1):
            places = _places(plane)
            index = GRID.nearest(places)
            bright = field[tuple(index.T)]
            slope = y[tuple(index.T)]
            study.write_section(
                f"S{number}", _counts(places, bright, slope, random), spot_diameter_um=50.0
            )
    return path


def _places(plane: int) -> np.ndarray:
    side = np.arange(60.0, 900.0, PITCH)
    x, y = np.meshgrid(side, side)
    return np.column_stack([x.ravel(), y.ravel(), np.full(x.size, GRID.axis_um(0)[plane])])


def _counts(places, bright, slope, random) -> anndata.AnnData:
    rate = np.full((len(places), GENES), 3.0)
    rate[:, :10] *= np.exp(0.8 * bright)[:, None]
    rate[:, 10:20] *= np.exp(1.0 * slope)[:, None]
    depth = random.lognormal(0, 0.4, len(places))[:, None]
    counts = random.poisson(5 * rate * depth)
    names = [f"BRIGHT{i}" for i in range(10)] + [f"SLOPE{i}" for i in range(10)]
    names += [f"FLAT{i}" for i in range(GENES - 20)]
    return anndata.AnnData(
        sp.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(index=[f"spot{i}" for i in range(len(places))]),
        var=pd.DataFrame(index=names),
        obsm={"spatial": places},
    )
