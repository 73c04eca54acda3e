"""One study as the pictures need it: read-only, made once, shared by all visitors."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.chunks import ChunkCache
from vortex_model.errors import StudyError
from vortex_model.expression import normalise
from vortex_model.grid import Grid
from vortex_model.multiscale import Image, Level
from vortex_model.prediction import Prediction, is_checked
from vortex_model.study import Study
from vortex_model.tissue import tissue_mask
from vortex_viewer.scene import compose, detail, stain
from vortex_viewer.scene.camera import Box
from vortex_viewer.scene.detail import Detail
from vortex_viewer.scene.gene import Gene
from vortex_viewer.scene.sample import TissueSampler, interpolate
from vortex_viewer.scene.shelf import Made, Shelf
from vortex_viewer.state import Point

Bytes = npt.NDArray[np.uint8]
MORPHOLOGY_BYTES = 256 << 20
"""How much decoded morphology is kept, of all studies together."""
VOLUME_BYTES = 256 << 20
"""How much a study keeps of genes' volumes as they are drawn, and as much of their values."""
STACK_RATIO = 4.0
"""Planes this many times farther apart than pixels are drawn as planes, not as a volume."""
PLANE_PIXELS = 1 << 20
GLASS_COARSER = 3.0
"""The tissue's outline is found on pixels this many times coarser than a stack's pictures."""


@dataclass(frozen=True)
class Spots:
    """One gene in the measured spots of one section."""

    section: str
    points_um: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    diameter_um: float


@dataclass(frozen=True)
class Solid:
    """The morphology as the volume renderer needs it."""

    grid: Grid
    gray: Bytes
    index: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Sheet:
    """One plane of a stack of sections."""

    z_um: float
    grid: Grid
    picture: Bytes
    glass: npt.NDArray[np.float32]


