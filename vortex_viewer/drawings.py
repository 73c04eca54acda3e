"""Everything that is drawn for one visitor, by the fields of the state that it depends on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from vortex_viewer.latest import Latest

COLOURS = frozenset(
    {"loaded", "palette", "window", "opacity", "threshold", "preset", "ramp", "colour", "others",
     "shared", "doubt"}
)  # fmt: skip
"""The fields that expression's colours depend on."""


class Drawings:
    """Named drawings; each is done again when a field that it depends on changes.

    Parameters
    ----------
    failed
        Called with words where a drawing fails.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._all: dict[str, tuple[Latest, frozenset[str]]] = {}

    def add(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        when: Iterable[str],
        pause_s: float = 0.0,
    ) -> Latest:
        """Draw by ``work`` whenever one of the fields ``when`` changes, ``pause_s`` after it."""
        drawing = Latest(work, self._failed, pause_s)
        self._all[name] = drawing, frozenset(when)
        return drawing

    def follow(self, changed: set[str]) -> None:
        """These fields have changed."""
        for drawing, when in self._all.values():
            if when & changed:
                drawing.ask()

    def ask(self, name: str) -> None:
        """Do one drawing again."""
        self._all[name][0].ask()

    def stop(self) -> None:
        """Draw no more."""
        for drawing, _ in self._all.values():
            drawing.stop()
