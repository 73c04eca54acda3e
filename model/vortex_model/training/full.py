"""Full fine-tuning: adapters in an encoder's last blocks, a pooler and a decoder, then the GP.

The network is trained once for each spatial block, without that block's spots. What it says of the
held-out spots becomes their tuned feature, so that the Gaussian process, which sees tuned and
texture features together, learns how far the network can be trusted where nothing was measured
(stacking: Wolpert, Neural Networks 5:241, 1992). Elsewhere the networks' mean is taken. All blocks
are trained side by side, and stop together where the curve over all held-out spots is highest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
import zarr
from safetensors.torch import save

from vortex_model.encoders import create
from vortex_model.encoders.base import Encoder
from vortex_model.errors import VortexError
from vortex_model.features import Features
from vortex_model.predictors.kernels import pitch_um
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Provenance, Study
from vortex_model.training.blockwise import Blockwise, Settings
from vortex_model.training.joined import JoinedFeatures, Tuned, coarse_lattice, on_lattice
from vortex_model.training.model import learn_basis
from vortex_model.training.samples import Sample
from vortex_model.training.trunks import make_trunk

CODE = 3
LEAST_SPOTS = 20
WEIGHTS = "weights.safetensors"


def tune(
    study: Study,
    sample: Sample,
    genes: Sequence[str],
    features: Features,
    encoder: str | Encoder,
    *,
    rank: int | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Tuned:
    """Tune an encoder on measured spots; what is there already is not made again.

    Parameters
    ----------
    sample
        The measured spots.
    genes
        The panel whose expression is learned.
    features
        The features that the tuned ones will stand beside; theirs is the lattice.
    encoder
        With weights: see :func:`vortex_model.training.trunks.make_trunk`.
    rank
        Expression components; by default as many as stand out of noise.
    progress
        Its messages carry the held-out curve (:class:`~vortex_model.progress.CurvePoint`).

    Raises
    ------
    VortexError
        When the encoder cannot be tuned, or there are too few spots.
    Cancelled
        From ``progress``; nothing is kept.
    """
    settings = settings or Settings()
    if len(sample.places) < LEAST_SPOTS:
        raise VortexError(
            f"Full fine-tuning needs at least {LEAST_SPOTS} measured spots, not "
            f"{len(sample.places)}. Use --mode fast."
        )
    started = time.monotonic()
    encoder = create(encoder) if isinstance(encoder, str) else encoder
    diameter = float(np.median(sample.measured.diameter_um))
    trunk = make_trunk(study, encoder, settings.last, diameter)
    basis, scores = learn_basis(sample.measured, genes, rank)
    provenance = Provenance(
        kind="models",
        inputs={
            "morphology": study.morphology.content,
            "features": features.id,
            **{
                f"section {n}": str(study.section(n).uns["vortex"]["content"])
                for n in sample.measured.names
            },
        },
        parameters={
            "encoder": trunk.name,
            "encoder_parameters": trunk.content,
            "genes": list(genes),
            "rank": basis.rank,
            **asdict(settings),
        },
        code=CODE,
    )
    if study.has_derived("models", provenance.id):
        progress(1.0, "this encoder was tuned on these sections before")
        return Tuned.read(study, provenance.id)
    with torch.random.fork_rng():
        run = Blockwise(trunk, sample, genes, basis, settings)
        run.train(part(progress, 0.0, 0.7), started)
        pitch = pitch_um(sample.places.points_um, sample.measured.section)
        coarse, index = coarse_lattice(features, pitch / 2, trunk.planar, run.affordable)
        there = run.predict(coarse.to_points(index), part(progress, 0.7, 0.99))
    section = sample.measured.section
    made = on_lattice(
        provenance.id, features, trunk.planar, section, run.held, scores, coarse, index, there
    )
    record = {
        "encoder": trunk.name,
        "curve": [[step, value] for step, value in run.curve],
        "best": run.best,
        "stopped": run.stopped,
        "views": run.views,
        "places": len(index),
        "seconds": round(time.monotonic() - started, 1),
    }
    data = save(run.weights(), metadata={"vortex": json.dumps(record, sort_keys=True)})

    def fill(group: zarr.Group) -> None:
        made.write(group, record)
        study.write_file(group, WEIGHTS, data)

    study.write_derived(provenance, fill)
    progress(1.0, "the encoder is tuned")
    return made


def beside(
    study: Study,
    sample: Sample,
    genes: Sequence[str],
    features: Features,
    encoder: Encoder,
    rank: int | None,
    minutes: float,
    progress: Progress = silent,
) -> tuple[Sample, Features, str]:
    """The measured spots and the features with tuned ones beside them, and the model's id."""
    settings = Settings(minutes=minutes)
    tuned = tune(
        study, sample, genes, features, encoder, rank=rank, settings=settings, progress=progress
    )
    seen = Sample(sample.measured, tuned.places(sample.places))
    return seen, JoinedFeatures(study, features.id, tuned), tuned.id
