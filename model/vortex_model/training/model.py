"""A fitted model: low-rank expression of measured spots, and a predictor of its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.expression import (
    Basis,
    Measured,
    fit_basis,
    highest,
    normalise,
)
from vortex_model.predictors.base import Floats, Places, Predictor, Training, relative_noise
from vortex_model.progress import Progress, silent
from vortex_model.training.samples import Sample, stacked

BASIS_GENES, BESIDE = 2000, 500
BASIS_SPOTS = 20_000
MIN_RANK, MAX_RANK = 4, 20
Maker = Callable[[], Predictor]


@dataclass(frozen=True)
class Model:
    """What was learned from some spots."""

    basis: Basis
    predictor: Predictor

    def expression(self, places: Places) -> Floats:
        """Predicted normalised expression, (n, genes)."""
        return self.basis.decode(self.predictor.predict(places))


def fit_model(
    sample: Sample,
    genes: Sequence[str],
    make: Maker,
    rank: int | None = None,
    progress: Progress = silent,
    also: Sample | None = None,
) -> Model:
    """Learn a basis of these genes on these spots, and a predictor of its scores.

    Parameters
    ----------
    also
        Spots of other blocks that are learned from as well, of the same genes and channels
        (:mod:`vortex_model.training.elsewhere`); the genes' means stay those of ``sample``.

    Raises
    ------
    VortexError
        When the expression of the panel does not vary, or the predictor lacks what it needs.
    """
    seen = sample if also is None else stacked([sample, also])
    measured = seen.measured
    weight = None
    if also is not None:  # the block at hand has as much to say as all the others
        weight = np.ones(len(measured.totals))
        weight[: len(sample.places)] = max(1.0, len(also.places) / len(sample.places))
    basis, scores = learn_basis(measured, genes, rank, weight)
    predictor = make()
    training = Training(seen.places, measured.section, scores, measured.totals)
    predictor.fit(training, progress)
    if also is not None:
        own = _section_means(_normalised(sample.measured, genes), sample.measured.section)
        basis = replace(basis, mean=own.mean(axis=0))
    return Model(basis, predictor)


def learn_basis(
    measured: Measured,
    genes: Sequence[str],
    rank: int | None = None,
    weight: Floats | None = None,
) -> tuple[Basis, Floats]:
    """A low-rank basis of a panel, however large, and the spots' scores (n, k).

    Components come from the panel's ``BASIS_GENES`` most variable genes and from the ``BESIDE``
    most variable genes of all, which say what the panel's own noise hides; a spot has the more to
    say the less noise its counts leave, and at most ``BASIS_SPOTS`` say it. Every gene of the panel
    is then regressed on the scores.

    Parameters
    ----------
    rank
        How many components; by default as many as stand out of noise (:func:`noise_rank`).
    weight
        How much more than its counts allow each spot has to say, (n,).

    Raises
    ------
    VortexError
        When the rank is below 1, or nothing varies.
    """
    if rank is not None and rank < 1:
        raise VortexError(f"A rank of {rank} keeps nothing; give a whole number above 0.")
    told = 1.0 / relative_noise(measured.totals)
    if weight is not None:
        told *= weight
    names = _telling(measured, genes)
    seen = _normalised(measured, names)
    # spread over the sections: of more spots, dense, memory would grow without end
    some = np.linspace(0, len(told) - 1, min(len(told), BASIS_SPOTS)).round().astype(np.int64)
    dense, section = np.asarray(seen[some].toarray()), measured.section[some]
    limit = noise_rank(dense, section) if rank is None else rank
    components, _ = fit_basis(dense, section, names, limit, told[some])
    right = components.loadings.T
    present, row = np.unique(measured.section, return_inverse=True)
    scores = np.asarray(seen @ right) - (_section_means(seen, measured.section) @ right)[row]
    weighted = told[:, None] * scores
    matrix = _normalised(measured, genes)
    means = _section_means(matrix, measured.section)
    # genes are centred by section in the product, and stay sparse
    sums = np.array([weighted[measured.section == s].sum(axis=0) for s in present])
    product = np.asarray((matrix.T @ weighted).T) - sums.T @ means
    loadings = np.asarray(np.linalg.solve(weighted.T @ scores, product), dtype=np.float64)
    return Basis(tuple(genes), means.mean(axis=0), loadings), scores


def _telling(measured: Measured, genes: Sequence[str]) -> list[str]:
    """The genes that components come from: the panel's, then others."""
    varies = measured.variability
    spread = varies[_columns(measured, genes)]
    if not (spread > 0).any():
        raise VortexError(
            f"None of the {len(genes)} genes varies between the {len(measured.totals)} measured "
            "spots; there is nothing to learn. Choose other genes or sections."
        )
    names = [genes[int(i)] for i in np.argsort(-spread, kind="stable")[:BASIS_GENES]]
    known = set(names)
    return names + [g for g in highest(measured, varies, BESIDE) if g not in known]


def noise_rank(expression: Floats, section: npt.NDArray[np.int64]) -> int:
    """How many components stand out of what unrelated genes would show.

    Horn's parallel analysis (Psychometrika 30:179, 1965): each gene's values are shuffled over
    the spots of a section, apart from the other genes; a component counts while its singular
    value is above the shuffled data's. At least 4 and at most 20: what is noise nevertheless,
    the predictor shrinks to nothing.
    """
    random = np.random.default_rng(0)
    centred, shuffled = expression.copy(), expression.copy()
    for number in np.unique(section):
        own = np.flatnonzero(section == number)
        centred[own] -= centred[own].mean(axis=0)
        shuffled[own] = random.permuted(centred[own], axis=0)
    real, noise = _singular_values(centred), _singular_values(shuffled)
    above = real > noise
    count = len(above) if above.all() else int(above.argmin())
    return int(np.clip(count, MIN_RANK, MAX_RANK))


def _singular_values(matrix: Floats) -> Floats:
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(product)[::-1], 0.0)))


def _normalised(measured: Measured, genes: Sequence[str]) -> sp.csr_matrix:
    return normalise(measured.counts[:, _columns(measured, genes)], measured.totals)


def _columns(measured: Measured, genes: Sequence[str]) -> npt.NDArray[np.int64]:
    index = {g: i for i, g in enumerate(measured.genes)}
    return np.array([index[g] for g in genes])


def _section_means(matrix: sp.csr_matrix, section: npt.NDArray[np.int64]) -> Floats:
    """Mean of each section, in the order of their numbers, (sections, genes)."""
    means = [np.asarray(matrix[section == s].mean(axis=0)).ravel() for s in np.unique(section)]
    return np.asarray(means)
