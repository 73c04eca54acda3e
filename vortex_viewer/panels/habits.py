"""Keys, help, light and dark, the first-run tour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.state import LAYOUTS

if TYPE_CHECKING:
    from vortex_viewer.session import Session

SWITCHES = ("bar", "spots", "planes", "turning")


class Habits(Piece):
    """Keys, help, light and dark, the first-run tour."""

    slot = "habits"
    _esm = script("tour", "habits")

    def connect(self, session: Session) -> None:
        """What a key asks for."""
        self._session = session
        self.on("step", self._step)
        self.on("switch", self._switch)
        self.on("layout", self._lay)
        self.on("zoom", lambda _: session.slices.switch_zoom())
        self.on("oblique", lambda _: session.slices.oblique.switch())

    def follow(self, changed: set[str]) -> None:
        """The layout, which a key leaves and comes back to."""
        if "layout" in changed:
            self.show(layout=self._session.state.layout)

    def _step(self, wish: Any) -> None:
        """``[axis, voxels]``: move the crosshair along x, y or z (0 to 2) by whole voxels."""
        session = self._session
        if session.data is None:
            return
        axis, voxels = int(wish[0]), int(wish[1])
        if axis not in (0, 1, 2):
            return
        grid, place = session.data.frame, list(session.cursor)
        low, high = grid.bounds_um[2 - axis]
        half = grid.spacing_um[2 - axis] / 2
        moved = place[axis] + voxels * grid.spacing_um[2 - axis]
        place[axis] = min(max(moved, low + half), high - half)
        session.change(cursor_um=tuple(place))

    def _switch(self, name: Any) -> None:
        if name in SWITCHES:
            self._session.change(**{name: not getattr(self._session.state, name)})

    def _lay(self, name: Any) -> None:
        if name in LAYOUTS:
            self._session.change(layout=name)
