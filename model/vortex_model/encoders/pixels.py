"""Planes of a block as the RGB pixels that a 2D encoder was trained on, and their tokens' areas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from vortex_model import tissue
from vortex_model.encoders.base import Block, Floats
from vortex_model.grid import Grid

HAEMATOXYLIN_DENSITY = 1.0
EOSIN_DENSITY = 0.6
"""Optical densities of the brightest nuclei and cytoplasm in a virtual H&E."""


def to_rgb(block: Block, z: int) -> Floats:
    """Plane ``z`` of a block as RGB (3, y, x) in 0..1.

    Brightfield: its own pixels over full scale (1, 255 or 65,535, whichever holds its glass).
    A nuclear and a cytoplasm channel: virtual H&E by Beer-Lambert, after Giacomelli et al.,
    PLoS ONE 11:e0159337 (2016). Else: the mean of the channels, grey, bright on black.
    """
    plane = block.voxels[:, z]
    if [c.role for c in block.channels] == ["red", "green", "blue"]:
        glass = max(high for _, high in block.scales)
        full = next((f for f in (1.0, 255.0, 65535.0) if glass <= f), glass)
        return np.asarray(np.clip(plane / np.float32(full), 0, 1), dtype=np.float32)
    level = tissue.normalise(plane, block.scales)
    roles = [c.role for c in block.channels]
    if "nuclear" in roles and "cytoplasm" in roles:
        nuclei = np.minimum(level[roles.index("nuclear")], 1.5)
        soft = np.minimum(level[roles.index("cytoplasm")], 1.5)
        unit = tissue.STAINS / np.linalg.norm(tissue.STAINS, axis=1, keepdims=True)
        h, e = unit.astype(np.float32)
        density = (
            np.float32(HAEMATOXYLIN_DENSITY) * h[:, None, None] * nuclei
            + np.float32(EOSIN_DENSITY) * e[:, None, None] * soft
        )
        return np.asarray(np.power(np.float32(10), -density), dtype=np.float32)
    grey = np.minimum(level.mean(axis=0), 1)
    return np.repeat(grey[None], 3, axis=0)


def resample(
    rgb: Floats, grid: Grid, low_um: Sequence[float], pixel_um: float, side: int
) -> Floats:
    """A square of ``side`` pixels whose (y, x) corner is at ``low_um``, from a plane (3, y, x).

    Linear in between, smoothed first where pixels are coarser than voxels; what lies beyond the
    plane repeats its edge. Where pixels are voxels they come back as they are.
    """
    out = rgb
    for axis in (1, 2):
        step, origin = grid.spacing_um[axis], grid.origin_um[axis]
        ratio = pixel_um / step
        place = (low_um[axis - 1] + (np.arange(side) + 0.5) * pixel_um - origin) / step
        if abs(ratio - 1) < 1e-3 and abs(place[0] - round(place[0])) < 1e-3:
            place = np.rint(place)
        n = out.shape[axis]
        first = int(np.clip(np.floor(place[0]) - 8, 0, n - 1))
        last = int(np.clip(np.ceil(place[-1]) + 9, 1, n))
        out = out.take(range(first, max(last, first + 1)), axis)
        if ratio > 1.05:
            out = ndimage.gaussian_filter1d(out, 0.5 * np.sqrt(ratio**2 - 1), axis, mode="nearest")
        place = np.clip(place - first, 0, out.shape[axis] - 1)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, out.shape[axis] - 1)
        shape = [1, 1, 1]
        shape[axis] = side
        rest = (place - below).astype(np.float32).reshape(shape)
        out = out.take(below, axis) * (1 - rest) + out.take(above, axis) * rest
    return np.asarray(out, dtype=np.float32)


def area_matrix(sources: int, source_um: float, targets: int, target_um: float) -> Floats:
    """How much of each target cell each source cell covers, (targets, sources), along one axis.

    Both start at the same place.
    """
    start = np.arange(sources) * source_um
    low = np.arange(targets)[:, None] * target_um
    shared = np.minimum(start + source_um, low + target_um) - np.maximum(start, low)
    return np.asarray(np.maximum(shared, 0) / target_um, dtype=np.float32)
