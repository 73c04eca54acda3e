"""Where the phantom's nuclei lie, and their shapes: each is one object, placed by hashing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from vortex_model.phantom import anatomy as an
from vortex_model.phantom.anatomy import Fields
from vortex_model.phantom.noise import Axes, Floats, uniform

REACH_UM = 16.0
"""How far from its candidate place a nucleus can leave a trace."""


@dataclass(frozen=True)
class Kind:
    """One kind of nucleus.

    Attributes
    ----------
    label
        The tissue class it lives in.
    pitch_um
        Spacing of the jittered lattice of candidate places; one nucleus a place at most.
    share
        Part of the candidates that become nuclei.
    long_um, short_um
        Half axes of the ellipsoid.
    brightness, spread
        Mean nuclear stain, and its relative deviation from nucleus to nucleus.
    shell_um
        Depth in the gland's wall to which it is drawn; None for none.
    radial
        Whether the long axis stands on the gland's wall (True), lies along it (False), or
        points anywhere (None).
    """

    label: int
    pitch_um: float
    share: float
    long_um: float
    short_um: float
    brightness: float
    spread: float
    shell_um: float | None = None
    radial: bool | None = None


@dataclass(frozen=True)
class Nuclei:
    """Nuclei as ellipsoids of revolution; all (n,) or (n, 3), axes z, y, x."""

    place_um: npt.NDArray[np.float64]
    axis: npt.NDArray[np.float64]
    long_um: npt.NDArray[np.float64]
    short_um: npt.NDArray[np.float64]
    brightness: npt.NDArray[np.float64]


def kinds(basal_um: float) -> tuple[Kind, ...]:
    """The nuclei of a tissue whose basal layer is so thick."""
    return (
        Kind(an.LUMINAL, 7.6, 0.95, 4.7, 3.2, 0.90, 0.16, basal_um + 5.5, True),
        Kind(an.BASAL, 9.5, 0.75, 4.8, 2.4, 1.00, 0.14, 0.5 * basal_um, False),
        Kind(an.STROMA, 17.0, 0.8, 7.5, 2.1, 0.85, 0.18, None, False),
        Kind(an.MUSCLE, 15.0, 0.9, 8.5, 2.0, 0.75, 0.15, None, False),
        Kind(an.WALL, 7.5, 0.7, 5.5, 2.0, 0.9, 0.15, None, None),
        Kind(an.TUMOUR, 9.8, 0.95, 5.0, 4.2, 0.92, 0.28, None, None),
        Kind(an.IMMUNE, 6.6, 0.95, 3.0, 2.8, 1.15, 0.12, None, None),
        Kind(an.NECROSIS, 14.0, 0.45, 2.2, 1.8, 0.9, 0.4, None, None),
        Kind(an.BLOOD, 16.0, 0.15, 3.4, 3.2, 1.0, 0.2, None, None),
        Kind(an.FAT, 40.0, 0.6, 6.0, 2.0, 0.9, 0.15, None, None),
    )


def scatter(kind: Kind, seed: int, fields: Fields, axes: Axes) -> Nuclei:
    """The nuclei of one kind whose candidate place lies within a lattice of places."""
    low = [float(a[0]) for a in axes]
    step = [float(a[1] - a[0]) if len(a) > 1 else 1.0 for a in axes]
    counts = [
        np.arange(int(np.floor(a[0] / kind.pitch_um)), int(np.ceil(a[-1] / kind.pitch_um)) + 1)
        for a in axes
    ]
    z, y, x = np.meshgrid(*counts, indexing="ij")
    cell = (z.ravel(), y.ravel(), x.ravel())
    key = seed * 31 + 1009 * (kind.label + 1)
    jitter = np.column_stack([uniform(key + a, *cell) for a in range(3)])
    place = (np.column_stack(cell) + 0.5 + 0.95 * (jitter - 0.5)) * kind.pitch_um
    size = np.asarray([len(a) for a in axes])
    index = (place - low) / step
    inside = ((index >= 0) & (index <= size - 1)).all(axis=1)
    place, index = place[inside], index[inside]
    chance = uniform(key + 3, *(c[inside] for c in cell))
    nearest = np.rint(index).astype(np.intp)
    keep = fields.label[tuple(nearest.T)] == kind.label
    keep &= chance < kind.share
    place, index = place[keep], index[keep]
    cell = tuple(c[inside][keep] for c in cell)

    random = [uniform(key + 4 + a, *cell).astype(np.float64) for a in range(4)]
    free = _sphere(random[0], random[1])
    if kind.radial is None:
        axis = free
    else:
        normal = _gradient(fields.gland, index, step)
        if kind.shell_um is not None:
            depth = -_sample(fields.gland, index)
            near = np.abs(depth - kind.shell_um) <= 0.52 * kind.pitch_um
            place, index, normal, free = place[near], index[near], normal[near], free[near]
            random = [r[near] for r in random]
            move = (depth[near] - kind.shell_um) * 0.85
            place = place + normal * move[:, None]
        if kind.radial:
            axis = normal + 0.25 * free
        else:
            along = free - (free * normal).sum(axis=1, keepdims=True) * normal
            axis = along + 0.12 * free
    axis = axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
    size_factor = 1.0 + 0.8 * kind.spread * (2.0 * random[2] - 1.0)
    return Nuclei(
        place,
        axis,
        kind.long_um * size_factor,
        kind.short_um * size_factor,
        kind.brightness * (1.0 + 1.7 * kind.spread * (2.0 * random[3] - 1.0)),
    )


def draw(nuclei: Nuclei, out: Floats, axes: Axes) -> None:
    """Draw nuclei into ``out`` (z, y, x) on a regular lattice; the brightest wins.

    A nucleus thinner than a voxel is widened to the voxel and dimmed by the volume it gained,
    so that its light stays the same.
    """
    if len(nuclei.place_um) == 0:
        return
    step = np.asarray([float(a[1] - a[0]) if len(a) > 1 else 1.0 for a in axes])
    low = np.asarray([float(a[0]) for a in axes])
    voxel = float(np.cbrt(step.prod()))
    long = np.sqrt(nuclei.long_um**2 + (0.45 * voxel) ** 2)
    short = np.sqrt(nuclei.short_um**2 + (0.45 * voxel) ** 2)
    gain = nuclei.long_um * nuclei.short_um**2 / (long * short**2)
    light = nuclei.brightness * np.maximum(gain, 0.3)
    reach = np.ceil(1.15 * (long.max() + 0.2) / step).astype(int)
    flat = out.reshape(-1)
    shape = np.asarray(out.shape)
    offsets = np.stack(
        np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    steps = (offsets * step).astype(np.float32)
    strides = np.asarray([shape[1] * shape[2], shape[2], 1])
    centre = np.rint((nuclei.place_um - low) / step).astype(np.int64)
    rest = (centre * step + low - nuclei.place_um).astype(np.float32)
    axis = nuclei.axis.astype(np.float32)
    a = (1.0 / long**2 - 1.0 / short**2).astype(np.float32)
    b = (1.0 / short**2).astype(np.float32)
    batch = max(1, 1_000_000 // len(offsets))
    for start in range(0, len(centre), batch):
        part = slice(start, start + batch)
        # |rest + step|^2 and (rest + step) . axis, written as matrix products.
        reached = axis[part] @ steps.T
        reached += (rest[part] * axis[part]).sum(axis=1)[:, None]
        reached *= reached
        reached *= a[part, None]
        square = (2.0 * rest[part]) @ steps.T
        square += (steps * steps).sum(axis=1)
        square += (rest[part] ** 2).sum(axis=1)[:, None]
        square *= b[part, None]
        reached += square
        who, which = np.nonzero(reached < 1.3)
        value = np.minimum((1.3 - reached[who, which]) * 1.7, 1.0)
        value *= light[part].astype(np.float32)[who]
        at = (centre[part] @ strides)[who] + (offsets @ strides)[which]
        safe = ((centre[part] >= reach) & (centre[part] < shape - reach)).all(axis=1)
        if not safe.all():
            exact = centre[part][who] + offsets[which]
            good = ((exact >= 0) & (exact < shape)).all(axis=1)
            at, value = at[good], value[good]
        np.maximum.at(flat, at, value)


def _sample(field: Floats, index: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(map_coordinates(field, index.T, order=1, mode="nearest"), dtype=np.float64)


def _gradient(
    field: Floats, index: npt.NDArray[np.float64], step: list[float]
) -> npt.NDArray[np.float64]:
    out = np.empty((len(index), 3))
    for axis in range(3):
        shift = np.zeros(3)
        shift[axis] = 4.0 / step[axis]
        out[:, axis] = _sample(field, index + shift) - _sample(field, index - shift)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9))


def _sphere(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    height = 2.0 * first - 1.0
    turn = 2.0 * np.pi * second
    flat = np.sqrt(np.maximum(1.0 - height**2, 0.0))
    return np.column_stack([height, flat * np.cos(turn), flat * np.sin(turn)])
