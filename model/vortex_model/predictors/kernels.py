"""The similarities that a Gaussian process adds up: features (linear, RBF) and place.

Each is 1 on average between a place and itself, so that a weight is a share of variance. They
are the same for all expression components; only their weights differ. So one Gram matrix of
each serves every component, and predicting costs one product a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from vortex_model.predictors.base import Floats, Places

LADDER = 3.0
"""Ratio of one spatial length scale to the next."""
MAX_LADDER = 3
RBF_LADDER = (2.0, 1.0, 0.5)
"""RBF lengths, as multiples of the median distance between spots' features; each half the last."""
CHUNK_VALUES = 1_000_000
"""How many similarities are held at once when predicting."""


def family(group: str) -> str:
    """What a group's channels are one of several looks at: ``words`` of ``words: 16 um``."""
    head, colon, _ = group.partition(":")
    return head if colon else ""


def group_weights(groups: tuple[str, ...]) -> Floats:
    """Factor of each feature column, (channels,), so that families have the same say.

    Within a family its groups have, and within a group its channels: a group of 40 channels says
    no more than one of 4 (EVIDENCE 3), and 14 windows of texture no more than 2 of what a network
    saw. Standardised columns have a mean square of 1 together.
    """
    names = np.asarray(groups)
    _, inverse, sizes = np.unique(names, return_inverse=True, return_counts=True)
    kinds = np.asarray([family(g) for g in groups])
    members = {k: len(set(names[kinds == k].tolist())) for k in set(kinds.tolist())}
    share = np.asarray([members[k] for k in kinds.tolist()])
    return np.asarray(1.0 / np.sqrt(sizes[inverse] * share * max(1, len(members))))


def scales(centred: Floats, groups: tuple[str, ...]) -> Floats:
    """:func:`group_weights` for these very features: each group has its share exactly.

    Parameters
    ----------
    centred
        Features of the spots, (n, channels), column means 0; a group that does not vary has no
        say.
    groups
        Group of each channel.
    """
    weights = group_weights(groups)
    names = np.asarray(groups)
    out = np.zeros(len(groups))
    for name in dict.fromkeys(groups):
        own = names == name
        power = float((centred[:, own] ** 2).mean())
        if power > 0:
            out[own] = weights[own] / np.sqrt(power)
    total = float(((centred * out) ** 2).sum(axis=1).mean())
    return out / np.sqrt(total) if total > 0 else out


def pitch_um(points_um: Floats, section: npt.NDArray[np.int64]) -> float:
    """Median distance from a spot to its nearest neighbour in its section, in micrometres."""
    nearest = []
    for number in np.unique(section):
        own = points_um[section == number]
        if len(own) > 1:
            nearest.append(np.asarray(cKDTree(own).query(own, k=2)[0])[:, 1])
    found = np.concatenate(nearest) if nearest else np.zeros(0)
    found = found[found > 0]
    return float(np.median(found)) if len(found) else 1.0


