"""Measured spots of many studies on one low-rank basis, over the union of their genes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import Measured, select_genes, stack
from vortex_model.study import Study

Floats = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
ROUNDS = 20
"""Rounds in which genes that a study did not measure are filled in from the others."""


@dataclass(frozen=True)
class Spots:
    """Spots of all studies.

    Attributes
    ----------
    genes
        The union of the studies' panels.
    study
        Number of each spot's study, (n,).
    points_um
        (z, y, x), (n, 3).
    counts
        Raw counts, (n, genes); 0 where not measured.
    totals
        Counts over all genes, (n,).
    measured
        (studies, genes) bool.
    scores
        Factors of the shared basis, centred by section, (n, rank).
    mean, loadings
        Of the basis, in log1p(counts per 10,000): (genes,), (rank, genes).
    """

    genes: tuple[str, ...]
    study: npt.NDArray[np.int64]
    points_um: Double
    counts: Floats
    totals: Floats
    measured: npt.NDArray[np.bool_]
    scores: Floats
    mean: Floats
    loadings: Floats

    def __len__(self) -> int:
        return len(self.study)

    @property
    def variance(self) -> Floats:
        """Variance of each factor, (rank,)."""
        return np.asarray(self.scores.var(axis=0), dtype=np.float32)


def read_spots(
    studies: Sequence[Study], panel: str, rank: int, hold_out: Collection[str]
) -> Spots | None:
    """Read the measured sections; None when no study has any.

    Parameters
    ----------
    panel
        Genes, chosen in each study on its own training sections.
    rank
        Components of the shared basis; fewer where genes have fewer.
    hold_out
        ``STUDY/SECTION`` that are never read.

    Raises
    ------
    UnknownNameError
        When a held-out section does not exist.
    """
    known = [f"{s.name}/{name}" for s in studies for name in s.section_names]
    for name in hold_out:
        if name not in known:
            raise UnknownNameError("section to hold out", name, known)
    parts: list[tuple[int, Measured, list[str]]] = []
    for number, study in enumerate(studies):
        names = [n for n in study.section_names if f"{study.name}/{n}" not in hold_out]
        if names and study.has_morphology:
            measured = stack({n: study.section(n) for n in names})
            parts.append((number, measured, select_genes(measured, panel)))
    if not parts:
        return None
    genes = list(dict.fromkeys(g for _, _, chosen in parts for g in chosen))
    column = {g: i for i, g in enumerate(genes)}
    total = sum(len(m.section) for _, m, _ in parts)
    counts = np.zeros((total, len(genes)), dtype=np.float32)
    expression = np.zeros((total, len(genes)))
    known_gene = np.zeros((len(studies), len(genes)), dtype=bool)
    section = np.zeros(total, dtype=np.int64)
    row = sections = 0
    for number, measured, _ in parts:
        own = [g for g in measured.genes if g in column]
        columns = [column[g] for g in own]
        place = {g: i for i, g in enumerate(measured.genes)}
        rows = slice(row, row + len(measured.section))
        counts[rows, columns] = measured.counts[:, [place[g] for g in own]].toarray()
        expression[rows, columns] = measured.expression(own)
        known_gene[number, columns] = True
        section[rows] = measured.section + sections
        row, sections = rows.stop, sections + len(measured.names)
    study_of = np.concatenate([np.full(len(m.section), n) for n, m, _ in parts])
    mean, loadings, scores = shared_basis(expression, known_gene[study_of], section, rank)
    return Spots(
        genes=tuple(genes),
        study=study_of,
        points_um=np.concatenate([m.points_um[:, ::-1] for _, m, _ in parts]),
        counts=counts,
        totals=np.concatenate([m.totals for _, m, _ in parts]).astype(np.float32),
        measured=known_gene,
        scores=scores.astype(np.float32),
        mean=mean.astype(np.float32),
        loadings=loadings.astype(np.float32),
    )


def shared_basis(
    expression: Double,
    measured: npt.NDArray[np.bool_],
    section: npt.NDArray[np.int64],
    rank: int,
) -> tuple[Double, Double, Double]:
    """Principal components of expression centred by section, where some genes are not measured.

    What was not measured starts at its section's level and is filled in from the components,
    round by round (iterative PCA, Kiers 1997); with every gene measured it is a plain PCA.

    Parameters
    ----------
    expression, measured
        (n, genes).
    section
        (n,).
    rank
        Components, at most as many as there are.

    Returns
    -------
    mean (genes,), loadings (rank, genes), scores (n, rank).
    """
    centred = expression.copy()
    total, seen = np.zeros(expression.shape[1]), np.zeros(expression.shape[1])
    for number in np.unique(section):
        own = section == number
        level = expression[own].mean(axis=0)
        centred[own] -= level
        total += np.where(measured[own][0], level, 0.0)
        seen += measured[own][0]
    centred[~measured] = 0.0
    if not np.any(centred):
        raise VortexError("No gene of the panel varies within a section: nothing can be learned.")
    complete = bool(measured.all())
    for _ in range(1 if complete else ROUNDS):
        values, vectors = np.linalg.eigh(centred.T @ centred)
        keep = values[::-1] > 1e-9 * values[-1]
        loadings = vectors[:, ::-1].T[: min(rank, int(keep.sum()))]
        scores = centred @ loadings.T
        if not complete:
            centred[~measured] = (scores @ loadings)[~measured]
    # The sign of a component is arbitrary; the largest loading is made positive.
    sign = np.sign(np.take_along_axis(loadings, np.abs(loadings).argmax(1)[:, None], axis=1))
    return total / np.maximum(seen, 1), loadings * sign, scores * sign.T
