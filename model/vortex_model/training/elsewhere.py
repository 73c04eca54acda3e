"""Other measured blocks to learn from beside the block at hand: many blocks, then one section.

All spots go into one Gaussian process. It has kernels over features that all blocks share, kernels
over features and over place within a block, and finds out how much of what morphology tells holds
from block to block (coregionalisation: Bonilla et al., NIPS 2007). Blocks share no staining:
features are z-scores within each block (each plane of serial sections). Channels whose meaning
each block taught by itself (visual words, learned features) are 0 in the other blocks, and looked
at within the block alone. Expression is centred within each section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from vortex_model.crew import HERE, Crew
from vortex_model.errors import VortexError
from vortex_model.expression import Measured
from vortex_model.features import Features
from vortex_model.predictors.base import Places
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Study
from vortex_model.training.samples import Sample, gather, stacked, study_features

APART_UM = 1e6
"""Studies are laid so far apart that none is a neighbour of another."""
OWN = ("words:", "learned:", "pretrained:")
"""How groups of channels begin whose meaning a block taught by itself."""
MOST_SPOTS = 3000
"""Of other blocks: a fit's time grows with their number cubed."""


@dataclass(frozen=True)
class Block:
    """One study's spots, and the name of each channel of their features."""

    name: str
    sample: Sample
    channels: tuple[str, ...]


def with_others(
    study: Study,
    sample: Sample,
    features: Features | None,
    others: Sequence[Study],
    progress: Progress = silent,
    crew: Crew = HERE,
) -> tuple[Sample, Sample]:
    """The measured spots on the genes that all blocks have, and the others' spots beside them.

    Parameters
    ----------
    sample
        The measured spots of this study.
    features
        This study's; the others' come from the same encoder, and are computed if need be.
    others
        Studies with morphology and measured sections.

    Raises
    ------
    VortexError
        When a study is given twice, has no morphology or no section, or shares no gene or no
        channel with this one.
    """
    names = [s.name for s in (study, *others)]
    if len(set(names)) < len(names):
        raise VortexError(f"Each study can be learned from once, not {', '.join(names)}.")
    if features is None:
        raise VortexError(f"{study.name} has no morphology by which it could be compared.")
    blocks = [
        Block(study.name, sample, features.channel_names),
        *gathered(others, features.encoder, progress, crew),
    ]
    channels = shared_channels(blocks)
    own, *rest = _narrowed(blocks, channels)
    also = _fewer(stacked([_numbered(s, n) for n, s in enumerate(rest, start=1)]))
    columns = [features.channel_names.index(c) for c in channels]
    values = np.zeros((len(also.places), len(features.channel_names)))
    values[:, columns] = also.places.features
    places = Places(also.places.points_um, values, features.groups, also.places.block)
    return Sample(own.measured, sample.places), Sample(also.measured, places)


def _numbered(sample: Sample, number: int) -> Sample:
    block = np.full(len(sample.places), number)
    return Sample(sample.measured, replace(sample.places, block=block))


def _fewer(sample: Sample) -> Sample:
    """At most ``MOST_SPOTS``, spread evenly over the sections."""
    count = len(sample.places)
    keep = np.unique(np.linspace(0, count - 1, min(count, MOST_SPOTS)).round().astype(np.int64))
    return sample.spots(keep)


def gathered(
    studies: Sequence[Study], encoder: str, progress: Progress = silent, crew: Crew = HERE
) -> list[Block]:
    """All measured spots of studies, apart from each other; sections are named STUDY/SECTION.

    Raises
    ------
    VortexError
        When a study has no morphology or no measured section.
    """
    blocks = []
    for number, study in enumerate(studies, start=1):
        stage = part(progress, (number - 1) / len(studies), number / len(studies))
        features = study_features(study, encoder, stage, crew)
        if features is None or not study.section_names:
            raise VortexError(
                f"{study.name} has no morphology or no measured section; leave it out."
            )
        own = gather(study, study.section_names, features)
        points = own.places.points_um + (number * APART_UM, 0.0, 0.0)
        titles = tuple(f"{study.name}/{n}" for n in own.measured.names)
        measured = replace(own.measured, names=titles, points_um=points)
        sample = Sample(measured, replace(own.places, points_um=points))
        blocks.append(Block(study.name, sample, features.channel_names))
    return blocks


def common(blocks: Sequence[Block]) -> list[Sample]:
    """The blocks' samples on the genes and the channels that all of them have.

    Raises
    ------
    VortexError
        When there is no such gene or channel.
    """
    return _narrowed(blocks, shared_channels(blocks))


def _narrowed(blocks: Sequence[Block], channels: Sequence[str]) -> list[Sample]:
    genes = _shared([b.sample.measured.genes for b in blocks])
    if not genes or not channels:
        what = "gene name" if not genes else "channel of features"
        raise VortexError(
            f"The studies share no {what}. Use the same kind of gene id in all of them, and "
            "morphology of one kind."
        )
    found = []
    for block in blocks:
        places, columns = block.sample.places, [block.channels.index(n) for n in channels]
        groups = tuple(places.groups[c] for c in columns)
        own = Places(places.points_um, places.features[:, columns], groups)
        found.append(Sample(_genes(block.sample.measured, tuple(genes)), own))
    return found


def shared_channels(blocks: Sequence[Block]) -> list[str]:
    """Names of the channels that mean the same in all blocks, in the order of the first."""
    first = blocks[0]
    groups = dict(zip(first.channels, first.sample.places.groups, strict=True))
    return [n for n in _shared([b.channels for b in blocks]) if not groups[n].startswith(OWN)]


def _shared(lists: Sequence[tuple[str, ...]]) -> list[str]:
    """What all lists hold, in the order of the first."""
    everywhere = set(lists[0]).intersection(*lists[1:])
    return [name for name in lists[0] if name in everywhere]


def _genes(measured: Measured, genes: tuple[str, ...]) -> Measured:
    """The part on these genes; totals stay those of all genes."""
    index = {g: i for i, g in enumerate(measured.genes)}
    columns = [index[g] for g in genes]
    return replace(measured, genes=genes, counts=sp.csr_matrix(measured.counts[:, columns]))
