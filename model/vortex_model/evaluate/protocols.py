"""Protocols: what is learned from, and what it is then compared with.

``sections``: some sections learned from, others held out. ``blocks``: within each section, spatial
blocks held out in turn. ``depth``: each section alone against every other, by distance in z.
``count``: each section from its nearest one, two, three ... others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.features import Features
from vortex_model.predictors.blocks import folds
from vortex_model.study import Study
from vortex_model.training.finetune import chosen_sections
from vortex_model.training.samples import Sample, gather
from vortex_model.trust import SpotPlaces

Indices = npt.NDArray[np.int64]
PROTOCOLS = ("sections", "blocks", "depth", "count", "studies")
FEWEST_SPOTS = 10


@dataclass(frozen=True)
class Unit:
    """Spots of one section that are scored together.

    Attributes
    ----------
    name
        As the results name it.
    held
        The spots that are compared with.
    parts
        What is learned from, and the rows of ``held`` that are then predicted.
    chosen_on
        The spots that the panel is chosen on.
    train
        Names of the sections that are learned from.
    group
        What summaries put together: the distance in micrometres, or the number of sections.
    """

    name: str
    held: Sample
    parts: tuple[tuple[Sample, Indices], ...]
    chosen_on: Sample
    train: tuple[str, ...]
    group: float | None = None
    distance_um: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def units(
    study: Study,
    protocol: str,
    train: Sequence[str] | None,
    test: Sequence[str] | None,
    features: Features | None,
) -> list[Unit]:
    """The units of a protocol.

    Raises
    ------
    UnknownNameError
        When the protocol or a section is not there.
    VortexError
        When the sections named do not make what the protocol needs.
    """
    if protocol == "sections":
        learned, asked = split(study, train or [], test or [])
        sample = gather(study, learned, features)
        return [_section(study, name, sample, features) for name in asked]
    names = chosen_sections(study, list(train) if train else None)
    if protocol == "blocks":
        return [_blocks(study, name, features) for name in names]
    held = chosen_sections(study, list(test) if test else None)
    if protocol == "depth":
        found = _depth(study, names, held, features)
    elif protocol == "count":
        found = _count(study, names, held, features)
    else:
        raise UnknownNameError("protocol", protocol, PROTOCOLS)
    if not found:
        raise VortexError(
            f"Protocol {protocol} needs at least two sections; {study.name} offers "
            f"{', '.join(names)}. Use protocol blocks."
        )
    return found


def split(study: Study, train: Sequence[str], test: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sections to learn from and to test on; none in both.

    Raises
    ------
    UnknownNameError
        When one is not there.
    VortexError
        When one is in both lists, or none is to be tested on.
    """
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


def _section(
    study: Study,
    name: str,
    sample: Sample,
    features: Features | None,
    title: str | None = None,
    group: float | None = None,
) -> Unit:
    held = gather(study, [name], features)
    distance = SpotPlaces(sample.places.points_um, sample.measured.section).distance_um(
        held.places.points_um
    )
    return Unit(
        name=title or name,
        held=held,
        parts=((sample, np.arange(len(held.places))),),
        chosen_on=sample,
        train=sample.measured.names,
        group=group,
        distance_um=distance,
    )


def _blocks(study: Study, name: str, features: Features | None) -> Unit:
    whole = gather(study, [name], features)
    points = whole.places.points_um
    distance = np.zeros(len(points))
    parts = []
    for keep, held in folds(points):
        rest = whole.spots(keep)
        there = SpotPlaces(rest.places.points_um, rest.measured.section)
        distance[held] = there.distance_um(points[held])
        parts.append((rest, held))
    if len(points) < FEWEST_SPOTS:
        raise VortexError(
            f"Section {name} has {len(points)} spots with counts; blocks need {FEWEST_SPOTS}."
        )
    return Unit(name, whole, tuple(parts), whole, (name,), None, distance)


def _depth(
    study: Study, names: Sequence[str], held: Sequence[str], features: Features | None
) -> list[Unit]:
    depth = {n: float(study.section(n).obsm["spatial"][:, 2].mean()) for n in {*names, *held}}
    found = []
    for name in names:
        sample = gather(study, [name], features)
        for other in held:
            if other != name:
                apart = round(abs(depth[name] - depth[other]), 3)
                title = f"{name} to {other}"
                found.append(_section(study, other, sample, features, title, apart))
    return found


def _count(
    study: Study, names: Sequence[str], held: Sequence[str], features: Features | None
) -> list[Unit]:
    depth = {n: float(study.section(n).obsm["spatial"][:, 2].mean()) for n in {*names, *held}}
    found = []
    for target in held:
        near = sorted(
            (n for n in names if n != target), key=lambda n: abs(depth[n] - depth[target])
        )
        for count in range(1, len(near) + 1):
            sample = gather(study, [n for n in names if n in near[:count]], features)
            title = f"{target} from {count}"
            found.append(_section(study, target, sample, features, title, float(count)))
    return found
