"""The page's address: what stands behind # is the view."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vortex_viewer.panels.piece import Piece, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session

PAUSE_S = 0.2
"""Browsers refuse an address that changes with every move of a drag."""


class Address(Piece):
    """The page's address: what stands behind # is the view."""

    slot = "address"
    _esm = script("address")

    def connect(self, session: Session) -> None:
        """Every change is written into the address; an edited address is opened."""
        self._session = session
        self.on("address", lambda text: session.address(str(text or "")))
        fields = session.state.__dataclass_fields__
        session.drawings.add("address", self._keep_up, fields, PAUSE_S)

    async def _keep_up(self) -> None:
        session = self._session
        if session.data is not None:
            self.show(link=await session.run(partial(session.house.shelf.link, session.state)))
