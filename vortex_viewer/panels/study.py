"""The study bar: which study, its facts, what goes on, what went wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vortex_viewer.panels import facts, gallery
from vortex_viewer.panels.piece import Piece, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class StudyBar(Piece):
    """The study bar: which study, its facts, what goes on, what went wrong."""

    slot = "study"
    _esm = script("study")

    def connect(self, session: Session) -> None:
        """Switch studies."""
        self._session = session
        self._pictured = False
        self.on("study", session.open_study)
        self.on("gallery", lambda _: self._gallery())

    async def opened(self) -> None:
        """Title and facts."""
        await self._facts()

    def follow(self, changed: set[str]) -> None:
        """A new prediction has other facts."""
        if "prediction" in changed:
            self._session.spawn(self._facts())

    def _gallery(self) -> None:
        """Picture and facts of every study, when they are first looked for."""
        if not self._pictured:
            self._pictured = True
            self._session.spawn(self._cards())

    async def _cards(self) -> None:
        session, cards = self._session, {}
        for name in session.house.library.names:
            cards[name] = await session.run(partial(gallery.card, session.house.library, name))
            self.show_bulk(cards=dict(cards))

    async def _facts(self) -> None:
        session = self._session
        data, prediction = session.data, session.state.prediction
        if data is not None:
            self.show(**await session.run(partial(facts.study_facts, data, prediction)))
