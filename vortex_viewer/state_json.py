"""Reading a view state: each field's value from JSON, whoever wrote it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from vortex_model.errors import VortexError
from vortex_viewer import placed
from vortex_viewer.state import VERSION, Camera, Layer, Point, Range, ViewState, Zoom

MAYBE = {
    "prediction",
    "gene",
    "window",
    "cursor_um",
    "crop_um",
    "camera",
    "depth",
    "ramp",
    "doubt",
    "oblique",
    "zoom",
    "label",
    "domains",
    "regions",
}


def read(record: Mapping[str, Any]) -> ViewState:
    """What ``ViewState.to_json`` wrote; an absent field has its default."""
    number = record.get("version")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise VortexError(f"A view state needs a version number, not {number!r}.")
    if number > VERSION:
        raise VortexError(
            f"This view state has version {number}; this program reads up to {VERSION}. "
            "Update vortex-viewer."
        )
    values: dict[str, Any] = {}
    for name, value in record.items():
        if name == "version":
            continue
        if name not in READERS:
            raise VortexError(f"A view state has no field {name!r}.")
        try:
            absent = value is None and name in MAYBE
            values[name] = None if absent else READERS[name](value)
        except (TypeError, ValueError, KeyError) as error:
            raise VortexError(f"The view state's {name} cannot be {value!r}.") from error
    try:
        return ViewState(**values)
    except TypeError as error:
        raise VortexError(f"This view state cannot be read: {error}.") from error


def parse(text: str) -> ViewState:
    """What ``ViewState.dumps`` wrote."""
    try:
        record = json.loads(text)
    except ValueError as error:
        raise VortexError(f"This view state is no JSON: {error}.") from error
    if not isinstance(record, dict):
        raise VortexError("A view state is a JSON object.")
    return read(record)


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


def _zoom(value: Any) -> Zoom:
    return Zoom(_number(value["um_per_pixel"]), _point(value["centre"]))


def _ramp(value: Any) -> tuple[Range, ...]:
    return tuple(_pair(point) for point in value)


def _layers(value: Any) -> tuple[Layer, ...]:
    made = []
    for one in value:
        if not isinstance(one, dict) or not set(one) <= {"gene", "colour", "window"}:
            raise ValueError(one)
        window = one.get("window")
        made.append(
            Layer(
                _text(one["gene"]),
                _text(one.get("colour", "blue")),
                None if window is None else _pair(window),
            )
        )
    return tuple(made)


READERS: dict[str, Callable[[Any], Any]] = {
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
    "preset": _text,
    "hold": _flag,
    "ramp": _ramp,
    "mode": _text,
    "level": _number,
    "colour": _text,
    "others": _layers,
    "together": _text,
    "shared": _flag,
    "layout": _text,
    "turning": _flag,
    "bar": _flag,
    "oblique": _pair,
    "zoom": _zoom,
    "stained": _flag,
    "trusted": _number,
    "doubt": _number,
    "label": _text,
    "label_as": _text,
    "pins": placed.read_pins,
    "domains": placed.read_domains,
    "regions": placed.read_regions,
}
