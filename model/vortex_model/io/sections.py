"""A measured section: its files read by their format, its spots brought into the study's frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.errors import ManifestError, VortexError
from vortex_model.grid import Grid
from vortex_model.io.counts import Spots, check_spots
from vortex_model.io.h5ad import read_h5ad
from vortex_model.io.schema import Problems
from vortex_model.io.spaceranger import read_space_ranger
from vortex_model.io.spatialdata import read_spatialdata
from vortex_model.io.spec import SectionSpec
from vortex_model.io.st_legacy import read_legacy
from vortex_model.io.st_table import read_st_table
from vortex_model.io.transcripts import read_transcripts
from vortex_model.io.transform import Transform
from vortex_model.io.xenium import read_xenium

Points = npt.NDArray[np.float64]

READERS: dict[str, Callable[[SectionSpec], Spots]] = {
    "legacy-st": read_legacy,
    "table": read_st_table,
    "space-ranger": read_space_ranger,
    "xenium": read_xenium,
    "transcripts": read_transcripts,
    "h5ad": read_h5ad,
    "spatialdata": read_spatialdata,
}


@dataclass
class Measured:
    """A section that was read and found without mistakes.

    Attributes
    ----------
    own_um
        Places in micrometres of the section's own image, (n, 2), or of the study, (n, 3).
    warnings
        What was noticed and is no mistake.
    """

    spec: SectionSpec
    spots: Spots
    own_um: Points
    spot_diameter_um: float
    warnings: list[str] = field(default_factory=list)


def read_section(
    spec: SectionSpec,
    plane_um_per_pixel: tuple[float, float] | None,
    plane_shape: tuple[int, int] | None,
    problems: Problems,
) -> Measured | None:
    """Read a section and check it; None when mistakes were noted.

    Parameters
    ----------
    plane_um_per_pixel, plane_shape
        Pixel size and size (y, x) of the serial plane that the spots lie on, if any.
    """
    needed = {"legacy-st": 2, "table": 2}.get(spec.format, 1)
    if spec.format not in READERS or len(spec.paths) < needed or not spec.name:
        return None  # told already
    try:
        spots = READERS[spec.format](spec)
    except ManifestError as error:
        for text in error.problems:
            problems.add(spec.where, text)
        return None
    except VortexError as error:
        problems.add(spec.where, str(error))
        return None
    before = len(problems.found)
    check_spots(spots, spec.where, problems, spec.duplicate_genes)
    if plane_shape is not None and len(problems.found) == before:
        pixel = plane_um_per_pixel or (1.0, 1.0)
        own = spec.um_per_unit
        pixels = (own / pixel[0], own / pixel[1]) if own else (1.0, 1.0)
        _on_image(spots, spec, plane_shape, pixels, problems)
    unit = _unit(spots, spec, plane_um_per_pixel, problems)
    diameter = spec.spot_diameter_um or spots.spot_diameter_um
    if diameter is None:
        problems.add(
            spec.where,
            "'spot_diameter_um' is missing, and the files do not say: 55 for Visium, 100 for "
            "legacy ST, the bin's side for binned data.",
        )
    if not spec.plane and spec.z_um is None and not _gives_z(spots, spec):
        problems.add(
            spec.where,
            "'z_um' is missing: where along z the section was cut, in micrometres.",
        )
    if len(problems.found) > before or unit is None or diameter is None:
        return None
    scale = np.ones(spots.places.shape[1])
    scale[:2] = unit[1], unit[0]
    scale[2:] = unit[1]
    return Measured(spec, spots, spots.places * scale, diameter, list(spots.warnings))


def _gives_z(spots: Spots, spec: SectionSpec) -> bool:
    oblique = spec.pose.affine is not None and len(spec.pose.affine) == 3
    return spots.places.shape[1] == 3 or oblique


def _unit(
    spots: Spots,
    spec: SectionSpec,
    plane: tuple[float, float] | None,
    problems: Problems,
) -> tuple[float, float] | None:
    """Micrometres a unit along y and x."""
    if plane is not None:
        return (spec.um_per_unit, spec.um_per_unit) if spec.um_per_unit else plane
    if spec.um_per_unit is not None:
        return spec.um_per_unit, spec.um_per_unit
    own = spec.pose.um_per_pixel if spec.pose.kind == "register" else None
    if own is not None:
        return own
    if spots.um_per_unit is not None:
        return spots.um_per_unit, spots.um_per_unit
    problems.add(
        spec.where,
        "'um_per_pixel' is missing, and the files do not say: micrometres a unit of the spots' "
        "coordinates. It is the spots' pitch in micrometres divided by their pitch in pixels; 1 "
        "where they are in micrometres already.",
    )
    return None


def _on_image(
    spots: Spots,
    spec: SectionSpec,
    shape: tuple[int, int],
    scale: tuple[float, float],
    problems: Problems,
) -> None:
    x, y = spots.places[:, 0] * scale[1], spots.places[:, 1] * scale[0]
    inside = (x >= -0.5) & (x <= shape[1] - 0.5) & (y >= -0.5) & (y <= shape[0] - 0.5)
    if inside.all():
        return
    first = int(np.flatnonzero(~inside)[0])
    text = (
        f"{int((~inside).sum())} of {len(x)} spots lie off the image of plane {spec.plane} "
        f"({shape[1]} x {shape[0]} pixels), as {spots.names[first]} at x {x[first]:g}, "
        f"y {y[first]:g}"
    )
    if spec.off_image == "drop" and inside.any():
        spots.keep(inside)
        spots.warnings.append(f"{text}; they were left out.")
        return
    problems.add(
        spec.where,
        f"{text}. Are these pixels of this image at its full resolution? Set off_image: drop to "
        "leave such spots out.",
    )


def to_study(
    measured: Measured, transform: Transform, z_um: float | None, oblique: Any = None
) -> Points:
    """Places (n, 3) of the spots in the study's frame.

    Parameters
    ----------
    oblique
        Three rows that turn (x, y, 1) into (x, y, z), where the section is not a z plane.
    """
    own = measured.own_um
    if oblique is not None:
        flat = np.column_stack([own[:, :2], np.ones(len(own))])
        return np.asarray(flat @ np.asarray(oblique, dtype=np.float64).T)
    xy = transform.apply(own[:, :2])
    z = own[:, 2] if z_um is None else np.full(len(own), z_um)
    return np.column_stack([xy, z])


def on_volume(measured: Measured, points: Points, grid: Grid, problems: Problems) -> Points | None:
    """The points, if all are in the volume; else a mistake, or the others are left out."""
    inside = grid.contains(points)
    if inside.all():
        return points
    spec = measured.spec
    first = int(np.flatnonzero(~inside)[0])
    x, y, z = points[first]
    (z0, z1), (y0, y1), (x0, x1) = grid.bounds_um
    text = (
        f"{int((~inside).sum())} of {len(points)} spots lie outside the volume (x {x0:g} to "
        f"{x1:g}, y {y0:g} to {y1:g}, z {z0:g} to {z1:g} um), as {measured.spots.names[first]} at "
        f"x {x:.1f}, y {y:.1f}, z {z:.1f} um"
    )
    if spec.off_image == "drop" and inside.any():
        measured.spots.keep(inside)
        measured.own_um = measured.own_um[inside]
        measured.warnings.append(f"{text}; they were left out.")
        return points[inside]
    problems.add(
        spec.where,
        f"{text}. Check um_per_pixel, z_um and the pose; set off_image: drop to leave such spots "
        "out.",
    )
    return None


def describe(measured: Measured) -> dict[str, Any]:
    """What the study remembers of a section's import."""
    spec = measured.spec
    return {
        "format": spec.format,
        "files": {key: str(path) for key, path in spec.paths.items()},
        "plane": spec.plane,
        "pose": spec.pose.kind,
        "warnings": list(measured.warnings),
    }
