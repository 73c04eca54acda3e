"""The door to timm's ViT, which also opens where torchvision's compiled operators are missing."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, cast

import torch

_kept: list[Any] = []


@cache
def _timm() -> Any:
    """Import timm.

    A CPU torch beside a torchvision that was built for CUDA cannot load torchvision's operators;
    its Python part, all that timm needs, imports once their schemas exist (EVIDENCE 1).
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library: Any = cast(Any, torch.library.Library)("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)  # the schemas live as long as it does
        import torchvision  # noqa: F401
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
