"""Grid: shape, spacing, origin; the only place that turns indices into micrometres and back.

Arrays are indexed (z, y, x); points are (x, y, z) in micrometres of the study's frame, as in
scverse. The origin is the centre of voxel (0, 0, 0), as in ITK and OME-NGFF.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.errors import VortexError

Triple = tuple[float, float, float]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A regular lattice of places, axes (z, y, x).

    Parameters
    ----------
    shape
        Number of voxels along z, y, x.
    spacing_um
        Distance between voxel centres along z, y, x, in micrometres.
    origin_um
        Centre of voxel (0, 0, 0) along z, y, x, in micrometres.

    Raises
    ------
    VortexError
        When a size is below 1, or a spacing is not a positive finite number.
    """

    shape: tuple[int, int, int]
    spacing_um: Triple
    origin_um: Triple = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for field, value in (("shape", self.shape), ("spacing", self.spacing_um)):
            if len(value) != 3:
                raise VortexError(f"A grid's {field} has three values (z, y, x), not {value!r}.")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "spacing_um", tuple(float(s) for s in self.spacing_um))
        object.__setattr__(self, "origin_um", tuple(float(o) for o in self.origin_um))
        if min(self.shape) < 1:
            raise VortexError(f"A grid needs at least one voxel an axis, not {self.shape}.")
        if not all(math.isfinite(s) and s > 0 for s in self.spacing_um):
            raise VortexError(
                f"Spacing must be positive micrometres (z, y, x), not {self.spacing_um}. "
                "Give the voxel size that the microscope reported."
            )
        if not all(math.isfinite(o) for o in self.origin_um):
            raise VortexError(f"Origin must be finite micrometres (z, y, x), not {self.origin_um}.")

    @property
    def extent_um(self) -> Triple:
        """Edge-to-edge size along z, y, x, in micrometres."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing_um, strict=True))
        return z, y, x

    @property
    def bounds_um(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """Lower and upper voxel edge along z, y, x, in micrometres."""
        low = [o - s / 2 for o, s in zip(self.origin_um, self.spacing_um, strict=True)]
        z, y, x = ((lo, lo + e) for lo, e in zip(low, self.extent_um, strict=True))
        return z, y, x

    @property
    def centre_um(self) -> Triple:
        """The middle of the block as a point (x, y, z)."""
        z, y, x = ((low + high) / 2 for low, high in self.bounds_um)
        return x, y, z

    def axis_um(self, axis: int) -> FloatArray:
        """Voxel centres along one axis (0 is z, 1 is y, 2 is x), in micrometres."""
        steps = np.arange(self.shape[axis], dtype=np.float64)
        return self.origin_um[axis] + self.spacing_um[axis] * steps

    def coords(self) -> dict[str, FloatArray]:
        """Voxel centres as xarray coordinates ``{"z": ..., "y": ..., "x": ...}``."""
        return {name: self.axis_um(axis) for axis, name in enumerate("zyx")}

    def to_index(self, points_um: npt.ArrayLike) -> FloatArray:
        """Fractional (z, y, x) indices, shape (n, 3), of points (x, y, z), shape (n, 3)."""
        zyx = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)[:, ::-1]
        return (zyx - self.origin_um) / self.spacing_um

    def to_points(self, indices: npt.ArrayLike) -> FloatArray:
        """Points (x, y, z) in micrometres, shape (n, 3), of (z, y, x) indices, shape (n, 3)."""
        zyx = np.asarray(indices, dtype=np.float64).reshape(-1, 3)
        return (zyx * self.spacing_um + self.origin_um)[:, ::-1]

    def nearest(self, points_um: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Whole (z, y, x) indices of the voxels nearest to the points, clipped to the grid."""
        index = np.rint(self.to_index(points_um)).astype(np.int64)
        return np.clip(index, 0, np.asarray(self.shape) - 1)

    def contains(self, points_um: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each point (x, y, z) lies in the block, its faces included."""
        index = self.to_index(points_um)
        edge = 0.5 + 1e-9
        inside = (index >= -edge) & (index <= np.asarray(self.shape) - 1 + edge)
        return np.asarray(inside.all(axis=1))

    def points(self) -> FloatArray:
        """Every voxel centre as a point (x, y, z), in array (z, y, x) order."""
        z, y, x = np.meshgrid(*(self.axis_um(a) for a in range(3)), indexing="ij")
        return np.column_stack([x.ravel(), y.ravel(), z.ravel()])

    def coarsen(self, factor: Sequence[int]) -> Grid:
        """The grid of block means over ``factor`` (z, y, x) voxels; a cut last block counts."""
        shape = tuple(-(-n // f) for n, f in zip(self.shape, factor, strict=True))
        spacing = tuple(s * f for s, f in zip(self.spacing_um, factor, strict=True))
        origin = tuple(
            o + s * (f - 1) / 2
            for o, s, f in zip(self.origin_um, self.spacing_um, factor, strict=True)
        )
        return Grid(shape, spacing, origin)  # type: ignore[arg-type]

    def crop(self, start: Sequence[int], stop: Sequence[int]) -> Grid:
        """The part with (z, y, x) indices from ``start`` to before ``stop``."""
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        origin = tuple(
            o + s * a for o, s, a in zip(self.origin_um, self.spacing_um, start, strict=True)
        )
        return Grid(shape, self.spacing_um, origin)  # type: ignore[arg-type]

    def lattice(self, spacing_um: Triple) -> Grid:
        """A grid over the same block with voxels as near to ``spacing_um`` (z, y, x) as fit.

        No axis gets finer than this grid, and each keeps at least one voxel; edges coincide.
        """
        shape, spacing, origin = [], [], []
        for n, have, want, (low, _) in zip(
            self.shape, self.spacing_um, spacing_um, self.bounds_um, strict=True
        ):
            count = max(1, min(n, round(n * have / want)))
            step = n * have / count
            shape.append(count)
            spacing.append(step)
            origin.append(low + step / 2)
        return Grid(tuple(shape), tuple(spacing), tuple(origin))  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for JSON."""
        return {
            "shape": list(self.shape),
            "spacing_um": list(self.spacing_um),
            "origin_um": list(self.origin_um),
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Grid:
        """The grid that :meth:`to_json` wrote."""
        return cls(tuple(record["shape"]), tuple(record["spacing_um"]), tuple(record["origin_um"]))
