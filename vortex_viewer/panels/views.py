"""Undo and redo, the link to this view, and the views that the study keeps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_model.errors import VortexError
from vortex_viewer import views
from vortex_viewer.panels.guard import changing
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.state import LAYOUTS

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class Views(Piece):
    """Undo and redo, the link to this view, and the views that the study keeps."""

    slot = "views"
    _esm = script("views")

    def connect(self, session: Session) -> None:
        """Step, keep, open, rename, remove."""
        self._session = session
        self._kept: dict[str, views.NamedView] = {}
        self.on("undo", lambda _: session.step(session.history.back(session.state)))
        self.on("redo", lambda _: session.step(session.history.forward(session.state)))
        self.on("layout", self._lay)
        self.show(fixed=session.house.fixed)
        self.on("keep", changing(session, lambda name: session.spawn(self._keep(str(name)))))
        self.on("open", lambda view: session.spawn(self._open(str(view))))
        self.on("rename", changing(session, lambda wish: session.spawn(self._rename_view(wish))))
        self.on("remove", changing(session, lambda view: session.spawn(self._remove(str(view)))))
        session.drawings.add("steps", self._count, session.state.__dataclass_fields__)

    def _lay(self, name: Any) -> None:
        if name in LAYOUTS:
            self._session.change(layout=name)

    async def opened(self) -> None:
        """The views that the study keeps."""
        self.show(told=None)
        await self._list()

    async def _count(self) -> None:
        session = self._session
        back, forward = session.history.steps
        state = session.state
        self.show(
            back=back,
            forward=forward,
            file=state.dumps(),
            layout=state.layout,
            oblique=state.oblique is not None,
        )

    async def _list(self) -> None:
        session, data = self._session, self._session.data
        if data is None:
            return
        found = await session.run(partial(views.named_views, data.study))
        self._kept = {v.id: v for v in found}
        self.show(views=[[v.id, v.name, v.state.gene or "morphology"] for v in found])

    async def _keep(self, name: str) -> None:
        data, state = self._session.data, self._session.state
        if data is not None:
            await self._change(partial(views.keep_view, data.study, name, state), "Kept.")

    async def _rename_view(self, wish: Any) -> None:
        data = self._session.data
        if data is not None and isinstance(wish, dict):
            view, name = str(wish.get("view")), str(wish.get("name"))
            await self._change(partial(views.rename_view, data.study, view, name), "Renamed.")

    async def _remove(self, view: str) -> None:
        data = self._session.data
        if data is not None:
            await self._change(partial(views.remove_view, data.study, view), "Removed.")

    async def _change(self, work: Any, done: str) -> None:
        try:
            await self._session.run(work)
        except VortexError as error:
            self.show(told=str(error), wrong=True)
            return
        self.show(told=done, wrong=False)
        await self._list()

    async def _open(self, view: str) -> None:
        kept = self._kept.get(view)
        if kept is not None:
            # the study may be served under another name than where the view was kept
            await self._session.show_state(kept.state.with_(study=self._session.state.study))
            self.show(told=None)
