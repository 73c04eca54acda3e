"""Block permutation: whole blocks of tokens change sides between two regions.

A block's sum of factors says what every gene sums to, so one draw of sides is one small product
for all genes. Neighbouring blocks are still a little alike; by how much the difference of means
then varies more than under permutation is known from the autocorrelation, and the observed
difference is scaled down by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.analysis.moments import Floats, grouped, quadratic
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, part

MOST_PIECES = 4000
"""More pieces say no more; blocks are then made larger."""
AT_ONCE = 250


def permuted(
    prediction: Prediction,
    group: npt.NDArray[np.int8],
    sides: Floats,
    variance: Floats,
    permutations: int,
    seed: int,
    progress: Progress,
) -> tuple[Floats, Floats, dict[float, tuple[int, int]]]:
    """Two-sided p of the difference of means between group 0 and group 1 of every gene.

    Parameters
    ----------
    group
        0 in the first region, 1 in the second, below 0 elsewhere, (z, y, x).
    sides
        Block side wanted for each gene, in micrometres; it is rounded up.
    variance
        Of each gene's difference of means, as the autocorrelation has it, (genes,).

    Returns
    -------
    p, used, counts
        p and block side of each gene; for each side, the pieces of the two regions.
    """
    pieces = Pieces(prediction, group, float(sides.min()))
    level = np.maximum(np.ceil(np.log2(sides / pieces.side) - 1e-6), 0).astype(int)
    p, used = np.ones(len(sides)), np.zeros(len(sides))
    counts: dict[float, tuple[int, int]] = {}
    now = 0
    while (level >= now).any():
        own = np.flatnonzero(level == now)
        if len(own) and len(pieces.size) > MOST_PIECES:
            level[own] += 1
        elif len(own):
            done = (level < now).mean()
            report = part(progress, float(done), float(done + len(own) / len(sides)))
            p[own] = pieces.test(
                prediction.loadings[:, own], variance[own], permutations, seed, report
            )
            used[own] = pieces.side
            counts[pieces.side] = pieces.counts
        pieces.double()
        now += 1
    return p, used, counts


class Pieces:
    """Blocks of tokens, cut by the regions' borders: what changes sides as a whole.

    Attributes
    ----------
    side
        The blocks' side, in micrometres.
    size
        Tokens of each piece, (pieces,).
    """

    def __init__(self, prediction: Prediction, group: npt.NDArray[np.int8], side: float) -> None:
        grid = prediction.grid
        self.side = max(side, min(grid.spacing_um))
        tokens = np.argwhere(group >= 0)
        low = tokens.min(axis=0)
        self._block = ((tokens - low) * np.asarray(grid.spacing_um) // self.side).astype(np.int64)
        self._region = group[tuple(tokens.T)].astype(np.int64)
        which = self._merge()
        number = np.full(group.shape, -1, dtype=np.int64)
        number[tuple(tokens.T)] = which
        made = grouped(prediction, number, len(self._region), spread=False)
        self.size = made.count.astype(np.float64)
        middle = np.average(made.mean, axis=0, weights=made.count)
        self._sum = (made.mean - middle) * self.size[:, None]

    @property
    def counts(self) -> tuple[int, int]:
        """Pieces of the first and the second region."""
        return int((self._region == 0).sum()), int((self._region == 1).sum())

    def double(self) -> None:
        """Make the blocks twice as large."""
        self.side *= 2
        self._block //= 2
        which = self._merge()
        count = len(self._region)
        self.size = np.bincount(which, self.size, count).astype(np.float64)
        total = np.zeros((count, self._sum.shape[1]))
        np.add.at(total, which, self._sum)
        self._sum = total

    def test(
        self,
        loadings: npt.NDArray[Any],
        variance: Floats,
        permutations: int,
        seed: int,
        progress: Progress,
    ) -> Floats:
        """Two-sided p of the difference of means of each gene, (genes,)."""
        weight = np.asarray(loadings, dtype=np.float32)
        labels = self._region == 0
        observed = self._difference(labels[None].astype(np.float64), self._sum)[0] @ weight
        share = np.stack([np.where(labels, 1.0, 0.0), np.where(labels, 0.0, 1.0)])
        level = (share @ self._sum) / (share @ self.size)[:, None]
        centred = self._sum - self.size[:, None] * level[np.where(labels, 0, 1)]
        rng = np.random.default_rng([seed, len(labels)])
        draws, square = [], np.zeros((weight.shape[0], weight.shape[0]))
        for start in range(0, permutations, AT_ONCE):
            progress(0.5 * start / permutations, f"blocks of {self.side:.0f} um change sides")
            count = min(AT_ONCE, permutations - start)
            mixed = rng.permuted(np.tile(labels, (count, 1)), axis=1).astype(np.float64)
            draws.append(self._difference(mixed, self._sum))
            own = self._difference(mixed, centred)
            square += own.T @ own
        varied = quadratic(square / permutations, weight)
        excess = np.divide(variance, varied, out=np.ones_like(variance), where=varied > 0)
        bar = np.abs(observed) / np.sqrt(np.maximum(excess, 1.0)) * (1 - 1e-5)
        reached = np.zeros(weight.shape[1], dtype=np.int64)
        for number, draw in enumerate(draws):
            progress(0.5 + 0.5 * number / len(draws), "comparing every gene")
            reached += (np.abs(draw @ weight) >= bar.astype(np.float32)).sum(axis=0)
        return np.asarray((reached + 1) / (permutations + 1))

    def _difference(self, first: Floats, sums: Floats) -> npt.NDArray[np.float32]:
        """Difference of the factors' means for each row of sides (n, pieces), (n, k)."""
        size, total = first @ self.size, first @ sums
        rest_size, rest = self.size.sum() - size, sums.sum(axis=0) - total
        made = total / size[:, None] - rest / rest_size[:, None]
        return np.asarray(made, dtype=np.float32)

    def _merge(self) -> npt.NDArray[np.int64]:
        """Give what lies in one block and region one piece; returns each one's piece."""
        key = np.column_stack([self._block, self._region])
        unique, which = np.unique(key, axis=0, return_inverse=True)
        self._block, self._region = unique[:, :3], unique[:, 3]
        return np.asarray(which, dtype=np.int64).ravel()
