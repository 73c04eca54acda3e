"""Undo and redo: the states that a visitor went through."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields

from vortex_viewer.state import ViewState

TOGETHER_S = 0.8
"""Changes of the same thing that follow each other faster than this are one step: a drag."""
LONGEST = 200
DRAGGED = {
    "camera", "crop_um", "cursor_um", "depth", "doubt", "level", "morphology", "oblique", "opacity",
    "others", "ramp", "threshold", "window", "zoom",
}  # fmt: skip
"""What changes in a drag; anything else is a step each time."""


class History:
    """The steps back and forward.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._past: list[ViewState] = []
        self._future: list[ViewState] = []
        self._last: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def note(self, old: ViewState, new: ViewState) -> None:
        """The visitor went from ``old`` to ``new``."""
        changed = frozenset(
            f.name for f in fields(new) if getattr(old, f.name) != getattr(new, f.name)
        )
        if not changed:
            return
        now = self._clock()
        when, what = self._last
        self._last = now, changed
        self._future.clear()
        drag = changed == what and changed <= DRAGGED and now - when < TOGETHER_S
        if drag and self._past:
            return
        self._past.append(old)
        del self._past[:-LONGEST]

    def back(self, now: ViewState) -> ViewState | None:
        """The state before this one."""
        return self._step(self._past, self._future, now)

    def forward(self, now: ViewState) -> ViewState | None:
        """The state that was left by going back."""
        return self._step(self._future, self._past, now)

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps there are, back and forward."""
        return len(self._past), len(self._future)

    def _step(self, come: list[ViewState], go: list[ViewState], now: ViewState) -> ViewState | None:
        if not come:
            return None
        self._last = float("-inf"), frozenset()
        go.append(now)
        return come.pop()
