"""One evaluation: every unit of a protocol predicted by the predictor and by the baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from vortex_model.crew import HERE, Crew
from vortex_model.errors import VortexError
from vortex_model.evaluate.protocols import Unit, units
from vortex_model.evaluate.scores import Guess, against, comparable, paired, score
from vortex_model.expression import select_genes
from vortex_model.metrics import pearson
from vortex_model.predictors import BASELINES, create
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Study
from vortex_model.threads import fitting_threads
from vortex_model.training.assess import Assessment, assess
from vortex_model.training.levels import expression_at
from vortex_model.training.model import Model, fit_model
from vortex_model.training.samples import Sample, study_features

LEVEL = 0.9


def evaluate(
    study: Study,
    train: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    genes: str | Sequence[str] = "hvg:250",
    predictor: str = "gp",
    encoder: str | Sequence[str] = "texture",
    *,
    protocol: str = "sections",
    rank: int | None = None,
    intervals: bool = True,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> dict[str, Any]:
    """Predict what was not seen, and compare it with what was measured there.

    Genes are chosen, and everything is learned, on the training sections only (within a section,
    protocol ``blocks``, the panel is chosen on all its spots). Of held-out spots, the morphology
    is seen (where the study has one), their counts are not. Spots of sections are never pooled.
    A gene predicted (or measured) as constant counts as 0.

    Parameters
    ----------
    train, test
        Names of sections; none in both under ``sections``. Otherwise all by default.
    genes
        ``hvg:N``, ``top:N``, ``all``, or names separated by commas; several panels are compared.
    predictor, rank
        As in :func:`vortex_model.training.finetune.finetune`.
    encoder
        What the morphology is encoded by; several encoders are compared.
    protocol
        One of :data:`vortex_model.evaluate.protocols.PROTOCOLS` but ``studies``, which is
        :func:`vortex_model.evaluate.studies.evaluate_studies`.
    intervals
        Whether 90 % intervals are calibrated and their coverage counted; about five times the
        fits.
    crew
        Who encodes and fits: this process, or the workers of
        :func:`vortex_model.cluster.crew_at`, one for each predictor.

    Returns
    -------
    dict
        Plain JSON types::

            {"sections": {"C3": {"pearson": .., "low": .., "high": .., "n_genes": ..,
                                 "n_spots": .., "ceiling": .., "mse": .., "moran": ..,
                                 "moran_measured": .., "variance_kept": .., "distance_um": ..,
                                 "coverage": .., "coverage_genes": [.., ..], "width": ..}},
             "baselines": {"ridge": {"C3": ..}, ...},
             "against": {"baseline": "ridge", "difference": .., "low": .., "high": .., "p": ..},
             "train": ["C4"], "genes": "hvg:250", "predictor": "gp", "protocol": "sections",
             "encoder": .., "features": .., "by_group": .., "runs": [..], "versions": {..}}

        ``pearson`` is averaged over genes; ``low`` and ``high`` are the 95 % interval of 1,000
        bootstrap samples of the section's spots, genes kept. ``ceiling``: what a perfect
        predictor would reach in view of the counts' own noise
        (:func:`vortex_model.metrics.noise_ceiling`). ``mse`` in units of normalised expression
        squared. ``moran``: Moran's I of the prediction, beside that of the measured.
        ``variance_kept``: predicted over measured variance. ``coverage``: share of spots within
        their 90 % intervals, and the 5 % and 95 % quantiles of the genes'. ``against``: the
        paired difference to the best baseline, by bootstrap of patches of spots. ``by_group``:
        means by distance in micrometres (``depth``) or by number of sections (``count``).
        ``runs``: the same for each encoder and panel, where several were asked for; the first of
        them is what stands on top.

    Raises
    ------
    UnknownNameError
        When a section, gene, predictor, protocol or encoder is not there.
    VortexError
        When the sections do not make what the protocol needs.
    """
    panels = [genes] if isinstance(genes, str) else list(genes)
    encoders = [encoder] if isinstance(encoder, str) else list(encoder)
    if not panels or not encoders:
        raise VortexError("Name at least one panel of genes and one encoder.")
    runs = []
    share = 1 / len(encoders)
    for number, name in enumerate(encoders):
        stage = part(progress, number * share, (number + 1) * share)
        features = study_features(study, name, part(stage, 0.0, 0.5), crew)
        found = units(study, protocol, train, test, features)
        for turn, panel in enumerate(panels):
            own = part(stage, 0.5 + 0.5 * turn / len(panels), 0.5 + 0.5 * (turn + 1) / len(panels))
            baselines = tuple(b for b in BASELINES if features is not None or b != "ridge")
            settings = Settings(panel, predictor, rank, baselines, intervals)
            record = run(found, settings, own, crew)
            if features is not None:
                record |= {"encoder": name, "features": features.id}
            runs.append({**record, "protocol": protocol})
    progress(1.0, "evaluated")
    return together(runs)


@dataclass(frozen=True)
class Settings:
    """How units are predicted."""

    panel: str
    predictor: str
    rank: int | None
    baselines: tuple[str, ...]
    intervals: bool


def together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The first run on top, all of them beneath, where there are several."""
    versions = {n: version(n) for n in ("vortex-viewer", "numpy", "scipy")}
    several = {"runs": runs} if len(runs) > 1 else {}
    return {**runs[0], **several, "versions": versions}


