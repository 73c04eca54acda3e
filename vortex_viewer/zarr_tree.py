"""What a study looks like as OME-Zarr, key by key: metadata, and chunks made when asked for.

Below a study's name there are

- ``morphology.ome.zarr``, with its label images under ``labels/``;
- ``PREDICTION/genes.ome.zarr``: one channel a gene, in the order of the gene table;
- ``PREDICTION/gene/NAME.ome.zarr``: the same for one gene, for programs that open a layer for
  every channel. ``newest`` stands for the newest prediction.

Everything is there in OME-Zarr 0.5 (Zarr v3) and in 0.4 (Zarr v2). Chunks are not sharded, and
those without tissue are written like the others: not every program takes a missing one.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numcodecs import Blosc

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Image, multiscale_record
from vortex_model.prediction import Prediction
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.library import Library
from vortex_viewer.scene.shelf import Shelf

Ngff = Literal["0.5", "0.4"]
VERSIONS: tuple[Ngff, ...] = ("0.5", "0.4")
IMAGE_CHUNK, GENE_CHUNK = 64, 32
"""Genes: the chunk of stored factors, so that one chunk needs one."""
SAMPLE = 4096
"""Tokens that a gene's window is taken from."""
CODE = 1
"""Raised when the same study would be served as other bytes."""
NEWEST = "newest"
FRESH_S = 1.0

Block = npt.NDArray[Any]
Read = Callable[[int, int, Sequence[int], Sequence[int]], Block]


@dataclass(frozen=True)
class Answer:
    """What a key holds: how it is called by its content, and how to make it."""

    tag: str
    content_type: str
    make: Callable[[], bytes]


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


