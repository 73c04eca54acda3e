"""The gallery's picture of a study: its middle slice, with its most reliable gene over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_model.multiscale import Image, Level
from vortex_viewer.export.pyramid import is_stack
from vortex_viewer.scene import palette

Bytes = npt.NDArray[np.uint8]
TINT = np.array([0.86, 0.90, 0.97], dtype=np.float32)
WIDTH = 640


def draw(image: Image | None, gene: npt.NDArray[Any] | None, lattice: Grid | None) -> Bytes:
    """A slice (y, x, rgb) of morphology, and of expression where there is a prediction."""
    if image is None:
        assert lattice is not None and gene is not None
        plane = gene[gene.shape[0] // 2]
        base = np.zeros((*plane.shape, 3), np.float32)
        return _paint(base, plane)
    level = _level(image)
    z = level.grid.shape[0] // 2
    base = _base(image, level, z)
    if gene is None or lattice is None:
        return np.asarray(np.clip(base, 0, 255), dtype=np.uint8)
    z_um, y_um, x_um = (level.grid.axis_um(a) for a in range(3))
    index = [
        np.clip(np.rint((at - o) / s), 0, n - 1).astype(int)
        for at, o, s, n in zip(
            (z_um[[z]], y_um, x_um),
            lattice.origin_um,
            lattice.spacing_um,
            lattice.shape,
            strict=True,
        )
    ]
    return _paint(base, gene[np.ix_(*index)][0])


def _level(image: Image) -> Level:
    return min(image.levels, key=lambda level: abs(level.grid.shape[2] - WIDTH))


def _base(image: Image, level: Level, z: int) -> npt.NDArray[np.float32]:
    deep = 1 if is_stack(level.grid) else 3
    planes = np.asarray(level.array[:, z : z + deep], dtype=np.float32).mean(axis=1)
    if image.is_rgb:
        span = [255.0 / max(high, 1e-9) for _, high in image.windows]
        return np.moveaxis(planes * np.array(span, np.float32)[:, None, None], 0, -1)
    total = np.zeros(planes.shape[1:], np.float32)
    weight = 1.0 if len(planes) == 1 else 0.75
    for plane, (low, high) in zip(planes, image.windows, strict=True):
        total += np.clip((plane - low) / (high - low), 0, 1) * weight * 255
    return np.clip(total, 0, 255)[..., None] * TINT


def _paint(base: npt.NDArray[np.float32], values: npt.NDArray[Any]) -> Bytes:
    known = np.isfinite(values)
    if known.any():
        low, high = np.percentile(values[known], [2, 98])
        part = np.where(known, np.clip((values - low) / max(high - low, 1e-9), 0, 1), 0)
        cover = (np.clip((part - 0.1) / 0.12, 0, 1) * 0.85)[..., None]
        relief = (0.6 + 0.4 * base.mean(axis=-1, keepdims=True) / 255) if base.any() else 1.0
        colour = palette.table("magma")[(part * 255).astype(int)] * relief
        base = base * (1 - cover) + colour * cover
    return np.asarray(np.clip(base, 0, 255), dtype=np.uint8)
