"""The gene search list with reliability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vortex_viewer.panels import facts
from vortex_viewer.panels.piece import Piece, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class GeneList(Piece):
    """The gene search list with reliability."""

    slot = "genes"
    _esm = script("genes")
    _stamp = 0

    def connect(self, session: Session) -> None:
        """Choose a gene."""
        self._session = session
        self.on("gene", lambda name: session.change(gene=name, window=None))

    def follow(self, _changed: set[str]) -> None:
        """Mark what is shown."""
        state = self._session.state
        self.show(gene=state.gene, prediction=state.prediction)

    def show_table(self, table: facts.GeneTable) -> None:
        """List other genes."""
        state = self._session.state
        self._stamp += 1
        self.show(
            stamp=self._stamp,
            genes=table.columns,
            note=table.note,
            gene=state.gene,
            prediction=state.prediction,
        )
