"""The phantom as a light-sheet microscope would see it: two channels, drawn tile by tile.

A tile is always drawn whole, at a fixed place, with a halo; so a voxel does not depend on how
the volume is read.
"""

from __future__ import annotations

import itertools
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from vortex_model.grid import Grid
from vortex_model.multiscale import Channel
from vortex_model.phantom import anatomy as an
from vortex_model.phantom.anatomy import Anatomy, Fields
from vortex_model.phantom.noise import Axes, Floats, borders, smooth
from vortex_model.phantom.nuclei import REACH_UM, draw, kinds, scatter

TILE = (64, 128, 128)
_CACHE_TILES = 8
WORKERS = min(4, os.cpu_count() or 1)
BLUR_UM = (3.6, 1.5, 1.5)
"""Standard deviation of the point-spread function along z, y, x: longer along the axis."""
_BLACK = 110.0
_READ_NOISE = 5.0
_GAIN = 4.0
_PHOTONS = (420.0, 300.0)
_STRIPES = 0.035

# How bright a class is beside its nuclei, (nuclear stain, cytoplasm stain).
_LOOK = {
    an.BACKGROUND: (0.0, 0.0),
    an.STROMA: (0.045, 0.42),
    an.LUMINAL: (0.09, 0.60),
    an.BASAL: (0.10, 0.40),
    an.LUMEN: (0.012, 0.05),
    an.WALL: (0.06, 0.85),
    an.BLOOD: (0.02, 0.10),
    an.TUMOUR: (0.13, 0.50),
    an.TUMOUR_LUMEN: (0.02, 0.08),
    an.NECROSIS: (0.10, 0.66),
    an.IMMUNE: (0.10, 0.24),
    an.MUSCLE: (0.05, 0.80),
    an.FAT: (0.008, 0.04),
}


