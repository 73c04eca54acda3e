"""The study bar: which study, its facts, what goes on, what went wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vortex_viewer.panels import facts
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
        self.on("study", session.open_study)

    async def opened(self) -> None:
        """Title and facts."""
        await self._facts()

    def follow(self, changed: set[str]) -> None:
        """A new prediction has other facts."""
        if "prediction" in changed:
            self._session.spawn(self._facts())

    async def _facts(self) -> None:
        session = self._session
        data, prediction = session.data, session.state.prediction
        if data is not None:
            self.show(**await session.run(partial(facts.study_facts, data, prediction)))
