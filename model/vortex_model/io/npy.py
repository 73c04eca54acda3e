"""NumPy .npy arrays as images, read through a memory map; pickled ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vortex_model.errors import VortexError
from vortex_model.io.raster import Options, Raster, from_array

_AXES = {2: "yx", 3: "zyx", 4: "czyx"}


def open_npy(path: Path, options: Options) -> Raster:
    """Open an array: (y, x), (z, y, x) or (c, z, y, x), unless ``axes`` says otherwise.

    Raises
    ------
    VortexError
        When it holds Python objects, is cut short, or is no .npy file.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" in str(error) or "object" in str(error).casefold():
            raise VortexError(
                f"{path} holds Python objects, which could run code when read, or is no .npy "
                "file. Save it again from an array of numbers."
            ) from error
        raise VortexError(
            f"{path} cannot be read as .npy ({error}). Is it whole? Copy or save it again."
        ) from error
    except (OSError, EOFError) as error:
        raise VortexError(f"{path} cannot be read as .npy ({error}). Copy it again.") from error
    if not isinstance(array, np.ndarray):
        raise VortexError(f"{path} is an .npz archive, not one array. Save the volume as .npy.")
    axes = options.axes or _AXES.get(array.ndim, "")
    return from_array(path, array, axes)