def run(
    found: Sequence[Unit], settings: Settings, progress: Progress, crew: Crew = HERE
) -> dict[str, Any]:
    """Predict and score all units by the predictor and the baselines."""
    names = list(dict.fromkeys([settings.predictor, *settings.baselines]))
    trial = _Trial(
        list(found), [select_genes(u.chosen_on.measured, settings.panel) for u in found], settings
    )
    guesses = dict(_guesses(trial, names, part(progress, 0.0, 0.9), crew))
    own = guesses[settings.predictor]
    sections: dict[str, Any] = {}
    baselines: dict[str, dict[str, float]] = {b: {} for b in settings.baselines}
    differences: dict[str, list[Any]] = {b: [] for b in settings.baselines}
    for number, unit in enumerate(found):
        progress(0.9 + 0.1 * number / len(found), f"comparing {unit.name}")
        row = score(own[number], unit.held.measured, unit.distance_um)
        sections[unit.name] = {**row, "train": list(unit.train)}
        for name in settings.baselines:
            baselines[name][unit.name] = _pearson(guesses[name][number], unit)
            gap = against(own[number], guesses[name][number], unit.held.measured)
            differences[name].append(gap)
    others = [b for b in settings.baselines if b != settings.predictor]
    best = max(others, key=lambda b: float(np.mean(list(baselines[b].values()))), default=None)
    train = dict.fromkeys(name for unit in found for name in unit.train)
    return {
        "sections": sections,
        "baselines": baselines,
        "against": None if best is None else paired(best, differences[best]),
        "by_group": _by_group(found, sections, baselines),
        "train": list(train),
        "genes": settings.panel,
        "predictor": settings.predictor,
        "encoder": None,
        "features": None,
    }


class _Trial(NamedTuple):
    """What every predictor learns from and says something of."""

    units: list[Unit]
    panels: list[list[str]]
    settings: Settings

    def guess(self, name: str, progress: Progress = silent) -> list[Guess]:
        """What one predictor says of each unit."""
        fits = _Fits(name, self.settings, name == self.settings.predictor)
        made = []
        for number, (unit, panel) in enumerate(zip(self.units, self.panels, strict=True)):
            progress(number / len(self.units), f"{name}: {unit.name}")
            made.append(fits.guess(unit, panel))
        return made


def _guess(trial: _Trial, name: str) -> list[Guess]:
    return trial.guess(name)


def _guesses(
    trial: _Trial, names: list[str], progress: Progress, crew: Crew
) -> Iterator[tuple[str, list[Guess]]]:
    """What each predictor says; here one after the other, with every step told."""
    if crew is HERE:
        for done, name in enumerate(names):
            stage = part(progress, done / len(names), (done + 1) / len(names))
            yield name, trial.guess(name, stage)
        return
    for done, (name, made) in enumerate(crew.map(_Trial, tuple(trial), _guess, names), start=1):
        progress(done / len(names), f"{name} fitted")
        yield name, made


@dataclass
class _Fits:
    """Fits of one predictor, each made once however many units share it."""

    name: str
    settings: Settings
    own: bool
    made: dict[int, tuple[list[str], Model, Assessment | None]] = field(default_factory=dict)

    def guess(self, unit: Unit, panel: list[str]) -> Guess:
        """What it says of a unit's spots."""
        shape = (len(unit.held.places), len(panel))
        mean, low, high = (np.full(shape, np.nan) for _ in range(3))
        bounded = True
        for sample, rows in unit.parts:
            model, found = self._fit(sample, panel)
            places = unit.held.places[rows]
            mean[rows] = expression_at(model, sample.measured, places)
            if found is None or found.calibration is None:
                bounded = False
                continue
            variance = model.predictor.variance(places) @ model.basis.loadings**2
            distance = found.spots.distance_um(places.points_um)
            low[rows], high[rows] = found.calibration.bounds(mean[rows], variance, distance, LEVEL)
        genes = tuple(panel)
        return Guess(genes, mean, low, high) if bounded else Guess(genes, mean)

    def _fit(self, sample: Sample, panel: list[str]) -> tuple[Model, Assessment | None]:
        key = id(sample)
        if key not in self.made or self.made[key][0] != panel:
            make = partial(create, self.name)
            with fitting_threads(len(sample.places)):
                model = fit_model(sample, panel, make, self.settings.rank)
                found = None
                if self.own and self.settings.intervals:
                    found = assess(sample, panel, make, model.basis.rank)
            self.made[key] = (panel, model, found)
        return self.made[key][1:]


def _pearson(guess: Guess, unit: Unit) -> float:
    panel = comparable(guess.genes, unit.held.measured)
    truth = unit.held.measured.expression(panel)
    return float(pearson(guess.of(panel).mean, truth).mean())


def _by_group(
    found: Sequence[Unit], sections: dict[str, Any], baselines: dict[str, dict[str, float]]
) -> list[dict[str, Any]] | None:
    """Means over the units of each distance or number of sections."""
    groups = sorted({u.group for u in found if u.group is not None})
    rows = []
    for group in groups:
        names = [u.name for u in found if u.group == group]
        covered = [sections[n]["coverage"] for n in names if sections[n]["coverage"] is not None]
        rows.append(
            {
                "group": group,
                "n": len(names),
                "pearson": float(np.mean([sections[n]["pearson"] for n in names])),
                "coverage": float(np.mean(covered)) if covered else None,
                "baselines": {
                    b: float(np.mean([row[n] for n in names])) for b, row in baselines.items()
                },
            }
        )
    return rows or None
