"""TIFF volumes and pictures: OME, ImageJ and plain, through tifffile, read by strip or tile."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from vortex_model.errors import VortexError
from vortex_model.io.limits import check_decoded
from vortex_model.io.raster import UNKNOWN, Options, Raster, Spacing, from_array
from vortex_model.io.units import micrometres


def open_tiff(path: Path, options: Options) -> Raster:
    """Open a TIFF; its spacing from OME or ImageJ metadata, in micrometres.

    Resolution tags of other files are not believed: most say 72 or 96 dots an inch whatever the
    microscope. What they say is told when the spacing is missing.

    Raises
    ------
    VortexError
        When it is no TIFF, cut short, compressed in an unknown way, or too large to decode.
    """
    try:
        with _complaints() as heard, tifffile.TiffFile(path) as file:
            opened = _opened(path, file, options)
    except (tifffile.TiffFileError, ValueError, OSError, KeyError, IndexError) as error:
        raise VortexError(
            f"{path} cannot be read as TIFF ({error}). Is it whole? Copy or export it again."
        ) from error
    if heard:
        raise VortexError(f"{path} is cut short or damaged: {heard[0]}. Copy or export it again.")
    return opened


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile only logs: a chain of pages that leads out of the file."""
    heard: list[str] = []

    class Listen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if "page offset" in text or "corrupt" in text:
                heard.append(text.split("> ", 1)[-1])

    listener, logger = Listen(), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield heard
    finally:
        logger.removeHandler(listener)


def _opened(path: Path, file: Any, options: Options) -> Raster:
    every = file.series
    if options.series >= len(every):
        raise VortexError(
            f"{path} holds {len(every)} image series; there is no series {options.series}."
        )
    series = every[options.series]
    _check_whole(path, series)
    levels = series.levels
    if options.level >= len(levels):
        raise VortexError(f"{path} has {len(levels)} resolutions; no level {options.level}.")
    spacing, hint, names = _spacing(file, options)
    opened = [_level(path, file, series, n, options) for n in range(options.level, len(levels))]
    first = replace(opened[0], hint=hint, channel_names=names)
    if options.level == 0:
        first = replace(first, spacing_um=spacing)
    elif spacing[1] is not None and spacing[2] is not None:
        full = levels[0].sizes
        step_y = full["height"] / first.shape[2]
        step_x = full["width"] / first.shape[3]
        first = replace(first, spacing_um=(spacing[0], spacing[1] * step_y, spacing[2] * step_x))
    coarser = tuple((first.shape[3] / c.shape[3], c) for c in opened[1:])
    return replace(first, levels=coarser)


class _Pixels:
    """One resolution of a TIFF as an array; its file is opened when read, closed when dropped."""

    def __init__(self, path: Path, series: int, level: int, like: Any) -> None:
        self._where = (path, series, level)
        self.shape: tuple[int, ...] = like.shape
        self.dtype: np.dtype[Any] = like.dtype
        self._array: Any = None

    def __getitem__(self, where: Any) -> Any:
        if self._array is None:
            path, series, level = self._where
            file = tifffile.TiffFile(path)
            weakref.finalize(self, file.close)
            self._array = zarr.open(file.series[series].levels[level].aszarr(), mode="r")
        return self._array[where]


def _level(path: Path, file: Any, series: Any, number: int, options: Options) -> Raster:
    level = series.levels[number]
    store = level.aszarr()
    array: Any = zarr.open(store, mode="r")
    if not isinstance(array, zarr.Array):
        raise VortexError(
            f"{path} has an unusual layout (series {options.series}). Save it as OME-TIFF."
        )
    axes = options.axes or _axes(path, level, file)
    check_decoded(
        array.chunks, array.dtype, f"One tile of {path}", options.decoded_gib, "Save it tiled"
    )
    y = axes.lower().index("y") if "y" in axes.lower() else 0
    photometric = str(getattr(level.keyframe.photometric, "name", ""))
    samples = "s" in axes.lower() and array.shape[axes.lower().index("s")] in (3, 4)
    return from_array(
        path,
        _Pixels(path, options.series, number, array),
        axes,
        planar=bool(array.chunks[y] >= array.shape[y]),
        rgb=samples and photometric in ("RGB", "YCBCR"),
    )


