"""Fine-tune: sections, genes, mode, encoder; progress with its curve, cancel; versions."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_model.training.versions import delete, restore
from vortex_viewer.panels import choices, facts
from vortex_viewer.panels.guard import changing
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.tuning import Tuning
from vortex_viewer.work import expect_finetuning

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class FineTune(Piece):
    """Fine-tune: sections, genes, mode, encoder; progress with its curve, cancel; versions."""

    slot, tab = "finetune", "Fine-tune"
    _esm = script("finetune")

    def connect(self, session: Session) -> None:
        """Start and cancel."""
        self._session = session
        tuning = Tuning(session.house.tunings, lambda told: self.show(job=told), self._done)
        self._tuning = tuning
        self.show(fixed=session.house.fixed)
        self.on("finetune", changing(session, self._start))
        self.on("near", changing(session, lambda _: session.spawn(session.run(expect_finetuning))))
        self.on("cancel", changing(session, lambda _: tuning.cancel()))
        self.on("restore", lambda which: session.spawn(self._restore(str(which))))
        self.on("delete", changing(session, lambda which: session.spawn(self._delete(str(which)))))
        self.on("compare", lambda which: session.spawn(self._compare(str(which))))

    async def opened(self) -> None:
        """The study's sections."""
        session = self._session
        assert session.data is not None
        offered = await session.run(partial(facts.finetune_choices, session.data))
        offered |= await session.run(partial(choices.encoder_choices, session.data))
        self._tuning.follow(session.data)
        self.show(
            **offered,
            others=[],
            wanted=session.state.prediction is None,
            shown=session.state.prediction,
        )
        session.spawn(self._list())  # the picture need not wait for it, nor for what follows
        session.spawn(self._offer_others())

    async def _offer_others(self) -> None:
        """The other studies of this server, each of which has to be opened."""
        session, data = self._session, self._session.data
        if data is not None:
            found = await session.run(partial(choices.others, data, session.house.library.paths))
            if data is session.data:
                self.show(others=found)

    def follow(self, changed: set[str]) -> None:
        """Say which version is shown."""
        if "prediction" in changed:
            self.show(shown=self._session.state.prediction)

    async def _list(self, change: tuple[str, str] | None = None) -> None:
        """The versions, and what was said of one of them: its id, and how it differs."""
        session = self._session
        if session.data is not None:
            rows = await session.run(partial(choices.version_rows, session.data))
            self.show(versions=rows, change=change)

    async def _restore(self, name: str) -> None:
        """Show a version, from now on where that may be kept."""
        session = self._session
        if session.data is not None:
            if session.house.changes:  # what others begin with is not a mere visitor's to choose
                await session.run(partial(restore, session.data.study, name))
            await session.take(name)
            await self._list()

    async def _delete(self, name: str) -> None:
        """Delete a version that is not shown."""
        session = self._session
        if session.data is not None and name != session.state.prediction:
            await session.run(partial(delete, session.data.study, name))
            await self._list()

    async def _compare(self, name: str) -> None:
        """Say how a version differs from the one that is shown."""
        session = self._session
        shown = session.state.prediction
        if session.data is not None and shown is not None:
            work = partial(choices.version_change, session.data, shown, name)
            await self._list((name, await session.run(work)))

    def _start(self, wish: Any) -> None:
        if isinstance(wish, dict):
            paths = self._session.house.library.paths
            others = [str(paths[name]) for name in wish.get("others", []) if name in paths]
            self._tuning.start({**wish, "others": others})

    def _done(self, prediction: str, before: Collection[str | None], mine: bool) -> None:
        """Show what was made, unless this page looks at an older version than it began from."""
        session = self._session
        shown = session.state.prediction
        if mine or shown is None or shown in before:
            session.spawn(session.take(prediction))
        session.spawn(self._list())

    def close(self) -> None:
        """The job goes on without this page."""
        self._tuning.leave()
        super().close()
