"""How far a prediction can be trusted, and where: intervals, distance, unlike morphology.

What training found out (:mod:`vortex_model.training.conformal`) is a few numbers a gene, kept
beside the factors; an interval is then as cheap as the gene itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
from scipy.spatial import cKDTree

from vortex_model.errors import VortexError

Floats = npt.NDArray[np.floating[Any]]
BETWEEN = 0.71
"""Half the diagonal of a square of four spots, in spot pitches: so far a place of the section
itself can be from its nearest spot."""
UNLIKE_STEP = 0.02
"""What a step of the stored map of unlike morphology is worth."""


@dataclass(frozen=True)
class Calibration:
    """Widths of predictive intervals, learned on held-out spots.

    The interval of a measured spot's expression is ``mean - q below s`` to ``mean + q above s``
    with ``s = sqrt(variance + noise)``, times a widening that depends on the distance from the
    measured sections.

    Attributes
    ----------
    noise
        The spot's own noise: what neither morphology nor place explains, as a variance, (genes,).
    below, above
        How far errors reach to either side, (genes,).
    levels
        Confidence levels, rising, (levels,).
    quantiles
        Scores of held-out spots at those levels, (levels, genes).
    edges_um
        Bounds between the classes of distance, (classes - 1,).
    widening
        1 at the nearest, never falling with distance, (classes,).
    reach_um
        How far from what was learned from enough spots were held out.
    """

    noise: Floats
    below: Floats
    above: Floats
    levels: Floats
    quantiles: Floats
    edges_um: Floats
    widening: Floats
    reach_um: float

    def quantile(self, level: float) -> Floats:
        """Scores at a level, (genes,); linear in between.

        Raises
        ------
        VortexError
            When the level is outside what was calibrated.
        """
        low, high = float(self.levels[0]), float(self.levels[-1])
        if not low <= level <= high:
            raise VortexError(
                f"An interval of level {level:g} was not calibrated; ask for {low:g} to {high:g}."
            )
        upper = int(np.clip(np.searchsorted(self.levels, level), 1, len(self.levels) - 1))
        a, b = self.levels[upper - 1], self.levels[upper]
        share = (level - a) / (b - a)
        return np.asarray((1 - share) * self.quantiles[upper - 1] + share * self.quantiles[upper])

    def widen(self, distance_um: npt.ArrayLike) -> Floats:
        """The widening at distances from the measured sections, of their shape."""
        return np.asarray(self.widening[np.searchsorted(self.edges_um, distance_um, side="right")])

    def bounds(
        self,
        mean: Floats,
        variance: Floats,
        distance_um: Floats,
        level: float = 0.9,
        genes: npt.NDArray[np.int64] | slice = slice(None),
    ) -> tuple[Floats, Floats]:
        """Lower and upper bound of measured spots, (n, genes); never below 0.

        Parameters
        ----------
        mean, variance
            Predicted, (n, genes).
        distance_um
            From the measured sections, (n,).
        genes
            Which of the calibrated genes the columns are.
        """
        half = np.sqrt(np.maximum(variance, 0) + self.noise[genes])
        half = half * self.quantile(level)[genes] * self.widen(distance_um)[:, None]
        low = np.maximum(mean - half * self.below[genes], 0.0)
        return low, np.maximum(mean + half * self.above[genes], 0.0)


@dataclass(frozen=True)
class SpotPlaces:
    """Where was measured.

    Attributes
    ----------
    points_um
        Spots (x, y, z), (n, 3).
    section
        Section number of each, from 0, (n,).
    """

    points_um: Floats
    section: npt.NDArray[np.int64]

    @cached_property
    def _sections(self) -> tuple[Floats, Floats]:
        """Normal (sections, 3) and pitch (sections,); no normal (0) where spots fill a volume."""
        normals, pitches = [], []
        for number in range(int(self.section.max(initial=-1)) + 1):
            own = np.asarray(self.points_um[self.section == number], dtype=np.float64)
            pitch, normal = 1.0, np.zeros(3)
            if len(own) > 1:
                near = np.asarray(cKDTree(own).query(own, k=2)[0])[:, 1]
                pitch = float(np.median(near[near > 0])) if (near > 0).any() else 1.0
            if len(own) > 2:
                centred = own - own.mean(axis=0)
                last = np.linalg.eigh(centred.T @ centred)[1][:, 0]
                if np.ptp(centred @ last) <= 2 * pitch:
                    normal = last
            normals.append(normal)
            pitches.append(pitch)
        return np.array(normals).reshape(-1, 3), np.array(pitches)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(np.asarray(self.points_um, dtype=np.float64))

    @property
    def pitch_um(self) -> float:
        """Median distance from spot to spot."""
        return float(np.median(self._sections[1]))

    def distance_um(self, points_um: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Distance (n,) of places (x, y, z) from the nearest measured section; 0 within it.

        Straight off the section's plane, and along it as far as the place lies outside of what
        its spots cover.
        """
        places = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
        _, nearest = self._tree.query(places)
        normals, pitches = self._sections
        number = self.section[nearest]
        offset = places - self.points_um[nearest]
        off = (offset * normals[number]).sum(axis=1)
        along = np.sqrt(np.maximum((offset**2).sum(axis=1) - off**2, 0.0))
        outside = np.maximum(along - BETWEEN * pitches[number], 0.0)
        return np.asarray(np.hypot(off, outside))


