"""OME-Zarr 0.5 multiscale images: written by chunk from any source, read by level.

Memory stays flat: at most one band of ``SHARD`` rows of one slab of planes is held at a time.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec

from vortex_model.errors import StudyError
from vortex_model.grid import Grid
from vortex_model.progress import Progress, part, silent

CHUNK = 64
SHARD = 256
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


def write_image(
    group: zarr.Group,
    source: VolumeSource,
    name: str,
    progress: Progress = silent,
    *,
    labels: bool = False,
    serial: bool = False,
) -> None:
    """Write ``source`` into ``group`` as a valid OME-Zarr 0.5 multiscale image.

    With ``labels``, coarser levels keep one voxel of each block: a mean of class numbers would
    be another class.

    Raises
    ------
    StudyError
        When the source's type cannot be shown (complex, object, string).
    """
    dtype = np.dtype(source.dtype)
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise StudyError(f"Voxels of type {dtype} cannot be stored; convert to integer or float.")
    steps = level_factors(source.grid, serial=serial)
    grids = [source.grid]
    for step in steps:
        grids.append(grids[-1].coarsen(step))
    content = _write_finest(group, source, part(progress, 0.0, 0.8))
    for number, step in enumerate(steps, start=1):
        progress(0.8 + 0.2 * number / (len(steps) + 1), f"level {number} of {len(steps)}")
        _write_coarser(group, number, step, grids[number], labels)
    windows = _display_windows(group[str(len(steps))])
    group.attrs["ome"] = _ome(name, grids, source.channels, windows, dtype)
    group.attrs["vortex"] = {
        "channels": [asdict(c) for c in source.channels],
        "content": content,
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


def _create(group: zarr.Group, path: str, shape: Sequence[int], dtype: Any) -> zarr.Array[Any]:
    zyx = [min(CHUNK, n) for n in shape[1:]]
    shards = [
        chunk * min(limit // CHUNK, -(-n // chunk))
        for chunk, n, limit in zip(zyx, shape[1:], (CHUNK, SHARD, SHARD), strict=True)
    ]
    return group.create_array(
        path,
        shape=tuple(shape),
        dtype=dtype,
        chunks=(1, *zyx),
        shards=(1, *shards),
        compressors=BloscCodec(cname="lz4", shuffle="bitshuffle"),
        dimension_names=("c", "z", "y", "x"),
    )


def _write_finest(group: zarr.Group, source: VolumeSource, progress: Progress) -> str:
    nz, ny, nx = source.grid.shape
    array = _create(group, "0", (len(source.channels), nz, ny, nx), source.dtype)
    digest = hashlib.blake2b(f"{array.shape}{source.dtype.str}".encode(), digest_size=16)
    slabs = [(c, z) for c in range(len(source.channels)) for z in range(0, nz, CHUNK)]
    for done, (c, z0) in enumerate(slabs):
        where = f"channel {source.channels[c].name}, plane {z0} of {nz}"
        progress(done / len(slabs), where)
        z1 = min(z0 + CHUNK, nz)
        with _Slab(source, c, z0, z1) as slab:
            for y0 in range(0, ny, SHARD):
                progress((done + y0 / ny) / len(slabs), where)
                band = slab.rows(y0, min(y0 + SHARD, ny))
                digest.update(np.ascontiguousarray(band).data)
                array[c, z0:z1, y0 : y0 + band.shape[1], :] = band
    return digest.hexdigest()


class _Slab:
    """Some planes of a source, read row band by row band; planar sources are spooled to disk."""

    def __init__(self, source: VolumeSource, channel: int, z0: int, z1: int) -> None:
        self._source, self._channel, self._z0, self._z1 = source, channel, z0, z1
        self._spool: Any = None

    def __enter__(self) -> _Slab:
        _, ny, nx = self._source.grid.shape
        if self._source.planar and ny > SHARD:
            self._spool = tempfile.TemporaryFile()
            for z in range(self._z0, self._z1):
                plane = self._source.read(
                    self._channel, slice(z, z + 1), slice(0, ny), slice(0, nx)
                )
                self._spool.write(np.ascontiguousarray(plane, dtype=self._source.dtype).data)
        return self

    def __exit__(self, *error: object) -> None:
        if self._spool is not None:
            self._spool.close()

    def rows(self, y0: int, y1: int) -> Block:
        """Rows ``y0`` to before ``y1`` of every plane, (z, y, x)."""
        _, ny, nx = self._source.grid.shape
        if self._spool is None:
            band = self._source.read(
                self._channel, slice(self._z0, self._z1), slice(y0, y1), slice(0, nx)
            )
            return np.asarray(band, dtype=self._source.dtype)
        item = self._source.dtype.itemsize
        band = np.empty((self._z1 - self._z0, y1 - y0, nx), self._source.dtype)
        for z in range(band.shape[0]):
            self._spool.seek((z * ny + y0) * nx * item)
            self._spool.readinto(band[z])
        return band


def _write_coarser(
    group: zarr.Group, number: int, step: Sequence[int], grid: Grid, labels: bool
) -> None:
    fine = group[str(number - 1)]
    assert isinstance(fine, zarr.Array)
    coarse = _create(group, str(number), (fine.shape[0], *grid.shape), fine.dtype)
    nz, ny, _ = grid.shape
    for c in range(fine.shape[0]):
        for z0 in range(0, nz, CHUNK):
            z1 = min(z0 + CHUNK, nz)
            for y0 in range(0, ny, SHARD):
                y1 = min(y0 + SHARD, ny)
                block = fine[c, z0 * step[0] : z1 * step[0], y0 * step[1] : y1 * step[1], :]
                values = np.asarray(block)
                if labels:
                    coarse[c, z0:z1, y0:y1, :] = values[:: step[0], :: step[1], :: step[2]]
                else:
                    coarse[c, z0:z1, y0:y1, :] = block_mean(values, step)


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


def _display_windows(coarsest: Any) -> list[tuple[float, float]]:
    windows = []
    for c in range(coarsest.shape[0]):
        values = np.asarray(coarsest[c]).ravel()
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [1.0, 99.8]) if values.size else (0.0, 1.0)
        windows.append((float(low), float(high if high > low else low + 1.0)))
    return windows


def _ome(
    name: str,
    grids: Sequence[Grid],
    channels: Sequence[Channel],
    windows: Sequence[tuple[float, float]],
    dtype: np.dtype[Any],
) -> dict[str, Any]:
    if dtype.kind == "f":
        low, high = min(w[0] for w in windows), max(w[1] for w in windows)
    else:
        low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    rgb = [c.role for c in channels] == ["red", "green", "blue"]
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    return {
        "version": "0.5",
        "multiscales": [
            {
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
                "type": "mean",
            }
        ],
        "omero": {
            "channels": [
                {
                    "label": channel.name,
                    "color": channel.color,
                    "active": True,
                    "window": {
                        "min": low,
                        "max": high,
                        "start": 0.0 if rgb else start,
                        "end": high if rgb else end,
                    },
                }
                for channel, (start, end) in zip(channels, windows, strict=True)
            ]
        },
    }
