"""SlicePath: any 2D encoder on each plane, then a transformer that aggregates over depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vortex_model.networks import timm_vit
from vortex_model.networks.vit3d import ViT3D

PlaneEncoder = Callable[[Tensor], Tensor]
"""Planes (m, channel, y, x) -> tokens (m, token y, token x, width)."""

FINEST_UM = 8.0
COARSEST_UM = 4000.0
"""Periods of the depth embedding: from a thin section to a thick block."""


class SlicePath(nn.Module):
    """A 2D encoder plane by plane, then attention over depth at each (y, x).

    Where a plane lies is given in micrometres, so that sections at any distance mean the same.

    Parameters
    ----------
    encoder
        The 2D encoder; where it is a module, it is trained along.
    encoder_width
        Width of its tokens.
    width, depth, heads
        Of the transformer over depth.
    """

    periods: Tensor

    def __init__(
        self, encoder: PlaneEncoder, encoder_width: int, *, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.project: nn.Module = (
            nn.Identity() if encoder_width == width else nn.Linear(encoder_width, width)
        )
        count = max(1, width // 4)
        steps = torch.linspace(math.log(FINEST_UM), math.log(COARSEST_UM), count)
        self.register_buffer("periods", steps.exp(), persistent=False)
        self.place = nn.Linear(2 * count, width)
        self.blocks = nn.Sequential(*(timm_vit.block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, volume: Tensor, z_um: Tensor) -> Tensor:
        """Encode blocks.

        Parameters
        ----------
        volume
            (n, channel, z, y, x).
        z_um
            Depth of each plane, (n, z), micrometres from any zero.

        Returns
        -------
        (n, z, token y, token x, width).
        """
        n, _, z = volume.shape[:3]
        planes = volume.transpose(1, 2).flatten(0, 1)
        tokens = self.project(self.encoder(planes))
        _, y, x, width = tokens.shape
        columns = tokens.view(n, z, y * x, width).transpose(1, 2)
        phase = (z_um - z_um.mean(dim=1, keepdim=True))[..., None] * (2 * math.pi / self.periods)
        place = self.place(torch.cat([phase.sin(), phase.cos()], dim=-1).to(columns.dtype))
        mixed = self.norm(self.blocks((columns + place[:, None]).flatten(0, 1)))
        return torch.as_tensor(mixed.view(n, y, x, z, width).permute(0, 3, 1, 2, 4))


class ViTPlanes(nn.Module):
    """A ViT on single planes, as a :data:`PlaneEncoder`.

    Parameters
    ----------
    vit
        A :class:`~vortex_model.networks.vit3d.ViT3D` with patches of depth 1.
    """

    def __init__(self, vit: ViT3D) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, planes: Tensor) -> Tensor:
        """Planes (m, channel, y, x) -> tokens (m, token y, token x, width)."""
        tokens: Any = self.vit(planes.unsqueeze(2))
        return torch.as_tensor(tokens.patches[:, 0])
