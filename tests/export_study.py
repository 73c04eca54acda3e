"""Small studies for the tests of the export: known voxels, known factors."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo

GENES = ["ERBB2", "VIM", "KRT8", "EPCAM", "ACTA2", "MSMB"]
RANK = 4


def fluorescence(shape=(40, 150, 140)):
    z, y, x = np.indices(shape)
    ball = ((z - 20) / 18) ** 2 + ((y - 75) / 70) ** 2 + ((x - 70) / 60) ** 2
    nuclei = np.where(ball < 1, 400 + 300 * np.sin(x / 5) * np.sin(y / 5), 20)
    return np.stack([nuclei, np.where(ball < 1, 900 - 500 * ball, 10)]).astype(np.uint16)


def make_study(place: Path, *, predict=True, labels=True, lattice=(20, 50, 47)) -> Path:
    info = StudyInfo("A block", modality="light-sheet", organ="breast", notes={"class 1": "gland"})
    grid = Grid((40, 150, 140), (4.0, 3.0, 3.0), (2.0, 1.5, 101.5))
    with Study.create(place, info) as study:
        channels = (Channel("nuclei", "nuclear", "00E5FF"), Channel("cytoplasm", "cytoplasm"))
        voxels = fluorescence()
        study.write_morphology(ArraySource(voxels, grid, channels))
        if labels:
            classes = np.zeros((1, 40, 150, 140), np.uint8)
            classes[0, :, 30:110, 20:90] = 1
            classes[0, :, 50:80, 40:60] = 5
            study.write_label("classes", ArraySource(classes, grid, (Channel("classes"),)))
        spots = np.column_stack([np.linspace(120, 400, 9), np.linspace(10, 400, 9), np.full(9, 82)])
        counts = np.random.default_rng(1).poisson(3, (9, len(GENES))).astype(np.float32)
        study.write_section(
            "S1",
            anndata.AnnData(
                X=counts,
                var=pd.DataFrame(index=GENES),
                obs=pd.DataFrame(index=[f"s{i}" for i in range(9)]),
                obsm={"spatial": spots},
            ),
            spot_diameter_um=55.0,
        )
    if predict:
        plant_prediction(place, grid, lattice)
    return place


def plant_prediction(place: Path, grid: Grid, shape) -> None:
    low = [lo for lo, _ in grid.bounds_um]
    spacing = [e / n for e, n in zip(grid.extent_um, shape, strict=True)]
    lattice = Grid(
        shape, tuple(spacing), tuple(a + s / 2 for a, s in zip(low, spacing, strict=True))
    )
    rng = np.random.default_rng(3)
    where = np.stack(np.meshgrid(*(np.linspace(0, 6, n) for n in shape), indexing="ij"))
    factors = np.stack([np.sin(where.sum(0) * (k + 1) / 3) * (k + 1) for k in range(RANK)])
    mask = ((where - 3) ** 2).sum(0) < 12
    genes = pd.DataFrame(
        {
            "mean": rng.uniform(0.5, 3, len(GENES)),
            "reliability": [0.9, 0.1, 0.4, np.nan, 0.6, 0.3],
            "low": [0.8, 0.0, 0.3, np.nan, 0.5, 0.2],
            "high": [0.95, 0.2, 0.5, np.nan, 0.7, 0.4],
        },
        index=GENES,
    )
    record = PredictionRecord(
        (factors * mask).astype(np.float16),
        np.full(factors.shape, 0.1, np.float16),
        mask,
        rng.normal(size=(RANK, len(GENES))),
        genes,
        lattice,
    )
    write_prediction(
        Study.open(place),
        Provenance("predictions", {"made": "export"}, {"shape": list(shape)}, 1),
        record,
    )


def make_stack(place: Path) -> np.ndarray:
    """Three stained sections far apart: glass around a purple disc; returns the voxels."""
    y, x = np.indices((300, 280))
    disc = (y - 150) ** 2 + (x - 140) ** 2 < 110**2
    noise = np.random.default_rng(0).integers(-12, 12, (3, 300, 280))
    rgb = np.empty((3, 3, 300, 280), np.uint8)
    for c, (tissue, glass) in enumerate(((150, 242), (80, 240), (160, 243))):
        rgb[c] = np.where(disc, tissue + noise, glass)
    names = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
    with Study.create(place, StudyInfo("HE", modality="serial-sections")) as study:
        study.write_morphology(
            ArraySource(
                rgb,
                Grid((3, 300, 280), (40.0, 2.0, 2.0)),
                tuple(Channel(n, n, colour) for n, colour in names),
            )
        )
    return rgb
