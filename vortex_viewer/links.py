"""A view as the text behind ``#`` in an address: short, readable, and the same for ever.

``#v=1&study=demo&gene=ERBB2&window=0.5,2.25``: a field that has its default is left out.
Numbers keep six digits, which no eye can tell from more. A text that would be too long for an
address that people paste is kept on the server, and the address holds its id: ``#view=ID``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import platformdirs

from vortex_model.errors import VortexError
from vortex_viewer.state import ViewState

LONGEST = 1200
ID = re.compile(r"[0-9a-f]{16}")
Codec = tuple[Callable[[Any], str], Callable[[str], Any]]


def encode(state: ViewState) -> str:
    """The state as the text behind ``#``."""
    record = state.to_json()
    parts = [f"v={record.pop('version')}"]
    for name, value in record.items():
        text = CODECS[name][0](value) if name in CODECS else _json_text(value)
        parts.append(f"{name}={quote(text, safe=',:;~=()*+/ ').replace(' ', '%20')}")
    return "&".join(parts)


def decode(text: str) -> ViewState:
    """The state that :func:`encode` wrote.

    Raises
    ------
    VortexError
        When it is no link of this program, or of a newer one.
    """
    record: dict[str, Any] = {}
    pairs = parse_qsl(text.lstrip("#").replace("+", "%2B"), keep_blank_values=True)
    if "v" not in dict(pairs):
        raise VortexError(f"{text[:60]!r} is no link to a view: it has no v=1.")
    for name, value in pairs:
        if name == "v":
            record["version"] = int(value) if value.isdecimal() else value
            continue
        try:
            record[name] = CODECS[name][1](value) if name in CODECS else json.loads(value)
        except (ValueError, IndexError) as error:
            raise VortexError(f"The link's {name} cannot be {value!r}.") from error
    return ViewState.from_json(record)


class Shelf:
    """Views that are too long for an address, by the hash of what they say.

    Parameters
    ----------
    folder
        Where; the user's cache directory by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_cache_path("vortex-viewer") / "views"

    def link(self, state: ViewState) -> str:
        """The text behind ``#``: the state itself, or the id under which it is kept."""
        text = encode(state)
        if len(text) <= LONGEST:
            return text
        full = state.dumps()
        name = hashlib.blake2b(full.encode(), digest_size=8).hexdigest()
        place = self.folder / f"{name}.json"
        if not place.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = place.with_suffix(".partial")
            draft.write_text(full, encoding="utf-8")
            draft.replace(place)
        return f"view={name}"

    def open(self, text: str) -> ViewState:
        """The state behind ``#``.

        Raises
        ------
        VortexError
            When it is no link, or its view is not kept on this server.
        """
        text = text.lstrip("#")
        if not text.startswith("view="):
            return decode(text)
        name = text.removeprefix("view=")
        if not ID.fullmatch(name):
            raise VortexError(f"The link's view {name!r} is no id of a view.")
        try:
            return ViewState.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise VortexError(
                f"The view {name} is not kept on this server. Open the link where it was made, "
                "or ask for the view as a file."
            ) from error


def _json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _number(value: float) -> str:
    text = f"{value:.6g}"
    return text if "e" not in text else repr(float(text))


def _flat(value: Any) -> list[float]:
    return [v for part in value for v in _flat(part)] if isinstance(value, list) else [value]


def _numbers(value: Any) -> str:
    values = _flat(value)
    short = [_number(v) for v in values]
    if len(set(short)) < len(set(values)):  # six digits would make two ends one
        short = [repr(v) for v in values]
    return ",".join(short)


def _floats(text: str) -> list[float]:
    return [float(v) for v in text.split(",")]


def _pairs(text: str) -> list[list[float]]:
    values = _floats(text)
    if len(values) % 2:
        raise ValueError(text)
    return [values[i : i + 2] for i in range(0, len(values), 2)]


def _camera_text(value: Mapping[str, Any]) -> str:
    return _numbers([value["focal"], value["back"], value["up"], value["height_um"]])


def _camera(text: str) -> dict[str, Any]:
    v = _floats(text)
    if len(v) != 10:
        raise ValueError(text)
    return {"focal": v[:3], "back": v[3:6], "up": v[6:9], "height_um": v[9]}


def _zoom_text(value: Mapping[str, Any]) -> str:
    return _numbers([value["um_per_pixel"], value["centre"]])


def _zoom(text: str) -> dict[str, Any]:
    v = _floats(text)
    if len(v) != 4:
        raise ValueError(text)
    return {"um_per_pixel": v[0], "centre": v[1:]}


def _layers_text(value: list[dict[str, Any]]) -> str:
    made = []
    for one in value:
        gene = one["gene"].replace("%", "%25").replace(";", "%3B")
        window = _numbers(one["window"]) if one["window"] else ""
        made.append(f"{one['colour']}:{window}:{gene}")
    return ";".join(made)


def _layers(text: str) -> list[dict[str, Any]]:
    made = []
    for one in text.split(";"):
        colour, window, gene = one.split(":", 2)
        gene = gene.replace("%3B", ";").replace("%25", "%")
        made.append({"gene": gene, "colour": colour, "window": _floats(window) if window else None})
    return made


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


_TEXT: Codec = (str, str)
_FLAG: Codec = (lambda v: "1" if v else "0", _flag)
_NUMBER: Codec = (_number, float)
_POINTS: Codec = (_numbers, _floats)
_PAIRS: Codec = (_numbers, _pairs)
CODECS: dict[str, Codec] = {
    **dict.fromkeys(("study", "prediction", "gene", "palette", "preset", "mode"), _TEXT),
    **dict.fromkeys(("colour", "together", "layout"), _TEXT),
    **dict.fromkeys(("spots", "planes", "hold", "shared", "turning", "bar", "stained"), _FLAG),
    **dict.fromkeys(("opacity", "threshold", "morphology", "depth"), _NUMBER),
    **dict.fromkeys(("level", "trusted", "doubt"), _NUMBER),
    **dict.fromkeys(("window", "cursor_um", "oblique"), _POINTS),
    **dict.fromkeys(("crop_um", "ramp"), _PAIRS),
    "camera": (_camera_text, _camera),
    "zoom": (_zoom_text, _zoom),
    "others": (_layers_text, _layers),
}
"""How a field is written; any other field is written as JSON."""