class Tree:
    """All studies of a server as one tree of keys."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._windows = Shelf(8)
        self._images = Shelf(64)
        self._newest: dict[str, tuple[float, str | None]] = {}

    def answer(self, version: Ngff, key: str) -> Answer | None:
        """What is under ``STUDY/...`` in this version of OME-Zarr; None when nothing is."""
        study, _, rest = key.partition("/")
        image, inner = _split(rest)
        if study not in self._library.names or image is None:
            return None
        try:
            data = self._library.open(study)
            if image == "morphology.ome.zarr":
                return self._in_morphology(data, version, inner)
            where, _, name = image.partition("/")
            made = self._of_genes(data, where, name)
        except VortexError:
            return None
        return None if made is None else _in_image(made, version, inner)

    def catalogue(self) -> list[dict[str, Any]]:
        """The studies with their images; what cannot be opened is left out."""
        found = []
        for name in self._library.names:
            try:
                data = self._library.open(name)
                found.append(
                    {
                        "study": name,
                        "morphology": data.image is not None,
                        "labels": data.study.label_names,
                        "predictions": data.study.derived_ids("predictions")[::-1],
                    }
                )
            except VortexError:
                continue
        return found

    # -- morphology and labels -------------------------------------------------------------

    def _in_morphology(self, data: StudyData, version: Ngff, inner: str) -> Answer | None:
        if data.image is None:
            return None
        if not inner.startswith("labels/"):
            return _in_image(_morphology(data, data.image), version, inner)
        inner = inner.removeprefix("labels/")
        names = data.study.label_names
        name, _, rest = inner.partition("/")
        if name in names:
            label = self._images.get(
                (data.path, name), lambda: _label(data, name, data.study.label(name))
            )
            return _in_image(label, version, rest)
        if version == "0.5":
            attributes = {"ome": {"version": "0.5", "labels": names}}
            return _group(version, inner, f"labels-{names}", lambda: attributes)
        return _group(version, inner, f"labels-{names}", lambda: {"labels": names})

    # -- genes -----------------------------------------------------------------------------

    def _newest_of(self, data: StudyData) -> str | None:
        """The newest prediction, looked up at most once a second: every chunk asks for it."""
        key, now = str(data.path), time.monotonic()
        known = self._newest.get(key)
        if known is None or now - known[0] > FRESH_S:
            known = self._newest[key] = (now, data.newest_prediction())
        return known[1]

    def _of_genes(self, data: StudyData, where: str, name: str) -> Served | None:
        made = self._newest_of(data) if where == NEWEST else where
        if made is None:
            return None
        prediction = data.prediction(made)
        if name == "genes.ome.zarr":
            genes = [str(g) for g in prediction.genes.index]
        elif name.startswith("gene/"):
            genes = [prediction.resolve(name.removeprefix("gene/").removesuffix(".ome.zarr"))]
        else:
            return None

        def read(channel: int, level: int, start: Sequence[int], stop: Sequence[int]) -> Block:
            return prediction.part(genes[channel], start, stop, level)

        def more() -> dict[str, Any]:
            key = (str(data.path), made, genes[0] if len(genes) == 1 else "")
            windows = self._windows.get(key, lambda: _gene_windows(prediction, genes))
            return {"omero": _omero(genes, ["FFFFFF"] * len(genes), windows, prediction.grid, 1)}

        title = genes[0] if name != "genes.ome.zarr" else "genes"
        return Served(
            name=f"{title} ({data.info.name})",
            content=f"{data.path}-{made}-{name}",
            grids=prediction.grids,
            channels=len(genes),
            dtype=np.dtype("<f4"),
            fill=np.nan,
            chunk=GENE_CHUNK,
            read=read,
            more=more,
        )


def _morphology(data: StudyData, image: Image) -> Served:
    whole = image.dtype.kind in "ui"
    span = (
        (float(np.iinfo(image.dtype).min), float(np.iinfo(image.dtype).max))
        if whole
        else (min(w[0] for w in image.windows), max(w[1] for w in image.windows))
    )
    windows = [
        (*span, *((0.0, 255.0) if image.is_rgb and image.dtype == np.uint8 else window))
        for window in image.windows
    ]
    omero = _omero(
        [c.name for c in image.channels],
        [c.color for c in image.channels],
        windows,
        image.grid,
        len(image.channels),
    )
    return _stored(data.info.name, image, lambda: {"omero": omero})


def _label(data: StudyData, name: str, image: Image) -> Served:
    classes = {
        int(m[1]): str(text)
        for key, text in data.info.notes.items()
        if (m := re.fullmatch(r"class (\d+)", key))
    }
    record = {
        "properties": [{"label-value": n, "name": t} for n, t in sorted(classes.items())],
        "source": {"image": "../../"},
    }
    return _stored(name, image, lambda: {"image-label": record})


def _stored(name: str, image: Image, more: Callable[[], dict[str, Any]]) -> Served:
    def read(channel: int, level: int, start: Sequence[int], stop: Sequence[int]) -> Block:
        z, y, x = (slice(a, b) for a, b in zip(start, stop, strict=True))
        return np.asarray(image.levels[level].array[channel, z, y, x])

    return Served(
        name=name,
        content=image.content,
        grids=tuple(level.grid for level in image.levels),
        channels=len(image.channels),
        dtype=image.dtype.newbyteorder("<"),
        fill=0,
        chunk=IMAGE_CHUNK,
        read=read,
        more=more,
    )


def _gene_windows(prediction: Prediction, genes: Sequence[str]) -> list[tuple[float, ...]]:
    """Lowest, highest, 2nd and 98th percentile of genes on an even sample of the tissue."""
    level = len(prediction.grids) - 1
    inside = prediction.mask_at(level)
    kept = []
    every = max(1, int(inside.sum()) // SAMPLE)
    for z in range(0, inside.shape[0], GENE_CHUNK):
        stop = (min(z + GENE_CHUNK, inside.shape[0]), *inside.shape[1:])
        part = prediction.factors_at((z, 0, 0), stop, level)
        kept.append(part[:, inside[z : stop[0]]][:, ::every])
    factors = np.concatenate(kept, axis=1)
    position = {str(g): i for i, g in enumerate(prediction.genes.index)}
    columns = np.array([position[g] for g in genes])
    means = prediction.genes["mean"].to_numpy()[columns]
    loadings = prediction.loadings[:, columns]
    found: list[tuple[float, ...]] = []
    for first in range(0, len(genes), 64):
        own = slice(first, first + 64)
        values = loadings[:, own].T @ factors + means[own, None]
        if not values.shape[1]:
            values = means[own, None]
        rows = [values.min(axis=1), values.max(axis=1), *np.percentile(values, [2, 98], axis=1)]
        found += [_open_window(*(float(v) for v in row)) for row in zip(*rows, strict=True)]
    return found


def _open_window(low: float, high: float, start: float, end: float) -> tuple[float, ...]:
    """A window that is nowhere empty, even of a gene that is the same everywhere."""
    low, high = (low, high) if high > low else (low, low + 1.0)
    return (low, high, start, end) if end > start else (low, high, low, high)


# -- metadata -----------------------------------------------------------------------------------


def _omero(
    labels: Sequence[str],
    colours: Sequence[str],
    windows: Sequence[tuple[float, ...]],
    grid: Grid,
    active: int,
) -> dict[str, Any]:
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


# -- keys ---------------------------------------------------------------------------------------

_IMAGE = re.compile(r"((?:[^/]+/)?(?:genes|gene/.+?|morphology)\.ome\.zarr)(?:/(.*))?")
_LEVEL = re.compile(r"(\d{1,3})/(zarr\.json|\.zarray|(?:c/)?\d+/\d+/\d+/\d+)")


def _split(rest: str) -> tuple[str | None, str]:
    """The image and the key inside it."""
    found = _IMAGE.fullmatch(rest)
    return (found[1], found[2] or "") if found else (None, "")


def _in_image(image: Served, version: Ngff, inner: str) -> Answer | None:
    found = _LEVEL.fullmatch(inner)
    if found is None:
        return _group(version, inner, image.content, lambda: _attributes(image, version))
    level, key = int(found[1]), found[2]
    if level >= len(image.grids):
        return None
    if key == ("zarr.json" if version == "0.5" else ".zarray"):
        array = _array_v3 if version == "0.5" else _array_v2
        return _json(image.content + version + inner, lambda: array(image, level))
    if key in ("zarr.json", ".zarray") or key.startswith("c/") != (version == "0.5"):
        return None
    number = [int(n) for n in key.removeprefix("c/").split("/")]
    if not image.holds(level, number):
        return None
    return Answer(
        _tag(f"{image.content}/{level}/{number}"),
        "application/octet-stream",
        lambda: bytes(_codec().encode(image.block(level, number))),
    )


def _group(
    version: Ngff, key: str, content: str, attributes: Callable[[], dict[str, Any]]
) -> Answer | None:
    if version == "0.5" and key == "zarr.json":
        return _json(
            content + version,
            lambda: {"zarr_format": 3, "node_type": "group", "attributes": attributes()},
        )
    if version == "0.4" and key == ".zgroup":
        return _json("group", lambda: {"zarr_format": 2})
    if version == "0.4" and key == ".zattrs":
        return _json(content + version, attributes)
    return None


def _json(content: str, make: Callable[[], dict[str, Any]]) -> Answer:
    return Answer(
        _tag(content + "json"),
        "application/json",
        lambda: json.dumps(make(), separators=(",", ":"), allow_nan=False).encode(),
    )


def _tag(content: str) -> str:
    return hashlib.blake2b(f"{CODE}/{content}".encode(), digest_size=12).hexdigest()


class BytesCache:
    """Made answers, the least recently used dropped beyond a size; each is made once."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._held: dict[str, bytes] = {}
        self._making: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def peek(self, tag: str) -> bytes | None:
        """What is held already, without making it."""
        with self._lock:
            body = self._held.pop(tag, None)
            if body is not None:
                self._held[tag] = body  # used last
            return body

    def get(self, answer: Answer) -> bytes:
        """The bytes; whoever asks while they are being made waits for them."""
        while True:
            body = self.peek(answer.tag)
            if body is not None:
                return body
            with self._lock:
                busy = self._making.get(answer.tag)
                if busy is None:
                    self._making[answer.tag] = threading.Event()
            if busy is None:
                break
            busy.wait()
        try:
            body = answer.make()
            self._keep(answer.tag, body)
            return body
        finally:
            with self._lock:
                self._making.pop(answer.tag).set()

    def _keep(self, tag: str, body: bytes) -> None:
        with self._lock:
            self._held[tag] = body
            self._bytes += len(body)
            while self._bytes > self._max_bytes:
                oldest = next(iter(self._held))
                self._bytes -= len(self._held.pop(oldest))
