"""From a path in a manifest to a Raster: which format it is, one file or a folder of planes."""

from __future__ import annotations

from pathlib import Path

from vortex_model.errors import VortexError
from vortex_model.io.itk import open_itk, open_picture
from vortex_model.io.npy import open_npy
from vortex_model.io.omezarr import is_zarr, open_omezarr
from vortex_model.io.raster import Options, Raster, natural, stack_planes
from vortex_model.io.schema import Paths, Problems
from vortex_model.io.tiff import open_tiff

_ENDINGS = {
    ".tif": "tiff", ".tiff": "tiff", ".btf": "tiff", ".svs": "tiff", ".npy": "npy",
    ".nrrd": "nrrd", ".nhdr": "nrrd", ".nii": "nifti", ".mha": "metaimage", ".mhd": "metaimage",
    ".png": "picture", ".jpg": "picture", ".jpeg": "picture",
}  # fmt: skip
_OPENERS = {
    "tiff": open_tiff, "ome-tiff": open_tiff, "ome-zarr": open_omezarr, "npy": open_npy,
    "nrrd": open_itk, "nifti": open_itk, "metaimage": open_itk, "picture": open_picture,
}  # fmt: skip
_PLANAR = ("tiff", "npy", "picture")


def open_raster(
    text: str, form: str, options: Options, paths: Paths, where: str, problems: Problems
) -> Raster | None:
    """Open an image file, a folder of planes, or a pattern with ``*``.

    Returns None when a mistake was noted instead.
    """
    place = paths.under(text, where, problems)
    if place is None:
        return None
    try:
        if "*" in text:
            return _planes(_matching(place), form, options, place)
        found = paths.find(text, where, problems)
        if found is None:
            return None
        if found.is_dir() and not is_zarr(found):
            return _planes(_images_in(found), form, options, found)
        return open_file(found, form, options)
    except VortexError as error:
        problems.add(where, str(error))
    except OSError as error:
        problems.add(where, f"{place} cannot be read: {error.strerror or error}.")
    return None


def open_file(path: Path, form: str, options: Options) -> Raster:
    """Open one file (or OME-Zarr folder) by its format, else by its ending.

    Raises
    ------
    VortexError
        When it cannot be read, or its ending is not known.
    """
    kind = form or format_of(path)
    if not kind:
        raise VortexError(
            f"{path}: the ending {path.suffix!r} is not known. Give 'format', or convert to "
            "OME-TIFF or OME-Zarr."
        )
    return _OPENERS[kind](path, options)


def format_of(path: Path) -> str:
    """The format that a path's ending means, or nothing."""
    if is_zarr(path):
        return "ome-zarr"
    name = path.name.casefold().removesuffix(".gz")
    return _ENDINGS.get(Path(name).suffix, "")


def _matching(pattern: Path) -> list[Path]:
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if "*" in part)
    base = Path(*parts[:first])
    if "**" in str(pattern):
        raise VortexError(f"{pattern}: '**' is not taken; name the folder and use one '*'.")
    found = sorted(base.glob(str(Path(*parts[first:]))), key=natural)
    if not found:
        raise VortexError(f"no file matches {pattern}. Is the pattern, and --root, right?")
    return found


def _images_in(folder: Path) -> list[Path]:
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    images = [p for p in files if format_of(p) in _PLANAR]
    if not images:
        raise VortexError(
            f"{folder} holds no image planes (.tif, .npy, .png, .jpg). Give the folder of the "
            "planes, or the image file."
        )
    endings = sorted({p.suffix.casefold() for p in images})
    if len({format_of(p) for p in images}) > 1:
        raise VortexError(
            f"{folder} holds planes of several kinds ({', '.join(endings)}). Give a pattern, as "
            f"{folder.name}/*{endings[0]}."
        )
    return sorted(images, key=natural)


def _planes(files: list[Path], form: str, options: Options, path: Path) -> Raster:
    kinds = {form or format_of(p) for p in files}
    if not kinds <= {*_PLANAR, "ome-tiff"}:
        raise VortexError(
            f"{path}: planes are .tif, .npy, .png or .jpg, not {', '.join(sorted(kinds)) or '?'}."
        )
    if len(files) == 1:
        return open_file(files[0], form, options)
    return stack_planes([_lazy(file, form, options) for file in files], path)


def _lazy(path: Path, form: str, options: Options) -> Raster:
    """A plane that is opened again whenever it is read, so that no file or array stays open."""
    from dataclasses import replace

    opened = open_file(path, form, options)

    def read(channel: int, z: slice, y: slice, x: slice):  # type: ignore[no-untyped-def]
        return open_file(path, form, options).read(channel, z, y, x)

    return replace(opened, read=read, levels=())
