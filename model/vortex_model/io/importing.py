"""A manifest into a study: everything is checked first, then written; nothing half-made stays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model import tissue
from vortex_model.crew import HERE, Crew
from vortex_model.errors import StudyError, VortexError
from vortex_model.io.images import open_raster
from vortex_model.io.plan import Plan, given_points, prepare
from vortex_model.io.points import draw_points
from vortex_model.io.raster import Options
from vortex_model.io.schema import Problems
from vortex_model.io.sections import Measured, describe, on_volume, to_study
from vortex_model.io.serial import DENSITY_PIXELS, Matched, place_planes, shrink
from vortex_model.io.spec import SectionSpec
from vortex_model.io.stack import build_volume
from vortex_model.io.transform import Transform
from vortex_model.multiscale import VolumeSource, block_mean
from vortex_model.multiscale_write import Again
from vortex_model.progress import Progress, part, silent
from vortex_model.register import Plane, overlay, register
from vortex_model.study import Study

Points = npt.NDArray[np.float64]


def check(manifest: Path, root: Path | None = None) -> list[str]:
    """Every mistake in a manifest and in the files that it names; nothing is written.

    Parameters
    ----------
    manifest
        The YAML file; docs/manifest.md describes it.
    root
        What relative paths are relative to; the manifest's own folder when left out.

    Returns
    -------
    One sentence a mistake, with the value and what to do; empty when there is none.
    """
    problems = Problems()
    try:
        prepare(Path(manifest), root, problems)
    except VortexError as error:
        problems.add("", str(error))
    return problems.found


def import_study(
    manifest: Path,
    study: Path,
    *,
    root: Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    crew: Crew = HERE,
) -> Path:
    """Make the study that a manifest describes.

    Everything is checked, and what has to be registered is registered, before the study is
    begun; it appears at ``study`` only when it is whole. Warnings (a poor registration, spots
    left out) go to ``progress``, to the sections' records and to the study's notes.

    Parameters
    ----------
    crew
        Who copies volumes: this process, or the workers of
        :func:`vortex_model.cluster.crew_at`, which see the files under the same paths. What is
        drawn or registered, is so here.

    Raises
    ------
    ManifestError
        With every mistake that was found.
    VortexError
        When something goes wrong later: a file that cannot be decoded, a study in the way.
    """
    problems = Problems()
    progress(0.0, "checking")
    plan = prepare(Path(manifest), root, problems)
    problems.stop()
    _check_vacant(Path(study).expanduser(), overwrite)
    with ExitStack() as stack:
        warnings: list[str] = []
        source, placed, matched = _morphology(plan, stack, part(progress, 0.02, 0.45))
        found, own = _place_sections(plan, source, placed, part(progress, 0.45, 0.5), problems)
        problems.stop()
        matched += own
        for match in matched:
            if match.registration.warning:
                warnings.append(f"{match.name} onto {match.onto}: {match.registration.warning}")
        for measured, _ in found:
            warnings += [f"{measured.spec.name}: {text}" for text in measured.warnings]
        for text in warnings:
            progress(0.5, f"warning: {text}")
        with Study.create(study, _info(plan, warnings), overwrite=overwrite) as made:
            again = _Reopened(Path(manifest).resolve(), root and root.resolve(), crew)
            _write(made, plan, source, found, matched, part(progress, 0.5, 1.0), again)
    progress(1.0, "imported")
    return Path(study)


def _check_vacant(study: Path, overwrite: bool) -> None:
    """Say at once what :meth:`Study.create` would say after minutes of registration."""
    if study.exists():
        if not overwrite:
            raise StudyError(
                f"{study} exists. Choose another name, or pass --overwrite to replace it."
            )
        Study.open(study)


# -- morphology and poses -------------------------------------------------------------------


def _morphology(
    plan: Plan, stack: ExitStack, progress: Progress
) -> tuple[VolumeSource | None, dict[str, Transform], list[Matched]]:
    spec = plan.spec
    if spec.serial is not None:
        placed, matched = place_planes(spec.serial, plan.planes, part(progress, 0.0, 0.5))
        spots = _outer_spots(plan)
        serial = build_volume(spec.serial, plan.planes, placed, spots, part(progress, 0.5, 1.0))
        stack.callback(serial.close)
        return serial, placed, matched
    if spec.points is not None and plan.points is not None:
        drawn = draw_points(spec.points, plan.points, progress)
        stack.callback(drawn.close)
        return drawn, {}, []
    return plan.volume, {}, []


def _outer_spots(plan: Plan) -> dict[str, Points]:
    """Spots' centres and their diameter around them, in each plane's own micrometres."""
    found: dict[str, Points] = {}
    for measured in plan.measured:
        if measured.spec.plane:
            near = measured.spot_diameter_um * np.array([[-1.0, -1.0], [1.0, 1.0]])
            around = (measured.own_um[:, None, :2] + near).reshape(-1, 2)
            before = found.get(measured.spec.plane)
            found[measured.spec.plane] = around if before is None else np.vstack([before, around])
    return found


def _place_sections(
    plan: Plan,
    source: VolumeSource | None,
    placed: dict[str, Transform],
    progress: Progress,
    problems: Problems,
) -> tuple[list[tuple[Measured, Points]], list[Matched]]:
    found, matched = [], []
    depths = {plane.name: plane.spec.z_um for plane in plan.planes}
    for number, measured in enumerate(plan.measured):
        section = measured.spec
        report = part(progress, number / len(plan.measured), (number + 1) / len(plan.measured))
        if section.plane:
            points: Points | None = to_study(measured, placed[section.plane], depths[section.plane])
        elif section.pose.kind == "register" and source is not None:
            match = _register_section(section, plan, source, report)
            matched.append(match)
            points = to_study(measured, Transform((match.registration,)), section.z_um)
        else:
            points = given_points(measured)
        if source is not None and points is not None:
            points = on_volume(measured, points, source.grid, problems)
        if points is not None:
            found.append((measured, points))
    return found, matched


def _register_section(
    section: SectionSpec, plan: Plan, source: VolumeSource, progress: Progress
) -> Matched:
    """Bring a section's own image onto the plane of the volume at its z."""
    problems = Problems()
    raster = open_raster(section.pose.image, "", Options(), plan.paths, section.where, problems)
    problems.stop()
    z_um = section.z_um
    if raster is None or z_um is None:
        raise VortexError(f"{section.where}: its image or z_um is missing.")
    own = section.pose.um_per_pixel or (raster.spacing_um[1] or 1.0, raster.spacing_um[2] or 1.0)
    small, spacing, origin = shrink(raster, own, DENSITY_PIXELS)
    moving = Plane(tissue.density(small, raster.rgb), spacing, origin)
    fixed = _plane_density(source, z_um)
    rules = section.pose.register
    found = register(
        fixed,
        moving,
        model=rules.model,  # type: ignore[arg-type]
        mirror=rules.mirror,
        progress=progress,
    )
    return Matched(section.name, f"plane at z {z_um:g} um", found, overlay(fixed, moving, found))


