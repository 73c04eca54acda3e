"""Serial sections: images of their own size, opened, and each brought to its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model import tissue
from vortex_model.errors import VortexError
from vortex_model.io.images import open_raster
from vortex_model.io.raster import Block, Raster
from vortex_model.io.schema import Paths, Problems
from vortex_model.io.spec import PlaneSpec, PoseSpec, SerialSpec
from vortex_model.io.transform import Transform
from vortex_model.multiscale import block_mean
from vortex_model.progress import Progress, part, silent
from vortex_model.register import Plane, Registration, from_landmarks, overlay, register

BAND = 512
"""Rows that are read at once."""
DENSITY_PIXELS = 1600
"""Longest side of the picture that registration works on."""


@dataclass(frozen=True)
class Section:
    """One opened section image; ``reopen`` starts afresh, so that no decoded image stays."""

    spec: PlaneSpec
    reopen: Callable[[], Raster]
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    rgb: bool
    um_per_pixel: tuple[float, float]

    @property
    def name(self) -> str:
        """The plane's name."""
        return self.spec.name

    def density(self) -> Plane:
        """Its tissue density, small, in micrometres of its own frame."""
        small, spacing, origin = shrink(self.reopen(), self.um_per_pixel, DENSITY_PIXELS)
        return Plane(tissue.density(small, self.rgb), spacing, origin)


@dataclass(frozen=True)
class Matched:
    """How one plane came to its place: for the overlay and the report."""

    name: str
    onto: str
    registration: Registration
    picture: npt.NDArray[np.uint8]


def open_serial(spec: SerialSpec, paths: Paths, problems: Problems) -> list[Section]:
    """Open every section image; mistakes are noted."""
    found = []
    for plane in spec.planes:
        where = f"{plane.where}.image"
        if not plane.image:
            continue
        raster = open_raster(plane.image, "", spec.options, paths, where, problems)
        if raster is None:
            continue
        if raster.shape[1] != 1:
            problems.add(where, f"{raster.path} has {raster.shape[1]} planes; a section has one.")
            continue
        size = _pixel_size(plane, raster, problems)
        if size is None:
            continue

        def reopen(text: str = plane.image, where: str = where) -> Raster:
            again = Problems()
            opened = open_raster(text, "", spec.options, paths, where, again)
            if opened is None:
                raise VortexError(again.found[0])
            return opened

        found.append(Section(plane, reopen, raster.shape, raster.dtype, raster.rgb, size))
    for section in found[1:]:
        first = found[0]
        if (section.shape[0], section.dtype, section.rgb) != (
            first.shape[0],
            first.dtype,
            first.rgb,
        ):
            problems.add(
                f"{section.spec.where}.image",
                f"has {section.shape[0]} channels of {section.dtype}, but plane {first.name} has "
                f"{first.shape[0]} of {first.dtype}. Save the sections alike.",
            )
    _check_depths(spec, problems)
    return found


def _pixel_size(plane: PlaneSpec, raster: Raster, problems: Problems) -> tuple[float, float] | None:
    _, y, x = raster.spacing_um
    given = plane.um_per_pixel
    if given is not None:
        if y and x and max(abs(given[0] / y - 1), abs(given[1] / x - 1)) > 0.01:
            problems.add(
                f"{plane.where}.um_per_pixel",
                f"is {given[0]:g}, but {raster.path} says {y:g} x {x:g} um. Take out um_per_pixel, "
                "or mend the file.",
            )
            return None
        return given
    if y and x:
        return y, x
    hint = f" ({raster.hint})" if raster.hint else ""
    problems.add(
        plane.where,
        f"{raster.path} does not say its pixel size{hint}. Give um_per_pixel; for ST it is the "
        "spots' pitch in micrometres divided by their pitch in pixels.",
    )
    return None


def _check_depths(spec: SerialSpec, problems: Problems) -> None:
    if not spec.planes:
        return
    try:
        step = depth_step(spec)
    except VortexError as error:
        problems.add(spec.where, str(error))
        return
    taken: dict[int, PlaneSpec] = {}
    for plane in spec.planes:
        index = round((plane.z_um - spec.planes[0].z_um) / step)
        if index in taken:
            problems.add(
                f"{plane.where}.z_um",
                f"{plane.name} at {plane.z_um:g} um and {taken[index].name} at "
                f"{taken[index].z_um:g} um fall on the same plane of {step:g} um. Give a smaller "
                "z_spacing_um, or each its own z_um.",
            )
        taken[index] = plane


