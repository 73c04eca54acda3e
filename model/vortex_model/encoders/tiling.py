"""From an image to its token lattice, part by part: what is read, encoded, widened, kept.

Two passes over the lattice, each by chunk: voxels -> tokens (the dear one), tokens -> features.
A chunk counts as done once its mark is on disk, after its data; so a killed run loses at most
the chunks in hand, and ends in the same bytes.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import zarr
from scipy import ndimage
from zarr.storage import LocalStore

from vortex_model import tissue
from vortex_model.crew import HERE, THREADS, Crew
from vortex_model.encoders.base import ALIGN, Block, Floats
from vortex_model.encoders.layout import Box, Layout
from vortex_model.encoders.layout import box as box_of
from vortex_model.encoders.pooling import Pool
from vortex_model.grid import Grid, Triple
from vortex_model.multiscale import Image
from vortex_model.progress import Progress

LEAST_TISSUE = 0.25
"""A token is tissue when at least this part of its voxels is."""
LARGEST = 60_000.0

EDGE_UM = (100.0, 400.0)


class Job:
    """The two passes over one layout, kept in ``group``; goes on from what is there."""

    def __init__(self, group: zarr.Group, layout: Layout, image: Image, crew: Crew = HERE) -> None:
        self._group, self._layout, self._image, self._crew = group, layout, image, crew
        self._lock = threading.Lock()
        self._edge: Floats | None = None
        self._survey: _Survey | None = None
        shape, chunk = layout.lattice.shape, layout.chunk
        count, channels = layout.encoding.token_count, len(layout.channel_names)
        self._units = layout.units()
        self._tokens = self._array("tokens", (count, *shape), (count, *chunk), "float32")
        self._weight = self._array("weight", shape, chunk, "float32")
        self._mask_array = self._array("mask", shape, chunk, "bool")
        self._array_out = self._array("array", (channels, *shape), (channels, *chunk), "float16")
        self._encoded = self._array("encoded", (len(self._units),), (1,), "uint8")
        self._wide = layout.wide_units()
        self._widened = self._array("widened", (len(self._wide),), (1,), "uint8")

    @staticmethod
    def tidy(group: zarr.Group) -> None:
        """Drop what only the passes needed."""
        for name in ("tokens", "weight", "encoded", "widened", "survey"):
            if name in group:
                del group[name]

    def encode(self, progress: Progress) -> None:
        """First pass: voxels -> tokens."""
        todo = np.flatnonzero(np.asarray(self._encoded[:]) == 0)
        if not len(todo):
            return
        layout = self._layout
        gib = np.prod([float(n) for n in self._array_out.shape]) * 2 / 2**30
        progress(0.0, f"finding tissue; features will take up to {gib:.2f} GiB before packing")
        self._look_around()
        begin, total = time.monotonic(), len(self._units)
        threads = THREADS if layout.encoding.threads else 1
        parts = self._crew.map(_opened, self._about(), _encode, todo.tolist(), threads=threads)
        for done, (number, _) in enumerate(parts, start=1):
            self._mark(self._encoded, number)
            left = (time.monotonic() - begin) / done * (len(todo) - done)
            already = total - len(todo)
            progress(
                (already + done) / total,
                f"block {already + done} of {total} encoded, about {_duration(left)} left",
            )

    def _about(self) -> tuple[zarr.Group, Layout, Image]:
        """What another process needs to do a part of this job."""
        return self._group, self._layout, self._image

    def _look_around(self) -> None:
        """Find tissue and ranges once, on a coarse level, and keep them for whoever encodes."""
        layout = self._layout
        if "survey" in self._group:
            return
        step = max(layout.lattice.spacing_um[1:]) / 3
        mask, where = tissue.tissue_mask(self._image, step, layout.subject.planar)
        ranges = tissue.channel_ranges(self._image, layout.subject.planar)
        array = self._group.create_array("survey", data=mask)
        found = [[[float(low), float(high)] for low, high in row] for row in ranges]
        array.attrs["survey"] = {"grid": where.to_json(), "ranges": found}

    def _surveyed(self) -> _Survey:
        with self._lock:
            if self._survey is None:
                array = cast("zarr.Array[Any]", self._group["survey"])
                own: Any = array.attrs["survey"]
                where = Grid.from_json(own["grid"])
                look = [
                    np.clip(
                        np.floor((self._layout.level.grid.axis_um(a) - where.bounds_um[a][0]) / s),
                        0,
                        n - 1,
                    ).astype(np.int64)
                    for a, (s, n) in enumerate(zip(where.spacing_um, where.shape, strict=True))
                ]
                ranges = [tuple((float(a), float(b)) for a, b in row) for row in own["ranges"]]
                self._survey = _Survey(np.asarray(array[:], dtype=np.bool_), look, ranges)
            return self._survey

    def encode_unit(self, number: int) -> None:
        """One part of the first pass, onto disk."""
        box = self._units[number]
        result = self._tokens_of(box)
        if result is not None:
            tokens, weight = result
            self._tokens[(slice(None), *box)] = tokens
            self._weight[box] = weight
            self._mask_array[box] = weight >= LEAST_TISSUE

    def _tokens_of(self, box: Box) -> tuple[Floats, Floats] | None:
        """Tokens and their part of tissue; nothing where there is no tissue."""
        mask, look, ranges = self._surveyed()
        layout = self._layout
        grid = layout.level.grid
        core = [
            (b.start * f, min(b.stop * f, n))
            for b, f, n in zip(box, layout.factor, grid.shape, strict=True)
        ]
        if not mask[
            np.ix_(*(np.unique(k[a:b]) for k, (a, b) in zip(look, core, strict=True)))
        ].any():
            return None
        start, stop = [], []
        for axis, ((a, b), halo, step, n) in enumerate(
            zip(core, layout.encoding.halo_um, grid.spacing_um, grid.shape, strict=True)
        ):
            reach = int(np.ceil(halo / step))
            apart = axis == 0 and layout.subject.planar
            start.append(a if apart else max(0, a - reach) // ALIGN * ALIGN)
            stop.append(b if apart else min(n, b + reach))
        place = box_of(start, stop)
        voxels = np.asarray(layout.level.array[(slice(None), *place)]).astype(np.float32)
        np.nan_to_num(voxels, copy=False, posinf=0.0, neginf=0.0)
        inside = mask[np.ix_(*(k[s] for k, s in zip(look, place, strict=True)))]
        block = Block(
            voxels,
            grid.crop(start, stop),
            inside,
            self._image.channels,
            ranges[start[0]] if layout.subject.planar else ranges[0],
        )
        part = layout.lattice.crop([b.start for b in box], [b.stop for b in box])
        weight = Pool(block.grid, part, inside).weight
        tokens = layout.encoding.encode(block, part)
        tokens[:, weight == 0] = 0
        return tokens, weight

    def widen(self, progress: Progress) -> None:
        """Second pass: tokens with their neighbours -> features."""
        todo = np.flatnonzero(np.asarray(self._widened[:]) == 0)
        if not len(todo):
            return
        total = len(self._wide)
        parts = self._crew.map(_opened, self._about(), _widen, todo.tolist(), threads=THREADS)
        for done, (number, _) in enumerate(parts, start=1):
            self._mark(self._widened, number)
            already = total - len(todo) + done
            progress(already / total, f"block {already} of {total}: surroundings")

    def widen_unit(self, number: int) -> None:
        """One part of the second pass, onto disk."""
        result = self._widen_unit(number)
        if result is not None:
            self._array_out[(slice(None), *self._wide[number])] = result

    def _edges(self) -> Floats:
        """Distance of every token from the tissue's edge; the first pass is over by now."""
        with self._lock:
            if self._edge is None:
                self._edge = edge_distance(
                    np.asarray(self._mask_array[:], dtype=bool),
                    self._layout.lattice.spacing_um,
                    self._layout.subject.planar,
                )
            return self._edge

    def _widen_unit(self, number: int) -> npt.NDArray[np.float16] | None:
        layout, box = self._layout, self._wide[number]
        mask = np.asarray(self._mask_array[box])
        if not mask.any():
            return None
        wide, inner = [], []
        for b, reach, n in zip(box, layout.reach, layout.lattice.shape, strict=True):
            low = max(0, b.start - reach)
            low = low // ALIGN * ALIGN if reach else low
            wide.append(slice(low, min(n, b.stop + reach)))
            inner.append(slice(b.start - low, b.stop - low))
        tokens = np.asarray(self._tokens[(slice(None), *wide)], dtype=np.float32)
        weight = np.asarray(self._weight[tuple(wide)], dtype=np.float32)
        far = self._edges()[box]
        edges = [np.log1p(far / EDGE_UM[0]), np.minimum(far, EDGE_UM[1]) / EDGE_UM[1]]
        features = np.zeros((len(layout.channel_names), *mask.shape), dtype=np.float16)
        for channel, values in enumerate(
            chain((v[tuple(inner)] for v in layout.encoding.context(tokens, weight)), edges)
        ):
            safe = np.nan_to_num(np.clip(values, -LARGEST, LARGEST))
            features[channel] = np.where(mask, safe, 0)
        return features

    def statistics(self) -> tuple[Floats, Floats]:
        """Mean and deviation over tissue tokens, each (planes, channels), one row for a volume."""
        planar = self._layout.subject.planar
        channels = self._array_out.shape[0]
        planes = self._layout.lattice.shape[0] if planar else 1
        total = np.zeros((3, planes, channels))
        for box in self._units:
            mask = np.asarray(self._mask_array[box])
            if not mask.any():
                continue
            values = np.asarray(self._array_out[(slice(None), *box)])[:, mask].astype(np.float64)
            plane = box[0].start if planar else 0
            total[0, plane] += values.shape[1]
            total[1, plane] += values.sum(axis=1)
            total[2, plane] += (values**2).sum(axis=1)
        count = np.maximum(total[0], 1)
        mean = total[1] / count
        deviation = np.sqrt(np.maximum(total[2] / count - mean**2, 0))
        # What float16 cannot tell from a constant is one.
        deviation[deviation < np.maximum(1e-3 * np.abs(mean), 1e-7)] = 0
        return mean.astype(np.float32), deviation.astype(np.float32)

    def _mark(self, array: zarr.Array[Any], number: int) -> None:
        """Note on disk that a part is done, unless the disk went away meanwhile."""
        store = self._group.store
        if isinstance(store, LocalStore) and not (store.root / array.path / "zarr.json").exists():
            raise FileNotFoundError(errno.ENOENT, "the features are no longer there")
        array[number] = 1

    def _array(
        self, name: str, shape: Sequence[int], chunks: Sequence[int], dtype: str
    ) -> zarr.Array[Any]:
        if name in self._group:
            return cast("zarr.Array[Any]", self._group[name])
        names = {len(shape): ("channel", "z", "y", "x")[-len(shape) :]}[len(shape)]
        return self._group.create_array(
            name,
            shape=tuple(shape),
            chunks=tuple(chunks),
            dtype=dtype,
            fill_value=0,
            dimension_names=names if len(shape) >= 3 else None,
        )


