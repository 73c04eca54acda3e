"""Regions, domains and classes over the pictures: fill and outline in slices, shells in 3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from vortex_model.grid import Grid
from vortex_viewer.scene.surfaces import Surface, surface
from vortex_viewer.scene.told import ToldStage
from vortex_viewer.state import Point

INKS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#bbbbbb",
    "#7fdbca", "#b58900", "#a97fff", "#ff9da7",
)  # fmt: skip
"""Colours that colour-blind eyes tell apart (Okabe and Ito 2008), then four more."""
FINER = 4
"""Pixels of an overlay along each side of a token, so that outlines are thin."""
CUT = {"xy": 0, "xz": 1, "yz": 2}
SHELL_TOKENS = 4_000_000
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Marks:
    """What lies over the pictures: numbers on a lattice, and each number's colour.

    Attributes
    ----------
    numbers
        (z, y, x); 0 is nothing.
    inks
        Number -> colour, #rrggbb.
    fill
        How strongly the inside is coloured, 0 to 1.
    """

    grid: Grid
    numbers: npt.NDArray[np.integer[Any]]
    inks: Mapping[int, str]
    fill: float


def ink(number: int) -> str:
    """The colour of the n-th thing, from 0."""
    return INKS[number % len(INKS)]


def plane(marks: Marks, view: str, place: Point) -> tuple[Bytes, Grid] | None:
    """An overlay's RGBA (down, across, 4) of one slice, and the lattice it covers.

    None where the slice misses the lattice.
    """
    if not marks.grid.contains([place])[0]:
        return None
    axis = CUT[view]
    at = int(marks.grid.nearest([place])[0][axis])
    numbers = np.take(marks.numbers, at, axis=axis)
    fine = numbers.repeat(FINER, axis=0).repeat(FINER, axis=1)
    edge = np.zeros(fine.shape, bool)
    for a in (0, 1):
        differs = np.diff(fine, axis=a) != 0
        one = [slice(None), slice(None)]
        for part in (slice(1, None), slice(None, -1)):
            one[a] = part
            edge[tuple(one)] |= differs
    out = np.zeros((*fine.shape, 4), np.uint8)
    for number, colour in marks.inks.items():
        own = fine == number
        out[own, :3] = rgb(colour)
        out[own, 3] = round(255 * marks.fill)
    out[edge & (fine > 0), 3] = 255
    return out, marks.grid


def numbers_at(marks: Marks, grid: Grid) -> npt.NDArray[np.integer[Any]]:
    """The numbers at another grid's voxels (z, y, x); 0 where they do not reach."""
    index, inside = [], []
    for axis in range(3):
        places = grid.axis_um(axis)
        points = np.tile(np.asarray(marks.grid.centre_um), (len(places), 1))
        points[:, 2 - axis] = places
        index.append(marks.grid.nearest(points)[:, axis])
        inside.append(marks.grid.contains(points))
    z, y, x = inside
    there = z[:, None, None] & y[:, None] & x
    return np.asarray(np.where(there, marks.numbers[np.ix_(*index)], 0))


def tinted(packed: npt.NDArray[np.uint32], grid: Grid, marks: Marks) -> npt.NDArray[np.uint32]:
    """A volume's packed RGBA with the inside of each number in its colour."""
    out = np.array(packed, np.uint32)
    rgba = out.view(np.uint8).reshape(*grid.shape, 4)
    numbers = numbers_at(marks, grid)
    for z in range(grid.shape[0]):  # by planes: the blend needs four bytes a voxel and colour
        blend(rgba[z], numbers[z], marks)
    return out


def blend(rgba: Bytes, numbers: npt.NDArray[np.integer[Any]], marks: Marks) -> None:
    """Colour a picture (y, x, 4) by its numbers (y, x), in place; its light and dark stay."""
    for number, colour in marks.inks.items():
        own = numbers == number
        if own.any():
            was = rgba[own, :3].astype(np.float32)
            light = 0.5 + 0.5 * was.max(axis=1, keepdims=True) / 255.0
            rgba[own, :3] = (
                was * (1 - marks.fill) + np.asarray(rgb(colour), np.float32) * light * marks.fill
            )


def sheet(picture: Bytes, glass: npt.NDArray[np.float32], grid: Grid, marks: Marks) -> Bytes:
    """A plane of a stack with its labels alone: RGBA (y, x, 4) in their colours."""
    numbers = numbers_at(marks, grid)[0]
    flat = picture if picture.ndim == 2 else picture.mean(axis=-1)
    out = np.empty((*flat.shape, 4), np.uint8)
    out[..., :3] = (0.25 * flat + 40)[..., None]
    blend(out, numbers, replace(marks, fill=0.92))
    out[..., 3] = np.clip(glass, 0.0, 1.0) * np.where(numbers > 0, 255, 90)
    return out


def shells(marks: Marks) -> list[tuple[Surface, float]]:
    """The surface of each number, with its opacity."""
    found = []
    if marks.numbers.size > SHELL_TOKENS:
        return []
    for number, colour in marks.inks.items():
        own = (marks.numbers == number).astype(np.float32)
        if not own.any():
            continue
        soft = gaussian_filter(own, 0.6, mode="constant")
        level = min(0.5, 0.5 * float(soft.max()))
        made = surface(
            soft, marks.grid, level, np.asarray(rgb(colour), np.float32) / np.float32(255)
        )
        if made is not None:
            found.append((made, 0.35 if len(marks.inks) > 1 else 0.45))
    return found


def put(stage: Any, found: Sequence[tuple[Surface, float]], depth: float, crop: Any) -> None:
    """Stand shells in a 3D scene, in place of those that stood there; for the render thread."""
    if isinstance(stage, ToldStage):
        stage.set_shells(found)
        return
    import pyvista as pv

    for name in [n for n in stage.renderer.actors if n.startswith("mark ")]:
        stage.plotter.remove_actor(name, render=False)
    for index, (one, opacity) in enumerate(found):
        points = one.points_um * (1.0, 1.0, depth)
        faces = np.column_stack([np.full(len(one.triangles), 3), one.triangles]).ravel()
        mesh = pv.PolyData(points, faces)
        mesh.point_data["colour"] = one.colours
        if crop is not None:
            (x0, x1), (y0, y1), (z0, z1) = crop
            mesh = mesh.clip_box((x0, x1, y0, y1, z0 * depth, z1 * depth), invert=False)
            mesh = mesh.extract_surface() if mesh.n_cells else mesh
        if mesh.n_points:
            stage.plotter.add_mesh(
                mesh, scalars="colour", rgb=True, lighting=False, opacity=opacity,
                name=f"mark {index}", reset_camera=False, render=False,
            )  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """#rrggbb as three numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
