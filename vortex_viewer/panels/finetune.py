"""Fine-tune: sections, gene panel, predictor; progress, cancel, error."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_viewer.panels import facts
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene.data import StudyData
from vortex_viewer.tuning import Tuning

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class FineTune(Piece):
    """Fine-tune: sections, gene panel, predictor; progress, cancel, error."""

    slot, tab = "finetune", "Fine-tune"
    _esm = script("finetune")

    def connect(self, session: Session) -> None:
        """Start and cancel."""
        self._session = session
        tuning = Tuning(self._show_job, self._done)
        self._tuning = tuning
        self.on("finetune", self._start)
        self.on("cancel", lambda _: tuning.cancel())

    async def opened(self) -> None:
        """The study's sections."""
        session = self._session
        assert session.data is not None
        choices = await session.run(partial(facts.finetune_choices, session.data))
        self.show(**choices, job=None, wanted=session.state.prediction is None)

    def _start(self, wish: Any) -> None:
        if self._session.data is not None and isinstance(wish, dict):
            self._tuning.start(self._session.data, wish)

    def _show_job(self, told: dict[str, Any], data: StudyData) -> None:
        if data is not self._session.data:
            told = {**told, "message": f"{data.info.name}: {told['message']}"}
        self.show(job=told)

    def _done(self, prediction: str, data: StudyData) -> None:
        if data is self._session.data:
            self._session.spawn(self._session.take(prediction))