class LightSheet:
    """The phantom's morphology as a :class:`~vortex_model.multiscale.VolumeSource`.

    Parameters
    ----------
    anatomy
        What is drawn.
    grid
        Where, with the block's corner at 0.
    """

    channels: tuple[Channel, ...] = (
        Channel("nuclei", "nuclear", "00E5FF"),
        Channel("cytoplasm", "cytoplasm", "FF8AC4"),
    )
    dtype: np.dtype[Any] = np.dtype(np.uint16)
    planar = False

    def __init__(self, anatomy: Anatomy, grid: Grid) -> None:
        self.anatomy = anatomy
        self.grid = grid
        self._tiles: OrderedDict[tuple[int, ...], npt.NDArray[np.uint16]] = OrderedDict()
        self._lock = Lock()

    def read(self, channel: int, z: slice, y: slice, x: slice) -> npt.NDArray[np.uint16]:
        """The voxels of one channel, (z, y, x)."""
        return tiled(self.grid.shape, (z, y, x), self.dtype, lambda at: self._tile(channel, at))

    # -- inner -----------------------------------------------------------------------------

    def _tile(self, channel: int, at: tuple[int, int, int]) -> npt.NDArray[np.uint16]:
        key = (channel, *at)
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        start, stop = tile_box(self.grid.shape, at)
        halo = [
            int(np.ceil((REACH_UM + 3 * blur) / s))
            for s, blur in zip(self.grid.spacing_um, BLUR_UM, strict=True)
        ]
        axes: Axes = tuple(  # type: ignore[assignment]
            self.grid.origin_um[a]
            + self.grid.spacing_um[a] * np.arange(start[a] - halo[a], stop[a] + halo[a])
            for a in range(3)
        )
        fields = self.anatomy.fields(axes)
        light = self._nuclear(fields, axes) if channel == 0 else self._cytoplasm(fields, axes)
        for axis, blur in enumerate(BLUR_UM):
            sigma = blur / self.grid.spacing_um[axis]
            if sigma > 0.15:
                light = gaussian_filter1d(light, sigma, axis=axis, truncate=3.0)
        inner = tuple(slice(h, -h) for h in halo)
        z, y, x = (a[s] for a, s in zip(axes, inner, strict=True))
        made = self._detect(channel, at, light[inner], (z, y, x))
        with self._lock:
            self._tiles[key] = made
            while len(self._tiles) > _CACHE_TILES:
                self._tiles.popitem(last=False)
        return made

    def _nuclear(self, fields: Fields, axes: Axes) -> Floats:
        seed = self.anatomy.seed
        nuclei = np.zeros(fields.label.shape, dtype=np.float32)
        for kind in kinds(self.anatomy.style.basal_um):
            draw(scatter(kind, seed, fields, axes), nuclei, axes)
        chromatin = 1.0 + 0.16 * self._grain(51, 2.4, axes)
        haze = _lookup(fields.label, 0) * (1.0 + 0.3 * self._grain(52, 9.0, axes))
        return np.maximum(nuclei * chromatin, haze)

    def _cytoplasm(self, fields: Fields, axes: Axes) -> Floats:
        seed = self.anatomy.seed
        label = fields.label
        light = _lookup(label, 1)
        light *= 1.0 + 0.12 * self._grain(61, 4.0, axes)
        # Collagen: wavy bundles, wrapped around the glands where these are near.
        near = (label == an.STROMA) | (label == an.MUSCLE)
        waves = smooth(seed + 62, (75.0, 55.0, 55.0), axes)
        wrap = np.exp(-np.clip(fields.gland, 0.0, None) / 40.0)
        phase = fields.gland / 17.0 * wrap + waves * (3.4 - 1.2 * wrap)
        phase += 0.45 * self._grain(67, 14.0, axes)
        fibre = 0.5 + 0.5 * np.cos(2.0 * np.pi * phase)
        bundle = 0.50 + 0.22 * self._grain(63, 26.0, axes)
        fibrous = np.clip(bundle, 0.05, 1.3) * (0.25 + 1.5 * fibre * fibre)
        dense = 1.0 + 0.5 * np.exp(-np.abs(np.clip(fields.tumour, -200.0, None)) / 120.0)
        light = np.where(near, light * (0.5 + fibrous) * dense, light)
        # Apical borders are brighter; secretions lie in some lumina.
        depth = -fields.gland - self.anatomy.style.basal_um
        apical = (label == an.LUMINAL) * np.clip(depth / 26.0, 0.0, 1.0) * 0.28
        secretion = np.clip(self._grain(64, 40.0, axes) - 0.8, 0.0, 1.0)
        secretion *= 0.55 * (1.0 + 0.25 * self._grain(65, 6.0, axes))
        light += apical + secretion * (label == an.LUMEN)
        cells = np.clip(self._grain(66, 3.4, axes) - 0.5, 0.0, 1.0)
        light += 1.1 * cells * (label == an.BLOOD)
        fat = label == an.FAT
        if fat.any():
            rims = borders(seed + 68, 46.0, np.argwhere(fat), axes)
            light[fat] = np.where(rims < 5.5, 0.62 - 0.06 * rims, light[fat])
        # Eosin leaves nuclei dark.
        nuclei = np.zeros(label.shape, dtype=np.float32)
        for kind in kinds(self.anatomy.style.basal_um):
            draw(scatter(kind, seed, fields, axes), nuclei, axes)
        return np.asarray(light * (1.0 - 0.55 * np.clip(nuclei, 0.0, 1.0)), dtype=np.float32)

    def _grain(self, number: int, knot_um: float, axes: Axes) -> Floats:
        """Texture; what is finer than a voxel is not drawn, for it could not be seen."""
        knots = [max(knot_um, 0.9 * s) for s in self.grid.spacing_um]
        return smooth(self.anatomy.seed + number, knots, axes)

    def _detect(
        self, channel: int, at: tuple[int, int, int], light: Floats, axes: Axes
    ) -> npt.NDArray[np.uint16]:
        seed = self.anatomy.seed
        depth, _, width = self.anatomy.size_um
        z, y, x = axes
        reach = np.exp(-z / (2.6 * depth + 250.0 * channel))[:, None, None]
        across = 1.0 - 0.13 * ((x - 0.42 * width) / (0.5 * width)) ** 2
        sheet = (z, y, np.asarray([0.0]))
        stripes = smooth(seed + 71 + channel, (220.0, 9.0, 1e6), sheet)
        stripes += 0.7 * smooth(seed + 73 + channel, (15.0, 26.0, 1e6), sheet)
        flat = (1.0 + _STRIPES * stripes) * reach
        photons = light * (flat * across[None, None, :]) * _PHOTONS[channel]
        # Poisson noise by Anscombe's transform: one normal number a voxel, whatever the light.
        normal = np.random.default_rng([seed, 77, channel, *at]).standard_normal(
            (2, *photons.shape), dtype=np.float32
        )
        root = np.sqrt(np.maximum(photons + 1.5, 0.0) + 0.375) + 0.5 * normal[0]
        counted = np.maximum(root, 0.0) ** 2 - 0.375 + (_READ_NOISE / _GAIN) * normal[1]
        out = np.rint(_BLACK + _GAIN * counted)
        return np.asarray(np.clip(out, 0, 65535), dtype=np.uint16)


