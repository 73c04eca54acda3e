"""The part of an encoder that full fine-tuning trains: last blocks, pooler, decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vortex_model.networks.alignment import Alignment, info_nce
from vortex_model.networks.decoders import FactorDecoder, factor_loss
from vortex_model.networks.lora import adapted
from vortex_model.networks.poolers import AttentionPooler

QUERIES = 2
EMBEDDING = 64


class Tail(nn.Module):
    """Hidden tokens of a crop -> expression factors at its middle.

    Parameters
    ----------
    blocks
        The encoder's last transformer blocks and norm, frozen; adapters are put beside them.
    width, tokens
        Width and number of the hidden tokens.
    rank
        Expression components.
    adapter_rank
        Of the LoRA adapters.
    align
        Weight of the alignment (InfoNCE) of pooled morphology with measured factors; 0 for none.
    """

    def __init__(
        self,
        blocks: nn.Module,
        *,
        width: int,
        tokens: int,
        rank: int,
        adapter_rank: int,
        align: float = 0.0,
    ) -> None:
        super().__init__()
        self.blocks = adapted(blocks, adapter_rank)
        heads = next(n for n in (8, 6, 4, 3, 2, 1) if width % n == 0)
        self.pooler = AttentionPooler(width, QUERIES, heads, tokens)
        self.factors = FactorDecoder(QUERIES * width, rank)
        self.align = align
        self.alignment = Alignment(QUERIES * width, rank, EMBEDDING) if align > 0 else None

    def pool(self, hidden: Tensor) -> Tensor:
        """(n, tokens, width) -> (n, queries * width)."""
        tokens = self.blocks(hidden)
        inside = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return torch.as_tensor(self.pooler(tokens, inside).flatten(1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, tokens, width) -> factors (n, rank)."""
        return torch.as_tensor(self.factors(self.pool(hidden)))

    def loss(self, hidden: Tensor, scores: Tensor, variance: Tensor) -> Tensor:
        """Standardised squared error of the factors, and alignment where it is wanted."""
        pooled = self.pool(hidden)
        loss = factor_loss(self.factors(pooled), scores, variance)
        if self.alignment is not None and len(scores) > 1:
            left = self.alignment.embed_morphology(pooled)
            right = self.alignment.embed_expression(scores / variance.sum().sqrt())
            loss = loss + self.align * info_nce(left, right, self.alignment.scale)
        return loss
