"""Registration: bring one section onto another, or onto a plane of a volume.

Works on tissue density (0 glass, 1 dense; see :mod:`vortex_model.tissue`), in micrometres. Many
starting rotations, mirrored ones too, are screened by correlation in Fourier space; the best are
refined by SimpleITK, rigid before affine before B-spline, each kept only where it helps. Nothing
is random, and one thread gives what two give.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from vortex_model.errors import VortexError
from vortex_model.multiscale import Image
from vortex_model.progress import Progress, silent
from vortex_model.register_result import (
    Displacement,
    Plane,
    Registration,
    from_landmarks,
    overlay,
)
from vortex_model.register_search import (
    FINE,
    MIDDLE,
    POOR,
    Model,
    NoTissueError,
    Pair,
    finish,
    judged,
    refine,
    screen,
    search,
)
from vortex_model.tissue import channel_ranges, density, level_in_plane

__all__ = [
    "Displacement",
    "NoTissueError",
    "Plane",
    "Registration",
    "assess",
    "from_landmarks",
    "overlay",
    "register",
    "register_to_volume",
]

PLANES = 40
"""At most so many planes of a volume are screened; the best are then climbed from."""


def register(
    fixed: Plane,
    moving: Plane,
    *,
    model: Model = "affine",
    mirror: bool = True,
    progress: Progress = silent,
) -> Registration:
    """Find where ``moving`` lies on ``fixed``.

    Parameters
    ----------
    fixed, moving
        Tissue densities; spacing, size and aspect may differ.
    model
        The most that is allowed: ``rigid`` (turn, shift, mirror), ``affine`` (also stretch and
        shear, within a quarter), ``bspline`` (also a smooth bend). A step that does not raise
        the score is undone.
    mirror
        Whether the moving section may have been put on the slide face down.

    Returns
    -------
    The registration, its score and, where that is poor, a warning.

    Raises
    ------
    VortexError
        When either image has no tissue.
    """
    if model not in ("rigid", "affine", "bspline"):
        raise VortexError(f"Registration model {model!r}: choose rigid, affine or bspline.")
    pair = Pair.of(fixed, moving)
    best = search(pair, model, mirror, progress)
    if pair.score(best, FINE) < POOR:
        # Two modalities may show the same tissue with opposite contrast; a second look costs
        # only those who have no match without it, and counts only where it finds a good one.
        turned = replace(search(pair.inverted(), model, mirror, progress), inverted=True)
        best = turned if pair.score(turned, FINE) >= POOR else best
    progress(1.0, "registered")
    return judged(pair, best)


def register_to_volume(
    image: Image,
    section: Plane,
    *,
    z_range: tuple[float, float] | None = None,
    serial: bool = False,
    model: Model = "affine",
    mirror: bool = True,
    progress: Progress = silent,
) -> tuple[Registration, float]:
    """Find the plane of a volume that a section was cut from, and where it lies there.

    Planes are taken as parallel to z = 0; a section cut aslant is matched at its best plane.

    Parameters
    ----------
    image
        The volume.
    section
        The section's tissue density.
    z_range
        Least and greatest z in micrometres, where that is known.
    serial
        Whether the volume's planes were stained one by one.
    model, mirror
        As of :func:`register`.

    Returns
    -------
    registration
        From the section to the plane, x and y in the volume's micrometres.
    z_um
        Centre of the plane.

    Raises
    ------
    VortexError
        When no plane in ``z_range`` shows tissue.
    """
    extent = max(n * s for n, s in zip(section.density.shape, section.spacing_um, strict=True))
    level = level_in_plane(image, extent / FINE, serial)
    heights = level.grid.axis_um(0)
    low, high = z_range or (float(heights[0]), float(heights[-1]))
    inside = [z for z, um in enumerate(heights) if low - 1e-6 <= um <= high + 1e-6]
    stride = max(1, -(-len(inside) // PLANES))
    ranges = channel_ranges(image, serial)

    def pair_at(z: int) -> Pair | None:
        voxels = np.asarray(level.array[:, z])
        of_plane = ranges[z if serial else 0]
        _, sy, sx = level.grid.spacing_um
        _, oy, ox = level.grid.origin_um
        fixed = Plane(density(voxels, image.is_rgb, of_plane), (sy, sx), (oy, ox))
        try:
            return Pair.of(fixed, section)
        except NoTissueError as error:
            if error.image == "moving":
                raise
            return None

    screened = []
    for number, z in enumerate(inside[stride // 2 :: stride]):
        progress(0.5 * number * stride / len(inside), f"plane at {heights[z]:.0f} um")
        pair = pair_at(z)
        if pair is not None:
            screened.append((screen(pair, mirror, silent)[0][0], z))
    if not screened:
        raise VortexError(
            f"No plane of the volume between z = {low:.0f} and {high:.0f} um shows tissue (the "
            f"volume spans {heights[0]:.0f} to {heights[-1]:.0f} um). Give another z_range."
        )
    screened.sort(key=lambda s: (-s[0], s[1]))
    seen: dict[int, tuple[float, Registration]] = {}

    how: Literal["rigid", "affine"] = "rigid"

    def look(z: int, starts: list[Registration] | None = None) -> float:
        pair = pair_at(z) if z in inside and z not in seen else None
        if pair is not None:
            use = starts or [start for _, start in screen(pair, mirror, silent)]
            found = [refine(pair, start, how, MIDDLE) for start in use]
            seen[z] = max(((pair.score(f, MIDDLE), f) for f in found), key=lambda f: f[0])
        return seen[z][0] if z in seen else -1.0

    for number, (_, z) in enumerate(screened[:4]):
        progress(0.5 + 0.06 * number, f"rigid, plane at {heights[z]:.0f} um")
        look(z)
    best = max(seen, key=lambda z: (seen[z][0], -z))
    if model != "rigid":  # else a section that swelled would climb to where the block is wider
        how, first = "affine", seen[best][1]
        seen.clear()
        look(best, [first])
    while stride:  # climb to the best neighbour, by ever smaller steps
        near = max((best - stride, best + stride), key=lambda z: look(z, [seen[best][1]]))
        progress(0.75, f"plane at {heights[best]:.0f} um")
        if seen.get(near, (-1.0,))[0] > seen[best][0]:
            best = near
        else:
            stride //= 2
    pair = pair_at(best)
    if pair is None:
        raise NoTissueError("fixed", 0.0, 0.0)
    progress(0.8, f"fine, plane at {heights[best]:.0f} um")
    found = finish(pair, seen[best][1], model, silent)
    progress(1.0, "registered")
    return judged(pair, found), float(heights[best])


def assess(fixed: Plane, moving: Plane, registration: Registration) -> Registration:
    """The same registration with its score and, where that is below ``POOR``, a warning.

    The score is the product of two numbers, each 0 to 1: the Dice overlap of the two tissue
    masks, and the correlation within both of the densities' structure, taken between 1/64 and
    1/13 of the tissue's size.
    """
    return judged(Pair.of(fixed, moving), registration)
