"""The morphology or a label image: rasters and what the manifest says -> a VolumeSource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vortex_model.errors import VortexError
from vortex_model.grid import Grid, Triple
from vortex_model.io.images import open_raster
from vortex_model.io.raster import Block, Raster
from vortex_model.io.schema import Paths, Problems
from vortex_model.io.spec import ChannelSpec, ImageSpec
from vortex_model.multiscale import Channel

_RGB = (
    Channel("red", "red", "FF0000"),
    Channel("green", "green", "00FF00"),
    Channel("blue", "blue", "0000FF"),
)
_COLORS = ("FFFFFF", "00FFFF", "FF00FF", "FFFF00", "00FF00", "FF8000", "0080FF")
LEAST_SPACING_UM = 0.005
_TOLERANCE = 0.01


@dataclass
class ImageVolume:
    """Channels of one or several rasters, as one source.

    Attributes
    ----------
    warnings
        What the reader noticed; grows while voxels are read.
    """

    grid: Grid
    channels: tuple[Channel, ...]
    dtype: np.dtype[Any]
    planar: bool
    parts: tuple[tuple[Raster, int], ...]
    orientation: str = ""
    warnings: list[str] = field(default_factory=list)

    def read(self, channel: int, z: slice, y: slice, x: slice) -> Block:
        """The voxels of one channel (z, y, x); what is no number becomes 0, and is told."""
        raster, own = self.parts[channel]
        try:
            block = raster.read(own, z, y, x)
        except VortexError:
            raise
        except (OSError, ValueError, RuntimeError, KeyError, IndexError, EOFError) as error:
            raise VortexError(
                f"{raster.path} cannot be decoded at plane {z.start}, row {y.start} "
                f"({type(error).__name__}: {error}). Is it whole? Copy or export it again."
            ) from error
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
            text = f"{raster.path} holds voxels that are no number; they became 0."
            if text not in self.warnings:
                self.warnings.append(text)
        return block


def open_volume(spec: ImageSpec, paths: Paths, problems: Problems) -> ImageVolume | None:
    """Open the files of a volume; None when mistakes were noted instead."""
    found = [
        open_raster(text, spec.format, spec.options, paths, where, problems)
        for text, where in _files(spec)
    ]
    rasters = [raster for raster in found if raster is not None]
    if not rasters or len(rasters) < len(found):
        return None
    for raster in rasters[1:]:
        if raster.shape != rasters[0].shape or raster.dtype != rasters[0].dtype:
            problems.add(
                spec.where,
                f"{raster.path} is {raster.shape} (c, z, y, x) of {raster.dtype}, but "
                f"{rasters[0].path} is {rasters[0].shape} of {rasters[0].dtype}. "
                "Channels are alike.",
            )
            return None
    spacing = spacing_of(spec, rasters[0], problems)
    parts = _parts(spec, rasters, problems)
    if spacing is None or not parts:
        return None
    channels = _all_channels(spec.channels, rasters, parts)
    names = [c.name for c in channels]
    if len(set(names)) < len(names):
        problems.add(spec.where, f"channels are named {', '.join(names)}; name each its own way.")
    return ImageVolume(
        grid=Grid(
            rasters[0].shape[1:], spacing, spec.origin_um or rasters[0].origin_um or (0.0, 0.0, 0.0)
        ),
        channels=channels,
        dtype=rasters[0].dtype,
        planar=any(raster.planar for raster in rasters),
        parts=tuple(parts),
        orientation=spec.orientation or rasters[0].orientation,
    )


def spacing_of(spec: ImageSpec, raster: Raster, problems: Problems) -> Triple | None:
    """Spacing along z, y, x: from the file, or as given; never guessed."""
    own, given = raster.spacing_um, spec.spacing_um
    out: list[float] = []
    for axis, letter in enumerate("zyx"):
        said = own[axis]
        want = given[axis] if given is not None else None
        if said is not None and not LEAST_SPACING_UM <= said <= 20_000:
            if want is None:
                problems.add(
                    f"{spec.where}.spacing_um",
                    f"{raster.path} says its spacing along {letter} is {said:g} um, which no "
                    "microscope has. Give spacing_um: [z, y, x].",
                )
                return None
            said = None
        if want is not None and want < LEAST_SPACING_UM:
            problems.add(
                f"{spec.where}.spacing_um",
                f"is {want:g} um along {letter}, finer than {LEAST_SPACING_UM:g}. Is it in "
                "micrometres?",
            )
            return None
        if said and want and not spec.override and abs(said - want) > _TOLERANCE * max(said, want):
            problems.add(
                f"{spec.where}.spacing_um",
                f"is {want:g} um along {letter}, but {raster.path} says {said:g}. Take out "
                "spacing_um, or set override_file_spacing: true if the file is wrong.",
            )
            return None
        value = want if want is not None else said
        if value is None and letter == "z" and raster.shape[1] == 1:
            value = said = own[2] or (given[2] if given else None)  # one plane: as thick as wide
        if value is None:
            hint = f" ({raster.hint})" if raster.hint else ""
            problems.add(
                spec.where,
                f"{raster.path} does not say its spacing along {letter}{hint}. Give spacing_um: "
                "[z, y, x] in micrometres, as the microscope reported it.",
            )
            return None
        out.append(value)
    return out[0], out[1], out[2]


def _files(spec: ImageSpec) -> list[tuple[str, str]]:
    apart = [
        (c.path, f"{spec.where}.channels[{n}].path") for n, c in enumerate(spec.channels) if c.path
    ]
    return apart or ([(spec.path, f"{spec.where}.path")] if spec.path else [])


def _parts(
    spec: ImageSpec, rasters: Sequence[Raster], problems: Problems
) -> list[tuple[Raster, int]]:
    if not rasters:
        return []
    count = rasters[0].shape[0]
    apart = any(c.path for c in spec.channels)
    if apart and count != 1 and any(c.index is None for c in spec.channels):
        problems.add(
            f"{spec.where}.channels",
            f"{rasters[0].path} has {count} channels. Give each channel its 'index' (from 0).",
        )
        return []
    if not spec.channels:
        return [(rasters[0], number) for number in range(count)]
    if not apart and len(spec.channels) != count and any(c.index is None for c in spec.channels):
        problems.add(
            f"{spec.where}.channels",
            f"{len(spec.channels)} are named, but {rasters[0].path} has {count}. Name all, or give "
            "each an 'index' (from 0).",
        )
        return []
    out = []
    for number, channel in enumerate(spec.channels):
        index = channel.index if channel.index is not None else (0 if apart else number)
        if index >= count:
            problems.add(
                f"{spec.where}.channels[{number}].index",
                f"is {index}, but {rasters[0].path} has {count} channels, 0 to {count - 1}.",
            )
            return []
        out.append((rasters[number if apart else 0], index))
    return out


def _all_channels(
    named: Sequence[ChannelSpec], rasters: Sequence[Raster], parts: Sequence[tuple[Raster, int]]
) -> tuple[Channel, ...]:
    if named:
        return tuple(c.channel for c in named)
    first = rasters[0]
    if first.rgb:
        return _RGB
    names = first.channel_names if len(first.channel_names) == len(parts) else ()
    colors = first.channel_colors if len(first.channel_colors) == len(parts) else ()
    if not all(names) or len(set(names)) < len(names):
        names = ()
    found = []
    for number in range(len(parts)):
        color = colors[number].lstrip("#").upper()[:6] if colors else ""
        if len(color) != 6 or set(color) - set("0123456789ABCDEF"):
            color = _COLORS[number % len(_COLORS)]
        found.append(Channel(names[number] if names else f"channel {number}", "other", color))
    return tuple(found)


def channels_of(named: Sequence[ChannelSpec], raster: Raster) -> tuple[Channel, ...]:
    """A raster's channels, by the manifest where it names them all, else by the file."""
    return _all_channels(named, [raster], [(raster, n) for n in range(raster.shape[0])])
