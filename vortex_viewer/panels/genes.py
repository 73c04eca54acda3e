"""The gene search list with reliability."""

from __future__ import annotations

from functools import partial
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
        self._listed: object = None
        self.on("gene", lambda name: session.change(gene=name, window=None))

    async def opened(self) -> None:
        """The study's genes."""
        await self._list()

    def follow(self, changed: set[str]) -> None:
        """Mark what is shown; another prediction has other genes."""
        session = self._session
        self.show(gene=session.state.gene, prediction=session.state.prediction)
        if "prediction" in changed and self._listed != (session.data, session.state.prediction):
            session.spawn(self._list())

    async def _list(self) -> None:
        session = self._session
        data, prediction = session.data, session.state.prediction
        if data is None:
            return
        self._listed = data, prediction
        table = await session.run(partial(facts.gene_table, data, prediction))
        self._stamp += 1
        self.show(
            stamp=self._stamp,
            genes=table.columns,
            note=table.note,
            gene=session.state.gene,
            prediction=session.state.prediction,
        )

    def close(self) -> None:
        """Let go of the study."""
        super().close()
        self._listed = None
