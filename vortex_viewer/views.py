"""Named views: a view that a study keeps, so that others find it there."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from vortex_model.errors import VortexError
from vortex_model.provenance import now
from vortex_model.study import Study
from vortex_viewer.state import ViewState

LONGEST_NAME = 80


@dataclass(frozen=True)
class NamedView:
    """A view with its name and when it was kept."""

    id: str
    name: str
    created: str
    state: ViewState


def named_views(study: Study) -> list[NamedView]:
    """The views that a study keeps, by name; one that a newer program wrote is left out."""
    found = []
    for view, record in study.records("views").items():
        try:
            state = ViewState.from_json(record["state"])
        except VortexError:
            continue
        found.append(NamedView(view, str(record["name"]), str(record["created"]), state))
    return sorted(found, key=lambda v: (v.name.casefold(), v.created))


def keep_view(study: Study, name: str, state: ViewState) -> str:
    """Keep a view under a name; returns its id.

    Raises
    ------
    VortexError
        When the name is empty, too long or taken, or the study cannot be written.
    """
    view = uuid.uuid4().hex[:16]
    _write(study, view, name, {"state": state.to_json(), "created": now()})
    return view


def rename_view(study: Study, view: str, name: str) -> None:
    """Give a view another name."""
    _write(study, view, name, study.record("views", view))


def remove_view(study: Study, view: str) -> None:
    """Forget a view."""
    study.remove_record("views", view)


def _write(study: Study, view: str, name: str, record: dict[str, Any]) -> None:
    name = name.strip()
    if not name:
        raise VortexError("The view needs a name.")
    if len(name) > LONGEST_NAME:
        raise VortexError(f"A view's name has at most {LONGEST_NAME} letters, not {len(name)}.")
    if any(v.name.casefold() == name.casefold() and v.id != view for v in named_views(study)):
        raise VortexError(f"There is a view called {name!r} already. Choose another name.")
    study.write_record("views", view, {**record, "name": name})
