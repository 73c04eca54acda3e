"""The attentional pooler of CONCH and CONCH v1.5: from a tile's tokens to its embedding.

Their vision transformer is timm's; only this part is their own (CoCa, Yu et al. 2022). Weights
are read from the published checkpoint's names: ``attn_pool_contrast.*`` and ``ln_contrast.*``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vortex_model.errors import VortexError

HEADS = 8
POOL, NORM = "attn_pool_contrast.", "ln_contrast."


class ContrastPooler(nn.Module):
    """A learned query attends to all tokens of a tile; the result is normalised.

    Parameters
    ----------
    width
        Of the tokens.
    embedding
        Of what comes out.
    heads
        Attention heads.
    """

    def __init__(self, width: int, embedding: int, heads: int = HEADS) -> None:
        super().__init__()
        self.embedding, self.heads = embedding, heads
        self.query = nn.Parameter(torch.zeros(1, embedding))
        self.ln_k, self.ln_q = nn.LayerNorm(width), nn.LayerNorm(embedding)
        self.to_q = nn.Linear(embedding, embedding, bias=False)
        self.to_kv = nn.Linear(width, 2 * embedding, bias=False)
        self.to_out = nn.Linear(embedding, embedding, bias=False)
        self.ln_contrast = nn.LayerNorm(embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, tokens, width) -> (n, embedding)."""
        query = self.to_q(self.ln_q(self.query)).expand(len(tokens), 1, -1)
        key, value = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)

        def split(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

        pooled = functional.scaled_dot_product_attention(split(query), split(key), split(value))
        out = self.to_out(pooled.transpose(1, 2).flatten(2))[:, 0]
        return torch.as_tensor(self.ln_contrast(out))


def load_pooler(state: Mapping[str, Tensor], width: int, file: Path) -> ContrastPooler:
    """The pooler of a checkpoint.

    Parameters
    ----------
    state
        The image tower's weights beside its vision transformer.
    width
        Of the vision transformer's tokens.
    file
        What errors name.

    Raises
    ------
    VortexError
        When a weight is missing or of another size.
    """
    own = {k.removeprefix(POOL): v for k, v in state.items() if k.startswith(POOL)}
    own |= {k: v for k, v in state.items() if k.startswith(NORM)}
    if "query" not in own:
        raise VortexError(
            f"{file} has no {POOL}query, so it is no checkpoint of CONCH with its image tower. "
            "Give the file that its authors published."
        )
    embedding = int(own["query"].shape[-1])
    if embedding % HEADS:
        raise VortexError(
            f"{file}: {POOL}query is {embedding} long, which {HEADS} heads do not divide. Give "
            "the file that CONCH's authors published."
        )
    pooler = ContrastPooler(width, embedding)
    own["query"] = own["query"][:1]
    try:
        pooler.load_state_dict(own)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise VortexError(f"{file} does not fit CONCH's pooler: {' '.join(lines)}") from error
    return pooler
