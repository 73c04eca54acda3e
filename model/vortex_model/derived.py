"""What was derived from a study, each thing under the id of what it was made from."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import zarr

from vortex_model.errors import UnknownNameError
from vortex_model.pen import Pen
from vortex_model.provenance import Kind, Provenance


class Derived:
    """A study's folder as far as it keeps derived things: features, models, predictions.

    Reading needs no lock; every write goes through :meth:`writing`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pen = Pen(path)

    def writing(self, purpose: str = "writing") -> contextlib.AbstractContextManager[None]:
        """Hold the study's only pen; released when the holder ends, even by a kill.

        Raises
        ------
        StudyError
            When somebody else holds it: says who, where, since when and for what.
        """
        return self._pen.held(purpose)

    def derived_ids(self, kind: Kind) -> list[str]:
        """Ids of what was derived, oldest first."""
        made = {name: self.provenance(kind, name)["created"] for name in self._names(kind)}
        return sorted(made, key=lambda name: (made[name], name))

    def has_derived(self, kind: Kind, name: str) -> bool:
        """Whether this id is there, whole."""
        return (self.path / kind / name / "zarr.json").exists()

    def derived(self, kind: Kind, name: str) -> zarr.Group:
        """A derived thing's group, read-only.

        Raises
        ------
        UnknownNameError
            When there is none of this id.
        """
        self._known(kind.rstrip("s"), kind, name)
        return zarr.open_group(self.path / kind / name, mode="r")

    def provenance(self, kind: Kind, name: str) -> dict[str, Any]:
        """What made a derived thing."""
        return cast(dict[str, Any], self.derived(kind, name).attrs["provenance"])

    @property
    def current_prediction(self) -> str | None:
        """Id of the prediction that is shown where none is named: the newest, or one restored."""
        made = self.derived_ids("predictions")
        chosen = self._kept_current()
        return chosen if chosen in made else made[-1] if made else None

    def make_current(self, name: str) -> None:
        """Show this prediction where none is named, until another is made.

        Raises
        ------
        UnknownNameError
            When there is none of this id.
        StudyError
            When the study cannot be written.
        """
        self._known("prediction", "predictions", name)
        with self.writing("choosing the current prediction"):
            zarr.open_group(self.path / "predictions", mode="a").attrs["current"] = name

    def _kept_current(self) -> str | None:
        try:
            kept = zarr.open_group(self.path / "predictions", mode="r").attrs.get("current")
        except FileNotFoundError:
            return None
        return None if kept is None else str(kept)

    def write_derived(self, provenance: Provenance, fill: Callable[[zarr.Group], None]) -> str:
        """Write a derived thing, unless it is there already; returns its id.

        ``fill`` gets an empty group; what it wrote appears whole, or not at all.
        """
        name = provenance.id
        if self.has_derived(provenance.kind, name):
            return name
        where = f"{provenance.kind}/{name}"
        with self.writing(f"writing {where}"), self._pen.landing(where) as group:
            fill(group)
            group.attrs["provenance"] = provenance.to_json()
        if provenance.kind == "predictions" and self._kept_current() is not None:
            self.make_current(name)
        return name

    def add_derived(self, kind: Kind, name: str, fill: Callable[[zarr.Group], None]) -> None:
        """Add to a derived thing what was found out of it afterwards.

        ``fill`` gets an empty group with the thing's attributes: what it writes beside them is
        added, and what it changes of them changes.

        Raises
        ------
        UnknownNameError
            When there is no such thing.
        """
        self._known(kind.rstrip("s"), kind, name)
        where = f"{kind}/{name}"
        with self.writing(f"adding to {where}"), self._pen.adding(where) as group:
            fill(group)

    @contextlib.contextmanager
    def resuming(self, provenance: Provenance) -> Iterator[zarr.Group]:
        """Write a derived thing that survives a kill half done.

        The group is the same on every try until the block ends well; then it lands. The caller
        records in it which parts are finished.
        """
        name = provenance.id
        with self.writing(f"making {provenance.kind} {name}"):
            draft = self.path / f".resume-{provenance.kind}-{name}"
            group = zarr.open_group(draft, mode="a", zarr_format=3)
            yield group
            group.attrs["provenance"] = provenance.to_json()
            self._pen.land(draft, f"{provenance.kind}/{name}")

    def write_file(self, group: zarr.Group, name: str, data: bytes) -> None:
        """Put a file that is no array, such as weights, beside a group that is being written."""
        place = Path(str(group.store_path.store.root)) / group.path  # type: ignore[attr-defined]
        (place / name).write_bytes(data)

    def file(self, kind: Kind, name: str, file: str) -> Path:
        """Where a file lies that :meth:`write_file` put beside a derived thing.

        Raises
        ------
        UnknownNameError
            When there is no such thing.
        """
        self._known(kind.rstrip("s"), kind, name)
        return self.path / kind / name / file

    def remove_derived(self, kind: Kind, name: str) -> None:
        """Forget a derived thing."""
        self._known(kind.rstrip("s"), kind, name)
        with self.writing(f"removing {kind} {name}"):
            shutil.rmtree(self.path / kind / name)

    # -- inner -----------------------------------------------------------------------------

    def _names(self, folder: str) -> list[str]:
        place = self.path / folder
        if not place.is_dir():
            return []
        return sorted(p.name for p in place.iterdir() if (p / "zarr.json").exists())

    def _known(self, what: str, folder: str, name: str) -> None:
        names = self._names(folder)
        if name not in names:
            raise UnknownNameError(what, name, names)
