"""The similarities that a Gaussian process adds up: features (linear, RBF) and place.

Each is 1 on average between a place and itself, so that a weight is a share of variance. They
are the same for all expression components; only their weights differ. So one Gram matrix of
each serves every component, and predicting costs one product a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from vortex_model.predictors.base import Floats, Places

LADDER = 3.0
"""Ratio of one spatial length scale to the next."""
MAX_LADDER = 3
CHUNK_VALUES = 4_000_000
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
class Kernels:
    """Kernels between any places and the anchors (measured spots, or some of them).

    Attributes
    ----------
    anchors_um
        (n, 3).
    anchor_features
        Centred and scaled, (n, channels).
    centre, scale
        What turns features into those.
    rbf_length
        Length scale in the space of scaled features.
    lengths_um
        Spatial length scales.
    """

    anchors_um: Floats
    anchor_features: Floats
    centre: Floats
    scale: Floats
    rbf_length: float
    lengths_um: tuple[float, ...]

    @classmethod
    def between(
        cls, places: Places, section: npt.NDArray[np.int64], *, features: bool, place: bool
    ) -> Kernels:
        """Kernels whose scales come from the spots: their pitch, extent and features."""
        channels = places.features.shape[1] if features else 0
        values = places.features[:, :channels]
        centre = values.mean(axis=0)
        scale = scales(values - centre, places.groups[:channels])
        scaled = (values - centre) * scale
        some = scaled[:: max(1, len(scaled) // 1000)]
        length = float(np.median(pdist(some))) if scale.any() and len(some) > 1 else 1.0
        return cls(
            anchors_um=places.points_um,
            anchor_features=scaled,
            centre=centre,
            scale=scale,
            rbf_length=length if length > 0 else 1.0,
            lengths_um=spatial_lengths(places.points_um, section) if place else (),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """One name a kernel, in the order of the Gram matrices."""
        own = ("linear", "rbf") if self.has_features else ()
        return own + tuple(f"place {length:.3g} um" for length in self.lengths_um)

    @property
    def has_features(self) -> bool:
        """Whether there are kernels over features."""
        return bool(self.scale.any())

    def at(self, keep: npt.NDArray[np.int64]) -> Kernels:
        """The same kernels with fewer anchors."""
        return Kernels(
            self.anchors_um[keep],
            self.anchor_features[keep],
            self.centre,
            self.scale,
            self.rbf_length,
            self.lengths_um,
        )

    def scaled_features(self, places: Places) -> Floats:
        """Features of places as the anchors have them."""
        return np.asarray((places.features[:, : len(self.centre)] - self.centre) * self.scale)

    def diagonal(self, places: Places) -> Floats:
        """Each kernel between a place and itself, (kernels, n)."""
        out = np.ones((len(self.names), len(places)))
        if self.has_features:
            out[0] = (self.scaled_features(places) ** 2).sum(axis=1)
        return out

    def against(self, places: Places) -> Iterator[npt.NDArray[np.float32]]:
        """Each kernel in turn between places and anchors, (n, anchors) float32."""
        if self.has_features:
            here = self.scaled_features(places).astype(np.float32)
            there = self.anchor_features.astype(np.float32)
            product = here @ there.T
            yield product
            square = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1) - 2 * product
            yield np.exp(np.maximum(square, 0) * np.float32(-0.5 / self.rbf_length**2))
        if self.lengths_um:
            square = np.zeros((len(places), len(self.anchors_um)), np.float32)
            for axis in range(3):
                here = places.points_um[:, axis].astype(np.float32)[:, None]
                square += (here - self.anchors_um[:, axis].astype(np.float32)) ** 2
            for length in self.lengths_um:
                yield np.exp(square * np.float32(-0.5 / length**2))

    def gram(self) -> Floats:
        """Each kernel among the anchors, (kernels, n, n)."""
        n = len(self.anchors_um)
        out = np.ones((len(self.names), n, n))
        row = 0
        if self.has_features:
            out[0] = self.anchor_features @ self.anchor_features.T
            size = np.diag(out[0])
            square = np.maximum(size[:, None] + size - 2 * out[0], 0.0)
            out[1] = np.exp(-0.5 * square / self.rbf_length**2)
            row = 2
        if self.lengths_um:
            square = np.zeros((n, n))
            for axis in range(3):
                own = self.anchors_um[:, axis]
                square += (own[:, None] - own) ** 2
            for length in self.lengths_um:
                out[row] = np.exp(-0.5 * square / length**2)
                row += 1
        return out

    def chunks(self, count: int) -> Iterator[slice]:
        """Parts of ``count`` places small enough to hold against all anchors."""
        step = max(1, CHUNK_VALUES // max(1, len(self.anchors_um)))
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))