def edge_distance(mask: npt.NDArray[np.bool_], spacing_um: Triple, planar: bool) -> Floats:
    """Distance of each token from the nearest one without tissue, (z, y, x) micrometres.

    In its own plane where ``planar``. What lies beyond the image is unknown and no edge; where
    nothing is without tissue, the distance is that of the block's extent.
    """
    if planar:
        apart = (1.0, *spacing_um[1:])
        return np.concatenate([edge_distance(p[None], apart, False) for p in mask])
    if mask.all():
        far = max(n * s for n, s in zip(mask.shape, spacing_um, strict=True))
        return np.full(mask.shape, far, dtype=np.float32)
    found = ndimage.distance_transform_edt(mask, sampling=spacing_um)
    return np.asarray(found, dtype=np.float32)


class _Survey(NamedTuple):
    """Tissue on a coarse grid, which of its voxels each voxel falls into, and value ranges."""

    mask: npt.NDArray[np.bool_]
    look: list[npt.NDArray[np.int64]]
    ranges: list[tuple[tuple[float, float], ...]]


def _opened(group: zarr.Group, layout: Layout, image: Image) -> Job:
    """The job again, in whatever process does a part of it."""
    return Job(group, layout, image)


def _encode(job: Job, number: int) -> None:
    job.encode_unit(number)


def _widen(job: Job, number: int) -> None:
    job.widen_unit(number)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
