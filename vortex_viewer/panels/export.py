"""Export: figures, movies, tables, volumes, sections, a site; made apart, then downloaded."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_model.errors import VortexError
from vortex_viewer.drawing import shown
from vortex_viewer.panels.piece import Piece, read, script
from vortex_viewer.scene.data import StudyData
from vortex_viewer.taking import Taking

if TYPE_CHECKING:
    from vortex_viewer.session import Session

TITLES = {
    "figure": "Figure",
    "movie": "Movie",
    "table": "Table",
    "volume": "Gene volume",
    "sections": "Sections",
    "site": "Site",
}
TEXTS = ("genes", "format", "table", "labels", "size")
NUMBERS = ("dpi", "panel_mm", "seconds")
FLAGS = ("deviation", "same_range")
ADDRESS = re.compile(r"https?://[\w.:\[\]-]{1,200}(/[\w.~%/-]{0,200})?", re.ASCII)


class Export(Piece):
    """What leaves the study, by the code of ``vortex-viewer export``."""

    slot = "export"
    _esm = script("export")

    def __init__(self, on_page: Any) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("export.css")]

    def connect(self, session: Session) -> None:
        """Start and cancel."""
        self._session = session
        self._taking = Taking(session.house.outbox, lambda told: self.show(job=told))
        self.on("export", lambda wish: session.spawn(self._start(wish)))
        self.on("cancel", lambda _: self._taking.cancel())

    async def opened(self) -> None:
        """What this study has to give."""
        session = self._session
        assert session.data is not None
        self.show(**await session.run(partial(offered, session.data)), public=session.house.public)

    def follow(self, changed: set[str]) -> None:
        """The genes that the view shows are the ones that are offered."""
        if changed & {"gene", "others", "together", "prediction"}:
            self.show(shown=shown(self._session.state))

    def close(self) -> None:
        """The visitor is gone."""
        self._taking.close()
        super().close()

    async def _start(self, wish: Any) -> None:
        session, data = self._session, self._session.data
        if data is None or not isinstance(wish, dict) or self._taking.active:
            return
        kind = str(wish.get("kind"))
        keep = wish.get("where") == "server"
        if kind == "site" and session.house.public:
            raise VortexError(
                "This server is open to everybody, so it makes no sites. On your own machine: "
                f"vortex-viewer export site {data.path.name} SITE"
            )
        link = None
        if ADDRESS.fullmatch(str(wish.get("address"))):
            view = await session.run(partial(session.house.shelf.link, session.state))
            link = f"{wish['address']}#{view}"
        request = asked(wish) | {
            "kind": kind,
            "study": str(data.path),
            "state": session.state.dumps(),
            "link": link,
        }
        folder = data.path.parent if keep and kind == "site" else None
        self._taking.start(TITLES.get(kind, kind), request, folder)


def offered(data: StudyData) -> dict[str, Any]:
    """What a study has that can leave."""
    study = data.study
    return {
        "predicted": data.newest_prediction() is not None,
        "sections": len(study.section_names),
        "labels": list(study.label_names),
        "folder": str(data.path.parent),
    }


def asked(wish: dict[str, Any]) -> dict[str, Any]:
    """The options of a wish that exports know, each of its own type.

    Raises
    ------
    VortexError
        When a number is none.
    """
    made: dict[str, Any] = {name: str(wish[name])[:4000] for name in TEXTS if wish.get(name)}
    made |= {name: bool(wish[name]) for name in FLAGS if name in wish}
    for name in NUMBERS:
        if name in wish:
            try:
                made[name] = float(wish[name])
            except (TypeError, ValueError) as error:
                raise VortexError(f"{name} cannot be {wish[name]!r}; give a number.") from error
    if isinstance(wish.get("views"), list):
        made["views"] = [str(view) for view in wish["views"][:4]]
    return made
