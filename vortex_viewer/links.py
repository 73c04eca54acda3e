"""A view as the text behind ``#`` in an address: short, readable, and the same for ever.

``#v=1&study=demo&gene=ERBB2&window=0.5,2.25``: a field that has its default is left out.
Numbers keep six digits, which no eye can tell from more. Fields that would make an address too
long to paste are kept on the server, and the address holds their id: ``#v=1&gene=...&more=ID``.
``#view=ID`` stands for a whole view that was kept there.
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
from vortex_viewer import link_text
from vortex_viewer.link_text import floats, number, numbers, pairs
from vortex_viewer.state import ViewState

LONGEST = 1200
ID_LETTERS = 16
ID = re.compile(r"[0-9a-f]{16}")
WHOLE, MORE = "view=", "more="
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
    return ViewState.from_json(_record(text))


def _record(text: str) -> dict[str, Any]:
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
    return record


class Shelf:
    """What is too long for an address, by the hash of what it says.

    Parameters
    ----------
    folder
        Where; the user's cache directory by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_cache_path("vortex-viewer") / "views"

    def link(self, state: ViewState) -> str:
        """The text behind ``#``; its longest fields are kept here where it would be too long.

        Only those, so that turning a block with a long region keeps nothing new.
        """
        text = encode(state)
        if len(text) <= LONGEST:
            return text
        record = state.to_json()
        version, *parts = text.split("&")
        kept: dict[str, Any] = {"version": record["version"]}
        for part in sorted(parts, key=len, reverse=True):
            if len("&".join([version, *parts])) + len(f"&{MORE}") + ID_LETTERS <= LONGEST:
                break
            parts.remove(part)
            name = part.split("=", 1)[0]
            kept[name] = record[name]
        return "&".join([version, *parts, f"{MORE}{self._keep(kept)}"])

    def open(self, text: str) -> ViewState:
        """The state behind ``#``.

        Raises
        ------
        VortexError
            When it is no link, or what it stands for is not kept on this server.
        """
        text = text.lstrip("#")
        if text.startswith(WHOLE):
            return ViewState.loads(self._kept(text.removeprefix(WHOLE)))
        parts = text.split("&")
        ids = [part.removeprefix(MORE) for part in parts if part.startswith(MORE)]
        if not ids:
            return decode(text)
        record = _record("&".join(part for part in parts if not part.startswith(MORE)))
        for name in ids:
            kept = ViewState.loads(self._kept(name)).to_json()
            record = {**kept, **record}
        return ViewState.from_json(record)

    def _keep(self, record: dict[str, Any]) -> str:
        full = json.dumps(record, separators=(",", ":"), sort_keys=True)
        name = hashlib.blake2b(full.encode(), digest_size=ID_LETTERS // 2).hexdigest()
        place = self.folder / f"{name}.json"
        if not place.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = place.with_suffix(".partial")
            draft.write_text(full, encoding="utf-8")
            draft.replace(place)
        return name

    def _kept(self, name: str) -> str:
        if not ID.fullmatch(name):
            raise VortexError(f"The link's view {name!r} is no id of a view.")
        try:
            return (self.folder / f"{name}.json").read_text(encoding="utf-8")
        except OSError as error:
            raise VortexError(
                f"The view {name} is not kept on this server. Open the link where it was made, "
                "or ask for the view as a file."
            ) from error


def _json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _camera_text(value: Mapping[str, Any]) -> str:
    return numbers([value["focal"], value["back"], value["up"], value["height_um"]])


def _camera(text: str) -> dict[str, Any]:
    v = floats(text)
    if len(v) != 10:
        raise ValueError(text)
    return {"focal": v[:3], "back": v[3:6], "up": v[6:9], "height_um": v[9]}


def _zoom_text(value: Mapping[str, Any]) -> str:
    return numbers([value["um_per_pixel"], value["centre"]])


def _zoom(text: str) -> dict[str, Any]:
    v = floats(text)
    if len(v) != 4:
        raise ValueError(text)
    return {"um_per_pixel": v[0], "centre": v[1:]}


def _layers_text(value: list[dict[str, Any]]) -> str:
    made = []
    for one in value:
        gene = one["gene"].replace("%", "%25").replace(";", "%3B")
        window = numbers(one["window"]) if one["window"] else ""
        made.append(f"{one['colour']}:{window}:{gene}")
    return ";".join(made)


def _layers(text: str) -> list[dict[str, Any]]:
    made = []
    for one in text.split(";"):
        colour, window, gene = one.split(":", 2)
        gene = gene.replace("%3B", ";").replace("%25", "%")
        made.append({"gene": gene, "colour": colour, "window": floats(window) if window else None})
    return made


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


_TEXT: Codec = (str, str)
_FLAG: Codec = (lambda v: "1" if v else "0", _flag)
_NUMBER: Codec = (number, float)
_POINTS: Codec = (numbers, floats)
_PAIRS: Codec = (numbers, pairs)
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
    "pins": (link_text.pins_text, link_text.pins),
    "domains": (link_text.domains_text, link_text.domains),
    "regions": (link_text.regions_text, link_text.regions),
}
"""How a field is written; any other field is written as JSON."""
