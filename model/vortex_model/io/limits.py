"""What is refused before it is decoded: sizes beyond all reason, so that no header fills memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_model.errors import VortexError

MAX_AXIS = 1_000_000
DECODED_GIB = 4.0
"""Largest piece that is decoded at once (a plane, tile, chunk, or compressed file); default."""


def check_shape(shape: Sequence[int], what: str) -> None:
    """Refuse an axis that is empty or beyond all reason.

    Raises
    ------
    VortexError
        With the shape.
    """
    if not shape or min(shape) < 1:
        raise VortexError(f"{what} is empty: its shape is {tuple(shape)}. Give one with voxels.")
    if max(shape) > MAX_AXIS:
        raise VortexError(
            f"{what} says its shape is {tuple(shape)}; an axis has at most {MAX_AXIS:,}. "
            "The header is damaged, or this is no image."
        )


def check_decoded(
    shape: Sequence[int], dtype: Any, what: str, most_gib: float, advice: str
) -> None:
    """Refuse a piece that would fill memory when decoded.

    Raises
    ------
    VortexError
        With its size, the limit, and what to do.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize / 2**30
    if size > most_gib:
        raise VortexError(
            f"{what} is {size:.1f} GiB when decoded at once (shape {tuple(shape)}, {dtype}); the "
            f"limit is {most_gib:g} GiB. {advice}, or raise max_decoded_gib in the manifest."
        )


def check_dtype(dtype: Any, what: str) -> np.dtype[Any]:
    """The type that voxels are stored as; bytes in native order, booleans as 0 and 1.

    Raises
    ------
    VortexError
        When voxels of this type are no intensities.
    """
    given = np.dtype(dtype)
    if given.kind == "b":
        return np.dtype(np.uint8)
    if given.kind not in "uif" or given.itemsize > 8:
        raise VortexError(
            f"{what} has voxels of type {given}. Convert to integer or float "
            "(8, 16, 32 or 64 bits)."
        )
    native: np.dtype[Any] = given.newbyteorder("=")
    return native
