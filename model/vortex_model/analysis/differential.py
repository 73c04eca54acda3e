"""Which genes differ between two regions, and by how much: effect sizes and block permutation.

Predicted tokens are no independent samples: neighbours are alike, so a t-test over tokens calls
everything. Here whole blocks of tokens change sides, as large as each gene's own autocorrelation
asks for (Good, Permutation tests, 2000: exchangeable units). A block's sum of factors says what
all genes sum to, so that twenty thousand genes take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.analysis.autocorrelation import correlogram
from vortex_model.analysis.moments import Floats, Mask, check_shape, columns, grouped, reliable
from vortex_model.analysis.permutation import permuted
from vortex_model.errors import VortexError
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, part, silent

BLOCK = 1.5
"""A block's side over a gene's correlation length."""


@dataclass(frozen=True)
class Comparison:
    """Two regions compared.

    Attributes
    ----------
    table
        Index: gene. ``first`` and ``second``: mean in each region; ``difference``: first less
        second, in the prediction's units (natural log); ``standardised``: the same over the
        root of the regions' mean variance, within the region and of the prediction; ``p``: by
        block permutation, two-sided; ``q``: false discovery rate (Benjamini and Hochberg 1995)
        over the genes; ``length_um``, ``block_um``: correlation length and block's side;
        ``reliability``; ``reliable``: whether the interval of its held-out correlation lies
        above 0.
    tokens
        Tissue tokens of the first and the second region.
    blocks
        Pieces of blocks of the median gene in the first and the second region.
    shared
        Tokens of both regions, which count in neither.
    """

    table: pd.DataFrame
    tokens: tuple[int, int]
    blocks: tuple[int, int]
    shared: int

    @property
    def note(self) -> str:
        """What a reader should know of how far this can be trusted; empty where all is well."""
        said = []
        if min(self.blocks) < 4:
            said.append(
                f"The regions hold only {self.blocks[0]} and {self.blocks[1]} independent blocks: "
                "too few for small p. Draw larger regions, or several parts."
            )
        if self.shared:
            said.append(f"{self.shared} tokens lie in both regions and were left out.")
        return " ".join(said)


def compare(
    prediction: Prediction,
    first: Mask,
    second: Mask | None = None,
    *,
    permutations: int = 4999,
    seed: int = 0,
    progress: Progress = silent,
) -> Comparison:
    """Compare every gene between two regions.

    Parameters
    ----------
    first, second
        Tokens of the lattice, (z, y, x); without a second, the rest of the tissue.
    permutations
        How often blocks change sides; p is at least 1 / (permutations + 1).

    Raises
    ------
    VortexError
        When a region is of another lattice, or holds no tissue that is its own.
    """
    if permutations < 1:
        raise VortexError(f"At least 1 permutation is needed, not {permutations}.")
    group, shared = _groups(prediction, first, second)
    progress(0.0, "means of all genes")
    made = grouped(prediction, group, 2)
    curve = correlogram(prediction, group, made.mean, part(progress, 0.1, 0.4))
    weight = np.where(group == 0, 1.0 / made.count[0], 0.0)
    weight -= np.where(group == 1, 1.0 / made.count[1], 0.0)
    weight[~prediction.mask] = 0.0
    p, used, counts = permuted(
        prediction,
        group,
        BLOCK * curve.length_um,
        curve.variance_of(weight, prediction.grid),
        permutations,
        seed,
        part(progress, 0.4, 1.0),
    )
    genes = columns(prediction)
    mean = made.gene_mean(genes)
    variance = made.gene_deviation(genes) ** 2 + made.gene_uncertainty(genes) ** 2
    difference = mean[0] - mean[1]
    spread = np.sqrt(variance.mean(axis=0))
    table = pd.DataFrame(
        {
            "first": mean[0],
            "second": mean[1],
            "difference": difference,
            "standardised": np.divide(
                difference, spread, out=np.zeros_like(difference), where=spread > 0
            ),
            "p": p,
            "q": false_discovery(p),
            "length_um": curve.length_um,
            "block_um": used,
            "reliability": prediction.genes["reliability"].to_numpy(),
            "reliable": reliable(prediction.genes),
        },
        index=prediction.genes.index,
    )
    blocks = counts[float(np.sort(used)[len(used) // 2])]
    return Comparison(table, (int(made.count[0]), int(made.count[1])), blocks, shared)


def false_discovery(p: Floats) -> Floats:
    """Q of each p (Benjamini and Hochberg, JRSS B 1995)."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


# -- inner workings -------------------------------------------------------------------------


def _groups(
    prediction: Prediction, first: Mask, second: Mask | None
) -> tuple[npt.NDArray[np.int8], int]:
    """0 in the first region, 1 in the second, -1 elsewhere and in both; tokens in both."""
    check_shape(first, prediction)
    if second is None:
        second = ~first
    check_shape(second, prediction)
    tissue = prediction.mask
    both = first & second & tissue
    group = np.full(tissue.shape, -1, dtype=np.int8)
    group[first & tissue & ~both] = 0
    group[second & tissue & ~both] = 1
    for number, name in enumerate(("first", "second")):
        if not (group == number).any():
            raise VortexError(
                f"The {name} region holds no tissue of its own. Choose regions that overlap less, "
                "and that lie in tissue."
            )
    return group, int(both.sum())
