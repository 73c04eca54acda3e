"""What a gene is called in words and by other symbols, from a table that ships (HGNC, CC0)."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

HUMAN = frozenset({"", "human", "homo sapiens", "h. sapiens"})


@dataclass(frozen=True)
class Known:
    """A gene: its approved symbol, its name in words, its other symbols."""

    symbol: str
    name: str
    synonyms: tuple[str, ...]


@cache
def table() -> dict[str, Known]:
    """Every symbol in small letters -> its gene; a synonym of two genes stands for neither."""
    packed = files("vortex_viewer").joinpath("data", "hgnc.tsv.gz").read_bytes()
    known: dict[str, Known] = {}
    others: dict[str, Known | None] = {}
    for line in gzip.decompress(packed).decode().splitlines()[1:]:
        symbol, name, synonyms = line.split("\t")
        gene = Known(symbol, name, tuple(s for s in synonyms.split("|") if s))
        known[symbol.casefold()] = gene
        for other in gene.synonyms:
            folded = other.casefold()
            others[folded] = None if others.get(folded, gene) is not gene else gene
    return {s: gene for s, gene in others.items() if gene is not None} | known


def find(gene: str) -> Known | None:
    """A gene by its symbol or an unambiguous synonym, whatever its case; None where unknown."""
    return table().get(gene.casefold())


def described(gene: str, species: str = "") -> str:
    """A gene in words; another species' gene by the human one of its symbol. Empty if unknown."""
    known = find(gene)
    if known is None:
        return ""
    own = species.casefold() in HUMAN or gene == known.symbol
    return known.name if own else f"as human {known.symbol}: {known.name}"


def about(genes: Sequence[str], species: str = "") -> dict[str, list[str]]:
    """Of each gene, what it is (``words``) and its other symbols, comma between (``also``)."""
    words, also = [], []
    for gene in genes:
        known = find(gene)
        symbols = () if known is None else (known.symbol, *known.synonyms)
        words.append(described(gene, species))
        also.append(", ".join(s for s in symbols if s.casefold() != gene.casefold()))
    return {"words": words, "also": also}
