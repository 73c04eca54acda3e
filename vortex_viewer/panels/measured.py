"""Measured beside predicted, at the sections."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vortex_viewer.panels import ranks
from vortex_viewer.panels.piece import Piece, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class Measured(Piece):
    """Measured beside predicted, at the sections."""

    slot, tab = "measured", "Measured"
    _esm = script("measured")

    def connect(self, session: Session) -> None:
        """Work it out for each gene that is shown."""
        self._session = session
        session.drawings.add("measured", self._compare, {"loaded"})

    async def _compare(self) -> None:
        session, data, gene = self._session, self._session.data, self._session.gene
        if data is None or gene is None or gene.key.startswith("="):
            why = "a gene" if gene is None else "a single gene: a signature was not measured itself"
            self.show(gene=None, sections=[], note=f"Choose {why}.")
            return
        found = await session.run(partial(ranks.measured, data, gene))
        note = None if found else f"No section of this study measured {gene.name}."
        self.show(gene=gene.name, sections=found, note=note)
