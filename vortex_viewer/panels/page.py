"""The page that holds the panels; no template of a toolkit."""

from __future__ import annotations

from functools import cache
from typing import Any

import panel as pn
from jinja2 import Template as Jinja
from panel.io.resources import _env

from vortex_viewer.panels.piece import read


@cache
def _page() -> Jinja:
    page: Jinja = _env.from_string(read("page.html"))
    return page


class Page(pn.Template):  # type: ignore[misc]
    """A template whose panels become a document in one go."""

    def __repr__(self) -> str:
        """In one word: Panel asks for it at each panel that is added."""
        return "Page"

    def _init_doc(self, doc: Any = None, *args: Any, **more: Any) -> Any:
        doc = doc or pn.state.curdoc
        # else every root that is added looks through all models of the document again
        with doc.models.freeze():
            return super()._init_doc(doc, *args, **more)


def template(session: Any) -> pn.Template:
    """The page of one visitor."""
    page = Page(_page())
    page.add_variable("scene", f"{session.house.prefix}/scene/{session.stream.token}/")
    page.add_variable("theme_css", read("theme.css") + read("drawer.css"))
    page.add_variable("tabs", [(p.slot, p.tab) for p in session.pieces if p.tab is not None])
    for piece in session.pieces:
        page.add_panel(piece.slot, piece)
    for name, part in session.slices.panes.items():
        page.add_panel(
            name, pn.pane.Bokeh(part.figure, sizing_mode="stretch_both", margin=0, theme=None)
        )
    return page
