"""Low rank: a gene against a copy of its factors, and what 1,000 genes take on disk."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from made import predict
from rows import BENCH, Row, median_s
from threadpoolctl import threadpool_limits

from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.study import Study, StudyInfo

SHAPE, RANK, GENES = (128, 160, 160), 24, 1000


def rows(work: Path) -> list[Row]:
    """Measure."""
    with Study.create(work / "store.zarr", StudyInfo("store")):
        pass
    study = Study.open(work / "store.zarr")
    name = predict(study, Grid(SHAPE, (12.0,) * 3), RANK, GENES)
    prediction = Prediction.load(study, name)
    factors = np.asarray(study.derived("predictions", name)["factors"][:])
    there = np.empty_like(factors)
    with threadpool_limits(1):
        gene = median_s(lambda: prediction.part("GENE7", (0, 0, 0), SHAPE))
        copy = median_s(lambda: np.copyto(there, factors))
    stored = sum(p.stat().st_size for p in (study.path / "predictions").rglob("*") if p.is_file())
    full = GENES * 2 * float(np.prod(SHAPE))
    point = prediction.grid.to_points([[64, 80, 80]])
    profile = float(np.median([first_profile(study, name, point) for _ in range(9)]))
    command = f"{BENCH} store"
    size = " x ".join(str(n) for n in SHAPE)
    kind = factors.dtype.name
    return [
        Row(
            "a gene's volume from factors, over copying its factors in memory",
            gene / copy, 3.0, "at most", "", command,
            f"{RANK} {kind} factors, {size} tokens, two threads (copy: one); {gene * 1e3:.0f} ms",
        ),
        Row("1,000 genes stored, over 1,000 float16 volumes", stored / full, 0.02, "at most", "",
            command, f"variance, coarser levels and loadings included; {size} tokens"),
        Row("largest rounding error of a gene, over its deviation", prediction.rounding, 0.01,
            "at most", "", command, f"{kind} codes; takes {prediction.rounding**2 / 2:.0e} off r"),
        Row("all genes at a place, the first time", profile * 1e3, 100.0, "at most", "ms",
            command, "one chunk read and decoded; a layout by voxel would save less than this"),
    ]  # fmt: skip


def first_profile(study: Study, name: str, point: np.ndarray) -> float:
    """Seconds for all genes at a place of a prediction that was just opened."""
    prediction = Prediction.load(study, name)
    prediction.mask  # noqa: B018 -- read once, whatever is asked for
    start = time.perf_counter()
    prediction.profile(point)
    return time.perf_counter() - start
