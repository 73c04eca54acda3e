"""Kriging of 10^5 places x 32 components, and its error against the exact fit where that fits."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rows import BENCH, Row

from vortex_model.crew import HERE
from vortex_model.predictors.base import Places, Training
from vortex_model.predictors.gp import GaussianProcess

SPOTS, COMPONENTS, PLACES, EXACT = 100_000, 32, 1_000_000, 3000
PITCH, GAP, SECTIONS = 100.0, 200.0, 4
LENGTHS = (120.0, 400.0, 1500.0)


def field(points: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    """Smooth random fields of three lengths, (n, k)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((len(points), k))
    for length in LENGTHS:
        wave, shift = rng.normal(size=(200, 3)) / length, rng.uniform(0, 2 * np.pi, 200)
        height = rng.normal(size=(200, k)) / np.sqrt(100 * len(LENGTHS))
        for first in range(0, len(points), 20_000):
            own = slice(first, first + 20_000)
            out[own] += np.cos(points[own] @ wave.T + shift) @ height
    return out


def spots(count: int, k: int) -> tuple[Training, np.ndarray]:
    """Spots of four sections with noise from little to much, and the extent (x, y, z)."""
    rng = np.random.default_rng(1)
    side = round(np.sqrt(count / SECTIONS))
    y, x = np.mgrid[:side, :side] * PITCH
    points = np.concatenate(
        [np.column_stack([x.ravel(), y.ravel(), np.full(x.size, s * GAP)]) for s in range(SECTIONS)]
    )
    points[:, :2] += rng.uniform(0, PITCH / 2, (len(points), 2))
    section = np.repeat(np.arange(SECTIONS), side * side)
    scores = field(points, k) + rng.normal(size=(len(points), k)) * np.linspace(0.3, 2, k)
    totals = rng.lognormal(8, 0.4, len(points))
    places = Places(points, np.zeros((len(points), 0)), ())
    return Training(places, section, scores, totals), points.max(axis=0)


def at(points: np.ndarray) -> Places:
    """Places without features."""
    return Places(points, np.zeros((len(points), 0)), ())


def _same(predictor: GaussianProcess) -> GaussianProcess:
    return predictor


def _mean(predictor: GaussianProcess, points: np.ndarray) -> Any:
    return predictor.predict(at(points))


def rows(work: Path) -> list[Row]:
    """Measure."""
    del work
    training, extent = spots(EXACT, 8)
    where = np.random.default_rng(2).uniform(0, 1, (3000, 3)) * extent
    truth = field(where, 8)
    errors = []
    for most in (EXACT + 1000, 100):
        predictor = GaussianProcess(features=False, max_exact=most)
        predictor.fit(training)
        errors.append(np.sqrt(((predictor.predict(at(where)) - truth) ** 2).mean(axis=0)))
    worst = float((errors[1] / errors[0]).max())

    training, extent = spots(SPOTS, COMPONENTS)
    counts = (4, 500, 500)
    axes = [np.linspace(0, e, n) for e, n in zip(extent[::-1], counts, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    # parts as the lattice is predicted in: blocks of tokens
    parts = [
        points[:, a : a + 50, b : b + 50].reshape(-1, 3)
        for a in range(0, 500, 50)
        for b in range(0, 500, 50)
    ]
    start = time.perf_counter()
    predictor = GaussianProcess(features=False)
    predictor.fit(training)
    fitted = time.perf_counter() - start
    done = sum(len(mean) for _, mean in HERE.map(_same, (predictor,), _mean, parts))
    assert done == PLACES
    minutes = (time.perf_counter() - start) / 60
    command = f"{BENCH} kriging"
    return [
        Row("kriging at 10^5 spots x 32 components: fit, and predict 10^6 places", minutes, 2.0,
            "at most", "min", command, f"fit {fitted:.0f} s"),
        Row("kriging: error over that of the exact fit, worst of 8 components", worst, 1.01,
            "at most", "", command, f"{EXACT} spots, where the exact one fits"),
    ]  # fmt: skip
