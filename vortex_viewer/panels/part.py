"""What every part of the page can do: hear the visitor, follow the state, take a new study."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class Part:
    """One concern of the page; each method may be left as it is.

    A part changes nothing by itself: it asks the session for a new state, and shows what the
    session tells. What takes more than a moment goes through ``session.run`` or, where only the
    newest result counts, ``session.drawings.add``.
    """

    def connect(self, session: Session) -> None:
        """Once, before anything is shown: keep the session, say which drawings there are."""

    async def opened(self) -> None:
        """A study is open, and ``session.state`` is its first state."""

    def follow(self, changed: set[str]) -> None:
        """The named fields of the state have changed, or ``"loaded"``: the gene is there."""

    def close(self) -> None:
        """The visitor is gone."""
