"""ExpressionEncoder: a spot's genes and their values as tokens, in scGPT's manner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vortex_model.networks.vocabulary import Style, Vocabulary, values

MAX_VALUE = 512.0
MAX_GENES = 1200
"""Genes of one spot that become tokens, the highest values first (scGPT's sequence length)."""


@dataclass(frozen=True)
class Sentences:
    """Spots as token sequences; the first token is the class token.

    Attributes
    ----------
    genes
        Token numbers, (n, length) int64.
    values
        (n, length) float32.
    padding
        (n, length) bool, true where there is no gene.
    """

    genes: Tensor
    values: Tensor
    padding: Tensor


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
    vocabulary
        Gene symbols.
    width, depth, heads, hidden
        Of the transformer (post-norm, relu).
    style
        How counts become values.
    bins
        Number of bins of the style ``binned``.
    cls_value
        The class token's value.
    dropout
        In the transformer, while training.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        style: Style = "binned",
        bins: int = 51,
        cls_value: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.width = width
        self.style: Style = style
        self.bins = bins
        self.cls_value = cls_value
        self.encoder = _GeneEmbedding(len(vocabulary), width, vocabulary.pad)
        self.value_encoder = _ValueEmbedding(width)
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def sentences(
        self, numbers: npt.NDArray[np.int64], counts: npt.ArrayLike, totals: npt.ArrayLike
    ) -> Sentences:
        """Spots as tokens: the genes that were counted and that the vocabulary has.

        Parameters
        ----------
        numbers
            :meth:`Vocabulary.numbers` of the columns.
        counts
            Raw counts, (n, genes).
        totals
            Each spot's counts over all genes, (n,).
        """
        known = numbers >= 0
        raw = np.asarray(counts, dtype=np.float64)[:, known]
        value = values(raw, totals, self.style, self.bins)
        ids = numbers[known]
        order = np.argsort(-raw, axis=1, kind="stable")[:, :MAX_GENES]
        sorted_raw = np.take_along_axis(raw, order, axis=1)
        length = int((sorted_raw > 0).sum(axis=1).max(initial=0))
        order = order[:, :length]
        absent = sorted_raw[:, :length] <= 0
        genes = np.where(absent, self.vocabulary.pad, ids[order])
        chosen = np.where(absent, 0.0, np.take_along_axis(value, order, axis=1))
        n = len(raw)
        return Sentences(
            torch.from_numpy(np.hstack([np.full((n, 1), self.vocabulary.cls), genes])),
            torch.from_numpy(
                np.hstack([np.full((n, 1), self.cls_value), chosen]).astype(np.float32)
            ),
            torch.from_numpy(np.hstack([np.zeros((n, 1), bool), absent])),
        )

    def forward(self, sentences: Sentences) -> Tensor:
        """The class token of each spot, (n, width)."""
        tokens = self.encoder(sentences.genes) + self.value_encoder(sentences.values)
        out = self.transformer_encoder(tokens, src_key_padding_mask=sentences.padding)
        return torch.as_tensor(out[:, 0])
