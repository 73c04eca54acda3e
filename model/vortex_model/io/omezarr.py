"""OME-Zarr images, versions 0.4 (Zarr v2) and 0.5 (Zarr v3), read by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from vortex_model.errors import VortexError
from vortex_model.io.limits import check_decoded
from vortex_model.io.raster import Options, Raster, from_array
from vortex_model.io.units import micrometres

_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return path.is_dir() and any((path / mark).exists() for mark in _MARKS)


def open_omezarr(path: Path, options: Options) -> Raster:
    """Open one resolution of an OME-Zarr image.

    Spacing and origin are those of the dataset and multiscale transformations, in the units
    that the axes name.

    Raises
    ------
    VortexError
        When it is no OME-Zarr image, is of another version, or lacks an array.
    """
    group = _group(path)
    attributes: dict[str, Any] = dict(group.attrs)
    record: Any = attributes.get("ome", attributes)
    try:
        multiscale = record["multiscales"][options.series]
    except (KeyError, IndexError, TypeError) as error:
        raise VortexError(f"{path} holds no OME-Zarr image{_instead(group, record)}") from error
    version = str(record.get("version") or multiscale.get("version") or "0.4")
    if version not in ("0.4", "0.5"):
        raise VortexError(f"{path} is OME-Zarr {version}; 0.4 and 0.5 are read. Convert it.")
    try:
        axes = multiscale["axes"]
        datasets = multiscale["datasets"]
        names = "".join(str(a["name"]) for a in axes).lower()
        if options.level >= len(datasets):
            raise VortexError(
                f"{path} has {len(datasets)} resolutions; there is no level {options.level}."
            )
        dataset = datasets[options.level]
        scale, shift = _transform(dataset, multiscale, len(axes))
        array: Any = group[dataset["path"]]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise VortexError(
            f"{path}: its OME-Zarr metadata or an array is damaged or missing ({error!r}). "
            "Copy or export it again."
        ) from error
    if not isinstance(array, zarr.Array):
        raise VortexError(f"{path}/{dataset['path']} is no array. Copy or export it again.")
    check_decoded(
        array.chunks, array.dtype, f"One chunk of {path}", options.decoded_gib, "Rechunk it"
    )
    spacing: dict[str, float] = {}
    origin: dict[str, float] = {}
    odd = []
    for axis, step, start in zip(axes, scale, shift, strict=True):
        letter = str(axis["name"]).lower()
        if letter not in "zyx":
            continue
        factor = micrometres(axis.get("unit")) or micrometres(options.unit)
        if factor is None:
            odd.append(f"{letter} {step:g}")
        else:
            spacing[letter], origin[letter] = step * factor, start * factor
    channels = record.get("omero", multiscale.get("omero", {})).get("channels", [])
    y = names.index("y") if "y" in names else 0
    return from_array(
        path,
        array,
        names,
        planar=bool(array.chunks[y] >= array.shape[y]),
        spacing_um=(spacing.get("z"), spacing.get("y"), spacing.get("x")),
        origin_um=tuple(origin.get(a, 0.0) for a in "zyx"),
        channel_names=tuple(str(c.get("label", "")) for c in channels),
        channel_colors=tuple(str(c.get("color", "")) for c in channels),
        hint=f"its scale is {', '.join(odd)} without a unit of length" if odd else "",
    )


def _group(path: Path) -> zarr.Group:
    try:
        return zarr.open_group(path, mode="r")
    except (FileNotFoundError, ValueError, KeyError, TypeError, OSError) as error:
        raise VortexError(
            f"{path} is no Zarr group, or a damaged one ({error}). Give the folder that holds "
            "the image's zarr.json or .zattrs."
        ) from error


def _instead(group: zarr.Group, record: Any) -> str:
    if "plate" in record:
        return ": it is a plate. Give one of its images, as NAME.zarr/A/1/0."
    inner = sorted(name for name, _ in group.groups())[:5]
    if inner:
        return f". It holds {', '.join(inner)}: give one of these, if it is the image."
    return ": no 'multiscales' in its metadata. Is this the image's folder?"


def _transform(
    dataset: dict[str, Any], multiscale: dict[str, Any], count: int
) -> tuple[list[float], list[float]]:
    scale, shift = [1.0] * count, [0.0] * count
    steps = [*dataset.get("coordinateTransformations", [])]
    steps += multiscale.get("coordinateTransformations", [])
    for step in steps:
        if step["type"] == "scale":
            scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
            shift = [a * float(b) for a, b in zip(shift, step["scale"], strict=True)]
        elif step["type"] == "translation":
            shift = [a + float(b) for a, b in zip(shift, step["translation"], strict=True)]
        elif step["type"] != "identity":
            raise ValueError(f"transformation {step['type']!r}")
    return scale, shift