def _plane_density(source: VolumeSource, z_um: float) -> Plane:
    """Tissue density of the volume's plane nearest to ``z_um``, row band by row band."""
    grid = source.grid
    _, ny, nx = grid.shape
    z = int(np.clip(round((z_um - grid.origin_um[0]) / grid.spacing_um[0]), 0, grid.shape[0] - 1))
    step = max(1, -(-max(ny, nx) // DENSITY_PIXELS))
    band = ny if source.planar else step * max(1, 512 // step)
    rows = []
    for y in range(0, ny, band):
        block = np.concatenate(
            [
                source.read(c, slice(z, z + 1), slice(y, min(y + band, ny)), slice(0, nx))
                for c in range(len(source.channels))
            ]
        )
        rows.append(block_mean(block.astype(np.float32), (1, step, step)))
    rgb = [c.role for c in source.channels] == ["red", "green", "blue"]
    _, sy, sx = grid.spacing_um
    _, oy, ox = grid.origin_um
    shift = (step - 1) / 2
    return Plane(
        tissue.density(np.concatenate(rows, axis=1), rgb),
        (sy * step, sx * step),
        (oy + sy * shift, ox + sx * shift),
    )


# -- writing --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reopened:
    """Where a crew finds the files of a manifest again."""

    manifest: Path
    root: Path | None
    crew: Crew

    def __call__(self, label: int | None) -> Again:
        """How to open the volume, or a label image by number."""
        return _open_again, (self.manifest, self.root, label)


def _open_again(manifest: Path, root: Path | None, label: int | None) -> VolumeSource:
    problems = Problems()
    plan = prepare(manifest, root, problems)
    problems.stop()
    source = plan.volume if label is None else plan.labels[label][1]
    if source is None:
        raise VortexError(f"{manifest} names no volume on this machine. Is it the same file?")
    return source


def _info(plan: Plan, warnings: Sequence[str]) -> Any:
    notes = dict(plan.spec.info.notes)
    if plan.volume is not None and plan.volume.orientation:
        notes["orientation"] = plan.volume.orientation
    if warnings:
        notes["import warnings"] = " ".join(warnings)
    return replace(plan.spec.info, notes=notes)


def _write(
    study: Study,
    plan: Plan,
    source: VolumeSource | None,
    found: Sequence[tuple[Measured, Points]],
    matched: Sequence[Matched],
    progress: Progress,
    reopened: _Reopened,
) -> None:
    if source is not None:
        again = reopened(None) if source is plan.volume else None
        study.write_morphology(source, part(progress, 0.0, 0.8), crew=reopened.crew, again=again)
    for number, (name, label) in enumerate(plan.labels):
        progress(0.8 + 0.1 * number / len(plan.labels), f"label image {name}")
        study.write_label(name, label, crew=reopened.crew, again=reopened(number))
    for number, (measured, points) in enumerate(found):
        progress(0.9 + 0.1 * number / len(found), f"section {measured.spec.name}")
        own = [m for m in matched if m.name in (measured.spec.plane, measured.spec.name)]
        study.write_section(
            measured.spec.name,
            measured.spots.to_anndata(points),
            spot_diameter_um=measured.spot_diameter_um,
            record=describe(measured) | ({"registration": _record(own[0])} if own else {}),
        )
    for match in matched:
        study.write_overlay(match.name, match.picture, _record(match))


def _record(match: Matched) -> dict[str, Any]:
    found = match.registration
    return {
        "moving": match.name,
        "fixed": match.onto,
        "score": found.score,
        "warning": found.warning,
        "matrix": found.matrix,
        "mirrored": found.mirrored,
        "rotation_deg": found.rotation_deg,
        "bent": found.displacement is not None,
    }
