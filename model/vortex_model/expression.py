"""Counts -> normalised expression, gene panels, low-rank basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import anndata
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from vortex_model.errors import UnknownNameError, VortexError

FloatArray = npt.NDArray[np.float64]
TARGET_SUM = 1e4
UNITS = "log1p(counts per 10,000)"


def normalise(
    counts: sp.csr_matrix | FloatArray, totals: FloatArray | None = None
) -> sp.csr_matrix:
    """Counts (spots by genes) -> log1p of counts per 10,000 of each spot; stays sparse.

    ``totals`` are each spot's counts over all genes, where ``counts`` holds only some of them.
    A spot without counts stays zero.
    """
    matrix = sp.csr_matrix(counts).astype(np.float64)
    if totals is None:
        totals = np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()
    factor = np.divide(TARGET_SUM, totals, out=np.zeros_like(totals), where=totals > 0)
    scaled = sp.csr_matrix(sp.diags_array(factor) @ matrix)
    np.log1p(scaled.data, out=scaled.data)
    return scaled


@dataclass(frozen=True)
class Measured:
    """Some sections, stacked: the genes that all of them measured.

    Attributes
    ----------
    genes
        Gene names, in the order of the columns.
    counts
        Raw counts, (spots, genes) CSR.
    points_um
        Places (x, y, z) in micrometres, (spots, 3).
    section
        Which of ``names`` each spot belongs to, (spots,).
    names
        The sections' names.
    diameter_um
        Each spot's diameter, (spots,).
    totals
        Each spot's counts over all genes it measured, (spots,).
    """

    genes: tuple[str, ...]
    counts: sp.csr_matrix
    points_um: FloatArray
    section: npt.NDArray[np.int64]
    names: tuple[str, ...]
    diameter_um: FloatArray
    totals: FloatArray

    def expression(self, genes: Sequence[str]) -> FloatArray:
        """Normalised expression (spots, genes) of a panel; dense, so ask for a panel only.

        Normalised by the spot's counts over all genes, not over the panel.
        """
        index = {g: i for i, g in enumerate(self.genes)}
        columns = [index[g] for g in genes]
        return np.asarray(normalise(self.counts[:, columns], self.totals).toarray())

    def only(self, names: Sequence[str]) -> Measured:
        """The part that belongs to the named sections."""
        for name in names:
            if name not in self.names:
                raise UnknownNameError("section", name, self.names)
        keep = np.isin(self.section, [self.names.index(n) for n in names])
        renumber = np.full(len(self.names), -1)
        for new, name in enumerate(names):
            renumber[self.names.index(name)] = new
        part = self.spots(np.flatnonzero(keep))
        return replace(part, section=renumber[part.section], names=tuple(names))

    def spots(self, keep: npt.NDArray[np.int64]) -> Measured:
        """The spots with these row numbers; the sections keep their names and numbers."""
        return replace(
            self,
            counts=sp.csr_matrix(self.counts[keep]),
            points_um=self.points_um[keep],
            section=self.section[keep],
            diameter_um=self.diameter_um[keep],
            totals=self.totals[keep],
        )

    @cached_property
    def variability(self) -> FloatArray:
        """Variance of each gene's normalised expression within sections, (genes,).

        Within, not across: a shift between two sections is no biology to learn.
        """
        matrix = normalise(self.counts, self.totals)
        total = np.zeros(matrix.shape[1])
        for number in range(len(self.names)):
            part = matrix[self.section == number]
            if part.shape[0] == 0:
                continue
            mean = np.asarray(part.mean(axis=0)).ravel()
            square = np.asarray(part.multiply(part).mean(axis=0)).ravel()
            total += part.shape[0] * np.maximum(square - mean**2, 0.0)
        return total / max(1, matrix.shape[0])


def stack(sections: dict[str, anndata.AnnData]) -> Measured:
    """Stack measured sections on the genes that all of them measured.

    Raises
    ------
    VortexError
        When none is given, or they share no gene.
    """
    if not sections:
        raise VortexError("No section was chosen. Choose at least one measured section.")
    parts = list(sections.values())
    shared = set(parts[0].var_names)
    for part in parts[1:]:
        shared &= set(part.var_names)
    genes = [g for g in parts[0].var_names if g in shared]
    if not genes:
        raise VortexError(
            f"The sections {', '.join(sections)} share no gene name. Use the same kind of gene "
            "id (symbols, or Ensembl ids) in all of them."
        )
    return Measured(
        genes=tuple(genes),
        counts=sp.csr_matrix(sp.vstack([sp.csr_matrix(p[:, genes].X) for p in parts])),
        points_um=np.vstack([np.asarray(p.obsm["spatial"], dtype=np.float64) for p in parts]),
        section=np.repeat(np.arange(len(parts)), [p.n_obs for p in parts]),
        names=tuple(sections),
        diameter_um=np.repeat(
            [float(p.uns["vortex"]["spot_diameter_um"]) for p in parts],
            [p.n_obs for p in parts],
        ),
        totals=np.concatenate([np.asarray(p.X.sum(axis=1)).ravel() for p in parts]).astype(
            np.float64
        ),
    )


def select_genes(measured: Measured, panel: str) -> list[str]:
    """Genes of a panel, chosen on these sections only.

    Parameters
    ----------
    panel
        ``hvg:N``: the N most variable; ``top:N``: the N most expressed; ``all``: every gene
        found in at least 1 % of spots (and 3); or names, separated by commas.

    Raises
    ------
    UnknownNameError
        When a named gene was not measured.
    VortexError
        When the panel is not understood, or chooses none.
    """
    kind, _, number = panel.partition(":")
    if kind in ("hvg", "top") and number:
        if not number.isdigit() or int(number) < 1:
            raise VortexError(f"Panel {panel!r}: write {kind}:N with N a whole number above 0.")
        score = measured.variability if kind == "hvg" else mean_expression(measured)
        chosen = highest(measured, score, int(number))
    elif panel == "all":
        keep = detection(measured) >= detection_floor(measured)
        chosen = [g for g, k in zip(measured.genes, keep, strict=True) if k]
    else:
        names = [n.strip() for n in panel.split(",") if n.strip()]
        folded = {g.casefold(): g for g in measured.genes}
        for name in names:
            if name.casefold() not in folded:
                raise UnknownNameError("gene", name, measured.genes)
        chosen = list(dict.fromkeys(folded[n.casefold()] for n in names))
    if not chosen:
        raise VortexError(f"Panel {panel!r} chooses no gene. Try 'hvg:250', 'top:250' or 'all'.")
    return chosen


def highest(measured: Measured, score: FloatArray, count: int) -> list[str]:
    """The genes of highest score, of those that are not too rare."""
    found = detection(measured) >= detection_floor(measured)
    score = np.where(found, score, -np.inf)
    order = np.argsort(-score, kind="stable")[:count]
    return [measured.genes[i] for i in order if np.isfinite(score[i])]


def detection(measured: Measured) -> FloatArray:
    """Fraction of spots in which each gene was counted at all."""
    spots, genes = measured.counts.shape
    return np.bincount(measured.counts.indices, minlength=genes) / max(1, spots)


def detection_floor(measured: Measured) -> float:
    """The fraction of spots below which a gene is too rare to say anything of: 1 %, 3 spots."""
    return max(0.01, 3 / max(1, measured.counts.shape[0]))


def mean_expression(measured: Measured) -> FloatArray:
    """Mean normalised expression of every gene, (genes,)."""
    return np.asarray(normalise(measured.counts, measured.totals).mean(axis=0)).ravel()


@dataclass(frozen=True)
class Basis:
    """A low-rank basis of expression: ``expression = mean + scores @ loadings``.

    Attributes
    ----------
    genes
        Names, in the order of the columns of ``loadings``.
    mean
        Mean normalised expression, (genes,).
    loadings
        (k, genes).
    """

    genes: tuple[str, ...]
    mean: FloatArray
    loadings: FloatArray

    @property
    def rank(self) -> int:
        """Number of components."""
        return int(self.loadings.shape[0])

    def decode(self, scores: FloatArray) -> FloatArray:
        """Scores (n, k) -> expression (n, genes)."""
        return self.mean + scores @ self.loadings


def fit_basis(
    expression: FloatArray,
    section: npt.NDArray[np.int64],
    genes: Sequence[str],
    rank: int,
    weight: FloatArray | None = None,
) -> tuple[Basis, FloatArray]:
    """Principal components of expression centred by section, and the spots' scores (n, k).

    Fit it on training spots only: a basis fitted on held-out ones leaks them (EVIDENCE 3).

    Parameters
    ----------
    weight
        How much each spot has to say of the components, (n,); all alike when None.
    """
    mean = np.zeros(expression.shape[1])
    centred = expression.copy()
    present = np.unique(section)
    for number in present:
        own = section == number
        level = expression[own].mean(axis=0)
        centred[own] -= level
        mean += level / len(present)
    told = centred if weight is None else centred * np.sqrt(weight)[:, None]
    size, right = _components(told)
    rank = max(1, min(rank, int((size > 1e-6 * max(size[0], 1e-300)).sum())))
    return Basis(tuple(genes), mean, right[:rank]), centred @ right[:rank].T


def _components(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Singular values, falling, and right singular vectors as rows, of a wide matrix or a tall one.

    By the eigenvectors of the smaller product, which takes a fraction of a whole decomposition's
    time; what is lost lies below a millionth of the largest value, where no component is kept.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    power, vectors = np.linalg.eigh(matrix @ matrix.T if wide else matrix.T @ matrix)
    size = np.sqrt(np.maximum(power[::-1], 0.0))
    vectors = vectors[:, ::-1].T
    if wide:
        vectors = (vectors @ matrix) / np.maximum(size, 1e-300)[:, None]
    return size, vectors
