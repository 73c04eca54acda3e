"""OME-Zarr 0.5 multiscale images: what they are made from, their levels, how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import zarr

from vortex_model.grid import Grid

SMALLEST_LEVEL = 128

Role = Literal["red", "green", "blue", "nuclear", "cytoplasm", "other"]
Block = npt.NDArray[Any]


@dataclass(frozen=True)
class Channel:
    """One channel of an image: its name, what it shows, and its colour (RRGGBB)."""

    name: str
    role: Role = "other"
    color: str = "FFFFFF"


class VolumeSource(Protocol):
    """Anything that an image can be written from, by parts.

    ``planar`` sources decode a whole plane whatever part of it is asked for; the writer then
    asks for each plane once.
    """

    grid: Grid
    channels: tuple[Channel, ...]
    dtype: np.dtype[Any]
    planar: bool

    def read(self, channel: int, z: slice, y: slice, x: slice) -> Block:
        """The voxels of one channel, shape (z, y, x)."""
        ...


@dataclass(frozen=True)
class ArraySource:
    """An array in memory, (c, z, y, x), as a source."""

    array: Block
    grid: Grid
    channels: tuple[Channel, ...]
    planar: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's own type."""
        return self.array.dtype

    def read(self, channel: int, z: slice, y: slice, x: slice) -> Block:
        """A part of the array."""
        return self.array[channel, z, y, x]


@dataclass(frozen=True)
class Level:
    """One resolution of an image: a Zarr array (c, z, y, x) and its grid."""

    array: zarr.Array[Any]
    grid: Grid


@dataclass(frozen=True)
class Image:
    """A multiscale image as read from a study; finest level first."""

    levels: tuple[Level, ...]
    channels: tuple[Channel, ...]
    windows: tuple[tuple[float, float], ...]
    """Display range of each channel."""
    content: str
    """Hash of the finest level's voxels."""

    @property
    def grid(self) -> Grid:
        """The finest level's grid."""
        return self.levels[0].grid

    @property
    def dtype(self) -> np.dtype[Any]:
        """The voxels' type."""
        return np.dtype(self.levels[0].array.dtype)

    def level_within(self, max_voxels: int) -> Level:
        """The finest level with at most ``max_voxels`` voxels a channel; else the coarsest."""
        for level in self.levels:
            if int(np.prod(level.grid.shape)) <= max_voxels:
                return level
        return self.levels[-1]

    def level_near(self, spacing_um: float) -> Level:
        """The coarsest level whose finest spacing is still at most ``spacing_um``.

        An axis of one voxel has no say: its spacing is a thickness.
        """

        def finest(level: Level) -> float:
            grid = level.grid
            return min(
                (s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1),
                default=min(grid.spacing_um),
            )

        fit = [level for level in self.levels if finest(level) <= spacing_um * 1.001]
        return fit[-1] if fit else self.levels[0]

    def channel_with(self, role: Role) -> int | None:
        """Index of the first channel with this role."""
        for index, channel in enumerate(self.channels):
            if channel.role == role:
                return index
        return None

    @property
    def is_rgb(self) -> bool:
        """Whether this is a brightfield colour image."""
        return [c.role for c in self.channels] == ["red", "green", "blue"]


def level_step(grid: Grid, *, serial: bool = False) -> tuple[int, int, int]:
    """Voxels (z, y, x) that make one of the next coarser level; (1, 1, 1) for a single voxel.

    The finest axes are halved, so voxels become isotropic on the way. Planes of ``serial``
    sections are never merged.
    """
    halved = [axis for axis in range(1 if serial else 0, 3) if grid.shape[axis] > 1]
    finest = min((grid.spacing_um[axis] for axis in halved), default=0.0)
    z, y, x = (2 if a in halved and grid.spacing_um[a] < 1.5 * finest else 1 for a in range(3))
    return z, y, x


def level_factors(grid: Grid, *, serial: bool = False) -> list[tuple[int, int, int]]:
    """Down-sampling steps from level to level, until the coarsest is small."""
    first = 1 if serial else 0
    steps = []
    while max(grid.shape[first:]) > SMALLEST_LEVEL:
        step = level_step(grid, serial=serial)
        steps.append(step)
        grid = grid.coarsen(step)
    return steps


def multiscale_record(name: str, grids: Sequence[Grid], kind: str = "mean") -> dict[str, Any]:
    """OME-NGFF's account of the levels of an image (channel, z, y, x), finest first.

    ``kind`` is how a coarser level was made. Source: the OME-NGFF specification, 0.4 and 0.5.
    """
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    return {
        "name": name,
        "axes": axes,
        "datasets": [
            {
                "path": str(number),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0, *grid.spacing_um]},
                    {"type": "translation", "translation": [0.0, *grid.origin_um]},
                ],
            }
            for number, grid in enumerate(grids)
        ],
        "type": kind,
    }


def read_image(group: zarr.Group) -> Image:
    """The image that :func:`write_image` wrote."""
    own: Any = group.attrs["vortex"]
    ome: Any = group.attrs["ome"]
    levels = []
    for dataset in ome["multiscales"][0]["datasets"]:
        scale, shift = dataset["coordinateTransformations"]
        array = group[dataset["path"]]
        assert isinstance(array, zarr.Array)
        _, nz, ny, nx = array.shape
        grid = Grid((nz, ny, nx), tuple(scale["scale"][1:]), tuple(shift["translation"][1:]))
        levels.append(Level(array, grid))
    return Image(
        levels=tuple(levels),
        channels=tuple(Channel(**c) for c in own["channels"]),
        windows=tuple(
            (float(c["window"]["start"]), float(c["window"]["end"]))
            for c in ome["omero"]["channels"]
        ),
        content=str(own["content"]),
    )


def block_mean(block: Block, step: Sequence[int]) -> Block:
    """Mean over ``step`` (z, y, x) voxels; a cut last block is the mean of what there is.

    Integers come back rounded to nearest, in the block's own type.
    """
    dtype = block.dtype
    total: Block = block
    wide = np.float64 if dtype.kind == "f" and dtype.itemsize > 4 else np.float32
    for axis, factor in enumerate(step):
        if factor == 1:
            continue
        starts = np.arange(0, total.shape[axis], factor)
        counts = np.diff(np.append(starts, total.shape[axis])).astype(wide)
        total = np.add.reduceat(total, starts, axis=axis, dtype=wide)
        total /= counts.reshape([-1 if a == axis else 1 for a in range(3)])
    if dtype.kind in "ui":
        total = np.rint(total)
    return total.astype(dtype, copy=False)
