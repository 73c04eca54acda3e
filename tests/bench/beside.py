"""Figures of model/MODEL_CARD.md, docs/python.md and docs/encoders.md that no other bench makes.

    .venv/bin/python tests/bench/beside.py SECTION [--studies DIR] [--claims DIR]

SECTION: ``encoders`` (texture and pretrained on HER2ST and heart3d, in DIR as docs/examples make
them, and on the held-out phantoms of ``claims.py``), ``patient`` (HER2ST with another patient's
section beside: b4.zarr, of docs/examples/her2st_b4.yaml), ``overlap`` (of a 3D network's windows),
``parts`` (what parts of the default bring on HER2ST, by texture).
"""

# ruff: noqa: T201 -- prints what it finds

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar
from unittest import mock

import claims
import numpy as np

from vortex_model.encoders import Encoder
from vortex_model.encoders.texture import TextureEncoder
from vortex_model.encoders.vortex3d import VortexEncoder
from vortex_model.expression import select_genes, stack
from vortex_model.features import Features, compute_features
from vortex_model.metrics import interval, pearson
from vortex_model.predictors import create, kernels
from vortex_model.study import Study
from vortex_model.training import model as training_model
from vortex_model.training.elsewhere import with_others
from vortex_model.training.model import Model, fit_model
from vortex_model.training.samples import gather, places_at

PANEL, GP = "hvg:250", partial(create, "gp")
HER2ST = ("C2", "C3", "C4", "C5")


def features_of(study: Study, encoder: str | Encoder) -> Features:
    """Features of a study, made if they are not there."""
    return Features.load(study, compute_features(study, encoder))


def scores(study: Study, features: Features, model: Model, tests: list[str]) -> list[float]:
    """Mean Pearson correlation over the model's genes within each section."""
    found = []
    for name in tests:
        held = stack({name: study.section(name)})
        said = model.expression(places_at(held, features))
        found.append(float(np.nanmean(pearson(said, held.expression(list(model.basis.genes))))))
    return found


def learned(study: Study, features: Features, train: list[str], tests: list[str]) -> list[float]:
    """Scores of the default predictor that learns from some sections."""
    sample = gather(study, train, features)
    model = fit_model(sample, select_genes(sample.measured, PANEL), GP)
    return scores(study, features, model, tests)


def encoders(studies: Path, family: claims.Family) -> None:
    """Texture and pretrained, wherever there are sections or truth."""
    her2st, heart = (Study.open(studies / f"{n}.zarr") for n in ("her2st", "heart3d"))
    for name in ("texture", "pretrained"):
        features = features_of(her2st, name)
        pairs = {
            one: learned(her2st, features, [one], [n for n in HER2ST if n != one]) for one in HER2ST
        }
        print(f"{name}: HER2ST, from each to each other: {pairs}")
        print(f"  mean of 12: {np.mean(list(pairs.values())):.4f}")
        chosen_by = [pairs["C2"][0], pairs["C2"][1], pairs["C3"][0], pairs["C3"][1]]
        print(f"  mean of C2 to C3 and C4, C3 to C2 and C4: {np.mean(chosen_by):.4f}")
        print(f"  C2 C3 C4 to C5: {learned(her2st, features, ['C2', 'C3', 'C4'], ['C5'])[0]:.4f}")
        features, names = features_of(heart, name), heart.section_names
        each = [learned(heart, features, [n for n in names if n != one], [one]) for one in names]
        print(f"  heart3d, each section left out: {np.mean(each):.4f}")
    found = []
    for path in family.held:
        study = Study.open(path)
        genes = select_genes(gather(study, [claims.LEARN], None).measured, PANEL)
        truth = claims.Truth(study, genes)
        found.append(
            [
                truth.score(claims.own_section(path, n, genes, "gp"))["markers"]
                for n in ("texture", "pretrained")
            ]
        )
    gap = np.diff(found, axis=1)[:, 0]
    draws = gap[np.random.default_rng(0).integers(len(gap), size=(2000, len(gap)))].mean(axis=1)
    print(f"held-out phantoms, markers: {np.mean(found, axis=0)}; difference {interval(draws)}")


