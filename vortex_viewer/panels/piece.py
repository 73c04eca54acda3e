"""What every panel is made of: a small page component, told by ``show``, answering by ``on``."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from vortex_viewer.panels.part import Part

PAGE = Path(__file__).parents[1] / "page"
Handler = Callable[[Any], None]


def _nobody(_change: Callable[[], None]) -> None:
    """Changes no page."""


@cache
def read(name: str) -> str:
    """A file of the page, shipped with the package."""
    return (PAGE / name).read_text(encoding="utf-8")


def script(*names: str) -> str:
    """A component's module, with the few helpers that all share before it."""
    return "".join(read(f"{name}.js") for name in ("common", *names))


class Piece(JSComponent, Part):  # type: ignore[misc]
    """A page component; ``slot`` is its place in ``page.html``, ``tab`` the name of its tab.

    Data flows one way: Python shows a dictionary, the component draws it; what a visitor does
    comes back as a message ``{"do": name, ...}`` and changes nothing by itself.
    """

    slot = ""
    tab: str | None = None
    props = param.String("{}", doc="What is shown, JSON.")
    bulk = param.String("{}", doc="What is shown, is large and seldom changes, JSON.")

    __abstract = True

    def __init__(self, on_page: Callable[[Callable[[], None]], None]) -> None:
        """Make one; ``on_page`` runs a change of the page when the page may be changed."""
        super().__init__(sizing_mode="stretch_both", margin=0, stylesheets=[read("controls.css")])
        self._on_page = on_page
        self._flushing = False
        self._shown: dict[str, Any] = {}
        self._bulk: dict[str, Any] = {}
        self._stale: set[str] = set()
        self._handlers: dict[str, Handler] = {}
        self.on_msg(self._receive)

    def show(self, **changes: Any) -> None:
        """Show other values; several calls in a row are one message."""
        shown = {**self._shown, **changes}
        if shown != self._shown:
            self._shown = shown
            self._soon("props")

    def show_bulk(self, **changes: Any) -> None:
        """The same for tables, which would make every small change a large message."""
        self._bulk = {**self._bulk, **changes}
        self._soon("bulk")

    def _soon(self, name: str) -> None:
        self._stale.add(name)
        if not self._flushing:
            self._flushing = True
            self._on_page(self._flush)

    def close(self) -> None:
        """Let go of the visitor: Panel keeps components for a while after a session."""
        self._handlers.clear()
        self._on_page = _nobody

    def _flush(self) -> None:
        self._flushing = False
        stale, self._stale = self._stale, set()
        for name, told in (("bulk", self._bulk), ("props", self._shown)):
            if name in stale:
                self._write(name, json.dumps(told, separators=(",", ":")))

    def _write(self, name: str, text: str) -> None:
        with param.parameterized.discard_events(self):
            setattr(self, name, text)  # what a page starts from
        # Panel's own way writes past Bokeh's queue, and an older value can overtake a newer one
        for ref, (model, _) in self._models.items():
            self._changing[ref] = [name, f"data.{name}"]
            try:
                setattr(model.data, name, text)
            finally:
                del self._changing[ref]

    def on(self, name: str, handler: Handler) -> None:
        """Call ``handler(value)`` when the visitor does this."""
        self._handlers[name] = handler

    def _receive(self, event: Any) -> None:
        message = getattr(event, "data", event)
        if isinstance(message, dict) and message.get("do") in self._handlers:
            self._handlers[message["do"]](message.get("value"))
