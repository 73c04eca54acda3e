"""ExpressionEncoder: a spot's genes and their values as tokens, in scGPT's manner."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vortex_model.networks.sentences import Sentences, Tokeniser

MAX_VALUE = 512.0


class _GeneEmbedding(nn.Module):
    def __init__(self, count: int, width: int, pad: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(count, width, padding_idx=pad)
        self.enc_norm = nn.LayerNorm(width)
        with torch.no_grad():
            self.embedding.weight.uniform_(-0.1, 0.1)
            self.embedding.weight[pad] = 0.0

    def forward(self, genes: Tensor) -> Tensor:
        return torch.as_tensor(self.enc_norm(self.embedding(genes)))


class _ValueEmbedding(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(1, width)
        self.linear2 = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, value: Tensor) -> Tensor:
        hidden = torch.relu(self.linear1(value.clamp(max=MAX_VALUE)[..., None]))
        return torch.as_tensor(self.norm(self.linear2(hidden)))


class ExpressionEncoder(nn.Module):
    """Gene embedding + value embedding -> transformer -> the class token's output.

    The architecture of scGPT (Cui et al., Nature Methods 2024) with continuous values, so that
    its checkpoints load (:func:`vortex_model.networks.scgpt.load_scgpt`).

    Parameters
    ----------
    tokeniser
        How counts become tokens.
    width, depth, heads, hidden
        Of the transformer (post-norm, relu).
    dropout
        In the transformer, while training.
    """

    def __init__(
        self,
        tokeniser: Tokeniser,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokeniser = tokeniser
        self.width = width
        self.shape = {"width": width, "depth": depth, "heads": heads, "hidden": hidden}
        vocabulary = tokeniser.vocabulary
        self.encoder = _GeneEmbedding(len(vocabulary), width, vocabulary.pad)
        self.value_encoder = _ValueEmbedding(width)
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, sentences: Sentences) -> Tensor:
        """The class token of each spot, (n, width)."""
        tokens = self.encoder(sentences.genes) + self.value_encoder(sentences.values)
        out = self.transformer_encoder(tokens, src_key_padding_mask=sentences.padding)
        return torch.as_tensor(out[:, 0])
