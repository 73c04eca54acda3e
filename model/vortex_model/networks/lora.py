"""LoRA: small trained matrices beside frozen ones (Hu et al., ICLR 2022)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vortex_model.errors import VortexError

TARGETS = ("attn.qkv", "attn.proj")


class LoRALinear(nn.Module):
    """A frozen linear layer and a trained product of two thin matrices; the layer itself at first.

    Parameters
    ----------
    base
        The layer; its weights are neither copied nor changed.
    rank
        Of the product.
    scale
        What the product is multiplied by.
    """

    def __init__(self, base: nn.Linear, rank: int, scale: float = 2.0) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return torch.as_tensor(self.base(x) + self.scale * ((x @ self.down.T) @ self.up.T))


def adapted(blocks: nn.Module, rank: int, targets: Sequence[str] = TARGETS) -> nn.Module:
    """A copy of transformer blocks with adapters; frozen weights are shared, not copied.

    Parameters
    ----------
    blocks
        Any module that holds timm's transformer blocks.
    rank
        Of each adapter.
    targets
        Ends of the names of the linear layers that get one.

    Raises
    ------
    VortexError
        When the rank is below 1, or there is no such layer.
    """
    if rank < 1:
        raise VortexError(f"An adapter needs a rank of at least 1, not {rank}.")
    shared: dict[int, Any] = {id(p): p for p in (*blocks.parameters(), *blocks.buffers())}
    copied = copy.deepcopy(blocks, shared)
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    found = [
        (name, layer)
        for name, layer in copied.named_modules()
        if isinstance(layer, nn.Linear) and name.endswith(tuple(targets))
    ]
    if not found:
        raise VortexError(
            f"{type(blocks).__name__} has no layer named {' or '.join(targets)} to adapt. "
            "Choose a vision transformer of timm's or one that this program pretrained."
        )
    for name, layer in found:
        parent, _, own = name.rpartition(".")
        setattr(copied.get_submodule(parent), own, LoRALinear(layer, rank))
    return copied


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The trained weights alone, by name."""
    return {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}


def load_trained(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what :func:`trained_state` gave.

    Raises
    ------
    VortexError
        When names or shapes differ.
    """
    own = {n: p for n, p in module.named_parameters() if p.requires_grad}
    wrong = sorted(set(own) ^ set(state)) + [
        n for n in own if n in state and own[n].shape != state[n].shape
    ]
    if wrong:
        raise VortexError(f"The trained weights do not fit: {', '.join(wrong[:3])}.")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])
