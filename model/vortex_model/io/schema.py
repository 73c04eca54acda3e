"""Typed reading of a YAML mapping: every mistake is noted, with its place, value and remedy."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml

from vortex_model.errors import ManifestError, VortexError

MAX_MANIFEST_BYTES = 1 << 20


class Problems:
    """Mistakes in the order in which they were met."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, text: str) -> None:
        """Note a mistake; the same one is noted once."""
        line = f"{where}: {text}" if where else text
        if line not in self.found:
            self.found.append(line)

    def stop(self) -> None:
        """Raise what was found, if anything was."""
        if self.found:
            raise ManifestError(self.found)


def fail(where: str, text: str) -> NoReturn:
    """Stop with one mistake."""
    raise ManifestError([f"{where}: {text}" if where else text])


class _UniqueKeys(yaml.SafeLoader):
    """The safe loader, which also refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping, unless one of its keys is there twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; no tags, no objects.

    Raises
    ------
    VortexError
        When there is no file, it is too large, no valid YAML, or no mapping.
    """
    if not path.is_file():
        raise VortexError(f"There is no manifest {path}. Give the path of a YAML file.")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise VortexError(
            f"{path} has {path.stat().st_size:,} bytes; a manifest has at most "
            f"{MAX_MANIFEST_BYTES:,}. Did you give a data file?"
        )
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except UnicodeDecodeError as error:
        raise VortexError(f"{path} is no text file. Give a YAML manifest.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise VortexError(f"{path}{line}: not valid YAML: {what}. Mend this line.") from error
    if not isinstance(data, dict):
        raise VortexError(
            f"{path} holds {kind(data)}, not keys and values. docs/manifest.md has examples."
        )
    return data


def kind(value: Any) -> str:
    """What a YAML value is, in words."""
    if value is None:
        return "nothing"
    names = {bool: "true/false", int: "a number", float: "a number", str: "a text"}
    names |= {dict: "a mapping", list: "a list"}
    return names.get(type(value), type(value).__name__)


def nearest(word: str, known: Sequence[str]) -> str:
    """``" Did you mean 'x'?"``, or nothing."""
    folded = {k.casefold(): k for k in known}
    match = get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return f" Did you mean {folded[match[0]]!r}?" if match else ""


class Fields:
    """One mapping of the manifest, read key by key.

    Parameters
    ----------
    data
        What YAML gave.
    where
        Its place, for messages: ``sections[2]``.
    problems
        Where mistakes are noted.
    """

    def __init__(self, data: Any, where: str, problems: Problems) -> None:
        self.where, self.problems = where, problems
        self._known: list[str] = []
        self.data: Mapping[str, Any] = {}
        if isinstance(data, Mapping):
            self.data = {str(k): v for k, v in data.items()}
        else:
            self.add(f"is {kind(data)}; write keys and values (key: value).")

    def add(self, text: str) -> None:
        """Note a mistake here."""
        self.problems.add(self.where, text)

    def at(self, key: str) -> str:
        """The place of a key."""
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        """Whether a key is given."""
        return self.data.get(key) is not None

    def raw(self, key: str, *, required: bool = False, what: str = "") -> Any:
        """The value as it is, or None."""
        self._known.append(key)
        value = self.data.get(key)
        if value is None and required:
            self.add(f"{key!r} is missing: {what or 'it is needed'}.")
        return value

    def text(
        self, key: str, default: str = "", *, required: bool = False, what: str = "a text"
    ) -> str:
        """A text; numbers are taken as written."""
        value = self.raw(key, required=required, what=what)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.problems.add(self.at(key), f"is {kind(value)}, not {what}.")
            return default
        return str(value)

    def choice(self, key: str, options: Sequence[str], default: str | None = None) -> str:
        """One of some words; needed where there is no default."""
        value = self.text(
            key, default or "", required=default is None, what="one of " + ", ".join(options)
        )
        if value and value not in options:
            hint = nearest(value, options) or f" Choose one of {', '.join(options)}."
            self.problems.add(self.at(key), f"{value!r} is not known.{hint}")
            return default or options[0]
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.raw(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problems.add(self.at(key), f"is {value!r}; write true or false.")
            return default
        return value

    def number(
        self,
        key: str,
        default: float | None = None,
        *,
        required: bool = False,
        above: float | None = None,
        most: float | None = None,
        what: str = "a number",
    ) -> float | None:
        """A finite number, within limits."""
        value = self.raw(key, required=required, what=what)
        if value is None:
            return default
        return self._number(self.at(key), value, above, most, what, default)

    def numbers(
        self,
        key: str,
        count: int,
        *,
        above: float | None = None,
        most: float | None = None,
        what: str = "numbers",
    ) -> tuple[float, ...] | None:
        """Some numbers, exactly ``count``."""
        value = self.raw(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count:
            got = f"{len(value)} values" if isinstance(value, list) else repr(value)
            self.problems.add(self.at(key), f"has {got}; write {count}: {what}.")
            return None
        got_all = [self._number(self.at(key), v, above, most, what, None) for v in value]
        return (
            None if any(v is None for v in got_all) else tuple(v for v in got_all if v is not None)
        )

    def matrix(
        self, key: str, shapes: Sequence[tuple[int, int]], what: str
    ) -> list[list[float]] | None:
        """Rows of numbers, of one of some shapes."""
        value = self.raw(key)
        if value is None:
            return None
        good = (
            isinstance(value, list)
            and all(isinstance(row, list) for row in value)
            and (len(value), len(value[0]) if value else 0) in shapes
            and all(len(row) == len(value[0]) for row in value)
        )
        numbers = good and all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
            for row in value
            for v in row
        )
        if not numbers:
            self.problems.add(self.at(key), f"is {value!r}; write {what}.")
            return None
        return [[float(v) for v in row] for row in value]

    def part(self, key: str) -> Fields | None:
        """A mapping inside this one."""
        value = self.raw(key)
        return None if value is None else Fields(value, self.at(key), self.problems)

    def parts(self, key: str) -> list[Fields]:
        """A list of mappings."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.add(self.at(key), f"is {kind(value)}; write a list, each item with '- '.")
            return []
        return [
            Fields(item, f"{self.at(key)}[{number}]", self.problems)
            for number, item in enumerate(value)
        ]

    def texts(self, key: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        value = self.raw(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.problems.add(self.at(key), f"is {kind(value)}; write keys and values.")
            return {}
        for name, item in value.items():
            if isinstance(item, bool | dict | list) or item is None:
                self.problems.add(f"{self.at(key)}.{name}", f"is {kind(item)}, not a text.")
        return {str(k): str(v) for k, v in value.items()}

    def end(self) -> None:
        """Note every key that nobody asked for."""
        for key in self.data:
            if key not in self._known:
                hint = nearest(key, self._known)
                known = f" Known here: {', '.join(dict.fromkeys(self._known))}." if not hint else ""
                self.add(f"the key {key!r} is not known.{hint}{known}")

    def _number(
        self,
        where: str,
        value: Any,
        above: float | None,
        most: float | None,
        what: str,
        default: float | None,
    ) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problems.add(where, f"is {value!r}; write {what}.")
            return default
        if not math.isfinite(value) or (above is not None and value <= above):
            floor = "" if above is None else f" above {above:g}"
            self.problems.add(where, f"is {value:g}; write {what}{floor}.")
            return default
        if most is not None and value > most:
            self.problems.add(
                where, f"is {value:g}, more than {most:g}. Is it in micrometres? Write {what}."
            )
            return default
        return float(value)


class Paths:
    """Turns the manifest's paths into places on disk.

    A relative path is under ``root`` and stays there; an absolute one is taken as it is, since
    whoever runs the import may read it anyway. Nothing is fetched.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()

    def place(
        self, fields: Fields, key: str, *, required: bool = True, what: str = "a path"
    ) -> Path | None:
        """The existing file or folder that a key names; None when absent or wrong."""
        text = fields.text(key, required=required, what=what)
        return self.find(text, fields.at(key), fields.problems) if text else None

    def find(self, text: str, where: str, problems: Problems) -> Path | None:
        """The existing file or folder that a text names."""
        place = self.under(text, where, problems)
        if place is None:
            return None
        if not place.exists():
            problems.add(where, f"there is no {place}.{_neighbour(place)}")
            return None
        return place

    def under(self, text: str, where: str, problems: Problems) -> Path | None:
        """A path that may hold ``*``; None when it leads elsewhere."""
        if "://" in text:
            problems.add(where, f"{text!r} is an address; download it and give the file's path.")
            return None
        given = Path(text).expanduser()
        if given.is_absolute():
            return given
        place = self.root / given
        parts = place.parts
        fixed = Path(*parts[: next((i for i, p in enumerate(parts) if "*" in p), len(parts))])
        if not fixed.resolve().is_relative_to(self.root):
            problems.add(
                where,
                f"{text!r} leads out of {self.root}. Choose a --root above it, or give an "
                "absolute path.",
            )
            return None
        return place


def _neighbour(place: Path) -> str:
    above = place.parent
    while not above.exists():
        place, above = above, above.parent
    try:
        names = [entry.name for _, entry in zip(range(2000), above.iterdir(), strict=False)]
    except OSError:
        return ""
    near = nearest(place.name, names)
    return near or f" {above} exists, but holds no {place.name!r}. Is --root right?"
