"""The door to timm's ViT, which also opens where torchvision's compiled operators are missing."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from vortex_model.torchvision_shim import import_torchvision


@cache
def _timm() -> Any:
    import_torchvision()
    import timm

    return timm


def vision_transformer(**options: Any) -> Any:
    """A randomly initialised ``timm.models.vision_transformer.VisionTransformer``."""
    return _timm().models.vision_transformer.VisionTransformer(**options)


def is_vision_transformer(model: Any) -> bool:
    """Whether this is timm's own VisionTransformer, or a kind of it."""
    return isinstance(model, _timm().models.vision_transformer.VisionTransformer)


def block(width: int, heads: int) -> Any:
    """A pre-norm transformer block (attention by ``scaled_dot_product_attention``)."""
    return _timm().models.vision_transformer.Block(width, heads, qkv_bias=True)


def resample_plane(embedding: torch.Tensor, old: tuple[int, int], new: tuple[int, int]) -> Any:
    """Position embedding (1, old y * old x, width) for another plane of tokens."""
    return _timm().layers.resample_abs_pos_embed(
        embedding, new_size=list(new), old_size=list(old), num_prefix_tokens=0
    )


def resample_patch(weight: torch.Tensor, size: tuple[int, int]) -> Any:
    """Patch embedding (width, c, y, x) for another patch size, as FlexiViT does."""
    return _timm().layers.resample_patch_embed(weight, list(size))
