"""OME-Zarr 0.5 multiscale images, written by chunk from any source, by whoever is at hand.

Memory stays flat: at most one band of ``SHARD`` rows of one slab of planes is held at a time.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from vortex_model.crew import HERE, Crew
from vortex_model.errors import StudyError
from vortex_model.grid import Grid
from vortex_model.multiscale import (
    Block,
    Channel,
    VolumeSource,
    block_mean,
    level_factors,
    multiscale_record,
)
from vortex_model.progress import Progress, part, silent

CHUNK = 64
SHARD = 256

Band = tuple[int, int, int]
"""Channel, first plane, first row."""
Again: TypeAlias = tuple[Callable[..., VolumeSource], tuple[Any, ...]]
"""How to open a source in another process: a function of a module, and its arguments."""


def write_image(
    group: zarr.Group,
    source: VolumeSource,
    name: str,
    progress: Progress = silent,
    *,
    labels: bool = False,
    serial: bool = False,
    crew: Crew = HERE,
    again: Again | None = None,
) -> None:
    """Write ``source`` into ``group`` as a valid OME-Zarr 0.5 multiscale image.

    Parameters
    ----------
    labels
        Coarser levels keep one voxel of each block: a mean of class numbers would be another
        class.
    crew, again
        Who writes. Others than this process need ``again``, a function of a module and its
        arguments, to open the source where they are; without it only the coarser levels are
        theirs.

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
    content = _write_finest(group, source, part(progress, 0.0, 0.8), crew, again)
    for number, step in enumerate(steps, start=1):
        report = part(
            progress,
            0.8 + 0.2 * (number - 1) / len(steps),
            0.8 + 0.2 * number / len(steps),
        )
        told = f"level {number} of {len(steps)}"
        _create(group, str(number), (len(source.channels), *grids[number].shape), dtype)
        bands = _bands(len(source.channels), grids[number])
        about = (group, number, step, labels)
        parts = crew.map(_Coarser, about, _coarsen, bands, threads=1)
        for done, _ in enumerate(parts, start=1):
            report(done / len(bands), told)
    windows = _display_windows(group[str(len(steps))])
    group.attrs["ome"] = _ome(name, grids, source.channels, windows, dtype)
    group.attrs["vortex"] = {
        "channels": [asdict(c) for c in source.channels],
        "content": content,
    }


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


def _bands(channels: int, grid: Grid) -> list[Band]:
    """Row bands of slabs of planes, none of which shares a shard with another."""
    nz, ny, _ = grid.shape
    planes, rows = range(0, nz, CHUNK), range(0, ny, SHARD)
    return [(c, z, y) for c in range(channels) for z in planes for y in rows]


def _write_finest(
    group: zarr.Group,
    source: VolumeSource,
    progress: Progress,
    crew: Crew,
    again: Again | None,
) -> str:
    """Write the finest level; returns the hash of its voxels, a hash of the bands' hashes."""
    nz, ny, nx = source.grid.shape
    array = _create(group, "0", (len(source.channels), nz, ny, nx), source.dtype)
    bands = _bands(len(source.channels), source.grid)
    tasks = [[band] for band in bands]
    found: dict[Band, bytes] = {}
    if again is None or crew is HERE:
        done = HERE.map(_Finest, (group, source), _write_bands, tasks, threads=1)
    else:
        if source.planar:  # planes are decoded whole, so a slab of them is one task
            slabs = dict.fromkeys(band[:2] for band in bands)
            tasks = [[band for band in bands if band[:2] == slab] for slab in slabs]
        done = crew.map(_finest_again, (group, *again), _write_bands, tasks, threads=1)
    for task, digests in done:
        found.update(zip(task, digests, strict=True))
        channel, z, _ = task[-1]
        name = source.channels[channel].name
        progress(len(found) / len(bands), f"channel {name}, plane {z} of {nz}")
    whole = hashlib.blake2b(f"{array.shape}{source.dtype.str}".encode(), digest_size=16)
    for band in bands:
        whole.update(found[band])
    return whole.hexdigest()


class _Finest:
    """A source and the level that it is written to; the slab in hand stays open."""

    def __init__(self, group: zarr.Group, source: VolumeSource) -> None:
        array = group["0"]
        assert isinstance(array, zarr.Array)
        self._array, self._source = array, source
        self._slab: _Slab | None = None
        self._lock = threading.Lock()

    def write(self, band: Band) -> bytes:
        """Copy one band; returns the hash of its voxels."""
        c, z0, y0 = band
        nz, ny, _ = self._source.grid.shape
        z1, y1 = min(z0 + CHUNK, nz), min(y0 + SHARD, ny)
        with self._lock:  # readers are no more parallel than their files
            if self._slab is None or self._slab.place != (c, z0, z1):
                self.close()
                self._slab = _Slab(self._source, c, z0, z1)
            block = np.ascontiguousarray(self._slab.rows(y0, y1))
            if y1 == ny:
                self.close()
        self._array[c, z0:z1, y0:y1, :] = block
        return hashlib.blake2b(block.data, digest_size=16).digest()

    def close(self) -> None:
        """Give the slab's space on disk back."""
        if self._slab is not None:
            self._slab.close()
            self._slab = None


def _finest_again(
    group: zarr.Group, reopen: Callable[..., VolumeSource], about: tuple[Any, ...]
) -> _Finest:
    """The same in another process, which opens the source for itself."""
    return _Finest(group, reopen(*about))


def _write_bands(finest: _Finest, bands: Sequence[Band]) -> list[bytes]:
    return [finest.write(band) for band in bands]


class _Slab:
    """Some planes of a source, read row band by row band; planar sources are spooled to disk."""

    def __init__(self, source: VolumeSource, channel: int, z0: int, z1: int) -> None:
        self.place = (channel, z0, z1)
        self._source, self._channel, self._z0, self._z1 = source, channel, z0, z1
        self._spool: Any = None
        _, ny, nx = source.grid.shape
        if source.planar and ny > SHARD:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
            for z in range(z0, z1):
                plane = source.read(channel, slice(z, z + 1), slice(0, ny), slice(0, nx))
                self._spool.write(np.ascontiguousarray(plane, dtype=source.dtype).data)

    def close(self) -> None:
        """Give its space on disk back."""
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


class _Coarser:
    """A level and the finer one that it is made from."""

    def __init__(self, group: zarr.Group, number: int, step: Sequence[int], labels: bool) -> None:
        fine, coarse = group[str(number - 1)], group[str(number)]
        assert isinstance(fine, zarr.Array)
        assert isinstance(coarse, zarr.Array)
        self._fine, self._coarse, self._step, self._labels = fine, coarse, step, labels

    def write(self, band: Band) -> None:
        """Make one band, shard by shard: of a wide image it is too much to hold at once."""
        c, z0, y0 = band
        _, nz, ny, nx = self._coarse.shape
        z1, y1 = min(z0 + CHUNK, nz), min(y0 + SHARD, ny)
        sz, sy, sx = self._step
        for x0 in range(0, nx, SHARD):
            x1 = min(x0 + SHARD, nx)
            box = (slice(z0 * sz, z1 * sz), slice(y0 * sy, y1 * sy), slice(x0 * sx, x1 * sx))
            values = np.asarray(self._fine[(c, *box)])
            made = values[::sz, ::sy, ::sx] if self._labels else block_mean(values, self._step)
            self._coarse[c, z0:z1, y0:y1, x0:x1] = made


def _coarsen(level: _Coarser, band: Band) -> None:
    level.write(band)


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
    return {
        "version": "0.5",
        "multiscales": [multiscale_record(name, grids)],
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
