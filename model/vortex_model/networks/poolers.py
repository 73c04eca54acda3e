"""AttentionPooler and token windows: from the tokens around a spot to a few vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class AttentionPooler(nn.Module):
    """Learned queries attend to tokens, as in CoCa (Yu et al. 2022, section 3.2).

    Parameters
    ----------
    width
        Of tokens and of what comes out.
    queries
        How many vectors come out.
    heads
        Attention heads.
    window
        How many tokens a window has: each place in it has a learned embedding, so that the
        middle of a window and its rim can weigh differently.
    """

    def __init__(self, width: int, queries: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.empty(1, queries, width))
        self.places = nn.Parameter(torch.empty(1, window, width))
        for parameter in (self.queries, self.places):
            nn.init.trunc_normal_(parameter, std=0.02)
        self.norm_query = nn.LayerNorm(width)
        self.norm_token = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm_out = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, inside: Tensor) -> Tensor:
        """Pool windows.

        Parameters
        ----------
        tokens
            (m, window, width).
        inside
            (m, window) bool: which tokens exist; at least one a window.

        Returns
        -------
        (m, queries, width).
        """
        m, _, width = tokens.shape
        query = self.query(self.norm_query(self.queries)).expand(m, -1, -1)
        key, value = self.key_value(self.norm_token(tokens + self.places)).chunk(2, dim=-1)

        def split(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], self.heads, width // self.heads).transpose(1, 2)

        pooled = functional.scaled_dot_product_attention(
            split(query), split(key), split(value), attn_mask=inside[:, None, None, :]
        )
        return torch.as_tensor(self.norm_out(self.out(pooled.transpose(1, 2).flatten(2))))


def windows(tokens: Tensor, centres: Tensor, size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Tokens around some places of the token grid.

    Parameters
    ----------
    tokens
        (n, z, y, x, width).
    centres
        (m, 4) whole numbers: block, z, y, x.
    size
        Tokens (z, y, x) of a window, odd.

    Returns
    -------
    gathered
        (m, window, width).
    inside
        (m, window) bool, false where the window reaches beyond the block.
    """
    axes = [torch.arange(-(n // 2), n // 2 + 1, device=tokens.device) for n in size]
    offset = torch.cartesian_prod(*axes).view(-1, 3)
    place = centres[:, None, 1:] + offset[None]
    limit = torch.tensor(tokens.shape[1:4], device=tokens.device)
    inside = ((place >= 0) & (place < limit)).all(dim=-1)
    z, y, x = place.clamp(min=torch.zeros_like(limit), max=limit - 1).unbind(-1)
    return tokens[centres[:, :1], z, y, x], inside


def everywhere(tokens: Tensor) -> Tensor:
    """Every place of the token grids, (n * z * y * x, 4), for :func:`windows`."""
    axes = [torch.arange(n, device=tokens.device) for n in tokens.shape[:4]]
    return torch.cartesian_prod(*axes)