@dataclass(frozen=True)
class Trust:
    """What is kept with a prediction.

    Attributes
    ----------
    calibration
        Of intervals; none where too few spots could be held out.
    spots
        Where was measured.
    unlike
        How unlike what was measured the morphology is, (z, y, x) on the token lattice; above 1:
        more than 99 of 100 held-out spots. None without morphology, and when read back: it is as
        large as the lattice, so :func:`read_unlike` fetches it.
    warnings
        Sentences for whoever looks at the prediction.
    """

    calibration: Calibration | None
    spots: SpotPlaces
    unlike: Floats | None = None
    warnings: tuple[str, ...] = ()


_ROWS = ("noise", "below", "above")


def write_trust(group: zarr.Group, trust: Trust, chunks: tuple[int, ...]) -> None:
    """Keep it in a group of its own within the prediction's."""
    own = group.create_group("trust")
    places = np.column_stack([trust.spots.points_um, trust.spots.section])
    own.create_array("spots", data=places.astype(np.float32))
    record: dict[str, Any] = {"warnings": list(trust.warnings)}
    if trust.calibration is not None:
        found = trust.calibration
        rows = np.vstack([*(getattr(found, name) for name in _ROWS), found.quantiles])
        own.create_array("calibration", data=rows.astype(np.float32))
        record |= {
            "levels": [float(v) for v in found.levels],
            "edges_um": [float(v) for v in found.edges_um],
            "widening": [float(v) for v in found.widening],
            "reach_um": float(found.reach_um),
        }
    if trust.unlike is not None:
        codes = np.rint(np.clip(trust.unlike / UNLIKE_STEP, 0, 255)).astype(np.uint8)
        own.create_array("unlike", data=codes, chunks=chunks, dimension_names=("z", "y", "x"))
    own.attrs["trust"] = record


def read_trust(group: zarr.Group) -> Trust | None:
    """What :func:`write_trust` kept; None in a prediction of before."""
    if "trust" not in group:
        return None
    own = cast(zarr.Group, group["trust"])
    record: Any = own.attrs["trust"]
    places = np.asarray(cast("zarr.Array[Any]", own["spots"])[:])
    spots = SpotPlaces(places[:, :3], places[:, 3].astype(np.int64))
    calibration = None
    if "calibration" in own:
        rows = np.asarray(cast("zarr.Array[Any]", own["calibration"])[:])
        calibration = Calibration(
            noise=rows[0],
            below=rows[1],
            above=rows[2],
            levels=np.array(record["levels"]),
            quantiles=rows[len(_ROWS) :],
            edges_um=np.array(record["edges_um"]),
            widening=np.array(record["widening"]),
            reach_um=float(record["reach_um"]),
        )
    return Trust(calibration, spots, None, tuple(record["warnings"]))


def read_unlike(group: zarr.Group) -> npt.NDArray[np.float32] | None:
    """The map of unlike morphology, (z, y, x); None where there is none."""
    if "trust/unlike" not in group:
        return None
    codes = np.asarray(cast("zarr.Array[Any]", group["trust/unlike"])[:])
    return codes.astype(np.float32) * np.float32(UNLIKE_STEP)
