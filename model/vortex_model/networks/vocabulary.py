"""Vocabulary: gene symbols to token numbers, and counts to the values that go beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import TARGET_SUM

Style = Literal["log1p", "normed_raw", "binned"]
PAD, CLS = "<pad>", "<cls>"
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Gene symbols and special tokens, each with its number.

    Attributes
    ----------
    tokens
        Symbol -> number; has ``<pad>`` and ``<cls>``.
    """

    tokens: Mapping[str, int]

    def __post_init__(self) -> None:
        for special in (PAD, CLS):
            if special not in self.tokens:
                raise VortexError(f"The vocabulary has no token {special}; it is not scGPT's.")
        numbers = list(self.tokens.values())
        if any(not isinstance(n, int) or n < 0 for n in numbers) or len(set(numbers)) < len(
            numbers
        ):
            raise VortexError("A vocabulary maps each symbol to a whole number of its own, from 0.")

    @classmethod
    def of(cls, genes: Sequence[str]) -> Vocabulary:
        """A vocabulary of these genes."""
        return cls({PAD: 0, CLS: 1} | {gene: i + 2 for i, gene in enumerate(genes)})

    def __len__(self) -> int:
        return max(self.tokens.values()) + 1

    @property
    def pad(self) -> int:
        """Number of the padding token."""
        return self.tokens[PAD]

    @property
    def cls(self) -> int:
        """Number of the class token."""
        return self.tokens[CLS]

    def numbers(self, genes: Sequence[str]) -> Integers:
        """Token number of each gene, -1 where it is not known.

        A symbol is taken as written; else without regard to case where that is unambiguous, so
        that mouse symbols find their human namesakes.

        Raises
        ------
        VortexError
            When no gene is known.
        """
        folded: dict[str, int | None] = {}
        for symbol, number in self.tokens.items():
            key = symbol.casefold()
            folded[key] = None if key in folded else number
        found = [self.tokens.get(g, folded.get(g.casefold())) for g in genes]
        numbers = np.array([-1 if n is None else n for n in found], dtype=np.int64)
        if len(numbers) and (numbers < 0).all():
            raise VortexError(
                f"None of {len(numbers)} genes ({', '.join(genes[:3])}, ...) is in the "
                f"vocabulary of {len(self.tokens)} symbols. Use gene symbols, not Ensembl ids."
            )
        return numbers


def values(counts: npt.ArrayLike, totals: npt.ArrayLike, style: Style, bins: int = 51) -> Floats:
    """Counts (n, genes) -> what a value embedding reads, (n, genes).

    Parameters
    ----------
    counts
        Raw counts.
    totals
        Each spot's counts over all genes, (n,).
    style
        ``log1p``: log1p of counts per 10,000; ``normed_raw``: counts per 10,000; ``binned``: a
        spot's counts above 0 in ``bins`` - 1 quantile bins from 1 (scGPT, Cui et al. 2024,
        Methods). Where counts tie over several bins the middle one is taken; scGPT draws one.
    """
    raw = np.asarray(counts, dtype=np.float64)
    total = np.asarray(totals, dtype=np.float64)[:, None]
    scaled = np.divide(TARGET_SUM * raw, total, out=np.zeros_like(raw), where=total > 0)
    if style == "normed_raw":
        return scaled.astype(np.float32)
    if style == "log1p":
        return np.log1p(scaled).astype(np.float32)
    if style != "binned":
        raise UnknownNameError("value style", str(style), ["log1p", "normed_raw", "binned"])
    out = np.zeros_like(raw, dtype=np.float32)
    for row, result in zip(raw, out, strict=True):
        some = row > 0
        if some.any():
            edges = np.quantile(row[some], np.linspace(0, 1, bins - 1))
            low = np.digitize(row[some], edges, right=True)
            high = np.digitize(row[some], edges)
            result[some] = np.clip(np.ceil((low + high) / 2), 1, bins - 1)
    return out
