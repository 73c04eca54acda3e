"""What a visitor placed in a block, as a view holds it: pins, regions, domains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vortex_model.analysis import shapes
from vortex_model.analysis.shapes import Shape
from vortex_model.errors import VortexError

Point = tuple[float, float, float]
LONGEST_NAME = 80
MOST = 1000
"""Regions of one view, and pins."""
MOST_INKS = 1000


@dataclass(frozen=True)
class Pin:
    """A place (x, y, z), in micrometres, that others are compared with."""

    name: str
    place: Point

    def __post_init__(self) -> None:
        _check_name("pin", self.name)
        if not all(math.isfinite(v) for v in self.place):
            raise VortexError(f"The pin {self.name} is at {self.place}; it needs micrometres.")

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {"name": self.name, "place": list(self.place)}


@dataclass(frozen=True)
class Drawn:
    """A region that is shown: its name, which of the colours it has, and what it was drawn as.

    A shape of single tokens (``Members``) stands for the region of this name that the study keeps.
    """

    name: str
    ink: int
    shape: Shape

    def __post_init__(self) -> None:
        _check_name("region", self.name)
        if not 0 <= self.ink < MOST_INKS:
            raise VortexError(f"The colour of region {self.name!r} is number {self.ink}.")

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {"name": self.name, "ink": self.ink, "shape": shapes.to_json(self.shape)}


@dataclass(frozen=True)
class Clusters:
    """Spatial domains that can be found again: how many, the seed, how they are numbered.

    Attributes
    ----------
    numbers
        The number that the largest domain has, the second largest, ...; 1, 2, ... when empty.
    """

    count: int
    seed: int
    numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= self.count <= 100 or self.seed < 0:
            raise VortexError(
                f"A view cannot show {self.count} domains of seed {self.seed}; it needs 2 to 100, "
                "and a seed from 0."
            )
        if self.numbers and sorted(self.numbers) != list(range(1, self.count + 1)):
            raise VortexError(f"The numbers of {self.count} domains cannot be {self.numbers}.")

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        told = {"count": self.count, "seed": self.seed}
        return {**told, "numbers": list(self.numbers)} if self.numbers else told


def read_pins(value: Any) -> tuple[Pin, ...]:
    """The pins that :meth:`Pin.to_json` wrote."""
    made = []
    for one in _few(value):
        _check_keys(one, {"name", "place"})
        x, y, z = (_real(v) for v in one["place"])
        made.append(Pin(_text(one["name"]), (x, y, z)))
    _check_names(made)
    return tuple(made)


def read_regions(value: Any) -> tuple[Drawn, ...]:
    """The regions that :meth:`Drawn.to_json` wrote."""
    made = []
    for one in _few(value):
        _check_keys(one, {"name", "ink", "shape"})
        shape = shapes.from_json(one["shape"])
        made.append(Drawn(_text(one["name"]), _whole(one.get("ink", 0)), shape))
    _check_names(made)
    return tuple(made)


def read_domains(value: Any) -> Clusters:
    """The domains that :meth:`Clusters.to_json` wrote."""
    _check_keys(value, {"count", "seed", "numbers"})
    numbers = tuple(_whole(v) for v in value.get("numbers", ()))
    return Clusters(_whole(value["count"]), _whole(value["seed"]), numbers)


def _few(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError(value)
    return value


def _check_keys(value: Any, known: set[str]) -> None:
    if not isinstance(value, Mapping) or not set(value) <= known:
        raise ValueError(value)


def _check_names(made: list[Any]) -> None:
    if len({one.name for one in made}) < len(made):
        raise ValueError("two of one name")


def _check_name(what: str, name: str) -> None:
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()):
        raise VortexError(f"A {what} of a view cannot be called {name[:90]!r}.")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    return value


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)
