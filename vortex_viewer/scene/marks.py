"""Regions, domains and classes over the pictures: fill and outline in slices, shells in 3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from vortex_model.grid import Grid
from vortex_viewer.scene.surfaces import Surface, surface
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
    if view == "yz":
        numbers = numbers.T
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
