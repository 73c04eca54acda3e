"""ViewState: everything that a view is; URL, JSON, export and tests read it.

A change is a new state. A field's default never changes its meaning, so that a link written
today shows the same view later; a new field's default means what was shown before it existed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from vortex_model.errors import VortexError

VERSION = 1
PALETTES = ("magma", "inferno", "plasma", "viridis", "cividis")
MAYBE = {"prediction", "gene", "window", "cursor_um", "crop_um", "camera", "depth"}
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
class ViewState:
    """What one visitor sees. Nothing else that a visitor chose is kept anywhere.

    Attributes
    ----------
    study
        Name of the study.
    prediction
        Id of the prediction; the study's newest when None.
    gene
        Gene whose expression is shown; None is morphology alone.
    palette
        One of ``PALETTES``.
    window
        Expression (low, high) that the palette spans; the gene's 2nd to 98th percentile in
        tissue when None.
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

    def __post_init__(self) -> None:
        if self.palette not in PALETTES:
            raise VortexError(f"Palette {self.palette!r} is unknown. Use {', '.join(PALETTES)}.")
        for name in ("opacity", "threshold", "morphology"):
            _check(0.0 <= getattr(self, name) <= 1.0, name, getattr(self, name), "0 to 1")
        if self.window is not None:
            low, high = self.window
            _check(
                math.isfinite(low) and math.isfinite(high) and low < high,
                "window",
                self.window,
                "a low end below its high end",
            )
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
        number = record.get("version")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise VortexError(f"A view state needs a version number, not {number!r}.")
        if number > VERSION:
            raise VortexError(
                f"This view state has version {number}; this program reads up to {VERSION}. "
                "Update vortex-viewer."
            )
        readers = _readers()
        values: dict[str, Any] = {}
        for name, value in record.items():
            if name == "version":
                continue
            if name not in readers:
                raise VortexError(f"A view state has no field {name!r}.")
            try:
                absent = value is None and name in MAYBE
                values[name] = None if absent else readers[name](value)
            except (TypeError, ValueError, KeyError) as error:
                raise VortexError(f"The view state's {name} cannot be {value!r}.") from error
        try:
            return cls(**values)
        except TypeError as error:
            raise VortexError(f"This view state cannot be read: {error}.") from error

    @classmethod
    def loads(cls, text: str) -> ViewState:
        """The state that :meth:`dumps` wrote."""
        try:
            record = json.loads(text)
        except ValueError as error:
            raise VortexError(f"This view state is no JSON: {error}.") from error
        if not isinstance(record, dict):
            raise VortexError("A view state is a JSON object.")
        return cls.from_json(record)


def _check(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        raise VortexError(f"The view's {name} is {value!r}; it needs {wanted}.")


def _plain(value: Any) -> Any:
    if isinstance(value, Camera):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    if not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _pair(value: Any) -> Range:
    low, high = value
    return _number(low), _number(high)


def _point(value: Any) -> Point:
    x, y, z = value
    return _number(x), _number(y), _number(z)


def _box(value: Any) -> tuple[Range, Range, Range]:
    x, y, z = value
    return _pair(x), _pair(y), _pair(z)


def _camera(value: Any) -> Camera:
    return Camera(
        _point(value["focal"]),
        _point(value["back"]),
        _point(value["up"]),
        _number(value["height_um"]),
    )


def _readers() -> dict[str, Any]:
    return {
        "study": _text,
        "prediction": _text,
        "gene": _text,
        "palette": _text,
        "window": _pair,
        "opacity": _number,
        "threshold": _number,
        "morphology": _number,
        "cursor_um": _point,
        "crop_um": _box,
        "camera": _camera,
        "spots": _flag,
        "planes": _flag,
        "depth": _number,
    }
