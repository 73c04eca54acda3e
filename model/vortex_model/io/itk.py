"""NRRD, NIfTI and MetaImage volumes, PNG and JPEG pictures, through SimpleITK."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import SimpleITK as sitk  # noqa: N813

from vortex_model.errors import VortexError
from vortex_model.io.limits import check_decoded, check_shape
from vortex_model.io.raster import UNKNOWN, Block, Options, Raster, Spacing
from vortex_model.io.units import micrometres

# ITK gives directions in LPS: +x to the Left, +y to Posterior, +z to Superior. A letter names
# the side where an axis begins, as brainglobe's orientation strings do.
_BEGINS = (("r", "l"), ("a", "p"), ("i", "s"))


def open_itk(path: Path, options: Options) -> Raster:
    """Open a volume.

    NIfTI says its unit; NRRD may; MetaImage cannot, so ``spacing_unit`` or ``spacing_um`` is
    needed for it. Uncompressed files are read by part, compressed ones as a whole.

    Raises
    ------
    VortexError
        When the file is damaged or cut short, or is compressed and too large to decode at once.
    """
    reader = _header(path)
    size = reader.GetSize()
    if len(size) not in (2, 3):
        raise VortexError(f"{path} has {len(size)} axes; a volume has x, y, z. Save one of it.")
    shape = (reader.GetNumberOfComponents(), *((1,) if len(size) == 2 else ()), *size[::-1])
    check_shape(shape, str(path))
    dtype = _dtype(reader, path)
    keys = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
    whole = _is_compressed(path)
    if whole:
        check_decoded(
            shape, dtype, str(path), options.decoded_gib, "Save it uncompressed or as OME-Zarr"
        )
        _check_gzip(path)
    else:
        _check_size(path, shape, dtype)
    spacing, hint = _spacing(reader, keys, path, options)
    orientation, origin = _pose(reader, spacing)
    held: list[tuple[sitk.Image, Block]] = []  # the array is a view: the image lives with it

    def read(channel: int, z: slice, y: slice, x: slice) -> Block:
        try:
            if not whole:
                return _extract(path, shape, channel, z, y, x)
            if not held:
                image = sitk.ReadImage(str(path))
                held.append((image, _components(image, shape)))
            return np.array(held[0][1][channel, z, y, x])
        except RuntimeError as error:
            raise VortexError(f"{path} cannot be read: {_short(error)}. Copy it again.") from error

    return Raster(
        path=path,
        shape=shape,
        dtype=dtype,
        read=read,
        spacing_um=spacing,
        origin_um=origin,
        hint=hint,
        orientation=orientation,
    )


def open_picture(path: Path, options: Options) -> Raster:
    """Open a PNG or JPEG; its dots an inch are not believed.

    Raises
    ------
    VortexError
        When it is damaged, cut short, or too large to decode at once.
    """
    reader = _header(path)
    width, height = reader.GetSize()[:2]
    count = reader.GetNumberOfComponents()
    dtype = _dtype(reader, path)
    check_shape((height, width), str(path))
    check_decoded(
        (height, width, count), dtype, str(path), options.decoded_gib, "Save it as a tiled TIFF"
    )
    _check_end(path)
    channels = {1: 1, 2: 1, 3: 3, 4: 3}.get(count, count)
    shape = (channels, 1, height, width)
    held: list[tuple[Any, Block]] = []

    def read(channel: int, z: slice, y: slice, x: slice) -> Block:
        if not held:
            try:
                held.append(_picture(path, (count, 1, height, width)))
            except (RuntimeError, imagecodecs.Jpeg8Error) as error:
                raise VortexError(
                    f"{path} cannot be decoded: {_short(error)}. Copy or export it again."
                ) from error
        return np.array(held[0][1][channel, z, y, x])

    return Raster(path, shape, dtype, read, planar=True, rgb=channels == 3)


def _picture(path: Path, shape: tuple[int, ...]) -> tuple[Any, Block]:
    """A decoded picture (c, 1, y, x), and what owns its memory.

    A JPEG of the size of a slide goes through imagecodecs: SimpleITK needs twice the memory.
    """
    if path.suffix.casefold() in (".jpg", ".jpeg"):
        array = imagecodecs.jpeg8_decode(path.read_bytes())
        if array.size == np.prod(shape):
            return array, np.moveaxis(array.reshape((*shape[1:], shape[0])), -1, 0)
    image = sitk.ReadImage(str(path))
    return image, _components(image, shape)


def _header(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise VortexError(
            f"{path} cannot be read: {_short(error)}. Is it whole, and of the format that its "
            "ending says? Copy or export it again."
        ) from error
    return reader


def _short(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("ITK ERROR:").strip(" .")[:200] if lines else "unknown error"


def _dtype(reader: sitk.ImageFileReader, path: Path) -> np.dtype[Any]:
    try:
        made = sitk.Image([1, 1], reader.GetPixelID(), reader.GetNumberOfComponents())
        dtype: np.dtype[Any] = np.dtype(sitk.GetArrayViewFromImage(made).dtype)
        return dtype
    except (RuntimeError, TypeError, KeyError) as error:
        kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        raise VortexError(f"{path} has voxels of type {kind}. Convert it to numbers.") from error


def _components(image: sitk.Image, shape: tuple[int, ...]) -> Block:
    """(c, z, y, x) view over an image; components are last in ITK."""
    array: Block = sitk.GetArrayViewFromImage(image)
    if shape[0] == 1:
        return array.reshape(shape)
    view = array.reshape((*shape[1:], shape[0]))
    return np.moveaxis(view, -1, 0)


def _extract(
    path: Path, shape: tuple[int, ...], channel: int, z: slice, y: slice, x: slice
) -> Block:
    flat = len(_header(path).GetSize()) == 2
    spans = [s.indices(n)[:2] for s, n in zip((x, y, z), shape[:0:-1], strict=True)]
    if flat:
        spans = spans[:2]
    reader = _header(path)
    reader.SetExtractIndex([a for a, _ in spans])
    reader.SetExtractSize([b - a for a, b in spans])
    size = tuple(b - a for a, b in spans[::-1])
    image = reader.Execute()
    block = _components(image, (shape[0], *((1,) if flat else ()), *size))
    return np.array(block[channel])


def _is_compressed(path: Path) -> bool:
    name = path.name.casefold()
    if name.endswith(".gz"):
        return True
    with path.open("rb") as file:
        head = file.read(8192)
    if name.endswith((".nrrd", ".nhdr")):
        lines = head.split(b"\n\n")[0].lower().splitlines()
        encoding = [line for line in lines if line.startswith(b"encoding:")]
        return not encoding or encoding[0].split(b":")[1].strip() != b"raw"
    if name.endswith((".mha", ".mhd")):
        return b"compresseddata = true" in head.lower()
    return False


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """A file with raw voxels inside is at least as large as they are."""
    if path.suffix.casefold() in (".nhdr", ".mhd", ".hdr"):
        return  # the voxels are in another file; ITK says what is wrong with it
    need, have = int(np.prod(shape)) * dtype.itemsize, path.stat().st_size
    if have < need:
        raise VortexError(
            f"{path} is cut short: {need:,} bytes of voxels are announced, the file has {have:,}. "
            "Copy or export it again."
        )


def _check_gzip(path: Path) -> None:
    """Follow a gzip stream to its end, 1 MiB at a time."""
    if not path.name.casefold().endswith(".gz"):
        return
    stream = zlib.decompressobj(wbits=31)
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                while piece and not stream.eof:
                    stream.decompress(piece, 1 << 24)
                    piece = stream.unconsumed_tail
    except zlib.error as error:
        raise VortexError(f"{path} is damaged ({error}). Copy it again.") from error
    if not stream.eof:
        raise VortexError(f"{path} is cut short: its compressed data has no end. Copy it again.")


def _check_end(path: Path) -> None:
    """A JPEG ends with a marker, a PNG with a chunk; decoders paint over what is missing."""
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, path.stat().st_size - 4096))
        tail = file.read()
    whole = True
    if head[:2] == b"\xff\xd8":
        whole = b"\xff\xd9" in tail
    elif head == b"\x89PNG":
        whole = b"IEND" in tail
    if not whole:
        raise VortexError(f"{path} is cut short: it has no end mark. Copy or export it again.")


def _spacing(
    reader: sitk.ImageFileReader, keys: dict[str, str], path: Path, options: Options
) -> tuple[Spacing, str]:
    own = reader.GetSpacing()
    zyx = (*([None] if len(own) == 2 else []), *own[::-1])
    name = path.name.casefold()
    unit: str | None = None
    if ".nii" in name or name.endswith((".hdr", ".img")):
        code = int(keys.get("xyzt_units", "0")) & 7
        unit = "mm" if code else None  # ITK has turned metres and micrometres into mm
    else:
        unit = next((v for k, v in keys.items() if "space units" in k or "_units" in k), None)
    scale = micrometres(unit) or micrometres(options.unit)
    if scale is None:
        said = ", ".join(f"{s:g}" for s in own[::-1])
        return UNKNOWN, (
            f"its spacing is {said} (z, y, x) without a unit: give spacing_unit, as mm"
        )
    z, y, x = (None if s is None else s * scale for s in zyx)
    return (z, y, x), ""


def _pose(
    reader: sitk.ImageFileReader, spacing: Spacing
) -> tuple[str, tuple[float, float, float] | None]:
    """Orientation letters along z, y, x where the axes are those of the body."""
    count = len(reader.GetSize())
    if count != 3:
        return "", None
    direction = np.array(reader.GetDirection()).reshape(3, 3)
    whole = np.rint(direction)
    if np.abs(direction - whole).max() > 1e-3 or not (np.abs(whole).sum(axis=0) == 1).all():
        return "", None
    letters = []
    for axis in (2, 1, 0):
        world = int(np.abs(whole[:, axis]).argmax())
        letters.append(_BEGINS[world][0 if whole[world, axis] > 0 else 1])
    if (whole != np.eye(3)).any() or None in spacing:
        return "".join(letters), None
    step = reader.GetSpacing()
    scale = [s / own for s, own in zip(spacing[::-1], step, strict=True) if s is not None]
    x, y, z = (o * s for o, s in zip(reader.GetOrigin(), scale, strict=True))
    return "".join(letters), (z, y, x)
