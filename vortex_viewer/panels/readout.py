"""What is under the crosshair."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vortex_viewer.panels import facts
from vortex_viewer.panels.piece import Piece, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session

PAUSE_S = 0.08
"""Numbers that change oftener cannot be read."""


class Readout(Piece):
    """What is under the crosshair."""

    slot = "readout"
    _esm = script("readout")

    def connect(self, session: Session) -> None:
        """Read again when the crosshair or the gene changes."""
        self._session = session
        session.drawings.add("readout", self._read, {"loaded", "cursor_um"}, PAUSE_S)

    async def _read(self) -> None:
        session = self._session
        if session.data is not None:
            read = partial(facts.reading, session.data, session.state, session.gene, session.cursor)
            self.show(**await session.run(read))
