"""Images for the export: OME-Zarr 0.5 in eight bits, gzip, down to a level that loads at once.

Gzip, because every browser inflates it by itself: other codecs need WebAssembly, which a strict
content security policy forbids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import GzipCodec

from vortex_model.grid import Grid
from vortex_model.multiscale import Image, block_mean, level_factors, multiscale_record
from vortex_model.progress import Progress, silent

Layout = Literal["shards", "chunks"]
Bytes = npt.NDArray[np.uint8]
CHUNK, SHARD, TILE = 64, 256, 256
SMALLEST = 64
"""The coarsest level has no more voxels along an axis: it is the first picture."""
STACK_RATIO = 4.0
"""Planes this many times farther apart than pixels are a stack of sections, not a volume."""
GZIP = 6


def is_stack(grid: Grid) -> bool:
    """Whether planes lie too far apart to be looked at as a volume."""
    z, y, x = grid.spacing_um
    return grid.shape[0] == 1 or z > STACK_RATIO * max(x, y)


@dataclass(frozen=True)
class Coding:
    """How eight-bit codes stand for values: ``value = offset + step * code``."""

    offset: float
    step: float

    def encode(self, values: npt.NDArray[Any]) -> Bytes:
        """Values as codes, clipped to 0 and 255."""
        if values.dtype == np.uint8 and self.offset == 0.0 and self.step == 1.0:
            return np.asarray(values, dtype=np.uint8)
        codes = np.nan_to_num((values.astype(np.float32) - self.offset) / self.step)
        return np.asarray(np.clip(np.rint(codes), 0, 255), dtype=np.uint8)

    def to_json(self) -> dict[str, float]:
        """For the viewer, which shows values, not codes."""
        return {"offset": self.offset, "step": self.step}


def coding_of(image: Image) -> list[Coding]:
    """One coding a channel: bytes stay; wider types keep their range but its last ten-thousandth.

    The range is wider than the display window, so that the window can still be changed.
    """
    if image.dtype == np.uint8:
        return [Coding(0.0, 1.0) for _ in image.channels]
    if image.is_rgb and image.dtype.kind == "u":
        return [Coding(0.0, float(np.iinfo(image.dtype).max) / 255.0) for _ in image.channels]
    level = image.level_within(8_000_000)
    made = []
    for number, (start, end) in enumerate(image.windows):
        values = np.asarray(level.array[number]).ravel()
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [0.01, 99.99]) if values.size else (start, end)
        low, high = min(float(low), start), max(float(high), end)
        made.append(Coding(low, max(high - low, 1e-12) / 255.0))
    return made


@dataclass(frozen=True)
class Pyramid:
    """One image as it will be written: its levels' grids, finest first, and where they are from.

    ``first`` is the study's level that is the finest here.
    """

    image: Image
    grids: tuple[Grid, ...]
    first: int
    labels: bool

    @classmethod
    def of(cls, image: Image, first: int = 0, labels: bool = False) -> Pyramid:
        """The levels of an image from ``first`` on, and coarser ones until the first picture."""
        grids = [level.grid for level in image.levels]
        first = min(first, len(grids) - 1)
        while max(grids[-1].shape) > SMALLEST:
            factors = level_factors(grids[-1]) or [_halving(grids[-1])]
            if max(grids[-1].coarsen(factors[0]).shape) == max(grids[-1].shape):
                break
            grids.append(grids[-1].coarsen(factors[0]))
        return cls(image, tuple(grids[first:]), first, labels)

    @property
    def channels(self) -> int:
        """How many channels are written."""
        return len(self.image.channels)

    def chunks(self, grid: Grid) -> tuple[int, int, int]:
        """Chunk shape (z, y, x) of a level: cubes, or tiles of single planes."""
        wanted = (1, TILE, TILE) if is_stack(grid) else (CHUNK, CHUNK, CHUNK)
        z, y, x = (min(w, n) for w, n in zip(wanted, grid.shape, strict=True))
        return z, y, x

    def shards(self, grid: Grid) -> tuple[int, int, int]:
        """Shard shape (z, y, x) of a level."""
        z, y, x = self.chunks(grid)
        edge = 4 * TILE if is_stack(grid) else SHARD
        return (
            z,
            y * min(max(edge // y, 1), -(-grid.shape[1] // y)),
            x * min(max(edge // x, 1), -(-grid.shape[2] // x)),
        )

    def files(self, grid: Grid, layout: Layout) -> int:
        """How many files a level takes, its zarr.json included."""
        per = self.shards(grid) if layout == "shards" else self.chunks(grid)
        count = self.channels
        for n, size in zip(grid.shape, per, strict=True):
            count *= -(-n // size)
        return count + 1


def _halving(grid: Grid) -> tuple[int, int, int]:
    z, y, x = grid.spacing_um
    deep = z < 1.5 * min(y, x) and grid.shape[0] > 1
    return (2 if deep else 1, 2 if grid.shape[1] > 1 else 1, 2 if grid.shape[2] > 1 else 1)


def write_pyramid(
    group: zarr.Group,
    pyramid: Pyramid,
    codings: list[Coding] | None,
    layout: Layout,
    progress: Progress = silent,
) -> None:
    """Write every level into ``group``; the caller adds the OME metadata.

    Labels keep their integers; a coarser level takes the class that is most frequent among a
    block's voxels, for a mean of two class numbers is a third class.
    """
    work = list(_parts(pyramid))
    arrays: dict[int, zarr.Array[Any]] = {}
    for done, (number, c, z, y) in enumerate(work):
        if number not in arrays:
            arrays[number] = _create(group, number, pyramid, layout)
        progress(done / len(work), f"level {number}, channel {c + 1}, plane {z.start}")
        arrays[number][c, z, y, :] = _read(group, pyramid, codings, number, c, z, y)


def _parts(pyramid: Pyramid) -> Iterator[tuple[int, int, slice, slice]]:
    # bands are whole shards, so they are whole chunks too
    for number, grid in enumerate(pyramid.grids):
        nz, ny, _ = grid.shape
        dz, dy, _ = pyramid.shards(grid)
        for c in range(pyramid.channels):
            for z in range(0, nz, dz):
                for y in range(0, ny, dy):
                    yield number, c, slice(z, min(z + dz, nz)), slice(y, min(y + dy, ny))


def _create(group: zarr.Group, number: int, pyramid: Pyramid, layout: Layout) -> zarr.Array[Any]:
    grid = pyramid.grids[number]
    return group.create_array(
        str(number),
        shape=(pyramid.channels, *grid.shape),
        dtype=label_dtype(pyramid.image) if pyramid.labels else np.uint8,
        chunks=(1, *pyramid.chunks(grid)),
        shards=(1, *pyramid.shards(grid)) if layout == "shards" else None,
        compressors=GzipCodec(level=GZIP),
        fill_value=0,
        dimension_names=("c", "z", "y", "x"),
        # some hosts answer a missing file with a page
        config={"write_empty_chunks": True},
    )


def label_dtype(image: Image) -> np.dtype[Any]:
    """The narrowest type that others read as labels: 8 bits where they suffice."""
    if image.dtype.itemsize == 1:
        return np.dtype(np.uint8)
    high = 0
    array = image.levels[0].array
    for z in range(0, array.shape[1], CHUNK):
        high = max(high, int(np.asarray(array[:, z : z + CHUNK]).max(initial=0)))
    return np.dtype(np.uint8 if high < 256 else np.uint16 if high < 65536 else np.uint32)


def _read(
    group: zarr.Group,
    pyramid: Pyramid,
    codings: list[Coding] | None,
    number: int,
    c: int,
    z: slice,
    y: slice,
) -> npt.NDArray[Any]:
    position = number + pyramid.first
    have = pyramid.image.levels
    if number == 0 or (position < len(have) and not pyramid.labels):
        block = np.asarray(have[position].array[c, z, y, :])
        return codings[c].encode(block) if codings else block
    fine, coarse = pyramid.grids[number - 1], pyramid.grids[number]
    step = [round(b / a) for a, b in zip(fine.spacing_um, coarse.spacing_um, strict=True)]
    above = group[str(number - 1)]
    assert isinstance(above, zarr.Array)
    block = np.asarray(
        above[c, z.start * step[0] : z.stop * step[0], y.start * step[1] : y.stop * step[1], :]
    )
    return block_mode(block, step) if pyramid.labels else block_mean(block, step)


def block_mode(block: npt.NDArray[Any], step: list[int]) -> npt.NDArray[Any]:
    """The most frequent value of each block of ``step`` (z, y, x) voxels; the smaller on a tie."""
    pad = [(0, -n % s) for n, s in zip(block.shape, step, strict=True)]
    whole = np.pad(block, pad, mode="edge")
    z, y, x = (n // s for n, s in zip(whole.shape, step, strict=True))
    parts = whole.reshape(z, step[0], y, step[1], x, step[2]).transpose(0, 2, 4, 1, 3, 5)
    members = np.sort(parts.reshape(z, y, x, -1), axis=-1)
    votes = (members[..., :, None] == members[..., None, :]).sum(axis=-1)
    best = votes.argmax(axis=-1)
    return np.take_along_axis(members, best[..., None], axis=-1)[..., 0]


def image_metadata(
    name: str, pyramid: Pyramid, windows: list[tuple[float, float]]
) -> dict[str, Any]:
    """OME-Zarr 0.5 attributes of the morphology; windows are given in codes."""
    rgb = pyramid.image.is_rgb
    channels = [
        {
            "label": channel.name,
            "color": channel.color,
            "active": True,
            "coefficient": 1,
            "family": "linear",
            "inverted": False,
            "window": {
                "min": 0.0,
                "max": 255.0,
                "start": 0.0 if rgb else start,
                "end": 255.0 if rgb else end,
            },
        }
        for channel, (start, end) in zip(pyramid.image.channels, windows, strict=True)
    ]
    return {
        "version": "0.5",
        "multiscales": [_multiscale(name, pyramid)],
        "omero": {
            "name": name,
            "version": "0.5",
            "channels": channels,
            "rdefs": {"defaultZ": pyramid.grids[0].shape[0] // 2, "defaultT": 0, "model": "color"},
        },
    }


def label_metadata(
    name: str, pyramid: Pyramid, classes: list[tuple[int, str, tuple[int, int, int]]]
) -> dict[str, Any]:
    """OME-Zarr 0.5 attributes of a label image: (number, name, colour) of every class."""
    return {
        "version": "0.5",
        "multiscales": [_multiscale(name, pyramid)],
        "image-label": {
            "colors": [
                {"label-value": number, "rgba": [*colour, 255]} for number, _, colour in classes
            ],
            "properties": [{"label-value": number, "name": text} for number, text, _ in classes],
            "source": {"image": "../../"},
        },
    }


def _multiscale(name: str, pyramid: Pyramid) -> dict[str, Any]:
    return multiscale_record(name, pyramid.grids, "mode" if pyramid.labels else "mean")


def coded_windows(
    windows: tuple[tuple[float, float], ...], codings: list[Coding]
) -> list[tuple[float, float]]:
    """Display windows of the channels, in codes."""
    return [
        ((low - coding.offset) / coding.step, (high - coding.offset) / coding.step)
        for (low, high), coding in zip(windows, codings, strict=True)
    ]
