"""Names of genes, and weighted sums of them, as what is added to the factors' product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.errors import UnknownNameError, VortexError

Floats = npt.NDArray[np.floating[Any]]
Genes = str | Mapping[str, float]
"""A gene's name, or a weighted sum of genes, such as ``{"KRT8": 1, "VIM": -1}``."""


@dataclass(frozen=True)
class GeneSum:
    """A weighted sum of genes: ``mean + factors . weight``."""

    label: str
    """The gene's name, or the sum in words."""
    mean: np.float32
    weight: Floats
    """Of each factor, (k,)."""


class GeneSums:
    """The genes of a prediction, by any case of their names.

    Parameters
    ----------
    genes
        Index: gene name; column ``mean``.
    loadings
        (k, genes).
    """

    def __init__(self, genes: pd.DataFrame, loadings: Floats) -> None:
        self._names = [str(g) for g in genes.index]
        self._means: Floats = genes["mean"].to_numpy()
        self._loadings = loadings
        self._position = {g.casefold(): i for i, g in enumerate(self._names)}

    def position(self, gene: str) -> int:
        """The gene's row of the table; case does not matter.

        Raises
        ------
        UnknownNameError
            When it is not in the table; near names are suggested.
        """
        try:
            return self._position[gene.casefold()]
        except KeyError:
            raise UnknownNameError("gene", gene, self._names) from None

    def resolve(self, gene: str) -> str:
        """The gene's name as the table spells it, or an error as of :meth:`position`."""
        return self._names[self.position(gene)]

    def of(self, genes: Genes) -> GeneSum:
        """A gene or a weighted sum; a gene named twice, in whatever case, counts twice.

        Raises
        ------
        UnknownNameError
            When a gene is not in the table.
        VortexError
            When no gene is given, or a weight is not a finite number.
        """
        weights = self._resolved(genes)
        positions = [self.position(g) for g in weights]
        values = np.fromiter(weights.values(), dtype=np.float32)
        mean = np.float32(self._means[positions] @ values)
        return GeneSum(_label(weights), mean, self._loadings[:, positions] @ values)

    def _resolved(self, genes: Genes) -> dict[str, float]:
        """Each gene as the table spells it, with its weight."""
        if isinstance(genes, str):
            return {self.resolve(genes): 1.0}
        if not genes:
            raise VortexError("A score needs at least one gene, such as {'KRT8': 1, 'VIM': -1}.")
        resolved: dict[str, float] = {}
        for gene, weight in genes.items():
            if not np.isfinite(weight):
                raise VortexError(f"The weight of {gene} is {weight}; give a finite number.")
            name = self.resolve(gene)
            resolved[name] = resolved.get(name, 0.0) + float(weight)
        return resolved


def _label(weights: Mapping[str, float]) -> str:
    """A gene's name, or a weighted sum in words."""
    if list(weights.values()) == [1.0]:
        return next(iter(weights))
    return " ".join(f"{w:+g} {g}" for g, w in weights.items())
