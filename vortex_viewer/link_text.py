"""How numbers, pins, regions and domains are written in an address: short, the same for ever.

Pins are ``NAME:x,y,z;...``. Regions are ``INK:NAME:SHAPE;...``, where a shape is its kind and
values with ``~`` between them: ``box~x0,x1,y0,y1,z0,z1``, ``ellipsoid~`` centre and radii,
``lasso~z~low,high,at,...~u,v,u,v,...`` with corners for each plane ``at``,
``threshold~gene~NAME~above~below``, ``label~NAME~1,2``, ``combined~minus~`` and two shapes.
Domains are ``count,seed`` and how they are numbered. Numbers keep six digits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vortex_model.analysis import shapes
from vortex_model.analysis.shapes import Shape

LIMIT = 40
"""Shapes within shapes."""


def number(value: float) -> str:
    """Six digits."""
    text = f"{value:.6g}"
    return text if "e" not in text else repr(float(text))


def numbers(value: Any) -> str:
    """Numbers of nested lists, one after the other; all digits where six would make two one."""
    values = _flat(value)
    short = [number(v) for v in values]
    if len(set(short)) < len(set(values)):
        short = [repr(v) for v in values]
    return ",".join(short)


def floats(text: str) -> list[float]:
    """What :func:`numbers` wrote."""
    return [float(v) for v in text.split(",")]


def pairs(text: str) -> list[list[float]]:
    """What :func:`numbers` wrote of pairs."""
    values = floats(text)
    if len(values) % 2:
        raise ValueError(text)
    return [values[i : i + 2] for i in range(0, len(values), 2)]


def pins_text(value: list[Mapping[str, Any]]) -> str:
    """Pins, as JSON has them, as text."""
    return ";".join(f"{_escaped(one['name'])}:{_plainly(one['place'])}" for one in value)


def pins(text: str) -> list[dict[str, Any]]:
    """What :func:`pins_text` wrote."""
    made = []
    for one in text.split(";") if text else []:
        name, place = one.split(":")
        made.append({"name": _plain(name), "place": floats(place)})
    return made


def domains_text(value: Mapping[str, Any]) -> str:
    """Domains, as JSON has them, as text."""
    parts = [value["count"], value["seed"], *value.get("numbers", ())]
    return ",".join(str(int(v)) for v in parts)


def domains(text: str) -> dict[str, Any]:
    """What :func:`domains_text` wrote."""
    count, seed, *order = (int(v) for v in text.split(","))
    return {"count": count, "seed": seed, **({"numbers": order} if order else {})}


def regions_text(value: list[Mapping[str, Any]]) -> str:
    """Regions, as JSON has them, as text."""
    return ";".join(
        f"{one['ink']}:{_escaped(one['name'])}:{shape_text(one['shape'])}" for one in value
    )


def regions(text: str) -> list[dict[str, Any]]:
    """What :func:`regions_text` wrote."""
    made = []
    for one in text.split(";") if text else []:
        ink, name, shape = one.split(":")
        made.append({"ink": int(ink), "name": _plain(name), "shape": shape_record(shape)})
    return made


def settled(shape: Shape) -> Shape:
    """A shape with the digits that an address keeps, so that a link draws the same one."""
    return shapes.from_json(shape_record(shape_text(shapes.to_json(shape))))


def same(one: Shape, other: Shape) -> bool:
    """Whether an address says the same of two shapes."""
    return shape_text(shapes.to_json(one)) == shape_text(shapes.to_json(other))


def shape_text(record: Mapping[str, Any]) -> str:
    """A shape, as ``shapes.to_json`` has it, as text."""
    return "~".join(_tokens(record))


def shape_record(text: str) -> dict[str, Any]:
    """What :func:`shape_text` wrote."""
    left = text.split("~")
    record = _record(left, 0)
    if left:
        raise ValueError(text)
    return record


def _tokens(record: Mapping[str, Any]) -> list[str]:
    kind = str(record["kind"])
    if kind == "box":
        return [kind, ",".join(numbers(record[a]) for a in "xyz")]
    if kind == "ellipsoid":
        return [kind, ",".join(numbers(record[n]) for n in ("centre", "radii"))]
    if kind == "lasso":
        planes = record["outlines"]
        ends = numbers([[*record["span"]], [o["at"] for o in planes]])
        return [kind, record["axis"], ends, *(_plainly(o["corners"]) for o in planes)]
    if kind == "threshold":
        limits = [record["above"], record["below"]]
        texts = ["" if v is None else number(v) for v in limits]
        if limits[0] != limits[1] and texts[0] == texts[1]:
            texts = [repr(float(v)) for v in limits]
        return [kind, record["of"], _escaped(record["name"]), *texts]
    if kind == "label":
        values = ",".join(str(int(v)) for v in record["values"])
        return [kind, _escaped(record["label"]), values]
    if kind == "combined":
        return [kind, record["how"], *_tokens(record["first"]), *_tokens(record["second"])]
    return [kind]


def _record(left: list[str], depth: int) -> dict[str, Any]:
    kind = left.pop(0)
    if kind == "box":
        x, y, z = pairs(left.pop(0))
        return {"kind": kind, "x": x, "y": y, "z": z}
    if kind == "ellipsoid":
        six = floats(left.pop(0))
        return {"kind": kind, "centre": six[:3], "radii": six[3:]}
    if kind == "lasso":
        axis, (low, high, *at) = left.pop(0), floats(left.pop(0))
        planes = [{"at": depth_um, "corners": pairs(left.pop(0))} for depth_um in at]
        return {"kind": kind, "axis": axis, "span": [low, high], "outlines": planes}
    if kind == "threshold":
        of, name, *ends = (left.pop(0) for _ in range(4))
        above, below = (float(end) if end else None for end in ends)
        return {"kind": kind, "of": of, "name": _plain(name), "above": above, "below": below}
    if kind == "label":
        name, values = left.pop(0), left.pop(0)
        own = [int(v) for v in values.split(",")] if values else []
        return {"kind": kind, "label": _plain(name), "values": own}
    if kind == "combined" and depth < LIMIT:
        how = left.pop(0)
        first, second = _record(left, depth + 1), _record(left, depth + 1)
        return {"kind": kind, "how": how, "first": first, "second": second}
    if kind != "members":
        raise ValueError(kind)
    return {"kind": kind}


def _plainly(value: Any) -> str:
    """Six digits, whether or not that makes two numbers one."""
    return ",".join(number(v) for v in _flat(value))


def _flat(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [v for part in value for v in _flat(part)]
    return [float(value)]


def _escaped(name: str) -> str:
    return re.sub("[%:;~]", lambda m: f"%{ord(m[0]):02X}", name)


def _plain(text: str) -> str:
    return re.sub("%([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), text)
