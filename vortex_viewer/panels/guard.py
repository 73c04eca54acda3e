"""What changes a study is refused where visitors may only look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vortex_viewer.panels.piece import Handler

if TYPE_CHECKING:
    from vortex_viewer.session import Session


def changing(session: Session, handler: Handler) -> Handler:
    """A handler of what changes a study, or is dear; where that is not allowed it only says so.

    The page greys these controls; this holds whoever asks past the page.
    """

    def guarded(value: Any) -> None:
        if session.house.fixed:
            session.fail(session.house.fixed)
        else:
            handler(value)

    return guarded
