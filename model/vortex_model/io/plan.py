"""A manifest opened: every file that it names is looked into, and every mistake is noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.io.images import open_raster
from vortex_model.io.manifest import read_manifest
from vortex_model.io.points import points_grid, read_points
from vortex_model.io.raster import Options
from vortex_model.io.schema import Paths, Problems
from vortex_model.io.sections import Measured, on_volume, read_section, to_study
from vortex_model.io.serial import Section, given_pose, open_serial
from vortex_model.io.spec import ImageSpec, Manifest, SectionSpec
from vortex_model.io.volumes import ImageVolume, open_volume
from vortex_model.register import from_landmarks

Points = npt.NDArray[np.float64]


@dataclass
class Plan:
    """A manifest whose files were opened and checked."""

    spec: Manifest
    paths: Paths
    volume: ImageVolume | None = None
    points: pd.DataFrame | None = None
    planes: list[Section] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    labels: list[tuple[str, ImageVolume]] = field(default_factory=list)

    @property
    def grid(self) -> Grid | None:
        """The morphology's grid, where it is known before registration."""
        if self.volume is not None:
            return self.volume.grid
        if self.points is not None and self.spec.points is not None:
            return points_grid(self.spec.points, self.points)
        return None


def prepare(manifest: Path, root: Path | None, problems: Problems) -> Plan:
    """Open and check everything that a manifest names; mistakes go to ``problems``.

    Raises
    ------
    VortexError
        When the manifest cannot be read at all.
    """
    spec = read_manifest(manifest, root, problems)
    plan = Plan(spec, Paths(spec.root))
    if spec.volume is not None:
        plan.volume = open_volume(spec.volume, plan.paths, problems)
    if spec.points is not None:
        plan.points = read_points(spec.points, problems)
    if spec.serial is not None:
        plan.planes = open_serial(spec.serial, plan.paths, problems)
        for plane in spec.serial.planes:
            _check_landmarks(plane.where, plane.pose.landmarks, problems)
    planes = {plane.name: plane for plane in plan.planes}
    for section in spec.sections:
        home = planes.get(section.plane)
        own = _section_image(section, plan, problems)
        size = home.shape[2:] if home else own
        measured = read_section(section, home.um_per_pixel if home else None, size, problems)
        bad_pose = _check_landmarks(section.where, section.pose.landmarks, problems)
        if measured is None:
            continue
        plan.measured.append(measured)
        if not section.plane and section.pose.kind != "register" and plan.grid and not bad_pose:
            on_volume(measured, given_points(measured), plan.grid, problems)
    for label in spec.labels:
        opened = _open_label(label, plan, problems)
        if opened is not None:
            plan.labels.append((label.name, opened))
    return plan


def _check_landmarks(where: str, path: Path | None, problems: Problems) -> bool:
    if path is None:
        return False
    try:
        from_landmarks(path)
    except VortexError as error:
        problems.add(f"{where}.pose", str(error))
        return True
    return False


def _section_image(section: SectionSpec, plan: Plan, problems: Problems) -> tuple[int, int] | None:
    """Size (y, x) of a section's own image, which is registered to a plane of the volume."""
    if section.pose.kind != "register" or not section.pose.image:
        return None
    where = f"{section.where}.pose.register.image"
    raster = open_raster(section.pose.image, "", Options(), plan.paths, where, problems)
    if raster is None:
        return None
    if raster.shape[1] != 1:
        problems.add(where, f"{raster.path} has {raster.shape[1]} planes; a section has one.")
    if section.pose.um_per_pixel is None and None in raster.spacing_um[1:]:
        problems.add(where, f"{raster.path} does not say its pixel size. Give um_per_pixel.")
    if section.z_um is None:
        problems.add(section.where, "'z_um' is missing: the plane of the volume to register to.")
    if plan.spec.volume is None and plan.spec.points is None:
        problems.add(section.where, "'register' needs a 'volume'; with 'serial' name the 'plane'.")
    return raster.shape[2], raster.shape[3]


def _open_label(spec: ImageSpec, plan: Plan, problems: Problems) -> ImageVolume | None:
    label = open_volume(spec, plan.paths, problems)
    if label is None:
        return None
    if label.dtype.kind not in "ui":
        problems.add(spec.where, f"labels are whole numbers; these voxels are {label.dtype}.")
    if len(label.channels) != 1:
        problems.add(spec.where, f"a label image has one channel; this has {len(label.channels)}.")
    grid = plan.grid
    if grid is not None:
        off = [
            abs(a - b) > max(s, t)
            for have, want, s, t in zip(
                label.grid.bounds_um, grid.bounds_um, label.grid.spacing_um, grid.spacing_um,
                strict=True,
            )
            for a, b in zip(have, want, strict=True)
        ]  # fmt: skip
        if any(off):
            problems.add(
                spec.where,
                f"it covers {_span(label.grid)}, the volume {_span(grid)} um (z, y, x). Give "
                "spacing_um and origin_um so that they agree.",
            )
    return label


def _span(grid: Grid) -> str:
    return ", ".join(f"{low:g} to {high:g}" for low, high in grid.bounds_um)


def given_points(measured: Measured) -> Points:
    """Places (n, 3) in the study's frame of a section whose pose is given."""
    pose = measured.spec.pose
    oblique = pose.affine if pose.affine is not None and len(pose.affine) == 3 else None
    return to_study(measured, given_pose(pose), measured.spec.z_um, oblique)
