"""Small studies whose every pixel is known, for the browser tests."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo

GRID = Grid((40, 96, 128), (10.0, 10.0, 10.0), (5.0, 5.0, 5.0))
FILLERS = 300


def block(
    path: Path, *, predicted: bool = True, measured: bool = True, name: str = "block"
) -> Path:
    """A bright slab of tissue in a dark frame: 1.28 x 0.96 x 0.4 mm.

    Genes: ``LEFT`` is high where x is low, ``RIGHT`` where x is high, ``TOP`` where y is low,
    ``SHALLOW`` where z is low; ``FLAT...`` are the same everywhere.
    """
    with Study.create(path, StudyInfo(name=name, modality="light-sheet", organ="test")) as study:
        tissue = np.zeros(GRID.shape, np.uint16)
        tissue[4:-4, 10:-10, 12:-12] = 900
        rng = np.random.default_rng(1)
        tissue += rng.integers(0, 60, GRID.shape).astype(np.uint16)
        channel = (Channel("nuclei", "nuclear", "00FFFF"),)
        study.write_morphology(ArraySource(tissue[None], GRID, channel))
        if measured:
            for section, z in (("A", 105.0), ("B", 305.0)):
                study.write_section(section, _section(z), spot_diameter_um=55.0)
        if predicted:
            predict(study)
    return path


def predict(study: Study) -> str:
    """Write the known genes into a study."""
    lattice = GRID.lattice((40.0, 40.0, 40.0))
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in lattice.shape), indexing="ij")
    factors = np.stack([x, y, z]).astype(np.float32)
    names = ["LEFT", "RIGHT", "TOP", "SHALLOW", *(f"FLAT{i}" for i in range(FILLERS))]
    loadings = np.zeros((3, len(names)))
    loadings[0, 0], loadings[0, 1], loadings[1, 2], loadings[2, 3] = -1, 1, -1, -1
    score = np.linspace(0.9, 0.1, len(names))
    genes = pd.DataFrame(
        {"mean": 1.5, "reliability": score, "low": score - 0.05, "high": score + 0.05},
        index=pd.Index(names, name="gene"),
    )
    mask = np.ones(lattice.shape, bool)
    record = PredictionRecord(factors, np.full_like(factors, 0.04), mask, loadings, genes, lattice)
    made_by = Provenance("predictions", {"study": study.name}, {"predictor": "gp"}, 1)
    return write_prediction(study, made_by, record)


def many_genes(path: Path, count: int) -> Path:
    """The block with this many genes."""
    with Study.create(path, StudyInfo(name="many", modality="light-sheet")) as study:
        voxels = np.full((1, *GRID.shape), 500, np.uint16)
        study.write_morphology(ArraySource(voxels, GRID, (Channel("gray"),)))
        lattice = GRID.lattice((80.0, 80.0, 80.0))
        factors = np.zeros((1, *lattice.shape), np.float32)
        genes = pd.DataFrame(
            {"mean": 1.0, "reliability": np.nan, "low": np.nan, "high": np.nan},
            index=pd.Index([f"ENSG{i:011d}" for i in range(count)], name="gene"),
        )
        record = PredictionRecord(
            factors, factors + 1, np.ones(lattice.shape, bool), np.ones((1, count)), genes, lattice
        )
        write_prediction(study, Provenance("predictions", {"n": str(count)}, {}, 1), record)
    return path


def stack(path: Path) -> Path:
    """Two stained sections 200 um apart: white glass, a pink square of tissue."""
    grid = Grid((2, 96, 128), (200.0, 10.0, 10.0), (100.0, 5.0, 5.0))
    rgb = np.full((3, *grid.shape), 240, np.uint8)
    rgb[:, :, 30:66, 40:88] = np.array([190, 70, 140], np.uint8)[:, None, None, None]
    channels = (
        Channel("red", "red", "FF0000"),
        Channel("green", "green", "00FF00"),
        Channel("blue", "blue", "0000FF"),
    )
    with Study.create(path, StudyInfo(name="stack", modality="serial-sections")) as study:
        study.write_morphology(ArraySource(rgb, grid, channels))
    return path


def _section(z_um: float) -> anndata.AnnData:
    x, y = (a.ravel() for a in np.meshgrid(np.arange(200.0, 1100, 100), np.arange(200.0, 800, 100)))
    counts = np.column_stack([np.where(x < 640, 40, 2), np.where(x < 640, 2, 40), 20 + 0 * x])
    return anndata.AnnData(
        csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(index=[f"spot{i}" for i in range(len(x))]),
        var=pd.DataFrame(index=["LEFT", "RIGHT", "HOUSE"]),
        obsm={"spatial": np.column_stack([x, y, np.full(len(x), z_um)])},
    )
