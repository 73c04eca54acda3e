"""ViT3D: timm's vision transformer over volumes, its 2D weights inflated along depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vortex_model.errors import VortexError
from vortex_model.networks import timm_vit
from vortex_model.networks.config import NetworkConfig

_HEADS = ("head.", "head_dist.", "fc_norm.", "attn_pool.", "pre_logits.")
"""Parts of a 2D checkpoint that classify; tokens do not need them."""


@dataclass(frozen=True)
class Tokens:
    """What a ViT makes of a block.

    Attributes
    ----------
    patches
        One token a patch, (n, z, y, x, width).
    prefix
        Class token, then registers, (n, p, width).
    """

    patches: Tensor
    prefix: Tensor


class ViT3D(nn.Module):
    """A vision transformer over volumes.

    The patch embedding of a 2D ViT is repeated along z and divided by its depth (Carreira &
    Zisserman 2017, as TriPath does), and its position embedding is repeated along depth, to
    which a learned embedding of the depth is added, zero at first. So a volume that does not
    change along z gives the tokens that the 2D model gives a plane, and a patch of depth 1 on a
    single plane is the 2D model.

    Parameters
    ----------
    vit
        A ``timm`` VisionTransformer with learned (or no) position embedding; its modules are
        taken over.
    patch_depth
        Voxels of a patch along z.
    depth_tokens
        Tokens along z that the depth embedding is made for; others are interpolated.

    Raises
    ------
    VortexError
        When ``vit`` is of another kind.
    """

    depth_embed: nn.Parameter

    def __init__(self, vit: Any, patch_depth: int, depth_tokens: int) -> None:
        super().__init__()
        conv = getattr(getattr(vit, "patch_embed", None), "proj", None)
        if not isinstance(conv, nn.Conv2d) or not timm_vit.is_vision_transformer(vit):
            raise VortexError(
                f"{type(vit).__name__} is no timm VisionTransformer with a plain patch "
                "embedding, so it cannot be inflated to 3D. Use it on the slice path."
            )
        self.width = int(vit.embed_dim)
        self.channels = int(conv.in_channels)
        self.patch = (patch_depth, int(conv.kernel_size[0]), int(conv.kernel_size[1]))
        self.plane = (int(vit.patch_embed.grid_size[0]), int(vit.patch_embed.grid_size[1]))
        self.prefix_positions = not bool(vit.no_embed_class)
        self.embed = nn.Conv3d(
            self.channels, self.width, self.patch, self.patch, bias=conv.bias is not None
        )
        self.embed_norm: nn.Module = vit.patch_embed.norm
        self.cls_token = vit.cls_token
        self.reg_token = vit.reg_token
        self.pos_embed = vit.pos_embed
        self.depth_embed = nn.Parameter(torch.zeros(1, depth_tokens, self.width))
        self.norm_pre: nn.Module = vit.norm_pre
        self.blocks: nn.Module = vit.blocks
        self.norm: nn.Module = vit.norm
        with torch.no_grad():
            self.embed.weight.copy_(_inflate(conv.weight, patch_depth))
            if self.embed.bias is not None and conv.bias is not None:
                self.embed.bias.copy_(conv.bias)

    @classmethod
    def of(cls, config: NetworkConfig) -> ViT3D:
        """A randomly initialised encoder of this size."""
        vit = timm_vit.vision_transformer(
            img_size=(config.voxels[1], config.voxels[2]),
            patch_size=(config.patch[1], config.patch[2]),
            in_chans=config.channels,
            num_classes=0,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            reg_tokens=config.registers,
        )
        depth_tokens = 1 if config.path == "slices" else config.tokens[0]
        model = cls(vit, config.patch[0], depth_tokens)
        if depth_tokens > 1:
            nn.init.trunc_normal_(model.depth_embed, std=0.02)
        return model

    def load_2d(self, state: Mapping[str, Tensor]) -> None:
        """Load the 2D weights of a timm ViT, inflated.

        Other patch sizes, token grids and numbers of channels are resampled: position embedding
        as timm does, patch embedding as FlexiViT does, colour as a mean over channels.

        Raises
        ------
        VortexError
            When a weight is missing, of another shape, or of an unknown name.
        """
        own = self.state_dict()
        ready: dict[str, Tensor] = {"depth_embed": torch.zeros_like(self.depth_embed)}
        for name, value in state.items():
            if name.startswith(_HEADS):
                continue
            if name == "patch_embed.proj.weight":
                ready["embed.weight"] = self._patch(value)
            elif name == "patch_embed.proj.bias":
                ready["embed.bias"] = value
            elif name.startswith("patch_embed.norm."):
                ready[name.replace("patch_embed.norm", "embed_norm")] = value
            elif name == "pos_embed" and "pos_embed" in own:
                ready[name] = self._positions(value)
            else:
                ready[name] = value
        missing = [n for n in own if n not in ready]
        unknown = [n for n in ready if n not in own]
        if missing or unknown:
            raise VortexError(
                f"The 2D weights do not fit this ViT: {_some(missing)} missing, "
                f"{_some(unknown)} not known. Build the model with the checkpoint's own "
                "architecture (width, depth, registers, layer scale)."
            )
        wrong = [
            f"{n} {tuple(ready[n].shape)} for {tuple(own[n].shape)}"
            for n in own
            if ready[n].shape != own[n].shape
        ]
        if wrong:
            raise VortexError(
                f"The 2D weights are of another size: {_some(wrong)}. Build the model with the "
                "checkpoint's own width and depth."
            )
        self.load_state_dict(ready)

    def forward(self, volume: Tensor) -> Tokens:
        """Encode blocks.

        Parameters
        ----------
        volume
            (n, channel, z, y, x); z, y, x are multiples of ``patch``.

        Raises
        ------
        VortexError
            When the volume does not divide into patches.
        """
        tokens, grid = self.tokenise(volume)
        prefix, tokens = self.encode(tokens)
        return Tokens(tokens.view(len(tokens), *grid, self.width), prefix)

    def tokenise(self, volume: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Embedded patches with their positions, (n, z * y * x, width), and the token grid."""
        size = tuple(volume.shape[2:])
        if (
            len(size) != 3
            or volume.shape[1] != self.channels
            or any(n == 0 or n % p for n, p in zip(size, self.patch, strict=True))
        ):
            raise VortexError(
                f"A block of shape {tuple(volume.shape)} does not fit: it needs "
                f"{self.channels} channels and (z, y, x) multiples of {self.patch}."
            )
        # the convolution as one product: in bfloat16 a processor does it fourteen times as fast
        z, y, x = (int(n) // p for n, p in zip(size, self.patch, strict=True))
        d, h, w = self.patch
        cells = volume.reshape(len(volume), self.channels, z, d, y, h, x, w)
        cells = cells.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(len(volume), z * y * x, -1)
        weight = self.embed.weight.flatten(1)
        tokens = self.embed_norm(functional.linear(cells, weight, self.embed.bias))
        return tokens + self.positions((z, y, x)).to(tokens.dtype), (z, y, x)

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Run tokens (n, any number, width) through the transformer: prefix and tokens."""
        count = self._prefix_count
        out = self.norm(self.blocks(self.begin(tokens)))
        return out[:, :count], out[:, count:]

    def begin(self, tokens: Tensor) -> Tensor:
        """Prefix and tokens (n, any number, width) as they enter the first block."""
        prefix = self._prefix(len(tokens)).to(tokens.dtype)
        return torch.as_tensor(self.norm_pre(torch.cat([prefix, tokens], dim=1)))

    # -- inner -----------------------------------------------------------------------------

    @property
    def _prefix_count(self) -> int:
        registers = 0 if self.reg_token is None else int(self.reg_token.shape[1])
        return registers + (self.cls_token is not None)

    def _prefix(self, batch: int) -> Tensor:
        parts = [t for t in (self.cls_token, self.reg_token) if t is not None]
        if not parts:
            return self.depth_embed.new_zeros(batch, 0, self.width)
        prefix = torch.cat(parts, dim=1)
        if self.pos_embed is not None and self.prefix_positions:
            prefix = prefix + self.pos_embed[:, : self._prefix_count]
        return prefix.expand(batch, -1, -1)

    def positions(self, grid: tuple[int, int, int]) -> Tensor:
        """Position embedding of a token grid, (1, z * y * x, width), interpolated if need be."""
        depth: Tensor = self.depth_embed
        if depth.shape[1] != grid[0]:
            depth = functional.interpolate(
                depth.transpose(1, 2).float(), size=grid[0], mode="linear", align_corners=False
            ).transpose(1, 2)
        if self.pos_embed is None:
            return depth.repeat_interleave(grid[1] * grid[2], dim=1)
        skip = self._prefix_count if self.prefix_positions else 0
        plane = timm_vit.resample_plane(self.pos_embed[:, skip:], self.plane, (grid[1], grid[2]))
        return torch.as_tensor(depth[:, :, None] + plane[:, None]).flatten(1, 2)

    def _patch(self, weight: Tensor) -> Tensor:
        if weight.dim() != 4:
            raise VortexError(
                f"A 2D patch embedding has four axes, not {tuple(weight.shape)}: "
                "this is no checkpoint of a 2D ViT."
            )
        if weight.shape[1] != self.channels:
            mean = weight.mean(dim=1, keepdim=True) * (weight.shape[1] / self.channels)
            weight = mean.expand(-1, self.channels, -1, -1)
        if tuple(weight.shape[2:]) != self.patch[1:]:
            weight = timm_vit.resample_patch(weight, (self.patch[1], self.patch[2]))
        return _inflate(weight, self.patch[0])

    def _positions(self, value: Tensor) -> Tensor:
        skip = self._prefix_count if self.prefix_positions else 0
        plane = value[:, skip:]
        if plane.shape[1] == math.prod(self.plane):
            return value
        side = math.isqrt(plane.shape[1])
        if side * side != plane.shape[1]:
            raise VortexError(
                f"A position embedding of {plane.shape[1]} tokens is of no square plane; "
                "build the model with the checkpoint's own input size."
            )
        new = timm_vit.resample_plane(plane, (side, side), self.plane)
        return torch.cat([value[:, :skip], new], dim=1)


def _inflate(weight: Tensor, depth: int) -> Tensor:
    """(width, c, y, x) -> (width, c, depth, y, x) with the same sum along depth."""
    return (weight / depth).unsqueeze(2).expand(-1, -1, depth, -1, -1)


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