def _axes(path: Path, level: Any, file: Any) -> str:
    axes = str(level.axes).lower()
    if not (file.is_ome or file.is_imagej):
        # A plain file's pages have no name: a stack of pages is a stack of planes.
        axes = axes.replace("q", "z", 1).replace("i", "z", 1)
    if set(axes) - set("czyxst"):
        raise VortexError(
            f"{path} has axes {axes!r}, shape {level.shape}, that it does not name. "
            "Give 'axes' in the manifest, as zyx or czyx."
        )
    return axes


def _check_whole(path: Path, series: Any) -> None:
    size = path.stat().st_size
    for level in series.levels:
        for number, page in enumerate(level.pages):
            if page is None:
                continue
            frame = page if hasattr(page, "dataoffsets") else page.aspage()
            if frame.parent.filehandle.path != str(path.absolute()):
                continue  # a plane in another file of a set
            end = max(
                (o + n for o, n in zip(frame.dataoffsets, frame.databytecounts, strict=False)),
                default=0,
            )
            if end > size:
                raise VortexError(
                    f"{path} is cut short: plane {number} ends at byte {end:,}, the file has "
                    f"{size:,}. Copy or export it again."
                )


def _spacing(file: Any, options: Options) -> tuple[Spacing, str, tuple[str, ...]]:
    if file.is_ome:
        return _ome_spacing(file, options)
    if file.is_imagej:
        return (*_imagej_spacing(file, options), ())
    return UNKNOWN, _resolution_hint(file), ()


def _ome_spacing(file: Any, options: Options) -> tuple[Spacing, str, tuple[str, ...]]:
    try:
        record = tifffile.xml2dict(file.ome_metadata)["OME"]
        image = record["Image"]
        image = image[options.series] if isinstance(image, list) else image
        pixels = image["Pixels"]
    except (KeyError, IndexError, TypeError, ValueError, SyntaxError):
        return UNKNOWN, "its OME-XML cannot be understood", ()
    found: list[float | None] = []
    odd = []
    for axis in "ZYX":
        size = pixels.get(f"PhysicalSize{axis}")
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm")  # the standard's default
        scale = micrometres(unit) or micrometres(options.unit)
        if size is not None and scale is None:
            odd.append(f"PhysicalSize{axis} = {size} {unit}")
        found.append(float(size) * scale if size is not None and scale else None)
    channels = pixels.get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    names = tuple(str(c.get("Name", "")) for c in channels)
    hint = f"it says {', '.join(odd)}, which is no length" if odd else ""
    return (found[0], found[1], found[2]), hint, names if all(names) else ()


def _imagej_spacing(file: Any, options: Options) -> tuple[Spacing, str]:
    record = file.imagej_metadata or {}
    unit = record.get("unit", "")
    scale = micrometres(unit) or micrometres(options.unit)
    tags = file.pages[0].tags
    y, x = (_pixel_size(tags, f"{axis}Resolution") for axis in "YX")
    z = record.get("spacing")
    if scale is None:
        return UNKNOWN, f"its ImageJ header gives spacing {z}, {y}, {x} in unit {unit!r}"
    return (
        float(z) * scale if z is not None else None,
        y * scale if y else None,
        x * scale if x else None,
    ), ""


def _pixel_size(tags: Any, name: str) -> float | None:
    tag = tags.get(name)
    if tag is None:
        return None
    top, bottom = tag.value
    return bottom / top if top and bottom else None


def _resolution_hint(file: Any) -> str:
    tags = file.pages[0].tags
    size = _pixel_size(tags, "XResolution")
    unit = tags.get("ResolutionUnit")
    per = {2: 25400.0, 3: 10000.0}.get(int(unit.value)) if unit is not None else None
    if size is None or per is None:
        return ""
    return f"its resolution tag would mean {size * per:g} um a pixel, which may be the printer's"
