"""The drawer with an answer: a table of genes, and a plot where there is one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vortex_viewer.panels.piece import Piece, read, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class Answer(Piece):
    """A table of genes that can be sorted, searched and saved; a click shows the gene."""

    slot = "answer"
    _esm = script("answer", "volcano", "profile")

    def __init__(self, on_page: Any) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("analysis.css")]
        self._closed: Any = None

    def connect(self, session: Session) -> None:
        """A click on a gene shows it."""
        self._session = session
        self._stamp = 0
        self.on("gene", lambda name: session.change(gene=str(name), window=None))
        self.on("go", lambda place: session.change(cursor_um=tuple(float(v) for v in place)))
        self.on("close", lambda _: self.hide())

    async def opened(self) -> None:
        """Another study has other answers."""
        self.hide()

    def follow(self, changed: set[str]) -> None:
        """Mark the gene that is shown."""
        if "gene" in changed:
            self.show(gene=self._session.state.gene)

    def tell(self, kind: str, title: str, **what: Any) -> None:
        """Open the drawer with an answer."""
        self._stamp += 1
        blank: dict[str, Any] = {
            "note": "",
            "facts": [],
            "plot": None,
            "legend": [],
            "sort": None,
            "busy": None,
            "sure": None,
            "csv": None,
            "extra": [],
        }
        self.show(
            **{**blank, "kind": kind, "title": title, "open": True, "stamp": self._stamp, **what}
        )

    def wait(self, kind: str, title: str, message: str) -> None:
        """Open the drawer, with what is being worked out."""
        self.tell(kind, title, busy=message, genes=[], columns=[])

    def hide(self) -> None:
        """Close it."""
        self.show(open=False, kind=None, genes=[], columns=[], plot=None)
        if self._closed is not None:
            self._closed()

    def when_closed(self, told: Any) -> None:
        """Call ``told()`` when the drawer was closed."""
        self._closed = told

    @property
    def kind(self) -> str | None:
        """What it tells; None when it is closed."""
        return self._shown.get("kind") if self._shown.get("open") else None


def numbers(values: Iterable[Any], digits: int = 4) -> list[float | None]:
    """Numbers for the page: rounded to some significant digits, null where there is none."""
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in map(float, values)]


def column(name: str, label: str, hint: str, values: Iterable[Any]) -> dict[str, Any]:
    """A column of the table: its key, head and what the head means."""
    return {"name": name, "label": label, "hint": hint, "values": numbers(values)}
