"""MaskedAutoencoder: a ViT3D learns morphology alone, by filling in what was hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vortex_model.errors import VortexError
from vortex_model.networks import timm_vit
from vortex_model.networks.vit3d import ViT3D


class MaskedAutoencoder(nn.Module):
    """Masked autoencoding (He et al. 2022; Feichtenhofer et al. 2022 for volumes).

    The target is the voxels as they are: a patch normalised by itself would lose its absolute
    intensity (EVIDENCE 2).

    Parameters
    ----------
    vit
        The encoder that learns; it sees the kept patches only.
    hidden
        Fraction of patches that are hidden, between 0 and 1.
    width, depth, heads
        Of the decoder, which is thrown away afterwards.

    Raises
    ------
    VortexError
        When ``hidden`` is not between 0 and 1.
    """

    def __init__(
        self, vit: ViT3D, *, hidden: float, width: int, depth: int = 2, heads: int = 4
    ) -> None:
        super().__init__()
        if not 0 < hidden < 1:
            raise VortexError(f"The hidden fraction must lie between 0 and 1, not {hidden}.")
        self.vit = vit
        self.hidden = hidden
        self.project = nn.Linear(vit.width, width)
        self.place = nn.Linear(vit.width, width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.blocks = nn.Sequential(*(timm_vit.block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        z, y, x = vit.patch
        self.head = nn.Linear(width, vit.channels * z * y * x)

    def forward(self, volume: Tensor, noise: Tensor) -> Tensor:
        """Mean squared error over the hidden patches.

        Parameters
        ----------
        volume
            (n, channel, z, y, x).
        noise
            (n, tokens): the patches with the highest noise are hidden. It comes from outside so
            that a resumed run hides the same.
        """
        tokens, grid = self.vit.tokenise(volume)
        count = tokens.shape[1]
        kept = min(max(1, round(count * (1 - self.hidden))), count - 1)
        order = noise.argsort(dim=1)
        _, seen = self.vit.encode(_take(tokens, order[:, :kept]))
        seen = self.project(seen)
        filled = torch.cat([seen, self.mask_token.expand(len(seen), count - kept, -1)], dim=1)
        places = self.place(self.vit.positions(grid).expand(len(volume), -1, -1).to(filled.dtype))
        decoded = self.norm(self.blocks(filled + _take(places, order)))
        predicted = self.head(decoded[:, kept:])
        target = _take(patches(volume, self.vit.patch), order[:, kept:])
        return torch.mean((predicted.float() - target) ** 2)


def patches(volume: Tensor, size: tuple[int, ...]) -> Tensor:
    """Volume (n, c, z, y, x) -> its patches, (n, tokens, c * voxels of a patch)."""
    n, c = volume.shape[:2]
    grid = [s // p for s, p in zip(volume.shape[2:], size, strict=True)]
    split = volume.reshape(n, c, grid[0], size[0], grid[1], size[1], grid[2], size[2])
    return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(n, grid[0] * grid[1] * grid[2], -1)


def _take(tokens: Tensor, index: Tensor) -> Tensor:
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))
