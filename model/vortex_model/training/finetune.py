"""Fine-tuning: features + measured sections -> model -> Prediction, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from vortex_model.crew import HERE, Crew
from vortex_model.encoders import Encoder
from vortex_model.encoders import create as create_encoder
from vortex_model.encoders.texture import CoarseEncoder
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import Measured, select_genes
from vortex_model.features import has_features, worth_a_first_look
from vortex_model.prediction import is_checked
from vortex_model.prediction_record import PredictionRecord, check_prediction, write_prediction
from vortex_model.predictors import create
from vortex_model.progress import FirstPicture, Progress, part, silent
from vortex_model.study import Provenance, Study
from vortex_model.threads import fitting_threads
from vortex_model.training.assess import assess, trust_of
from vortex_model.training.lattice import Lattice, Volume, predict_lattice
from vortex_model.training.levels import level_factors
from vortex_model.training.model import Model, fit_model
from vortex_model.training.samples import gather, study_features

CODE = 5
FIRST_PART = 0.15
READING = 0.02
"""Share of the work that reading is, where features are there."""
FIRST_VARIANCES = 500
"""Places at which the first picture's variance is worked out."""
Mode = Literal["fast", "full"]
MODES = ("fast", "full")


def finetune(
    study: Study,
    *,
    sections: Sequence[str] | None = None,
    panel: str = "hvg:1000",
    predictor: str = "gp",
    encoder: str = "texture",
    rank: int | None = None,
    mode: Mode = "fast",
    minutes: float = 5.0,
    others: Sequence[Study] = (),
    coarse_first: bool = False,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> str:
    """Learn from measured sections and predict a panel of genes in the whole block.

    The same study, sections, panel and predictor give the same id, and what is there already is
    not made again. A study without morphology is predicted from places alone.

    The prediction is written, and told as a :class:`~vortex_model.progress.FirstPicture`, before
    spots are held out to see how far it can be trusted, which is added to it. Who stops the work
    in between keeps the picture, and may have the rest later with the same choices.

    Parameters
    ----------
    sections
        The sections to learn from; all by default.
    panel
        ``hvg:N``, ``top:N``, ``all``, or gene names separated by commas; chosen on these
        sections only.
    predictor
        A name that :func:`vortex_model.predictors.create` knows.
    encoder
        What the morphology is encoded by; its features are computed first if need be.
    rank
        Number of factors; by default as many as stand out of noise.
    mode
        ``fast``: frozen features. ``full``: the encoder is tuned too
        (:mod:`vortex_model.training.full`), and stands beside the texture features.
    minutes
        Time that tuning the encoder may take.
    others
        Other measured blocks to learn from too (:mod:`vortex_model.training.elsewhere`); the panel
        is chosen among the genes that all of them measured.
    coarse_first
        Where encoding takes long and nothing was predicted yet, first a prediction from the
        features of the encoder ``coarse``, which stays as a version of its own.
    crew
        Who encodes and predicts: this process, or the workers of
        :func:`vortex_model.cluster.crew_at`. The bytes are the same.

    Returns
    -------
    str
        Id of the prediction, written to the study.

    Raises
    ------
    UnknownNameError
        When a section, gene, predictor or encoder is not there.
    VortexError
        When there is nothing to learn from.
    Cancelled
        From ``progress``; what was finished is kept: features, and the picture.
    """
    names = chosen_sections(study, sections)
    code = create(predictor).code
    if mode not in MODES:
        raise UnknownNameError("mode of fine-tuning", mode, MODES)
    if others and mode == "full":
        raise VortexError("Mode full learns from one block. Use mode fast with other studies.")
    full: dict[str, Any] = {}
    if mode == "full":
        from vortex_model.training.trunks import require_tunable

        network = create_encoder(encoder)
        require_tunable(network)
        full = {"mode": mode, "minutes": minutes, "weights": network.parameters["weights"]}
    base, head = ("texture", 0.2) if full else (encoder, 0.5)
    seer: str | Encoder = base
    if study.has_morphology:
        seer = create_encoder(base)
        if has_features(study, seer):
            head = READING
        elif coarse_first and study.current_prediction is None and worth_a_first_look(study, seer):
            first = finetune(
                study,
                sections=names,
                panel=panel,
                predictor=predictor,
                encoder=CoarseEncoder.name,
                rank=rank,
                progress=part(progress, 0.0, FIRST_PART),
                crew=crew,
            )
            message = "a first picture is there; the fine one follows"
            progress(FIRST_PART, FirstPicture(message, first))
            progress = part(progress, FIRST_PART, 1.0)
    features = study_features(study, seer, part(progress, 0.0, head), crew)
    if full and features is None:
        raise VortexError(f"{study.name} has no morphology to tune an encoder on. Use mode fast.")
    provenance = Provenance(
        kind="predictions",
        inputs={
            "features": features.id if features else "none",
            **{f"section {n}": str(study.section(n).uns["vortex"]["content"]) for n in names},
            **{f"other {s.name}": _contents(s) for s in others},
        },
        parameters={
            "sections": names,
            "panel": panel,
            "predictor": predictor,
            "predictor_code": code,
            "encoder": encoder if features else "none",
            "rank": rank,
            **({"others": [s.name for s in others]} if others else {}),
            **full,
        },
        code=CODE,
    )
    if study.has_derived("predictions", provenance.id):
        if study.current_prediction != provenance.id:
            study.make_current(provenance.id)
        if is_checked(study, provenance.id):
            progress(1.0, "this prediction is there already")
            return provenance.id
    progress(head, "reading sections")
    progress = part(progress, head, 1.0)
    sample, also = gather(study, names, features), None
    if others:
        from vortex_model.training.elsewhere import with_others

        sample, also = with_others(study, sample, features, others, part(progress, 0.0, 0.2), crew)
        progress = part(progress, 0.2, 1.0)
    genes = select_genes(sample.measured, panel)
    seen, dense = sample, features
    if full and features is not None:
        from vortex_model.training.full import beside

        tuning = part(progress, 0.0, 0.75)
        seen, dense, _ = beside(study, sample, genes, features, network, rank, minutes, tuning)
        progress = part(progress, 0.75, 1.0)
    make = partial(create, predictor)
    with fitting_threads(len(sample.places) + (0 if also is None else len(also.places))):
        model = fit_model(seen, genes, make, rank, part(progress, 0.0, 0.2), also)
        rank, measured = model.basis.rank, sample.measured
        lattice = predict_lattice(
            model.predictor, rank, dense, measured, part(progress, 0.2, 0.35), crew
        )
        rough = lattice.variance(model.predictor, FIRST_VARIANCES, part(progress, 0.35, 0.4))
        name = write_prediction(study, provenance, _unchecked(model, lattice, rough, measured))
        # whoever waits can look at it; to hold spots out takes longer than all before
        progress(0.4, FirstPicture("the picture is there; how far to trust it follows", name))
        found = assess(seen, genes, make, rank, part(progress, 0.4, 0.65), also)
        variance = lattice.variance(model.predictor, None, part(progress, 0.65, 0.95))
        progress(0.95, "comparing morphology with the measured spots")
        trust = trust_of(found, sample, features, lattice.grid, lattice.mask)
    progress(0.98, "writing")
    check_prediction(study, name, variance, found.reliability, trust)
    progress(1.0, "the prediction is ready")
    return name


def _unchecked(
    model: Model, lattice: Lattice, variance: Volume, measured: Measured
) -> PredictionRecord:
    """A prediction of which nobody knows yet how far it can be trusted."""
    basis, mask = model.basis, lattice.mask
    levels, loadings = level_factors(
        measured, basis.genes, basis.mean, lattice.grid.axis_um(0), mask
    )
    table = pd.DataFrame({"mean": basis.mean}, index=pd.Index(basis.genes))
    return PredictionRecord(
        factors=np.concatenate([lattice.factors, levels]),
        variance=variance,
        mask=mask,
        loadings=np.vstack([basis.loadings, loadings]),
        genes=table.assign(reliability=np.nan, low=np.nan, high=np.nan),
        grid=lattice.grid,
        checked=False,
    )


def _contents(study: Study) -> str:
    """What of another study is learned from, in short."""
    parts = [study.morphology.content if study.has_morphology else "none"]
    parts += [str(study.section(n).uns["vortex"]["content"]) for n in study.section_names]
    return " ".join(parts)


def chosen_sections(study: Study, sections: Sequence[str] | None) -> list[str]:
    """The named sections in the study's order; all when none is named.

    Raises
    ------
    UnknownNameError
        When one is not there.
    VortexError
        When the study has none, or an empty list was given.
    """
    known = study.section_names
    if not known:
        raise VortexError(
            f"{study.name} has no measured section to learn from. "
            "Name one in the manifest and import the study again."
        )
    if sections is None:
        return known
    for name in sections:
        if name not in known:
            raise UnknownNameError("section", name, known)
    if not sections:
        raise VortexError(f"Choose at least one section of {', '.join(known)}.")
    return [name for name in known if name in set(sections)]
