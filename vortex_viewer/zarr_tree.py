"""What a study looks like as OME-Zarr: which keys there are, and of what images.

Below a study's name there are

- ``morphology.ome.zarr``, with its label images under ``labels/``;
- ``PREDICTION/genes.ome.zarr``: one channel a gene, in the order of the gene table;
- ``PREDICTION/gene/NAME.ome.zarr``: the same for one gene, for programs that open a layer for
  every channel. ``newest`` stands for the newest prediction.

Everything is there in OME-Zarr 0.5 (Zarr v3) and in 0.4 (Zarr v2). Chunks are not sharded, and
those without tissue are written like the others: not every program takes a missing one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vortex_model.errors import VortexError
from vortex_model.multiscale import Image
from vortex_model.prediction import Prediction
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.library import Library
from vortex_viewer.scene.shelf import Shelf
from vortex_viewer.zarr_answer import Answer
from vortex_viewer.zarr_image import Block, Ngff, Served, in_group, in_image, omero_record

IMAGE_CHUNK, GENE_CHUNK = 64, 32
"""Genes: the chunk of stored factors, so that one chunk needs one."""
SAMPLE = 4096
"""Tokens that a gene's window is taken from."""
NEWEST = "newest"
FRESH_S = 1.0
_IMAGE = re.compile(r"((?:[^/]+/)?(?:genes|gene/.+?|morphology)\.ome\.zarr)(?:/(.*))?")


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
        return None if made is None else in_image(made, version, inner)

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
            return in_image(_morphology(data, data.image), version, inner)
        inner = inner.removeprefix("labels/")
        names = data.study.label_names
        name, _, rest = inner.partition("/")
        if name in names:
            label = self._images.get(
                (data.path, name), lambda: _label(data, name, data.study.label(name))
            )
            return in_image(label, version, rest)
        if version == "0.5":
            attributes = {"ome": {"version": "0.5", "labels": names}}
            return in_group(version, inner, f"labels-{names}", lambda: attributes)
        return in_group(version, inner, f"labels-{names}", lambda: {"labels": names})

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
            return {
                "omero": omero_record(genes, ["FFFFFF"] * len(genes), windows, prediction.grid, 1)
            }

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
    omero = omero_record(
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


def _split(rest: str) -> tuple[str | None, str]:
    """The image and the key inside it."""
    found = _IMAGE.fullmatch(rest)
    return (found[1], found[2] or "") if found else (None, "")
