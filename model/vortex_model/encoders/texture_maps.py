"""What the texture encoder sees at a voxel: stain or intensity, nuclei, bands, gradients, lumen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import ndimage

from vortex_model import tissue
from vortex_model.encoders.base import Block, Floats, Subject
from vortex_model.encoders.pooling import blur, gaussian

Kind = Literal["moments", "mean", "rms", "tensor"]

FINEST_UM = 1.2
COARSEST_UM = 24.0
NUCLEUS_UM = (2.0, 3.2, 5.0)
"""Standard deviations of blobs: nuclei of about 3, 4.5 and 7 um radius."""
SURROUND_UM = 40.0
"""A nucleus is darker (or brighter) than the tissue within this width."""


@dataclass(frozen=True)
class Map:
    """One per-voxel map: its name and what of it is kept for each token.

    ``moments``: mean and deviation; ``mean``; ``rms``: root mean square, of a band that has no
    mean of its own; ``tensor``: the structure tensor of a field's gradient.
    """

    name: str
    kind: Kind


@dataclass(frozen=True)
class Scales:
    """Standard deviations in micrometres, as far as the voxels allow.

    Attributes
    ----------
    edges_um
        Edges of the difference-of-Gaussian bands, each double the one before.
    blobs_um
        Sizes of the blobs that are counted.
    surround_um
        Width of the box that a nucleus is compared with.
    """

    edges_um: tuple[float, ...]
    blobs_um: tuple[float, ...]
    surround_um: float

    @classmethod
    def of(cls, voxel_um: float) -> Scales:
        """The scales for voxels of this in-plane size: none finer than they show.

        Where voxels are coarser than nuclei, blobs and bands of a voxel or two stand in.
        """
        edges = [max(FINEST_UM, 0.7 * voxel_um)]
        while edges[-1] * 2 <= max(COARSEST_UM, 3.0 * voxel_um):
            edges.append(edges[-1] * 2)
        blobs = [s for s in NUCLEUS_UM if s >= 0.8 * voxel_um]
        while len(blobs) < 2:
            blobs.append(1.6 * blobs[-1] if blobs else voxel_um)
        return cls(tuple(edges), tuple(blobs), max(SURROUND_UM, 5.0 * voxel_um))


class Maps:
    """The maps of one subject, in a fixed order."""

    def __init__(self, subject: Subject) -> None:
        self.scales = Scales.of(max(subject.voxel_um[1:]))
        self._planar = subject.planar
        self._rgb = subject.is_rgb
        self.names: tuple[Map, ...] = tuple(
            self._brightfield_names()
            if subject.is_rgb
            else [
                m
                for c, channel in enumerate(subject.channels)
                for m in self._channel_names(f"{channel.name or c}")
            ]
        )
        um = max(
            4.0 * self.scales.edges_um[-1],
            3.0 * 1.6 * self.scales.blobs_um[-1] + 2.0 * self.scales.blobs_um[-1],
            0.5 * self.scales.surround_um,
        )
        z, y, x = (um + 2 * v for v in subject.voxel_um)
        self.halo_um = (0.0 if subject.planar else z, y, x)

    def of(self, block: Block) -> Iterator[Floats]:
        """Each map (z, y, x) on the block's grid, in the order of ``names``.

        A tensor's map is its field: pool the products of its gradient.
        """
        if self._rgb:
            yield from self._brightfield(block)
        else:
            for voxels, (low, high) in zip(block.voxels, block.scales, strict=True):
                span = max(high - low, 1e-6)
                yield from self._channel(np.clip((voxels - low) / span, -0.5, 4.0), block)

    # -- brightfield -----------------------------------------------------------------------

    def _brightfield_names(self) -> Iterator[Map]:
        for name in ("od red", "od green", "od blue", "haematoxylin", "eosin", "eosin share"):
            yield Map(name, "moments")
        for name in ("nuclear area", "dark area", "haematoxylin in nuclei", "eosin off nuclei"):
            yield Map(name, "mean")
        yield from self._shape_names("haematoxylin", blobs=True)
        yield from self._shape_names("eosin", blobs=False)
        yield Map("lumen", "mean")
        yield Map("wide lumen", "mean")
        for sigma in self._tensor_um():
            yield Map(f"gradient {sigma:.3g} um", "tensor")

    def _brightfield(self, block: Block) -> Iterator[Floats]:
        density = tissue.optical_density(
            np.moveaxis(block.voxels, 0, -1), [high for _, high in block.scales]
        )
        stains = tissue.haematoxylin_eosin(density)
        h, e = np.ascontiguousarray(stains[..., 0]), np.ascontiguousarray(stains[..., 1])
        for c in range(3):
            yield np.ascontiguousarray(density[..., c])
        yield h
        yield e
        yield e / (h + e + np.float32(0.05))
        ladder = self._ladder(h, block)
        surround = self._surround(h, block)
        nuclear = _step((ladder[0] - surround) / (surround + np.float32(0.1)), 0.35, 0.1)
        yield nuclear
        yield _step(ladder[0], 0.4, 0.08)
        yield h * nuclear
        yield e * (1 - nuclear)
        yield from self._bands(ladder)
        yield from self._blobs(h, surround + np.float32(0.1), block)
        yield from self._bands(self._ladder(e, block))
        grey = self._ladder(density.mean(axis=-1), block)
        yield _step(-grey[min(1, len(grey) - 1)], -0.06, 0.015)
        yield _step(-grey[min(3, len(grey) - 1)], -0.06, 0.015)
        for number in self._tensor_steps():
            yield grey[number]

    # -- any other channel -----------------------------------------------------------------

    def _channel_names(self, name: str) -> Iterator[Map]:
        yield Map(f"{name}", "moments")
        yield Map(f"log {name}", "moments")
        yield Map(f"{name} bright area", "mean")
        yield Map(f"{name} contrast area", "mean")
        yield from self._shape_names(name, blobs=True)
        yield Map(f"{name} dark area", "mean")
        for sigma in self._tensor_um():
            yield Map(f"{name} gradient {sigma:.3g} um", "tensor")

    def _channel(self, value: Floats, block: Block) -> Iterator[Floats]:
        yield value
        yield np.log1p(8 * np.maximum(value, 0))
        ladder = self._ladder(value, block)
        surround = self._surround(value, block)
        yield _step(ladder[0], 0.5, 0.1)
        offset = np.maximum(surround, 0) + np.float32(0.1)
        yield _step((ladder[0] - surround) / offset, 0.35, 0.1)
        yield from self._bands(ladder)
        yield from self._blobs(value, offset, block)
        yield _step(-ladder[min(1, len(ladder) - 1)], -0.08, 0.03)
        for number in self._tensor_steps():
            yield ladder[number]

    # -- shared ----------------------------------------------------------------------------

    def _shape_names(self, name: str, blobs: bool) -> Iterator[Map]:
        edges = self.scales.edges_um
        for a, b in pairwise(edges):
            yield Map(f"{name} band {a:.3g} to {b:.3g} um", "rms")
        if blobs:
            for sigma in self.scales.blobs_um:
                yield Map(f"{name} blobs {sigma:.3g} um", "mean")

    def _tensor_steps(self) -> tuple[int, ...]:
        return (0, 2) if len(self.scales.edges_um) > 2 else (0,)

    def _tensor_um(self) -> list[float]:
        return [self.scales.edges_um[n] for n in self._tensor_steps()]

    def _sigma(self, um: float, block: Block) -> list[float]:
        z, y, x = (um / s for s in block.grid.spacing_um)
        return [0.0 if self._planar else z, y, x]

    def _ladder(self, values: Floats, block: Block) -> list[Floats]:
        """``values`` blurred by each edge of the bands, each from the one before."""
        blurred, before = [], 0.0
        for um in self.scales.edges_um:
            values = blur(values, self._sigma(float(np.sqrt(um**2 - before**2)), block))
            before = um
            blurred.append(values)
        return blurred

    @staticmethod
    def _bands(ladder: list[Floats]) -> Iterator[Floats]:
        for fine, coarse in pairwise(ladder):
            yield fine - coarse

    def _surround(self, values: Floats, block: Block) -> Floats:
        """Mean over the box around a voxel."""
        for axis, step in enumerate(block.grid.spacing_um):
            size = 2 * round(self.scales.surround_um / step / 2) + 1
            if size > 1 and not (axis == 0 and self._planar):
                values = ndimage.uniform_filter1d(values, size, axis=axis, mode="nearest")
        return values

    def _blobs(self, values: Floats, level: Floats, block: Block) -> Iterator[Floats]:
        """Blobs per 1000 um2 (um3 where not planar): local maxima of a difference of Gaussians."""
        steps = block.grid.spacing_um[1:] if self._planar else block.grid.spacing_um
        unit = np.float32(1000.0 / np.prod(steps))
        for um in self.scales.blobs_um:
            narrow = gaussian(values, self._sigma(um, block))
            response = narrow - gaussian(narrow, self._sigma(um * 1.25, block))
            size = [2 * max(1, round(s)) + 1 if s else 1 for s in self._sigma(um, block)]
            top = ndimage.maximum_filter(response, size=size, mode="nearest")
            peak = ((response >= top) & (response > 0.08 * level)).astype(np.float32)
            # A flat top counts once, however many voxels share it.
            shared = ndimage.uniform_filter(peak, size=size, mode="constant") * np.prod(size)
            yield peak * unit / np.maximum(np.rint(shared), 1)


def _step(values: Floats, at: float, width: float) -> Floats:
    """A smooth step from 0 to 1 (logistic), so that noise does not flicker."""
    scaled = np.clip((values - np.float32(at)) / np.float32(width), -30, 30)
    return np.asarray(1 / (1 + np.exp(-scaled)), dtype=np.float32)
