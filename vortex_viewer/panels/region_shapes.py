"""What regions are made of (strokes, thresholds, labels), and the files that they leave as."""

from __future__ import annotations

import base64
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import approximate_polygon

from vortex_model.analysis import regions as kept
from vortex_model.analysis import shapes
from vortex_model.analysis.regions import Region
from vortex_model.analysis.shapes import Axis, Shape
from vortex_model.errors import VortexError
from vortex_viewer.scene.data import StudyData
from vortex_viewer.state import Point

VIEW_AXES: dict[str, tuple[str, str, Axis]] = {
    "xy": ("x", "y", "z"),
    "xz": ("x", "z", "y"),
    "yz": ("y", "z", "x"),
}
"""Axes across and down each slice, and the one that it cuts."""
MOST_CORNERS = 400
FINER = 8.0
"""A lasso's corners are left out where that moves it by less than a token over this."""
Corners = list[tuple[float, float]]


def from_stroke(
    data: StudyData, wish: dict[str, Any], view: str, corners: Corners, at: Point, token_um: float
) -> Shape:
    """A stroke as a shape: what it encloses in its slice, carried through the third axis.

    Parameters
    ----------
    wish
        ``shape`` (box, ellipsoid, lasso) and ``through``, its depth in micrometres.
    at
        The crosshair (x, y, z): where the slices lie.
    token_um
        The smallest spacing of the lattice that the region will lie on.

    Raises
    ------
    VortexError
        When it encloses nothing.
    """
    across, down, cut = VIEW_AXES[view]
    block = dict(zip("xyz", data.frame.bounds_um[::-1], strict=True))
    middle = at["xyz".index(cut)]
    places = np.asarray(corners)
    low, high = places.min(axis=0), places.max(axis=0)
    if min(high - low) <= 0:
        raise VortexError("That is a line, no area. Drag from one corner to the other.")
    through = wish.get("through")
    half = None if through in (None, "") else float(through) / 2
    if wish["shape"] == "ellipsoid":
        radii = {across: (high - low)[0] / 2, down: (high - low)[1] / 2}
        radii[cut] = float(np.mean(list(radii.values()))) if half is None else half
        centre = dict(zip((across, down), (low + high) / 2, strict=True)) | {cut: middle}
        return shapes.Ellipsoid(
            tuple(float(centre[a]) for a in "xyz"),  # type: ignore[arg-type]
            tuple(float(radii[a]) for a in "xyz"),  # type: ignore[arg-type]
        )
    span = block[cut] if half is None else (middle - half, middle + half)
    if wish["shape"] == "box":
        sides = {across: (low[0], high[0]), down: (low[1], high[1]), cut: span}
        return shapes.Box(**{a: (float(s[0]), float(s[1])) for a, s in sides.items()})
    outline = shapes.Outline(middle, _fewer(places, token_um / FINER))
    return shapes.Lasso(cut, (outline,), (float(span[0]), float(span[1])))


def from_choice(wish: dict[str, Any], gene: str | None) -> tuple[Shape, str]:
    """A threshold on a gene or a channel, or a class of a label image; with a name for it.

    Raises
    ------
    VortexError
        When no gene or no value is given.
    """
    kind, name = str(wish.get("kind")), str(wish.get("name"))
    if kind == "label":
        value = int(wish["value"])
        return shapes.LabelOf(name, (value,)), str(wish.get("title") or f"{name} {value}")
    if kind == "gene":
        if gene is None:
            raise VortexError("Choose a gene first: its threshold makes the region.")
        name = gene.removeprefix("=")
    try:
        level = float(wish["level"])
    except (KeyError, TypeError, ValueError) as error:
        raise VortexError("Give the value that the region lies above.") from error
    if not np.isfinite(level):
        raise VortexError("Give the value that the region lies above.")
    return shapes.Threshold(kind, name, above=level), f"{name} above {level:.4g}"  # type: ignore[arg-type]


def extended(shape: Shape, more: Shape, how: str) -> Shape:
    """A shape with another one added to it, or cut from it.

    An outline on another plane across the same axis makes a lasso go over from one into the
    other; anything else is added as it is.

    Raises
    ------
    VortexError
        When the first is of single tokens, which nothing draws anew.
    """
    if isinstance(shape, shapes.Members):
        raise VortexError("This region was made in a script, token by token. Draw a new one.")
    if how == "cut":
        return shapes.Combined("minus", shape, more)
    if isinstance(shape, shapes.Lasso) and isinstance(more, shapes.Lasso):
        planes = {outline.at for outline in shape.outlines}
        if shape.axis == more.axis and not planes & {outline.at for outline in more.outlines}:
            span = min(shape.span[0], more.span[0]), max(shape.span[1], more.span[1])
            return shapes.Lasso(shape.axis, (*shape.outlines, *more.outlines), span)
    return shapes.Combined("or", shape, more)


def _fewer(places: Any, away_um: float) -> tuple[tuple[float, float], ...]:
    """The corners that an outline needs, so that its link stays short."""
    closed = np.vstack([places, places[:1]])
    found = approximate_polygon(closed, away_um)[:-1]
    if len(found) < 3:
        found = places
    step = -(-len(found) // MOST_CORNERS)
    return tuple((float(u), float(v)) for u, v in found[::step])


def sources_of(data: StudyData) -> list[list[Any]]:
    """What a region can be made of besides a drawing: kind, name, value, words."""
    found: list[list[Any]] = []
    channels = [] if data.image is None else [c.name for c in data.image.channels]
    found += [["morphology", name, None, f"{name} above"] for name in channels]
    for label in data.study.label_names:
        for value, name in data.study.label_classes(label).items():
            found.append(["label", label, value, f"{name} ({label})"])
    return found


def tokens_csv(regions: list[Region], name: str) -> tuple[str, str]:
    """A file's name, and base64 of every token of the regions as CSV."""
    table = kept.token_table(regions).to_csv(index=False, float_format="%.6g")
    return f"{name}.csv", base64.b64encode(table.encode()).decode()


def labels_zip(regions: list[Region], name: str) -> tuple[str, str]:
    """A file's name, and base64 of the regions as an OME-Zarr label image, zipped."""
    with tempfile.TemporaryDirectory() as folder:
        place = kept.export_labels(regions, Path(folder) / f"{name}.ome.zarr")
        packed = shutil.make_archive(str(place), "zip", folder, place.name)
        return Path(packed).name, base64.b64encode(Path(packed).read_bytes()).decode()
