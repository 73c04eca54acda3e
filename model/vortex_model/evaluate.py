"""Evaluation: learn from some sections, compare with others, baselines beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from vortex_model.crew import HERE, Crew
from vortex_model.errors import VortexError
from vortex_model.expression import Measured, select_genes
from vortex_model.metrics import interval, noise_ceiling, pearson, resampled_pearson
from vortex_model.predictors import BASELINES, create
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Study
from vortex_model.threads import fitting_threads
from vortex_model.training.finetune import chosen_sections
from vortex_model.training.model import Model, fit_model
from vortex_model.training.samples import Sample, gather, study_features

DRAWS = 1000


def evaluate(
    study: Study,
    train: Sequence[str],
    test: Sequence[str],
    genes: str = "hvg:250",
    predictor: str = "gp",
    encoder: str = "texture",
    *,
    rank: int | None = None,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> dict[str, Any]:
    """Pearson correlation by gene within each test section, averaged over genes.

    Genes are chosen, and everything is learned, on the training sections only. Of a test
    section, the morphology in its plane is seen (where the study has one), its counts are not.
    Spots of sections are never pooled. A gene predicted (or measured) as constant counts as 0.
    ``low`` and ``high`` are the 95 % interval of 1,000 bootstrap samples of the section's
    spots; genes are kept. ``ceiling`` is what a perfect predictor would reach in view of the
    measurement's own noise (:func:`vortex_model.metrics.noise_ceiling`).

    Parameters
    ----------
    train, test
        Names of sections; none in both.
    genes
        ``hvg:N``, ``top:N``, ``all``, or names separated by commas.
    predictor, encoder, rank
        As in :func:`vortex_model.training.finetune.finetune`.
    crew
        Who encodes and fits: this process, or the workers of
        :func:`vortex_model.cluster.crew_at`, one for each predictor.

    Returns
    -------
    dict
        Plain JSON types::

            {"sections": {"C3": {"pearson": .., "low": .., "high": .., "n_genes": ..,
                                 "n_spots": .., "ceiling": ..}},
             "baselines": {"ridge": {"C3": ..}, ...},
             "train": ["C4"], "genes": "hvg:250", "predictor": "gp", "versions": {..}}

    Raises
    ------
    UnknownNameError
        When a section, gene, predictor or encoder is not there.
    VortexError
        When a section is in both lists, or one of them is empty.
    """
    learned, asked = _split(study, train, test)
    features = study_features(study, encoder, part(progress, 0.0, 0.5), crew)
    sample = gather(study, learned, features)
    tests = {name: gather(study, [name], features) for name in asked}
    panel = select_genes(sample.measured, genes)
    names = [predictor, *(b for b in BASELINES if features is not None or b != "ridge")]
    sections: dict[str, Any] = {}
    baselines: dict[str, dict[str, float]] = {}
    trial = _Trial(sample, tests, panel, rank)
    names = list(dict.fromkeys(names))
    for name, scores in _scores(trial, names, part(progress, 0.5, 1.0), crew):
        if name == predictor:
            sections = scores
        if name in BASELINES:
            baselines[name] = {section: row["pearson"] for section, row in scores.items()}
    progress(1.0, "evaluated")
    return {
        "sections": sections,
        "baselines": baselines,
        "train": learned,
        "genes": genes,
        "predictor": predictor,
        "encoder": encoder if features is not None else None,
        "features": features.id if features is not None else None,
        "versions": {n: version(n) for n in ("vortex-viewer", "numpy", "scipy")},
    }


class _Trial(NamedTuple):
    """What every predictor learns from, and what it is compared with."""

    sample: Sample
    tests: dict[str, Sample]
    panel: list[str]
    rank: int | None

    def score(self, name: str, progress: Progress = silent) -> dict[str, Any]:
        """Rows of one predictor, by test section."""
        with fitting_threads(len(self.sample.places)):
            model = fit_model(self.sample, self.panel, partial(create, name), self.rank, progress)
            return {section: compare(model, held) for section, held in self.tests.items()}


def _score(trial: _Trial, name: str) -> dict[str, Any]:
    return trial.score(name)


def _scores(
    trial: _Trial, names: list[str], progress: Progress, crew: Crew
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each predictor's rows; here one after the other, with every step told."""
    if crew is HERE:
        for done, name in enumerate(names):
            stage = part(progress, done / len(names), (done + 1) / len(names))
            yield name, trial.score(name, stage)
        return
    for done, (name, rows) in enumerate(crew.map(_Trial, tuple(trial), _score, names), start=1):
        progress(done / len(names), f"{name} compared")
        yield name, rows


def compare(model: Model, held: Sample) -> dict[str, Any]:
    """One test section's row: Pearson averaged over genes, its interval, and the ceiling.

    Genes that the section did not measure are left out; ``n_genes`` says how many are in.
    """
    measured = held.measured
    shared = set(measured.genes)
    columns = [i for i, g in enumerate(model.basis.genes) if g in shared]
    if not columns:
        raise VortexError(
            f"Section {measured.names[0]} measured none of the panel's genes. "
            "Use the same kind of gene id in all sections."
        )
    panel = [model.basis.genes[i] for i in columns]
    predicted = model.expression(held.places)[:, columns]
    truth = measured.expression(panel)
    draws = resampled_pearson(predicted, truth, DRAWS).mean(axis=1)
    low, high = interval(draws)
    return {
        "pearson": float(pearson(predicted, truth).mean()),
        "low": float(low),
        "high": float(high),
        "n_genes": len(panel),
        "n_spots": len(truth),
        "ceiling": _ceiling(measured, panel),
    }


def _ceiling(measured: Measured, panel: Sequence[str]) -> float | None:
    """The noise ceiling; none where values are no counts."""
    values = measured.counts.data
    if not np.array_equal(values, np.rint(values)):
        return None
    index = {g: i for i, g in enumerate(measured.genes)}
    columns = np.array([index[g] for g in panel])
    return float(noise_ceiling(measured.counts, measured.totals, columns).mean())


def _split(study: Study, train: Sequence[str], test: Sequence[str]) -> tuple[list[str], list[str]]:
    if not test:
        raise VortexError("Name at least one section to test on, as in --test C3,C5.")
    both = sorted(set(train) & set(test))
    if both:
        raise VortexError(
            f"Section {', '.join(both)} is in both lists: a model that has seen a section "
            "cannot be tested on it. Take it out of one."
        )
    chosen_sections(study, test)
    return chosen_sections(study, train), list(dict.fromkeys(test))
