"""ViewState: everything that a view is; URL, JSON, export and tests read it.

A change is a new state. A field's default never changes its meaning, so that a link written
today shows the same view later; a new field's default means what was shown before it existed.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from vortex_model.errors import VortexError
from vortex_viewer.placed import Clusters, Drawn, Pin

VERSION = 1
PALETTES = ("magma", "inferno", "plasma", "viridis", "cividis")
COLOURS = {"orange": "#f0a020", "blue": "#4fb0f0", "green": "#10b080", "pink": "#e07cb4"}
"""Colours of genes that share one picture, apart for colour-blind eyes too."""
PRESETS = {"2-98": (2.0, 98.0), "50-98": (50.0, 98.0), "full": (0.0, 100.0)}
"""Windows by percentile of the gene in tissue."""
TOGETHER = ("mixed", "beside", "difference")
LAYOUTS = ("column", "four", "view", "xy", "xz", "yz", "oblique")
MODES = ("composite", "maximum", "surface")
LABELS_AS = ("fill", "outline", "surface", "beside")
MOST_GENES = 4
Range = tuple[float, float]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """Where the 3D view is seen from; lengths in micrometres of the study's frame.

    Attributes
    ----------
    focal
        The point (x, y, z) in the middle of the picture.
    back
        Unit vector from the focal point towards the viewer.
    up
        Unit vector that is up in the picture.
    height_um
        How many micrometres the picture is high (the projection is parallel).
    """

    focal: Point
    back: Point
    up: Point
    height_um: float


@dataclass(frozen=True)
class Layer:
    """One more gene in the picture: its name, one of ``COLOURS``, its window (the preset's)."""

    gene: str
    colour: str = "blue"
    window: Range | None = None

    def __post_init__(self) -> None:
        _check_colour(self.colour)
        _check_window(self.window)


@dataclass(frozen=True)
class Zoom:
    """What all slices show alike: micrometres a pixel, and the point in the middle (x, y, z)."""

    um_per_pixel: float
    centre: Point

    def __post_init__(self) -> None:
        good = math.isfinite(self.um_per_pixel) and self.um_per_pixel > 0
        _check(good, "zoom", self.um_per_pixel, "micrometres a pixel above 0")


@dataclass(frozen=True)
class ViewState:
    """What one visitor sees. Nothing else that a visitor chose is kept anywhere.

    Attributes
    ----------
    study
        Name of the study.
    prediction
        Id of the prediction; the study's newest when None.
    gene
        Gene whose expression is shown, or a signature's formula after "="; None is morphology
        alone.
    palette
        One of ``PALETTES``.
    window
        Expression (low, high) that the palette spans; what ``preset`` says when None.
    opacity
        How strongly expression covers the morphology, 0 to 1.
    threshold
        The part of the window, from its low end, that stays transparent, 0 to 1.
    morphology
        How opaque the morphology is in 3D, 0 to 1.
    cursor_um
        The crosshair (x, y, z); the middle of the block when None.
    crop_um
        What of x, y and z is shown in 3D; all of it when None.
    camera
        The 3D camera; a view of the whole block from a corner when None.
    spots, planes
        Whether the measured spots, and the outlines of the three slices, are drawn.
    depth
        How many times z is stretched in 3D; chosen for the study when None.
    preset
        Which percentiles of a gene in tissue its window spans: one of ``PRESETS``.
    hold
        Whether the window stays when another gene is chosen.
    ramp
        Opacity points (part of the window, opacity), rising in the first; what ``opacity`` and
        ``threshold`` say when None.
    mode
        How the 3D view sees expression: one of ``MODES``.
    level
        Where a surface is drawn, as a part of the window.
    colour
        The gene's colour where it shares a picture with ``others``.
    others
        More genes in the picture.
    together
        How several genes are shown: one of ``TOGETHER``; a difference is the first less the second.
    shared
        Whether several genes share the first one's window.
    layout
        Which panes there are: one of ``LAYOUTS``; a single pane's name is that pane alone.
    turning
        Whether the block turns by itself.
    bar
        Whether scale bars are shown.
    oblique
        By how many degrees the oblique slice is turned about x and about y, out of the XY slice
        and about the crosshair; no oblique slice when None.
    zoom
        The one zoom of all slices; each has its own when None.
    stained
        Whether two-channel fluorescence is shown as virtual H&E.
    trusted
        Genes of a lower reliability are greyed in the list.
    doubt
        Voxels whose standard deviation is above this part of the gene's range are greyed; none
        when None.
    label
        The label image that lies over the pictures.
    label_as
        How labels are shown: one of ``LABELS_AS``.
    pins
        Places that others are compared with.
    domains
        Spatial domains that lie over the pictures; not together with a ``label``.
    regions
        The regions that are shown; all that the study keeps when None.
    """

    study: str = ""
    prediction: str | None = None
    gene: str | None = None
    palette: str = "magma"
    window: Range | None = None
    opacity: float = 0.85
    threshold: float = 0.1
    morphology: float = 0.5
    cursor_um: Point | None = None
    crop_um: tuple[Range, Range, Range] | None = None
    camera: Camera | None = None
    spots: bool = True
    planes: bool = True
    depth: float | None = None
    preset: str = "2-98"
    hold: bool = False
    ramp: tuple[Range, ...] | None = None
    mode: str = "composite"
    level: float = 0.5
    colour: str = "orange"
    others: tuple[Layer, ...] = ()
    together: str = "mixed"
    shared: bool = False
    layout: str = "column"
    turning: bool = False
    bar: bool = True
    oblique: Range | None = None
    zoom: Zoom | None = None
    stained: bool = False
    trusted: float = 0.0
    doubt: float | None = None
    label: str | None = None
    label_as: str = "fill"
    pins: tuple[Pin, ...] = ()
    domains: Clusters | None = None
    regions: tuple[Drawn, ...] | None = None

    def __post_init__(self) -> None:
        if self.palette not in PALETTES:
            raise VortexError(f"Palette {self.palette!r} is unknown. Use {', '.join(PALETTES)}.")
        for name in ("opacity", "threshold", "morphology", "level"):
            _check(0.0 <= getattr(self, name) <= 1.0, name, getattr(self, name), "0 to 1")
        for name, known in (
            ("preset", tuple(PRESETS)),
            ("mode", MODES),
            ("together", TOGETHER),
            ("layout", LAYOUTS),
            ("label_as", LABELS_AS),
        ):
            value = getattr(self, name)
            _check(value in known, name, value, f"one of {', '.join(known)}")
        _check_colour(self.colour)
        _check_window(self.window)
        _check_ramp(self.ramp)
        _check(len(self.others) < MOST_GENES, "others", len(self.others), "at most three")
        _check(-1.0 <= self.trusted <= 1.0, "trusted", self.trusted, "-1 to 1")
        if self.doubt is not None:
            _check(0.0 < self.doubt <= 10.0, "doubt", self.doubt, "above 0, at most 10")
        for angle in self.oblique or ():
            _check(-180 <= angle <= 180, "oblique", angle, "-180 to 180 degrees")
        for span in self.crop_um or ():
            _check(span[0] < span[1], "crop", span, "a low end below its high end, in micrometres")
        if self.depth is not None:
            _check(0.1 <= self.depth <= 1000, "depth", self.depth, "0.1 to 1000 times")

    def with_(self, **changes: Any) -> ViewState:
        """A state with some fields changed."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """The version, and the fields that differ from their default."""
        blank = ViewState()
        record: dict[str, Any] = {"version": VERSION}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != getattr(blank, field.name):
                record[field.name] = _plain(value)
        return record

    def dumps(self) -> str:
        """The state as compact JSON."""
        return json.dumps(self.to_json(), separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ViewState:
        """The state that :meth:`to_json` wrote; a field that is absent has its default.

        Raises
        ------
        VortexError
            When a newer program wrote it, or a field has a value that cannot be.
        """
        from vortex_viewer.state_json import read

        return read(record)

    @classmethod
    def loads(cls, text: str) -> ViewState:
        """The state that :meth:`dumps` wrote."""
        from vortex_viewer.state_json import parse

        return parse(text)


def read_file(place: Path) -> ViewState:
    """The state that a file holds.

    Raises
    ------
    VortexError
        When the file cannot be read, or holds no state.
    """
    try:
        return ViewState.loads(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise VortexError(f"The view {place} cannot be read: {error}.") from error


def _check(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        raise VortexError(f"The view's {name} is {value!r}; it needs {wanted}.")


def _check_colour(name: str) -> None:
    _check(name in COLOURS, "colour", name, f"one of {', '.join(COLOURS)}")


def _check_window(window: Range | None) -> None:
    if window is not None:
        low, high = window
        good = math.isfinite(low) and math.isfinite(high) and low < high
        _check(good, "window", window, "a low end below its high end")


def _check_ramp(ramp: tuple[Range, ...] | None) -> None:
    if ramp is None:
        return
    parts = [part for part, _ in ramp]
    good = (
        2 <= len(ramp) <= 16
        and all(0.0 <= v <= 1.0 for point in ramp for v in point)
        and all(a < b for a, b in itertools.pairwise(parts))
    )
    _check(good, "ramp", ramp, "2 to 16 points from 0 to 1, each right of the one before")


def _plain(value: Any) -> Any:
    if isinstance(value, Camera | Layer | Zoom):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Pin | Drawn | Clusters):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
