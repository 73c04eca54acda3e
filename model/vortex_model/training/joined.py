"""Tuned features beside others on one lattice: what stands under a spot, and at every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
from scipy import ndimage

from vortex_model.features import FeatureBlock, Features
from vortex_model.grid import Grid
from vortex_model.predictors.base import Floats, Places
from vortex_model.study import Study

CLIP = 6.0
LEAST_R = 0.1
"""Held-out correlation from which a factor of a tuned encoder is used."""
GROUP = "tuned: factors"


@dataclass(frozen=True)
class Tuned:
    """What a tuned encoder says.

    Attributes
    ----------
    id
        Of the model that made it.
    spots
        Of the measured spots, each said without its own block, (n, rank); standardised.
    lattice
        At the tokens of the features' lattice, (rank, z, y, x) float16; standardised alike.
    kept
        The factors that are worth using (:func:`worth_keeping`).
    """

    id: str
    spots: Floats
    lattice: npt.NDArray[np.float16]
    kept: tuple[int, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each channel."""
        return (GROUP,) * len(self.kept)

    def places(self, places: Places) -> Places:
        """The measured spots' places with the tuned features beside the others."""
        joined = np.hstack([places.features, self.spots[:, list(self.kept)]])
        return Places(places.points_um, joined, places.groups + self.groups)

    def write(self, group: zarr.Group, record: dict[str, Any]) -> None:
        """Keep it in a group."""
        names = ("factor", "z", "y", "x")
        group.create_array("spots", data=self.spots, dimension_names=("spot", "factor"))
        chunks = (len(self.lattice), *(min(32, n) for n in self.lattice.shape[1:]))
        group.create_array("lattice", data=self.lattice, chunks=chunks, dimension_names=names)
        group.attrs["model"] = {**record, "kept": list(self.kept)}

    def at(self, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """What is used at some tokens (z, y, x), (n, kept)."""
        z, y, x = tokens.T
        return self.lattice[:, z, y, x][list(self.kept)].T.astype(np.float32)

    @classmethod
    def read(cls, study: Study, name: str) -> Tuned:
        """What :meth:`write` kept."""
        group = study.derived("models", name)
        spots = np.asarray(cast("zarr.Array[Any]", group["spots"])[:], dtype=np.float64)
        lattice = np.asarray(cast("zarr.Array[Any]", group["lattice"])[:], dtype=np.float16)
        own: Any = group.attrs["model"]
        return cls(name, spots, lattice, tuple(int(k) for k in own["kept"]))


class JoinedFeatures(Features):
    """Features with tuned ones beside them at every token; spots have their own (``Tuned``)."""

    def __init__(self, study: Study, name: str, tuned: Tuned) -> None:
        super().__init__(study, name)
        self._tuned = tuned
        self.groups = self.groups + tuned.groups

    def at_points(self, points_um: npt.ArrayLike, diameter_um: npt.ArrayLike) -> Any:
        """As :meth:`Features.at_points`, and the tuned features of the nearest token."""
        plain = super().at_points(points_um, diameter_um)
        tokens = self.grid.nearest(np.asarray(points_um, dtype=np.float64).reshape(-1, 3))
        return np.hstack([plain, self._tuned.at(tokens)])

    def block(self, start: tuple[int, int, int]) -> FeatureBlock:
        """As :meth:`Features.block`, with more channels."""
        block = super().block(start)
        return block._replace(values=np.hstack([block.values, self._tuned.at(block.tokens)]))


def worth_keeping(held: Floats, scores: Floats) -> tuple[int, ...]:
    """The factors whose held-out prediction agrees with the measurement beyond chance.

    A network that learned nothing of a factor says of a block the opposite of what is there, as
    it knows only the others; among the kernels' features that would blur what they tell apart.

    Parameters
    ----------
    held, scores
        Said without the spot's own block, and measured, (n, rank).
    """
    some = held - held.mean(axis=0), scores - scores.mean(axis=0)
    power = np.sqrt((some[0] ** 2).sum(axis=0) * (some[1] ** 2).sum(axis=0))
    r = (some[0] * some[1]).sum(axis=0) / np.maximum(power, 1e-12)
    return tuple(int(k) for k in np.flatnonzero(r > max(LEAST_R, 2 / np.sqrt(len(held)))))


def coarse_lattice(
    features: Features, stride_um: float, planar: bool, most: int
) -> tuple[Grid, npt.NDArray[np.int64]]:
    """Every how many tokens a tuned encoder looks: a coarser lattice, and its places with tissue.

    Parameters
    ----------
    stride_um
        Wanted distance; wider where that would be too many places.
    planar
        Whether planes stay apart.
    most
        How many places are taken, about.
    """
    grid, mask = features.grid, features.mask
    while True:
        factor = [max(1, min(n, round(stride_um / s))) for s, n in zip(
            grid.spacing_um, grid.shape, strict=True)]  # fmt: skip
        if planar:
            factor[0] = 1
        coarse = grid.coarsen(factor)
        index = np.unique(np.argwhere(mask) // factor, axis=0)
        if len(index) <= most or min(coarse.shape[1:]) <= 1:
            return coarse, index
        stride_um *= 1.1


def on_lattice(
    name: str,
    features: Features,
    planar: bool,
    section: npt.NDArray[np.int64],
    held: Floats,
    scores: Floats,
    coarse: Grid,
    index: npt.NDArray[np.int64],
    there: Floats,
) -> Tuned:
    """Standardise what a tuned encoder said, and interpolate it linearly onto the lattice.

    Within the section, and within the plane, where planes were stained one by one; else by the
    spots' own mean and deviation.

    Parameters
    ----------
    section, held, scores
        Of the measured spots: section, factors as said without their block and as measured,
        (n, rank).
    coarse, index, there
        The lattice that was looked at, its places (z, y, x), and their factors (m, rank).
    """
    spots = np.zeros_like(held)
    spread = np.maximum(held.std(axis=0), 1e-9)
    for number in np.unique(section):
        own = section == number
        mean = held[own].mean(axis=0)
        scale = np.maximum(held[own].std(axis=0), 1e-9) if planar else spread
        spots[own] = (held[own] - mean) / scale
    values = (there - held.mean(axis=0)) / spread
    if planar:
        for plane in np.unique(index[:, 0]):
            own = index[:, 0] == plane
            scale = np.maximum(there[own].std(axis=0), 1e-9)
            values[own] = (there[own] - there[own].mean(axis=0)) / scale
    lattice = np.zeros((held.shape[1], *features.grid.shape), dtype=np.float16)
    tokens = np.argwhere(features.mask)
    places = coarse.to_index(features.grid.to_points(tokens)).T
    if planar:
        places[0] = tokens[:, 0]
    known = np.zeros(coarse.shape, dtype=np.bool_)
    known[tuple(index.T)] = True
    apart = (1e6 if planar else coarse.spacing_um[0], *coarse.spacing_um[1:])
    nearest = ndimage.distance_transform_edt(
        ~known, sampling=apart, return_distances=False, return_indices=True
    )
    for factor in range(held.shape[1]):
        volume = np.zeros(coarse.shape)
        volume[tuple(index.T)] = np.clip(values[:, factor], -CLIP, CLIP)
        filled = volume[tuple(nearest)]
        lattice[factor][tuple(tokens.T)] = ndimage.map_coordinates(
            filled, places, order=1, mode="nearest"
        )
    return Tuned(name, np.clip(spots, -CLIP, CLIP), lattice, worth_keeping(held, scores))
