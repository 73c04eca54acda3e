"""Leave one block out: learn from other studies, predict one of which no spot was seen.

Studies share no place, so only morphology can tell: predictors over features, and the mean. Their
features must come from one encoder: the channels that all have are used, less those whose meaning
each block taught by itself (visual words, learned features). They are z-scores within each study
(each plane of serial sections), so that staining and illumination drop out. Genes are those that
all studies measured; the panel is chosen on the studies that are learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from vortex_model.crew import HERE, Crew
from vortex_model.errors import VortexError
from vortex_model.evaluate.protocols import Unit
from vortex_model.evaluate.run import Settings, run, together
from vortex_model.expression import Measured
from vortex_model.predictors.base import Places
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Study
from vortex_model.training.samples import Sample, gather, study_features

APART_UM = 1e7
"""Studies are laid so far apart that none is a neighbour of another."""
BASELINES = ("mean", "ridge")
OWN = ("words:", "learned:")
"""How groups of channels begin whose meaning a block taught by itself."""


def evaluate_studies(
    studies: Sequence[Study],
    genes: str | Sequence[str] = "hvg:250",
    predictor: str = "gp-features",
    encoder: str | Sequence[str] = "texture",
    *,
    rank: int | None = None,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> dict[str, Any]:
    """Each study in turn predicted from the others; the record of ``evaluate``.

    Sections are named ``STUDY/SECTION``. There are no intervals: what the studies that were
    learned from differ by tells too little of how another one will.

    Raises
    ------
    VortexError
        When there are fewer than two studies, one has no morphology or no section, they share
        no gene or no channel.
    """
    names = [s.name for s in studies]
    if len(studies) < 2 or len(set(names)) < len(names):
        raise VortexError(
            f"Leaving one study out needs two or more of different names, not {', '.join(names)}. "
            "Add some with --with STUDY.zarr."
        )
    panels = [genes] if isinstance(genes, str) else list(genes)
    encoders = [encoder] if isinstance(encoder, str) else list(encoder)
    runs = []
    for number, name in enumerate(encoders):
        stage = part(progress, number / len(encoders), (number + 1) / len(encoders))
        samples = _samples(studies, name, part(stage, 0.0, 0.7), crew)
        found = _units(studies, samples)
        for panel in panels:
            settings = Settings(panel, predictor, rank, BASELINES, intervals=False)
            record = run(found, settings, part(stage, 0.7, 1.0), crew)
            runs.append({**record, "encoder": name, "protocol": "studies"})
    progress(1.0, "evaluated")
    return together(runs)


def _samples(
    studies: Sequence[Study], encoder: str, progress: Progress, crew: Crew
) -> list[Sample]:
    samples: list[Sample] = []
    names: list[tuple[str, ...]] = []
    for number, study in enumerate(studies):
        stage = part(progress, number / len(studies), (number + 1) / len(studies))
        features = study_features(study, encoder, stage, crew)
        if features is None or not study.section_names:
            raise VortexError(
                f"{study.name} has no morphology or no measured section; leave it out."
            )
        own = gather(study, study.section_names, features)
        points = own.places.points_um + (number * APART_UM, 0.0, 0.0)
        titles = tuple(f"{study.name}/{n}" for n in own.measured.names)
        measured = replace(own.measured, names=titles, points_um=points)
        samples.append(Sample(measured, replace(own.places, points_um=points)))
        names.append(features.channel_names)
    genes = _shared([s.measured.genes for s in samples])
    groups = dict(zip(names[0], samples[0].places.groups, strict=True))
    channels = [n for n in _shared(names) if not groups[n].startswith(OWN)]
    if not genes or not channels:
        what = "gene name" if not genes else f"channel of encoder {encoder}"
        raise VortexError(
            f"The studies share no {what}. Use the same kind of gene id in all of them, and "
            "morphology of one kind."
        )
    found = []
    for sample, own_names in zip(samples, names, strict=True):
        columns = [own_names.index(n) for n in channels]
        places = Places(
            sample.places.points_um,
            sample.places.features[:, columns],
            tuple(groups[n] for n in channels),
        )
        found.append(Sample(_genes(sample.measured, tuple(genes)), places))
    return found


def _shared(lists: Sequence[tuple[str, ...]]) -> list[str]:
    """What all lists hold, in the order of the first."""
    common = set(lists[0]).intersection(*lists[1:])
    return [name for name in lists[0] if name in common]


def _units(studies: Sequence[Study], samples: Sequence[Sample]) -> list[Unit]:
    found = []
    for number, _ in enumerate(studies):
        rest = _stacked([s for n, s in enumerate(samples) if n != number])
        for name in samples[number].measured.names:
            held = samples[number].only([name])
            rows = np.arange(len(held.places))
            found.append(Unit(name, held, ((rest, rows),), rest, rest.measured.names))
    return found


def _genes(measured: Measured, genes: tuple[str, ...]) -> Measured:
    """The part on these genes; totals stay those of all genes."""
    index = {g: i for i, g in enumerate(measured.genes)}
    columns = [index[g] for g in genes]
    return replace(measured, genes=genes, counts=sp.csr_matrix(measured.counts[:, columns]))


def _stacked(samples: Sequence[Sample]) -> Sample:
    parts = [s.measured for s in samples]
    first = np.cumsum([0] + [len(p.names) for p in parts])
    measured = Measured(
        genes=parts[0].genes,
        counts=sp.csr_matrix(sp.vstack([p.counts for p in parts])),
        points_um=np.vstack([p.points_um for p in parts]),
        section=np.concatenate([p.section + n for p, n in zip(parts, first, strict=False)]),
        names=tuple(n for p in parts for n in p.names),
        diameter_um=np.concatenate([p.diameter_um for p in parts]),
        totals=np.concatenate([p.totals for p in parts]),
    )
    features = np.vstack([s.places.features for s in samples])
    return Sample(measured, Places(measured.points_um, features, samples[0].places.groups))
