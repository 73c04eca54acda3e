"""What an image encoder is: a block of morphology with its context in, tokens out.

An encoder works in two steps, so that every voxel is encoded once however wide the context:

1. :meth:`Encoding.encode` turns a block of voxels into tokens on the lattice; a voxel's context
   reaches as far as ``halo_um``.
2. :meth:`Encoding.context` turns tokens with their neighbours into features; that context is
   wide (hundreds of micrometres) and cheap, as there are few tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_model.multiscale import Channel, Image, Level
from vortex_model.progress import Progress

Floats = npt.NDArray[np.float32]

ALIGN = 8
"""A block starts at a multiple of so many voxels of its level: what an encoder does on a coarser
copy then agrees between blocks."""


@dataclass(frozen=True)
class Block:
    """A part of the morphology, context included, as an encoder gets it.

    It ends where the image ends; nothing is made up beyond the edge.

    Attributes
    ----------
    voxels
        (c, z, y, x), the image's own values as float32.
    grid
        The grid of ``voxels``; on each axis it starts at a multiple of ``ALIGN`` voxels of its
        level, planes of serial sections excepted.
    tissue
        (z, y, x) bool, on the same grid.
    channels
        The channels, in order.
    scales
        Per channel (low, high) as :func:`vortex_model.tissue.channel_ranges` measures them once
        for the whole study, so that blocks agree.
    """

    voxels: Floats
    grid: Grid
    tissue: npt.NDArray[np.bool_]
    channels: tuple[Channel, ...]
    scales: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Source:
    """The morphology itself, for an encoder that learns from what it is going to encode.

    Attributes
    ----------
    image
        The whole morphology.
    level
        The level of it that blocks are read from.
    """

    image: Image
    level: Level


@dataclass(frozen=True)
class Subject:
    """What is going to be encoded, so that an encoder can choose its scales.

    Attributes
    ----------
    channels
        The morphology's channels.
    voxel_um
        Spacing (z, y, x) of the level that is read.
    token_um
        Spacing (z, y, x) of the token lattice; a whole number of voxels on each axis.
    planar
        Whether planes are encoded one by one (serial sections, or a single plane).
    source
        Where blocks come from; without it an encoder learns nothing.
    """

    channels: tuple[Channel, ...]
    voxel_um: tuple[float, float, float]
    token_um: tuple[float, float, float]
    planar: bool
    source: Source | None = None

    @property
    def is_rgb(self) -> bool:
        """Whether this is a brightfield colour image."""
        return [c.role for c in self.channels] == ["red", "green", "blue"]


class Encoding(Protocol):
    """An encoder set up for one subject.

    Attributes
    ----------
    halo_um
        How much context (z, y, x) it needs around the voxels that are encoded.
    context_um
        How much context (z, y, x) :meth:`context` needs around the tokens.
    token_count
        Number of channels that :meth:`encode` makes.
    channel_names
        Name of each feature channel.
    groups
        Name of the group each feature channel belongs to (a scale or a kind); predictors weigh
        groups, not single channels.
    block_voxels
        How many voxels along (z, y, x) make a block of good size, halo excluded.
    threads
        Whether several blocks may be encoded at a time.
    """

    halo_um: tuple[float, float, float]
    context_um: tuple[float, float, float]
    token_count: int
    channel_names: tuple[str, ...]
    groups: tuple[str, ...]
    block_voxels: tuple[int, int, int]
    threads: bool

    def encode(self, block: Block, lattice: Grid) -> Floats:
        """Tokens (token, z, y, x) at the places of ``lattice``, which lies inside ``block``."""
        ...

    def context(self, tokens: Floats, weight: Floats) -> Iterator[Floats]:
        """Features (z, y, x), channel by channel, from tokens (token, z, y, x) and neighbours.

        ``weight`` (z, y, x) is the part of each token that is tissue; tokens are 0 where it is.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """An encoding that learns from the block before it encodes; what it learned is kept."""

    def learn(self, progress: Progress) -> bytes:
        """Learn from the subject's source; safetensors."""
        ...

    def know(self, learned: bytes) -> None:
        """Take up what :meth:`learn` gave, here or in an earlier run."""
        ...


class Encoder(Protocol):
    """One image encoder, as the registry makes it.

    Attributes
    ----------
    name
        As the registry spells it: ``texture``, ``timm:vit_base_patch16_224``.
    code
        Raised by hand when the same voxels would give other features.
    spacing_um
        The micrometres a voxel that it wants in-plane; features.py reads the level nearest.
    parameters
        All that the output depends on besides the voxels; part of the features' id.

    One that has a whole number ``wider`` gets tokens so many times as wide by default; one that has
    ``brightfield_um`` reads sections in brightfield colour at that width instead.
    """

    name: str
    code: int
    spacing_um: float
    parameters: Mapping[str, Any]

    def prepare(self, subject: Subject) -> Encoding:
        """Set the encoder up for what it is going to encode."""
        ...