class StudyData:
    """A study opened for showing.

    Parameters
    ----------
    path
        The study's folder.
    max_voxels
        How many voxels the 3D view may hold.
    chunks
        Where decoded morphology is kept; its own when None.
    """

    def __init__(self, path: Path, max_voxels: int, chunks: ChunkCache | None = None) -> None:
        self.path, self.max_voxels = path, max_voxels
        self._chunks = chunks or ChunkCache(MORPHOLOGY_BYTES)
        self.study = Study.open(path)
        self.info = self.study.info
        self.image: Image | None = self.study.morphology if self.study.has_morphology else None
        self._heavy = Shelf(8)
        self._genes = Shelf(256)
        self._volumes = Shelf(12, VOLUME_BYTES, lambda values: int(values.nbytes))
        self._coded = Shelf(64, VOLUME_BYTES, lambda coded: int(coded.codes.nbytes))
        self._fields = Shelf(8)
        self._predictions = Shelf(4)
        self._spots = Shelf(32)
        self._small = Shelf(16)
        self.frame = self._frame()

    # -- what there is ---------------------------------------------------------------------

    def _frame(self) -> Grid:
        if self.image is not None:
            return self.image.grid
        names = self.study.derived_ids("predictions")
        if names:
            return self.prediction(names[-1]).grid
        points = [np.asarray(self.study.section(n).obsm["spatial"]) for n in self.section_names]
        if not points:
            raise StudyError(
                f"{self.info.name} holds neither morphology nor sections. Import it again from "
                "its manifest."
            )
        low, high = np.vstack(points).min(axis=0), np.vstack(points).max(axis=0)
        step = max(float((high - low).max()) / 256, 1.0)
        shape = np.maximum(np.ceil((high - low) / step).astype(int) + 1, 1)[::-1]
        return Grid(tuple(shape), (step, step, step), tuple(low[::-1]))

    @property
    def section_names(self) -> list[str]:
        """The measured sections, from low z to high."""
        return self.study.section_names

    @property
    def is_stack(self) -> bool:
        """Whether 3D shows planes one by one: they lie too far apart to be a volume."""
        if self.image is None:
            return False
        grid = self.image.level_within(self.max_voxels).grid
        z, y, x = grid.spacing_um
        return grid.shape[0] == 1 or z > STACK_RATIO * max(x, y)

    @cached_property
    def content(self) -> Box:
        """The x, y and z ranges that hold the tissue: what the views show at first."""
        box = self.frame.bounds_um[::-1]
        sheets = self.sheets()
        if not sheets:
            return box
        there = np.any([sheet.glass > 0.5 for sheet in sheets], axis=0)
        if not there.any():
            return box
        ranges = []
        for axis, (low, high) in ((1, box[0]), (0, box[1])):
            found = np.flatnonzero(there.any(axis=1 - axis))
            places = sheets[0].grid.axis_um(1 + axis)[found[[0, -1]]]
            margin = 0.06 * float(places[1] - places[0])
            ranges.append((max(low, places[0] - margin), min(high, places[1] + margin)))
        return (ranges[0], ranges[1], box[2])

    @cached_property
    def middle(self) -> Point:
        """Where the crosshair is at first: the middle of the tissue, and of a plane in a stack."""
        x, y, z = ((low + high) / 2 for low, high in self.content)
        if self.is_stack:
            planes = self.frame.axis_um(0)
            z = float(planes[np.argmin(np.abs(planes - z))])
        return x, y, z

    @cached_property
    def depth(self) -> float:
        """How far z is stretched in 3D at first: 1, unless planes would lie on each other."""
        if not self.is_stack or self.frame.shape[0] == 1:
            return 1.0
        x, y, z = (high - low for low, high in self.content)
        wanted = 0.55 * max(x, y) / z
        return float(np.clip(np.round(wanted), 1, 100)) if wanted > 1.5 else 1.0

    def newest_prediction(self) -> str | None:
        """Id of the study's current prediction: the newest, or one that was restored."""
        return self.study.current_prediction

    def prediction(self, name: str) -> Prediction:
        """A prediction of the study, with all that has been found out of it."""

        def load() -> Prediction:
            return Prediction.load(self.study, name)

        made = self._predictions.get(name, load)
        if not made.checked and is_checked(self.study, name):
            self._predictions.drop(name)
            made = self._predictions.get(name, load)
        return made

    def kept(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Something small that is worked out once, whoever asks."""
        return self._small.get(key, make)

    # -- morphology ------------------------------------------------------------------------

    @property
    def can_stain(self) -> bool:
        """Whether its fluorescence can be shown as virtual H&E."""
        return self.image is not None and stain.stains(self.image.channels) is not None

    def shown(self, channels: npt.NDArray[Any], stained: bool = False) -> Bytes:
        """Voxels (c, ...) as what the eye sees: gray (...), or colour (..., 3).

        ``stained`` shows fluorescence as virtual H&E, where there are channels for it.
        """
        assert self.image is not None
        dyes = stain.stains(self.image.channels) if stained else None
        if dyes is not None:
            levels = [_part(channels[dye], *self.image.windows[dye]) for dye in dyes]
            return np.asarray(np.rint(stain.virtual(*levels) * 255), np.uint8)
        if self.image.is_rgb:
            return _windowed_bytes(np.moveaxis(channels, 0, -1), self.image.windows)
        total = np.zeros(channels.shape[1:], np.float32)
        weight = {1: 1.0, 2: 0.75}.get(len(channels), 0.6)
        for channel, (low, high) in zip(channels, self.image.windows, strict=True):
            part = (channel.astype(np.float32) - low) * (weight * 255.0 / (high - low))
            total += np.clip(part, 0.0, 255.0)
        return np.clip(total, 0.0, 255.0).astype(np.uint8)

    def voxels(self, level: Level, start: Sequence[int], stop: Sequence[int]) -> npt.NDArray[Any]:
        """A box of (z, y, x) of a level, (channel, z, y, x); what was read before is at hand."""
        return self._chunks.read(level.array, start, stop)

    def details(self, crop: Box | None = None) -> list[Detail]:
        """What of the morphology 3D shows, coarse to fine: the last is what stays.

        Only the last where the block is small or the fine one is at hand; none for a stack, or
        without morphology.
        """
        if self.image is None or self.is_stack:
            return []
        fine = detail.finest(self.image, self.max_voxels, crop)
        first = None if ("solid", fine) in self._heavy else detail.quick(self.image, fine)
        return [fine] if first is None else [first, fine]

    def solid(self, which: Detail | None = None) -> Solid | None:
        """The morphology for the volume renderer, in full where no detail is asked for.

        None for a stack, or without morphology.
        """
        image, which = self.image, self._full(which)
        if which is None or image is None:
            return None
        level, grid = image.levels[which.level], which.grid(image)
        z, y, x = (slice(a, b) for a, b in zip(which.start, which.stop, strict=True))

        def make() -> Solid:
            voxels = self.shown(np.asarray(level.array[:, z, y, x]))
            gray = voxels if voxels.ndim == 3 else 255 - voxels.min(axis=-1)
            shade = compose.light(gray, grid.spacing_um)
            return Solid(grid, gray, compose.base_index(gray, shade))

        return self._heavy.get(("solid", which), make)

    def _full(self, which: Detail | None) -> Detail | None:
        return which or next(iter(self.details()[-1:]), None)

    def sheets(self, stained: bool = False) -> list[Sheet]:
        """The planes of a stack, each as a picture; empty for a volume."""
        if self.image is None or not self.is_stack:
            return []
        nz = self.image.grid.shape[0]
        level = self.image.level_within(min(self.max_voxels, PLANE_PIXELS * nz))

        def make() -> list[Sheet]:
            assert self.image is not None
            tissue, coarse = tissue_mask(
                self.image, max(level.grid.spacing_um[1:]) * GLASS_COARSER, self.study.serial
            )
            made = []
            for z in range(level.grid.shape[0]):
                picture = self.shown(np.asarray(level.array[:, z]), stained)
                grid = level.grid.crop((z, 0, 0), (z + 1, *level.grid.shape[1:]))
                axes = [grid.axis_um(a) for a in range(3)]
                soft = np.clip(2.0 * interpolate(tissue, coarse, axes)[0] - 0.5, 0.0, 1.0)
                made.append(Sheet(grid.origin_um[0], grid, picture, soft))
            return made

        return self._heavy.get(("sheets", stained and self.can_stain), make)

    # -- expression ------------------------------------------------------------------------

    def gene(self, prediction: str, name: str) -> Gene:
        """One predicted gene, with its histogram and starting range."""
        made = self.prediction(prediction)
        key = (prediction, name.casefold(), made.checked)
        return self._genes.get(key, lambda: Gene.of(made, name))

    def part(
        self, gene: Gene, start: Sequence[int], stop: Sequence[int], level: int
    ) -> npt.NDArray[np.float32]:
        """A box of tokens of a gene: made alone, or cut from the whole where it is much of it."""
        whole = math.prod(gene.prediction.grids[level].shape)
        if 4 * math.prod(b - a for a, b in zip(start, stop, strict=True)) < whole:
            return gene.part(start, stop, level)
        return self.values(gene, level)[tuple(map(slice, start, stop))]

    def values(self, gene: Gene, level: int) -> npt.NDArray[np.float32]:
        """All of a gene on a level, (z, y, x), made once."""
        key = (gene.prediction.id, gene.key.casefold(), level)
        return self._volumes.get(key, lambda: gene.values(level))

    def certain(self, prediction: str, name: str, doubt: float) -> npt.NDArray[np.bool_]:
        """Tissue (z, y, x) where a gene's standard deviation is within ``doubt`` of its range."""
        gene = self.gene(prediction, name)

        def make() -> npt.NDArray[np.bool_]:
            made = gene.prediction
            deviation = made.uncertainty(gene.weights).to_numpy()
            return np.asarray(made.mask & (deviation <= doubt * gene.span))

        key = (prediction, name.casefold(), doubt, gene.prediction.checked)
        return self._fields.get(key, make)

    def coded(
        self, prediction: str, name: str, doubt: float | None = None, which: Detail | None = None
    ) -> compose.Coded | None:
        """One gene on the voxels of the volume renderer, without where it is in ``doubt``."""
        which = self._full(which)
        solid = self.solid(which)
        if solid is None:
            return None

        def make() -> compose.Coded:
            gene = self.gene(prediction, name)
            level = gene.level_for(solid.grid.spacing_um) if doubt is None else 0

            def sampler() -> TissueSampler:
                made = gene.prediction
                tissue = (
                    made.mask_at(level) if doubt is None else self.certain(prediction, name, doubt)
                )
                axes = [solid.grid.axis_um(a) for a in range(3)]
                return TissueSampler(tissue, made.grids[level], axes)

            key = ("sampler", prediction, which)
            sample = self._heavy.get(key, sampler) if doubt is None else sampler()
            near = self.part(gene, sample.start, sample.stop, level)
            return compose.Coded.of(sample(near), gene.low, gene.high)

        sure = doubt is None or self.prediction(prediction).checked
        return self._coded.get((prediction, name.casefold(), doubt, sure, which), make)

    def spots(self, name: str) -> list[Spots]:
        """One gene in every section that measured it."""

        def make() -> list[Spots]:
            found = []
            for section in self.section_names:
                data = self.study.section(section)
                index = {str(g).casefold(): i for i, g in enumerate(data.var_names)}
                column = index.get(name.casefold())
                if column is None:
                    continue
                totals = np.asarray(data.X.sum(axis=1), dtype=np.float64).ravel()
                values = normalise(data.X[:, [column]], totals).toarray().ravel()
                found.append(
                    Spots(
                        section,
                        np.asarray(data.obsm["spatial"], dtype=np.float64),
                        values,
                        float(data.uns["vortex"]["spot_diameter_um"]),
                    )
                )
            return found

        return self._spots.get(name.casefold(), make)


def _part(voxels: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.float32]:
    """Where voxels lie in a channel's window, 0 to 1."""
    return np.asarray(np.clip((voxels.astype(np.float32) - low) / (high - low), 0, 1), np.float32)


def _windowed_bytes(voxels: npt.NDArray[Any], windows: tuple[tuple[float, float], ...]) -> Bytes:
    if voxels.dtype == np.uint8 and all(w == (0.0, 255.0) for w in windows):
        return np.ascontiguousarray(voxels)
    low = np.array([w[0] for w in windows], np.float32)
    high = np.array([w[1] for w in windows], np.float32)
    scaled = (voxels.astype(np.float32) - low) / (high - low) * 255.0
    return np.clip(scaled, 0.0, 255.0).astype(np.uint8)