def patient(studies: Path) -> None:
    """HER2ST with a section of another patient beside, and without."""
    study, other = Study.open(studies / "her2st.zarr"), Study.open(studies / "b4.zarr")
    features = features_of(study, "texture")
    for train in (["C4"], ["C4", "C3", "C2"]):
        sample = gather(study, train, features)
        own, also = with_others(study, sample, features, [other])
        genes = select_genes(own.measured, PANEL)
        tests = [n for n in ("C3", "C5", "C2") if n not in train]
        for name, spots in (("alone", None), ("with B4", also)):
            model = fit_model(own, genes, GP, also=spots)
            print(f"{train} {name}, to {tests}: {scores(study, features, model, tests)}")


def overlap(family: claims.Family) -> None:
    """Windows that share two thirds, or nothing, on four held-out phantoms."""
    weights = claims.network(family, "both", 300)
    for options in (
        {"overlap": 2 / 3, "precision": "float32"},
        {"overlap": 0.0, "precision": "float32"},
        {"overlap": 0.0, "precision": "bfloat16"},
    ):
        found = []
        for path in family.held[:4]:
            study = Study.open(path)
            encoder = VortexEncoder(weights, **options)
            features = Features.load(study, compute_features(study, encoder))
            sample = gather(study, [claims.LEARN], features)
            genes = select_genes(sample.measured, PANEL)
            model = fit_model(sample, genes, GP)
            said = {n: claims._at(study, n, features, model.expression) for n in claims.HELD}
            found.append(claims.Truth(study, genes).score(said)["markers"])
        print(f"{options}: {np.mean(found):.4f}")


def parts(studies: Path) -> None:
    """The default's parts, one after the other: each row has those of the rows above it too."""
    study = Study.open(studies / "her2st.zarr")
    features = features_of(study, "texture")
    one = [("C2", "C3"), ("C2", "C4"), ("C3", "C2"), ("C3", "C4")]
    two = [("C2 C3", "C4"), ("C2 C4", "C3"), ("C3 C4", "C2")]
    held = [("C4", "C3"), ("C4", "C5"), ("C4", "C2"), ("C4 C3 C2", "C5")]
    between = kernels.Kernels.between.__func__

    def of_one_section(cls, *given, **named):
        return replace(between(cls, *given, **named), apart_um=None)

    rows = {
        "before": {},
        "components weighted by counts": {"relative_noise"},
        "RBFs of three lengths": {"RBF_LADDER"},
        "the most variable genes beside": {"BESIDE"},
        "place within a section": {"between"},
    }
    off = {
        "relative_noise": (training_model, np.ones_like),
        "RBF_LADDER": (kernels, (1.0,)),
        "BESIDE": (training_model, 0),
        "between": (kernels.Kernels, classmethod(of_one_section)),
    }

    def tell(name: str, features: Features) -> None:
        found = [
            learned(study, features, train.split(), [test])[0]
            for train, test in (*one, *two, *held)
        ]
        first, second = np.mean(found[:4]), np.mean(found[4:7])
        print(f"{name}: from one {first:.4f}, from two {second:.4f}; {np.round(found[7:], 4)}")

    for name, back in rows.items():
        for part in back:
            off.pop(part)
        with ExitStack() as stack:
            for part, (where, value) in off.items():
                stack.enter_context(mock.patch.object(where, part, value))
            tell(name, features)
    tell("all of them, from pixels of 1.37 um", features_of(study, _Coarser()))


class _Coarser(TextureEncoder):
    """The default before it read stained sections in finer pixels."""

    brightfield_um = TextureEncoder.spacing_um
    parameters: ClassVar = {"brightfield_um": brightfield_um}


def main() -> None:
    """Print one section's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", choices=("encoders", "patient", "overlap", "parts"))
    parser.add_argument("--studies", type=Path, default=Path("build/studies"))
    parser.add_argument("--claims", type=Path, default=Path("build/claims"))
    options = parser.parse_args()
    if options.section in ("patient", "parts"):
        (patient if options.section == "patient" else parts)(options.studies)
        return
    family = claims.family(options.claims, 24, 8)
    if options.section == "encoders":
        encoders(options.studies, family)
    else:
        overlap(family)


if __name__ == "__main__":
    main()