class Labels:
    """The phantom's tissue classes as a label image; see ``anatomy.CLASSES``."""

    channels: tuple[Channel, ...] = (Channel("class", "other", "FFFFFF"),)
    dtype: np.dtype[Any] = np.dtype(np.uint8)
    planar = False

    def __init__(self, anatomy: Anatomy, grid: Grid) -> None:
        self.anatomy = anatomy
        self.grid = grid

    def read(self, channel: int, z: slice, y: slice, x: slice) -> npt.NDArray[np.uint8]:  # noqa: ARG002 -- the protocol's
        """The classes, (z, y, x)."""
        return tiled(self.grid.shape, (z, y, x), self.dtype, self._tile)

    def _tile(self, at: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
        start, stop = tile_box(self.grid.shape, at)
        axes: Axes = tuple(  # type: ignore[assignment]
            self.grid.axis_um(a)[start[a] : stop[a]] for a in range(3)
        )
        return self.anatomy.fields(axes).label


def tile_box(
    shape: tuple[int, int, int], at: tuple[int, int, int]
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First and past-the-last voxel of a tile."""
    start = tuple(t * n for t, n in zip(at, TILE, strict=True))
    stop = tuple(min(s + n, m) for s, n, m in zip(start, TILE, shape, strict=True))
    return start, stop  # type: ignore[return-value]


def tiled(
    shape: tuple[int, int, int],
    box: tuple[slice, slice, slice],
    dtype: np.dtype[Any],
    tile: Callable[[tuple[int, int, int]], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """A part of a volume, put together from its tiles; these are drawn side by side."""
    low = [s.indices(n)[0] for s, n in zip(box, shape, strict=True)]
    high = [s.indices(n)[1] for s, n in zip(box, shape, strict=True)]
    out = np.empty([max(0, b - a) for a, b in zip(low, high, strict=True)], dtype=dtype)
    if out.size == 0:
        return out
    ranges = [range(a // n, (b - 1) // n + 1) for a, b, n in zip(low, high, TILE, strict=True)]

    def put(at: tuple[int, int, int]) -> None:
        start, stop = tile_box(shape, at)
        begin = [max(a, s) for a, s in zip(low, start, strict=True)]
        end = [min(b, s) for b, s in zip(high, stop, strict=True)]
        into = tuple(slice(b - a, e - a) for a, b, e in zip(low, begin, end, strict=True))
        take = tuple(slice(b - s, e - s) for s, b, e in zip(start, begin, end, strict=True))
        out[into] = tile(at)[take]

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        list(pool.map(put, itertools.product(*ranges)))
    return out


def _lookup(label: npt.NDArray[np.uint8], channel: int) -> Floats:
    table = np.zeros(256, dtype=np.float32)
    for number, look in _LOOK.items():
        table[number] = look[channel]
    return table[label]
