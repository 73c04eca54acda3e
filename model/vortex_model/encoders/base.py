"""What an image encoder is: a block of morphology with its context in, tokens out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_model.multiscale import Channel

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """A part of the morphology, context included, as an encoder gets it.

    Attributes
    ----------
    voxels
        (c, z, y, x), the image's own values as float32.
    grid
        The grid of ``voxels``.
    tissue
        (z, y, x) bool, on the same grid; false beyond the image's edge.
    channels
        The channels, in order.
    scales
        Per channel (low, high): the whole study's robust range, so that blocks agree
        (channel mode or background, and bright end), measured once before encoding.
    """

    voxels: Floats
    grid: Grid
    tissue: npt.NDArray[np.bool_]
    channels: tuple[Channel, ...]
    scales: tuple[tuple[float, float], ...]


class Encoder(Protocol):
    """One image encoder, ready to run.

    Attributes
    ----------
    name
        As the registry spells it: ``texture``, ``timm:vit_base_patch16_224``.
    code
        Raised by hand when the same voxels would give other features.
    spacing_um
        The micrometres a voxel that it wants in-plane; features.py reads the level nearest.
    halo_um
        How much context (z, y, x) it needs around a block, in micrometres.
    channel_names
        Name of each output channel.
    groups
        Name of the group each output channel belongs to (a scale or a kind); predictors weigh
        groups, not single channels.
    parameters
        All that the output depends on besides the voxels; part of the features' id.
    """

    name: str
    code: int
    spacing_um: float
    halo_um: tuple[float, float, float]
    channel_names: tuple[str, ...]
    groups: tuple[str, ...]
    parameters: Mapping[str, Any]

    def encode(self, block: Block, lattice: Grid) -> Floats:
        """Features (channel, z, y, x) at the voxels of ``lattice``, which lies inside ``block``."""
        ...
