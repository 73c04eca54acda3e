"""One image as OME-Zarr, 0.5 (Zarr v3) and 0.4 (Zarr v2): its metadata, and chunks when asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numcodecs import Blosc

from vortex_model.grid import Grid
from vortex_model.multiscale import multiscale_record
from vortex_viewer.zarr_answer import Answer, as_json, tag_of

Ngff = Literal["0.5", "0.4"]
VERSIONS: tuple[Ngff, ...] = ("0.5", "0.4")
Block = npt.NDArray[Any]
Read = Callable[[int, int, Sequence[int], Sequence[int]], Block]
_LEVEL = re.compile(r"(\d{1,3})/(zarr\.json|\.zarray|(?:c/)?\d+/\d+/\d+/\d+)")


@dataclass(frozen=True)
class Served:
    """One multiscale image as clients see it.

    Attributes
    ----------
    content
        What its voxels are a function of.
    grids
        Finest first.
    channels
        How many.
    read
        Channel, level, start and stop (z, y, x) -> voxels (z, y, x).
    more
        Attributes beside ``multiscales``: omero, image-label.
    """

    name: str
    content: str
    grids: tuple[Grid, ...]
    channels: int
    dtype: np.dtype[Any]
    fill: float
    chunk: int
    read: Read
    more: Callable[[], dict[str, Any]]

    def chunks(self, level: int) -> tuple[int, int, int]:
        """Voxels of a chunk along z, y, x."""
        z, y, x = (min(self.chunk, n) for n in self.grids[level].shape)
        return z, y, x

    def block(self, level: int, number: Sequence[int]) -> Block:
        """The voxels of chunk (c, z, y, x), filled up where it reaches beyond the image."""
        size, shape = self.chunks(level), self.grids[level].shape
        start = [n * s for n, s in zip(number[1:], size, strict=True)]
        stop = [min(a + s, n) for a, s, n in zip(start, size, shape, strict=True)]
        voxels = np.asarray(self.read(number[0], level, start, stop), dtype=self.dtype)
        if voxels.shape == size:
            return np.ascontiguousarray(voxels)
        whole = np.full(size, self.fill, dtype=self.dtype)
        whole[tuple(slice(0, n) for n in voxels.shape)] = voxels
        return whole

    def holds(self, level: int, number: Sequence[int]) -> bool:
        """Whether there is such a chunk."""
        counts = [
            -(-n // s) for n, s in zip(self.grids[level].shape, self.chunks(level), strict=True)
        ]
        return all(n < most for n, most in zip(number, [self.channels, *counts], strict=True))


def in_image(image: Served, version: Ngff, inner: str) -> Answer | None:
    """What is under a key of an image; None when nothing is."""
    found = _LEVEL.fullmatch(inner)
    if found is None:
        return in_group(version, inner, image.content, lambda: _attributes(image, version))
    level, key = int(found[1]), found[2]
    if level >= len(image.grids):
        return None
    if key == ("zarr.json" if version == "0.5" else ".zarray"):
        array = _array_v3 if version == "0.5" else _array_v2
        return as_json(image.content + version + inner, lambda: array(image, level))
    if key in ("zarr.json", ".zarray") or key.startswith("c/") != (version == "0.5"):
        return None
    number = [int(n) for n in key.removeprefix("c/").split("/")]
    if not image.holds(level, number):
        return None
    return Answer(
        tag_of(f"{image.content}/{level}/{number}"),
        "application/octet-stream",
        lambda: bytes(_codec().encode(image.block(level, number))),
    )


def in_group(
    version: Ngff, key: str, content: str, attributes: Callable[[], dict[str, Any]]
) -> Answer | None:
    """A group's own keys, those of an image or of what holds images; None for any other key."""
    if version == "0.5" and key == "zarr.json":
        return as_json(
            content + version,
            lambda: {"zarr_format": 3, "node_type": "group", "attributes": attributes()},
        )
    if version == "0.4" and key == ".zgroup":
        return as_json("group", lambda: {"zarr_format": 2})
    if version == "0.4" and key == ".zattrs":
        return as_json(content + version, attributes)
    return None


def omero_record(
    labels: Sequence[str],
    colours: Sequence[str],
    windows: Sequence[tuple[float, ...]],
    grid: Grid,
    active: int,
) -> dict[str, Any]:
    """How channels are drawn; a window is (lowest, highest, start, end)."""
    channels = [
        {
            "label": label,
            "color": colour,
            "active": number < active,
            "coefficient": 1.0,
            "family": "linear",
            "inverted": False,
            "window": dict(
                zip(("min", "max", "start", "end"), (float(f"{v:.6g}") for v in w), strict=True)
            ),
        }
        for number, (label, colour, w) in enumerate(zip(labels, colours, windows, strict=True))
    ]
    rdefs = {"defaultT": 0, "defaultZ": grid.shape[0] // 2, "model": "color"}
    return {"channels": channels, "rdefs": rdefs}


def _attributes(image: Served, version: Ngff) -> dict[str, Any]:
    multiscale = multiscale_record(image.name, image.grids)
    more = image.more()
    if version == "0.5":
        return {"ome": {"version": "0.5", "multiscales": [multiscale], **more}}
    dated = {key: {**value, "version": "0.4"} for key, value in more.items()}
    return {"multiscales": [{**multiscale, "version": "0.4"}], **dated}


def _array_v3(image: Served, level: int) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [image.channels, *image.grids[level].shape],
        "data_type": image.dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [1, *image.chunks(level)]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _plain_fill(image),
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {
                "name": "blosc",
                "configuration": {
                    "typesize": image.dtype.itemsize,
                    "cname": "lz4",
                    "clevel": 5,
                    "shuffle": "bitshuffle",
                    "blocksize": 0,
                },
            },
        ],
        "dimension_names": ["c", "z", "y", "x"],
        "attributes": {},
    }


def _array_v2(image: Served, level: int) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": [image.channels, *image.grids[level].shape],
        "chunks": [1, *image.chunks(level)],
        "dtype": image.dtype.str if image.dtype.itemsize > 1 else f"|{image.dtype.str[1:]}",
        "compressor": _codec().get_config(),
        "fill_value": _plain_fill(image),
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def _plain_fill(image: Served) -> Any:
    if image.dtype.kind == "f":
        return "NaN" if np.isnan(image.fill) else float(image.fill)
    return int(image.fill)


def _codec() -> Any:
    return Blosc(cname="lz4", clevel=5, shuffle=Blosc.BITSHUFFLE)
