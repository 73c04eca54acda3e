"""Raster: an image file as opened, axes (c, z, y, x), before it is part of a study."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vortex_model.errors import VortexError
from vortex_model.io.limits import DECODED_GIB, check_dtype, check_shape

Block: TypeAlias = npt.NDArray[Any]
Read: TypeAlias = Callable[[int, slice, slice, slice], Block]
Spacing: TypeAlias = tuple[float | None, float | None, float | None]
UNKNOWN: Spacing = (None, None, None)


@dataclass(frozen=True)
class Options:
    """How a file is to be read.

    Attributes
    ----------
    axes
        Order of the array's axes where the file does not say: ``zyx``, ``czyx``, ``yxc``.
    series
        Which image of a file that holds several.
    level
        Which resolution of a pyramid; 0 is the finest.
    unit
        Unit of the file's spacing where the file does not say.
    decoded_gib
        Largest piece that may be decoded at once.
    """

    axes: str = ""
    series: int = 0
    level: int = 0
    unit: str = ""
    decoded_gib: float = DECODED_GIB


@dataclass(frozen=True)
class Raster:
    """An opened image file; nothing is decoded before :attr:`read` is called.

    Attributes
    ----------
    path
        Where it came from.
    shape
        (c, z, y, x).
    dtype
        What ``read`` returns.
    read
        ``read(channel, z, y, x)`` -> (z, y, x).
    spacing_um
        Along z, y, x as the file says; None where it does not.
    origin_um
        Centre of the first voxel along z, y, x, where the file says.
    channel_names, channel_colors
        As the file says, or empty.
    planar
        Whether a whole plane is decoded whatever part is read.
    rgb
        Whether its channels are red, green and blue.
    hint
        What the file says of its spacing that cannot be relied on.
    levels
        Coarser versions of the same image: (how many times coarser, raster).
    orientation
        Three letters for the side where z, y, x begin (as ``psl``), where the file says.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    read: Read
    spacing_um: Spacing = UNKNOWN
    origin_um: tuple[float, float, float] | None = None
    channel_names: tuple[str, ...] = ()
    channel_colors: tuple[str, ...] = ()
    planar: bool = False
    rgb: bool = False
    hint: str = ""
    levels: tuple[tuple[float, Raster], ...] = field(default=(), repr=False)
    orientation: str = ""

    def __post_init__(self) -> None:
        check_shape(self.shape, str(self.path))
        check_dtype(self.dtype, str(self.path))


def from_array(
    path: Path,
    array: Any,
    axes: str,
    *,
    planar: bool = False,
    spacing_um: Spacing = UNKNOWN,
    rgb: bool = False,
    **more: Any,
) -> Raster:
    """A raster over anything that is indexed like an array, by its axes.

    Parameters
    ----------
    array
        Has ``shape`` and ``dtype``; a slice of it is read when asked for.
    axes
        Letters of c, z, y, x, s (samples: another channel axis), t; a ``t`` must have length 1.

    Raises
    ------
    VortexError
        When the axes do not fit, or there are several time points.
    """
    axes = axes.lower()
    if len(axes) != len(array.shape) or len(set(axes)) != len(axes):
        raise VortexError(
            f"{path} has {len(array.shape)} axes, shape {tuple(array.shape)}; axes {axes!r} do not "
            "fit. Give 'axes' in the manifest, as zyx or czyx."
        )
    if bad := set(axes) - set("czyxst"):
        raise VortexError(
            f"{path} has an axis {sorted(bad)[0]!r} (axes {axes!r}, shape {tuple(array.shape)}). "
            "Save it with axes c, z, y, x only."
        )
    size = dict(zip(axes, array.shape, strict=True))
    if not {"y", "x"} <= set(axes):
        raise VortexError(f"{path} has axes {axes!r}: y or x is missing. Give 'axes' as zyx.")
    if size.get("t", 1) != 1:
        raise VortexError(
            f"{path} has {size['t']} time points; a study holds one. Save one of them apart."
        )
    planes, samples = size.get("c", 1), size.get("s", 1)
    keep = samples
    if rgb and samples == 4:
        keep = 3  # the fourth is opacity
    dtype = check_dtype(array.dtype, str(path))
    order = [a for a in axes if a in "zyx"]

    def read(channel: int, z: slice, y: slice, x: slice) -> Block:
        where = {"z": z, "y": y, "x": x, "t": 0, "c": channel // keep, "s": channel % keep}
        block = np.asarray(array[tuple(where[a] for a in axes)])
        if "z" not in order:
            block = block[None]
            return np.ascontiguousarray(_to_zyx(block, ["z", *order]), dtype=dtype)
        return np.ascontiguousarray(_to_zyx(block, order), dtype=dtype)

    return Raster(
        path=path,
        shape=(planes * keep, size.get("z", 1), size["y"], size["x"]),
        dtype=dtype,
        read=read,
        planar=planar,
        spacing_um=spacing_um,
        rgb=rgb and planes * keep == 3,
        **more,
    )


def _to_zyx(block: Block, order: Sequence[str]) -> Block:
    return block.transpose([order.index(a) for a in "zyx"])


def stack_planes(planes: Sequence[Raster], path: Path) -> Raster:
    """Planes of one size, on top of each other.

    Raises
    ------
    VortexError
        When they differ in size, type or channels, or one is itself a stack.
    """
    first = planes[0]
    for plane in planes:
        if plane.shape[1] != 1:
            raise VortexError(
                f"{plane.path} holds {plane.shape[1]} planes; in a folder of planes each file "
                "holds one. Give this file alone as the volume."
            )
        if plane.shape != first.shape or plane.dtype != first.dtype:
            raise VortexError(
                f"{plane.path} is {_describe(plane)}, but {first.path.name} is {_describe(first)}. "
                "Planes of a volume are alike: take out or mend the one that differs. Sections "
                "of their own size go under 'serial'."
            )

    def read(channel: int, z: slice, y: slice, x: slice) -> Block:
        picked = range(*z.indices(len(planes)))
        blocks = [planes[number].read(channel, slice(0, 1), y, x) for number in picked]
        return np.concatenate(blocks) if blocks else np.empty((0, 0, 0), first.dtype)

    return replace(
        first,
        path=path,
        shape=(first.shape[0], len(planes), *first.shape[2:]),
        read=read,
        spacing_um=(None, *first.spacing_um[1:]),
        levels=(),
        planar=first.planar,
    )


def _describe(plane: Raster) -> str:
    c, _, y, x = plane.shape
    return f"{y} x {x} pixels of {plane.dtype}, {c} channel{'s' if c > 1 else ''}"


def natural(path: Path) -> list[object]:
    """A sort key by which plane 9 comes before plane 10."""
    parts = re.split(r"(\d+)", path.name)
    return [int(p) if n % 2 else p.casefold() for n, p in enumerate(parts)]
