"""Leave one block out: learn from other studies, predict one of which no spot was seen.

Studies share no place, so only morphology can tell: predictors over features, and the mean. Their
features must come from one encoder: the channels that all have are used, less those whose meaning
each block taught by itself (visual words, learned features). They are z-scores within each study
(each plane of serial sections), so that staining and illumination drop out. Genes are those that
all studies measured; the panel is chosen on the studies that are learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_model.crew import HERE, Crew
from vortex_model.errors import VortexError
from vortex_model.evaluate.protocols import Unit
from vortex_model.evaluate.run import Settings, run, together
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Study
from vortex_model.training.elsewhere import common, gathered
from vortex_model.training.samples import Sample, stacked

BASELINES = ("mean", "ridge")


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
        samples = common(gathered(studies, name, part(stage, 0.0, 0.7), crew))
        found = _units(studies, samples)
        for panel in panels:
            settings = Settings(panel, predictor, rank, BASELINES, intervals=False)
            record = run(found, settings, part(stage, 0.7, 1.0), crew)
            runs.append({**record, "encoder": name, "protocol": "studies"})
    progress(1.0, "evaluated")
    return together(runs)


def _units(studies: Sequence[Study], samples: Sequence[Sample]) -> list[Unit]:
    found = []
    for number, _ in enumerate(studies):
        rest = stacked([s for n, s in enumerate(samples) if n != number])
        for name in samples[number].measured.names:
            held = samples[number].only([name])
            rows = np.arange(len(held.places))
            found.append(Unit(name, held, ((rest, rows),), rest, rest.measured.names))
    return found
