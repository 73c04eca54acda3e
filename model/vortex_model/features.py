"""Dense features of a whole study on its token lattice, each voxel encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import zarr
from scipy import ndimage

from vortex_model.chunks import ChunkCache
from vortex_model.crew import HERE, Crew
from vortex_model.encoders.base import Encoder, Learner
from vortex_model.encoders.layout import Layout, plan
from vortex_model.encoders.registry import create
from vortex_model.encoders.texture import CoarseEncoder
from vortex_model.encoders.tiling import Job
from vortex_model.grid import Grid
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Provenance, Study
from vortex_model.threads import single_threaded_blas

CODE = 2
CLIP = 6.0
"""A normalised feature ends at so many standard deviations."""
SAMPLES = 37
"""Places at which a spot's disc is looked at."""
BATCH = 20_000
HELD_BYTES = 128 << 20
"""Features that are kept after they were read: under spots, then of the whole lattice."""
LONG_VALUES = 1.5e7
"""Voxels, times channels, that take so long to encode that a first look is welcome."""
FIRST_SHARE = 8
"""A coarse look reads at most one in so many of them."""

Floats = npt.NDArray[np.float32]


def compute_features(
    study: Study,
    encoder: str | Encoder = "texture",
    *,
    spacing_um: float | None = None,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> str:
    """Encode the study's morphology onto its token lattice; returns the features' id.

    The same inputs give the same id, and what is there already is not made again. A run that
    was cancelled or killed goes on where it stopped and ends in the same numbers.

    Parameters
    ----------
    study
        What to encode; it needs a morphology.
    encoder
        A name that :func:`vortex_model.encoders.create` knows, or an encoder that it made.
    spacing_um
        Spacing of the token lattice. By default a third of the smallest spot, but not under
        three voxels, nor so fine that there would be more than a million tokens.
    crew
        Who encodes: this process, or the workers of :func:`vortex_model.cluster.crew_at`. The
        bytes are the same.

    Raises
    ------
    StudyError
        When there is no morphology, or somebody else writes to the study.
    VortexError
        When the spacing is not positive, or finer than a voxel.
    Cancelled
        From ``progress``; what was finished is kept.
    """
    encoder = create(encoder) if isinstance(encoder, str) else encoder
    layout = _layout(study, encoder, spacing_um)
    image, provenance = study.morphology, _provenance(study, encoder, layout)
    if study.has_derived("features", provenance.id):
        progress(1.0, "features are there already")
        return provenance.id
    with study.resuming(provenance) as group, single_threaded_blas():
        if "features" not in group.attrs:
            taught = 0.0
            if isinstance(layout.encoding, Learner):
                taught = 0.7
                _teach(layout.encoding, group, part(progress, 0.0, taught))
            job = Job(group, layout, image, crew)
            job.encode(part(progress, taught, 0.85))
            job.widen(part(progress, 0.85, 0.97))
            progress(0.97, "normalisation")
            mean, deviation = job.statistics()
            for name, data in (("mean", mean), ("deviation", deviation)):
                group.create_array(
                    name, data=data, dimension_names=("plane", "channel"), overwrite=True
                )
            group.attrs["features"] = {
                "encoder": encoder.name,
                "grid": layout.lattice.to_json(),
                "planar": layout.subject.planar,
                "channels": list(layout.channel_names),
                "groups": list(layout.groups),
                # Not part of the id: the same weights may come in another file.
                "origin": dict(getattr(encoder, "origin", {})),
            }
        Job.tidy(group)
    progress(1.0, "features are ready")
    return provenance.id


def has_features(study: Study, encoder: Encoder) -> bool:
    """Whether an encoder's features of the study are there, on their usual lattice."""
    layout = _layout(study, encoder, None)
    return study.has_derived("features", _provenance(study, encoder, layout).id)


def worth_a_first_look(study: Study, encoder: Encoder) -> bool:
    """Whether an encoder's features are yet to be made and take long, and a coarse look far less.

    The look is the encoder ``coarse``.
    """
    if has_features(study, encoder):
        return False
    fine, look = (_layout(study, one, None) for one in (encoder, CoarseEncoder()))
    there, here = (float(np.prod(part.level.array.shape)) for part in (fine, look))
    return there >= LONG_VALUES and here <= there / FIRST_SHARE


def _layout(study: Study, encoder: Encoder, spacing_um: float | None) -> Layout:
    diameters = [
        float(study.section(name).uns["vortex"]["spot_diameter_um"]) for name in study.section_names
    ]
    return plan(study.morphology, encoder, study.serial, spacing_um, diameters)


def _provenance(study: Study, encoder: Encoder, layout: Layout) -> Provenance:
    return Provenance(
        kind="features",
        inputs={"morphology": study.morphology.content},
        parameters={
            "encoder": encoder.name,
            "encoder_code": encoder.code,
            "encoder_parameters": dict(encoder.parameters),
            "roles": [c.role for c in study.morphology.channels],
            "planar": layout.subject.planar,
            "voxels": layout.level.grid.to_json(),
            "lattice": layout.lattice.to_json(),
        },
        code=CODE,
    )


def _teach(encoding: Learner, group: zarr.Group, progress: Progress) -> None:
    """Let an encoding learn, or know again what it learned before this run."""
    if "learned" not in group:
        learned = np.frombuffer(encoding.learn(progress), dtype=np.uint8)
        group.create_array("learned", data=learned)
    encoding.know(np.asarray(cast("zarr.Array[Any]", group["learned"])[:]).tobytes())


@dataclass(frozen=True)
class Normaliser:
    """Z-scores of features: within the plane for serial sections, else within the volume.

    Attributes
    ----------
    mean, deviation
        (planes, channels), or (1, channels) for a volume; a deviation of 0 marks a channel
        that says nothing there.
    """

    mean: Floats
    deviation: Floats

    def __call__(self, values: npt.ArrayLike, plane: npt.NDArray[np.int64]) -> Floats:
        """Normalised ``values`` (n, channels) of tokens or spots in these planes, (n,)."""
        which = plane if len(self.mean) > 1 else np.zeros_like(plane)
        spread = self.deviation[which]
        centred = np.asarray(values, dtype=np.float32) - self.mean[which]
        scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
        return np.asarray(np.clip(scaled, -CLIP, CLIP), dtype=np.float32)


class FeatureBlock(NamedTuple):
    """The tissue tokens of one part of the lattice.

    ``values`` are normalised, (n, channels) float32; ``tokens`` are their places (z, y, x)
    on the whole lattice, (n, 3).
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    values: Floats
    tokens: npt.NDArray[np.int64]


class Features:
    """One encoder's output on the token lattice.

    Attributes
    ----------
    id
        Content id.
    encoder
        Name of the encoder.
    grid
        The token lattice.
    mask
        Tissue, (z, y, x) bool.
    channel_names, groups
        Name and group of each channel.
    array
        The features as they were stored, not normalised: (channel, z, y, x) float16, on disk;
        0 outside tissue.
    planar
        Whether planes were encoded and are normalised one by one.
    """

    def __init__(self, study: Study, name: str) -> None:
        group = study.derived("features", name)
        own: Any = group.attrs["features"]
        self.id = name
        self.encoder = str(own["encoder"])
        self.grid = Grid.from_json(own["grid"])
        self.planar = bool(own["planar"])
        self.channel_names = tuple(str(c) for c in own["channels"])
        self.groups = tuple(str(g) for g in own["groups"])
        self.array = cast("zarr.Array[Any]", group["array"])
        self._chunks = ChunkCache(HELD_BYTES)
        self.mask: npt.NDArray[np.bool_] = np.asarray(
            cast("zarr.Array[Any]", group["mask"])[:], dtype=np.bool_
        )
        self._normaliser = Normaliser(
            np.asarray(cast("zarr.Array[Any]", group["mean"])[:], dtype=np.float32),
            np.asarray(cast("zarr.Array[Any]", group["deviation"])[:], dtype=np.float32),
        )

    @classmethod
    def load(cls, study: Study, name: str) -> Features:
        """Features that :func:`compute_features` made.

        Raises
        ------
        UnknownNameError
            When the study has none of this id.
        """
        return cls(study, name)

    def normaliser(self) -> Normaliser:
        """How stored features become z-scores."""
        return self._normaliser

    def at_points(self, points_um: npt.ArrayLike, diameter_um: npt.ArrayLike) -> Floats:
        """Normalised features of spots: means over each spot's disc, tissue tokens only.

        Parameters
        ----------
        points_um
            Centres (x, y, z), (n, 3).
        diameter_um
            One for all, or (n,).

        Returns
        -------
        (n, channels) float32. A spot without tissue gets the nearest tissue token of its plane
        (of the volume, where planes are not apart); zeros where there is no tissue at all.
        """
        points = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
        diameter = np.broadcast_to(np.asarray(diameter_um, dtype=np.float64), (len(points),))
        out = np.zeros((len(points), len(self.channel_names)), dtype=np.float32)
        for first in range(0, len(points), BATCH):
            rows = slice(first, first + BATCH)
            out[rows] = self._discs(points[rows], diameter[rows])
        return self._normaliser(out, self.grid.nearest(points)[:, 0])

    def blocks(self) -> Iterator[FeatureBlock]:
        """The whole lattice part by part, normalised; parts without tissue are left out."""
        for start in self.block_starts():
            yield self.block(start)

    def block_starts(self) -> list[tuple[int, int, int]]:
        """Where the parts with tissue begin, as :meth:`block` wants them."""
        depth, height, width = self.array.chunks[1:]
        planes, rows, columns = self.grid.shape
        return [
            (z, y, x)
            for z in range(0, planes, depth)
            for y in range(0, rows, height)
            for x in range(0, columns, width)
            if self.mask[self._box((z, y, x))].any()
        ]

    def block(self, start: tuple[int, int, int]) -> FeatureBlock:
        """One part, normalised."""
        box = self._box(start)
        inside = self.mask[box]
        depth, height, width = self.array.chunks[1:]
        number = (start[0] // depth, start[1] // height, start[2] // width)
        values = self._chunks.get(self.array, number)[:, inside].T
        index = np.argwhere(inside) + start
        z, y, x = (s.stop for s in box)
        return FeatureBlock(start, (z, y, x), self._normaliser(values, index[:, 0]), index)

    # -- inner -----------------------------------------------------------------------------

    def _box(self, start: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        z, y, x = (
            slice(a, min(a + s, n))
            for a, s, n in zip(start, self.array.chunks[1:], self.grid.shape, strict=True)
        )
        return z, y, x

    def _discs(self, points: npt.NDArray[np.float64], diameter: npt.NDArray[np.float64]) -> Floats:
        """Means over discs, not normalised, (n, channels)."""
        spot, token, weight = self._footprint(points, diameter)
        found = np.bincount(spot, weight, minlength=len(points))
        lost = np.flatnonzero(found < 1e-6)
        if len(lost) and self.mask.any():
            keep = found[spot] >= 1e-6
            spot = np.concatenate([spot[keep], lost])
            token = np.concatenate([token[keep], self._nearest_tissue(points[lost])])
            weight = np.concatenate([weight[keep], np.ones(len(lost))])
            found = np.bincount(spot, weight, minlength=len(points))
        share = weight / np.maximum(found[spot], 1e-6)
        unique, place = np.unique(token, return_inverse=True)
        values = self._gather(unique)
        table = sp.csr_matrix((share.astype(np.float32), (spot, place)), (len(points), len(unique)))
        return np.asarray(table @ values, dtype=np.float32)

    def _footprint(
        self, points: npt.NDArray[np.float64], diameter: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Which tissue tokens make up each spot: spot, flat token, weight; linear in between."""
        turn = np.pi * (3 - np.sqrt(5)) * np.arange(SAMPLES)
        radius = np.sqrt((np.arange(SAMPLES) + 0.5) / SAMPLES) / 2
        disc = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), np.zeros(SAMPLES)])
        samples = points[:, None] + disc * diameter[:, None, None]
        index = self.grid.to_index(samples.reshape(-1, 3))
        limit = np.asarray(self.grid.shape) - 1
        index = np.clip(index, 0, limit)
        if self.planar:
            index[:, 0] = np.rint(index[:, 0])
        low = np.minimum(np.floor(index).astype(np.int64), np.maximum(limit - 1, 0))
        rest = index - low
        owner = np.repeat(np.arange(len(points)), SAMPLES)
        spots, tokens, weights = [], [], []
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, rest, 1 - rest), axis=1)
            place = np.minimum(low + corner, limit)
            flat = np.ravel_multi_index(tuple(place.T), self.grid.shape)
            keep = (weight > 0) & self.mask.ravel()[flat]
            spots.append(owner[keep])
            tokens.append(flat[keep])
            weights.append(weight[keep])
        pair = np.concatenate(spots) * self.mask.size + np.concatenate(tokens)
        unique, inverse = np.unique(pair, return_inverse=True)
        total = np.bincount(inverse, np.concatenate(weights), minlength=len(unique))
        spot, token = np.divmod(unique.astype(np.int64), self.mask.size)
        return spot, token, total.astype(np.float64)

    def _nearest_tissue(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Flat index of the tissue token nearest to each point, of its own plane if planar."""
        index = self.grid.nearest(points)
        if not self.planar:
            near = self._nearest_map(self.mask, self.grid.spacing_um)
            return np.asarray(near[tuple(index.T)], dtype=np.int64)
        flat = np.empty(len(points), dtype=np.int64)
        plane_size = self.grid.shape[1] * self.grid.shape[2]
        for z in np.unique(index[:, 0]):
            rows = index[:, 0] == z
            if self.mask[z].any():
                near = self._nearest_map(self.mask[z], self.grid.spacing_um[1:])
                flat[rows] = z * plane_size + near[tuple(index[rows, 1:].T)]
            else:  # a plane without any tissue: its features are 0 wherever they are read
                flat[rows] = z * plane_size
        return flat

    @staticmethod
    def _nearest_map(
        mask: npt.NDArray[np.bool_], spacing_um: tuple[float, ...]
    ) -> npt.NDArray[np.int64]:
        place = ndimage.distance_transform_edt(
            ~mask, sampling=spacing_um, return_distances=False, return_indices=True
        )
        return np.asarray(np.ravel_multi_index(tuple(place), mask.shape), dtype=np.int64)

    def _gather(self, flat: npt.NDArray[np.int64]) -> Floats:
        """Stored features (n, channels) of tokens by flat index; each chunk is read once."""
        index = np.column_stack(np.unravel_index(flat, self.grid.shape))
        size = np.asarray(self.array.chunks[1:])
        chunk = index // size
        key = np.ravel_multi_index(tuple(chunk.T), tuple(-(-np.asarray(self.grid.shape) // size)))
        out = np.zeros((len(flat), len(self.channel_names)), dtype=np.float32)
        for which in np.unique(key):
            rows = np.flatnonzero(key == which)
            z, y, x = (int(n) for n in chunk[rows[0]])
            values = self._chunks.get(self.array, (z, y, x))
            local = index[rows] - (z, y, x) * size
            out[rows] = values[:, local[:, 0], local[:, 1], local[:, 2]].T
        return out
