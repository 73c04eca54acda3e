"""Cost against size: features and prediction at twice and four times the tissue voxels."""

from __future__ import annotations

import time
from pathlib import Path

from rows import BENCH, Row

from vortex_model.api import Study
from vortex_model.features import Features
from vortex_viewer.demo import make_demo

DEPTHS, SIDE, SPACING_UM = (64, 128, 256), 192, 20.0


def cost(place: Path, depth: int) -> tuple[float, float, int]:
    """Seconds of features and of everything after them, and tissue tokens, of a phantom."""
    make_demo(
        place, size=f"{depth},{SIDE},{SIDE}", voxel="5,5,5", sections="0.3,0.7", seed=5,
        predict=False,
    )  # fmt: skip
    study = Study.open(place)
    start = time.perf_counter()
    features = study.features(spacing_um=SPACING_UM)
    encoded = time.perf_counter() - start
    study.finetune(panel="hvg:200")
    whole = time.perf_counter() - start
    tissue = int(Features.load(study, features.id).mask.sum())
    return encoded, whole - encoded, tissue


def rows(work: Path) -> list[Row]:
    """Measure."""
    cost(work / "warm.zarr", 32)
    found = [cost(work / f"s{depth}.zarr", depth) for depth in DEPTHS]
    command, made = f"{BENCH} size", []
    for times, bar, (encoded, after, tissue) in zip((2, 4), (2.1, 4.2), found[1:], strict=True):
        ratio = (encoded + after) / (found[0][0] + found[0][1])
        tissues = tissue / found[0][2]
        made.append(
            Row(
                f"features and prediction at {times}x the tissue voxels, over 1x",
                ratio * times / tissues, bar, "at most", "", command,
                f"{SIDE} x {SIDE} x {DEPTHS} voxels, tissue {tissues:.2f}x, ratio scaled to "
                f"{times}x; {encoded:.0f} + {after:.0f} s",
            )
        )  # fmt: skip
    return made