def spatial_lengths(points_um: Floats, section: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """Length scales of place: the spot pitch, and thrice the last while half the block holds it."""
    pitch = pitch_um(points_um, section)
    widest = float(np.ptp(points_um, axis=0).max())
    lengths = [pitch]
    while len(lengths) < MAX_LADDER and lengths[-1] * LADDER <= widest / 2:
        lengths.append(lengths[-1] * LADDER)
    return tuple(lengths)


@dataclass(frozen=True)
class Look:
    """Features as a linear and RBF kernels see them.

    Attributes
    ----------
    columns
        Channels that are looked at, (channels,) bool.
    centre, scale
        What turns those into scaled features.
    length
        Median distance between spots in the space of scaled features.
    within
        Whether places of different blocks have nothing to do with each other.
    """

    columns: npt.NDArray[np.bool_]
    centre: Floats
    scale: Floats
    length: float
    within: bool = False

    @classmethod
    def at(
        cls, places: Places, columns: npt.NDArray[np.bool_], *, within: bool = False
    ) -> Look | None:
        """Scales from the features of the spots of the block at hand; None where none varies."""
        values = places.features[np.ix_(places.blocks == 0, columns)]
        groups = tuple(g for g, used in zip(places.groups, columns, strict=True) if used)
        centre = values.mean(axis=0)
        scale = scales(values - centre, groups)
        if not scale.any():
            return None
        some = ((values - centre) * scale)[:: max(1, len(values) // 1000)]
        length = float(np.median(pdist(some))) if len(some) > 1 else 1.0
        return cls(columns, centre, scale, length if length > 0 else 1.0, within)

    def __call__(self, places: Places) -> Floats:
        """Scaled features of places, (n, channels)."""
        own = places.features[:, : len(self.columns)][:, self.columns]
        return np.asarray((own - self.centre) * self.scale)

    def near(self, square: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """The RBF kernels of squared distances, by the order of ``RBF_LADDER``."""
        size = RBF_LADDER[0] * self.length
        kernel = np.exp(np.maximum(square, 0) * square.dtype.type(-0.5 / size**2))
        yield kernel
        for _ in RBF_LADDER[1:]:  # half the length: the fourth power, cheaper than another exp
            kernel = kernel * kernel
            kernel = kernel * kernel
            yield kernel


@dataclass(frozen=True)
class Kernels:
    """Kernels between any places and the anchors (measured spots, or some of them).

    Where there are spots of several blocks, features are looked at twice: all blocks alike, by the
    channels that all have; and each block apart, by all channels. The weights tell how much of
    what morphology says holds from block to block. Kernels of place join a block's own alone, as
    blocks lie farther apart than any length scale.

    Where there are several sections, the last kernel joins the spots of a section alone: what a
    section shows of its own (its preparation, or what ends before the next) is no reason to expect
    the same elsewhere. Places of no section have none of it.

    Attributes
    ----------
    anchors
        (n) places.
    looks
        None, one or two.
    lengths_um
        Spatial length scales.
    apart_um
        Length scale of what a section shows of its own; ``None`` where there is one section.
    """

    anchors: Places
    looks: tuple[Look, ...]
    lengths_um: tuple[float, ...]
    apart_um: float | None = None

    @classmethod
    def between(
        cls, places: Places, section: npt.NDArray[np.int64], *, features: bool, place: bool
    ) -> Kernels:
        """Kernels whose scales come from the spots: their pitch, extent and features."""
        places = replace(places, section=section)
        looks: list[Look | None] = []
        if features:
            elsewhere = places.blocks != 0
            every = np.ones(places.features.shape[1], dtype=np.bool_)
            if elsewhere.any():
                common = np.asarray((places.features[elsewhere] != 0).any(axis=0))
                looks = [Look.at(places, common), Look.at(places, every, within=True)]
            else:
                looks = [Look.at(places, every)]
        own = places.blocks == 0
        lengths = spatial_lengths(places.points_um[own], section[own]) if place else ()
        apart = lengths[:2][-1] if place and len(np.unique(section[own])) > 1 else None
        return cls(places, tuple(look for look in looks if look is not None), lengths, apart)

    @property
    def names(self) -> tuple[str, ...]:
        """One name a kernel, in the order of the Gram matrices."""
        own = [
            f"{kind}{', within a block' if look.within else ''}"
            for look in self.looks
            for kind in ("linear", *(f"rbf {ratio:g}" for ratio in RBF_LADDER))
        ]
        own += [f"place {length:.3g} um" for length in self.lengths_um]
        return (*own, *(() if self.apart_um is None else ("within a section",)))

    @property
    def anchors_um(self) -> Floats:
        """Where the anchors are, (n, 3)."""
        return self.anchors.points_um

    @property
    def has_features(self) -> bool:
        """Whether there are kernels over features."""
        return bool(self.looks)

    def at(self, keep: npt.NDArray[np.int64]) -> Kernels:
        """The same kernels with fewer anchors."""
        return replace(self, anchors=self.anchors[keep])

    def diagonal(self, places: Places) -> Floats:
        """Each kernel between a place and itself, (kernels, n)."""
        out = np.ones((len(self.names), len(places)))
        for number, look in enumerate(self.looks):
            out[number * (1 + len(RBF_LADDER))] = (look(places) ** 2).sum(axis=1)
        return out

    def against(self, places: Places) -> Iterator[npt.NDArray[np.float32]]:
        """Each kernel in turn between places and anchors, (n, anchors) float32.

        The last is left out where places are of no section: there it is 0.
        """
        for look in self.looks:
            here, there = (look(p).astype(np.float32) for p in (places, self.anchors))
            product = here @ there.T
            square = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * product
            same = places.blocks[:, None] == self.anchors.blocks if look.within else None
            for kernel in (product, *look.near(square)):
                yield kernel if same is None else kernel * same
        if self.lengths_um:
            square = np.zeros((len(places), len(self.anchors)), np.float32)
            for axis in range(3):
                at = places.points_um[:, axis].astype(np.float32)[:, None]
                square += (at - self.anchors_um[:, axis].astype(np.float32)) ** 2
            for length in self.lengths_um:
                yield np.exp(square * np.float32(-0.5 / length**2))
            if self.apart_um is not None and places.section is not None:
                own = places.section[:, None] == self.anchors.section
                yield own * np.exp(square * np.float32(-0.5 / self.apart_um**2))

    def gram(self) -> Floats:
        """Each kernel among the anchors, (kernels, n, n)."""
        n = len(self.anchors)
        out = np.ones((len(self.names), n, n))
        row = 0
        for look in self.looks:
            own = look(self.anchors)
            product = own @ own.T
            size = np.diag(product)
            same = self.anchors.blocks[:, None] == self.anchors.blocks if look.within else 1.0
            for kernel in (product, *look.near(size[:, None] + size - 2 * product)):
                out[row] = kernel * same
                row += 1
        if self.lengths_um:
            square = np.zeros((n, n))
            for axis in range(3):
                at = self.anchors_um[:, axis]
                square += (at[:, None] - at) ** 2
            for length in self.lengths_um:
                out[row] = np.exp(-0.5 * square / length**2)
                row += 1
            if self.apart_um is not None:
                section = np.asarray(self.anchors.section)
                own = section[:, None] == section
                out[row] = own * np.exp(-0.5 * square / self.apart_um**2)
        return out

    def chunks(self, count: int) -> Iterator[slice]:
        """Parts of ``count`` places small enough to hold against all anchors."""
        step = max(1, CHUNK_VALUES // max(1, len(self.anchors)))
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))