def depth_step(spec: SerialSpec) -> float:
    """Distance between planes of the volume.

    Raises
    ------
    VortexError
        When the planes are not even and no spacing is given.
    """
    if spec.z_spacing_um is not None:
        return spec.z_spacing_um
    z = np.array([p.z_um for p in spec.planes])
    if len(z) < 2:
        raise VortexError("one plane does not tell its thickness: give z_spacing_um.")
    steps = np.diff(z)
    if steps.min() <= 0 or steps.max() > steps.min() * 1.01:
        raise VortexError(
            f"the planes are not evenly spaced (z_um {', '.join(f'{v:g}' for v in z)}). Give "
            "z_spacing_um, the distance between planes of the volume."
        )
    return float(steps.mean())


def shrink(
    raster: Raster, um_per_pixel: tuple[float, float], pixels: int
) -> tuple[Block, tuple[float, float], tuple[float, float]]:
    """The whole image (c, y, x) as block means, at most ``pixels`` a side; spacing and origin."""
    base = raster
    for _, level in raster.levels:  # finest first
        if max(level.shape[2:]) >= pixels:
            base = level
    sy, sx = (
        s * whole / part
        for s, whole, part in zip(um_per_pixel, raster.shape[2:], base.shape[2:], strict=True)
    )
    channels, _, ny, nx = base.shape
    step = max(1, -(-max(ny, nx) // pixels))
    rows = []
    band = step * max(1, BAND // step)
    for y in range(0, ny, band):
        blocks = [
            base.read(c, slice(0, 1), slice(y, min(y + band, ny)), slice(0, nx))[0]
            for c in range(channels)
        ]
        rows.append(block_mean(np.stack(blocks).astype(np.float32), (1, step, step)))
    origin = (sy * (step - 1) / 2, sx * (step - 1) / 2)
    return np.concatenate(rows, axis=1), (sy * step, sx * step), origin


# -- pose -------------------------------------------------------------------------------------


def place_planes(
    spec: SerialSpec, sections: Sequence[Section], progress: Progress = silent
) -> tuple[dict[str, Transform], list[Matched]]:
    """Where every plane lies in the study: the reference stays, neighbours join it one by one.

    Returns
    -------
    Transforms from each plane's own micrometres to the study's, and what was registered.
    """
    by_name = {s.name: s for s in sections}
    names = [s.name for s in sections]
    reference = spec.reference or names[len(names) // 2]
    placed: dict[str, Transform] = {}
    for section in sections:
        pose = section.spec.pose
        if pose.kind != "register":
            placed[section.name] = given_pose(pose)
    placed.setdefault(reference, Transform())
    order = _order(names, reference, placed, by_name)
    matched = []
    densities: dict[str, Plane] = {}
    for number, (name, onto) in enumerate(order):
        report = part(progress, number / len(order), (number + 1) / len(order))
        report(0.0, f"registering {name} to {onto}")
        for key in (name, onto):
            if key not in densities:
                densities[key] = by_name[key].density()
        rules = by_name[name].spec.pose.register
        found = register(
            densities[onto],
            densities[name],
            model=rules.model,  # type: ignore[arg-type]
            mirror=rules.mirror,
            progress=report,
        )
        placed[name] = placed[onto].after(found)
        picture = overlay(densities[onto], densities[name], found)
        matched.append(Matched(name, onto, found, picture))
        still = {key for pair in order[number + 1 :] for key in pair}
        densities = {key: plane for key, plane in densities.items() if key in still}
    return placed, matched


def given_pose(pose: PoseSpec) -> Transform:
    """A pose that needs no registration."""
    if pose.kind == "affine" and pose.affine is not None:
        matrix = np.eye(3)
        matrix[:2] = np.array(pose.affine)[:2]
        return Transform((Registration(matrix),))
    if pose.kind == "landmarks" and pose.landmarks is not None:
        return Transform((from_landmarks(pose.landmarks),))
    return Transform()


def _order(
    names: list[str], reference: str, placed: dict[str, Transform], sections: dict[str, Section]
) -> list[tuple[str, str]]:
    """(plane, onto which) so that every target is placed before it is needed."""
    at = names.index(reference)
    target = {}
    for number, name in enumerate(names):
        if name in placed:
            continue
        towards = number + 1 if number < at else number - 1
        target[name] = sections[name].spec.pose.register.to or names[towards]
    order, done = [], set(placed)
    while target:
        ready = [n for n, onto in target.items() if onto in done]
        if not ready:
            circle = ", ".join(f"{n} to {onto}" for n, onto in target.items())
            raise VortexError(
                f"These planes are registered in a circle: {circle}. Give one of them a 'pose' of "
                "its own, or another 'to'."
            )
        for name in ready:
            order.append((name, target.pop(name)))
            done.add(name)
    return order
