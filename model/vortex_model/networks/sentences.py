"""Sentences: spots as gene tokens with their values, the class token first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vortex_model.networks.vocabulary import Style, Vocabulary, values

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


@dataclass(frozen=True)
class Tokeniser:
    """How counts become sentences.

    Attributes
    ----------
    vocabulary
        Gene symbols.
    style
        How counts become values.
    bins
        Number of bins of the style ``binned``.
    cls_value
        The class token's value.
    """

    vocabulary: Vocabulary
    style: Style = "binned"
    bins: int = 51
    cls_value: float = 0.0

    def __call__(
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
        order = np.argsort(-raw, axis=1, kind="stable")[:, :MAX_GENES]
        ordered = np.take_along_axis(raw, order, axis=1)
        length = int((ordered > 0).sum(axis=1).max(initial=0))
        order, absent = order[:, :length], ordered[:, :length] <= 0
        genes = np.where(absent, self.vocabulary.pad, numbers[known][order])
        chosen = np.where(absent, 0.0, np.take_along_axis(value, order, axis=1))
        n = len(raw)
        first = np.full((n, 1), self.cls_value)
        return Sentences(
            torch.from_numpy(np.hstack([np.full((n, 1), self.vocabulary.cls), genes])),
            torch.from_numpy(np.hstack([first, chosen]).astype(np.float32)),
            torch.from_numpy(np.hstack([np.zeros((n, 1), bool), absent])),
        )
