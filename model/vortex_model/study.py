"""Study: one tissue block on disk, ``NAME.zarr``. This file and ``derived.py`` know its layout.

::

    NAME.zarr/             Zarr v3 group; attributes["vortex"]: format and StudyInfo
        morphology/        OME-Zarr 0.5 multiscale image (c, z, y, x)
        labels/NAME/       OME-Zarr 0.5 multiscale label images
        sections/NAME/     AnnData, raw counts in X, obsm["spatial"] = x, y, z in micrometres
        overlays/NAME/     registration overlays, (y, x, rgb) uint8, with their score
        features/ID/       one encoder's output on its token lattice
        models/ID/         what full fine-tuning learned: weights.safetensors, tuned features
        predictions/ID/    factors, loadings, gene table
        views/ID/          what people keep: a JSON record each, in its attributes["record"]
        regions/ID/        the same, of regions
        truth/ID/          phantoms only: the expression that was planted
        .lock, .holder     one writer at a time, and who that is

Everything lands whole or not at all (:mod:`~vortex_model.pen`); work that can be resumed waits
half done under ``.resume-*``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import anndata
import numpy as np
import numpy.typing as npt
import zarr

from vortex_model.crew import HERE, Crew
from vortex_model.derived import Derived
from vortex_model.errors import StudyError
from vortex_model.multiscale import Image, VolumeSource, read_image
from vortex_model.multiscale_write import Again, write_image
from vortex_model.pen import replaced
from vortex_model.progress import Progress, silent
from vortex_model.provenance import Kind, Provenance, now, plain
from vortex_model.section import fill_section, height_um, read_section, section_hash, section_of

__all__ = ["Kind", "Modality", "Provenance", "Study", "StudyInfo", "section_hash"]

FORMAT = 1
Modality = Literal["light-sheet", "microct", "serial-sections", "other"]
RecordKind = Literal["views", "regions"]
StudyType = TypeVar("StudyType", bound="Study")


@dataclass(frozen=True)
class StudyInfo:
    """What a study says of itself; all but the name may be left empty."""

    name: str
    modality: Modality = "other"
    organ: str = ""
    species: str = ""
    description: str = ""
    source: str = ""
    licence: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


class Study(Derived):
    """One tissue block: its morphology, measured sections, and what was derived from them.

    Open one with :meth:`open`, make one with :meth:`create`. Reading needs no lock; every
    write goes through :meth:`writing`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._sections: dict[str, anndata.AnnData] = {}
        self._image: Image | None = None

    @classmethod
    def open(cls: type[StudyType], path: str | os.PathLike[str]) -> StudyType:
        """Open a study for reading.

        Raises
        ------
        StudyError
            When there is none at ``path``, it is damaged, or a newer program made it.
        """
        place = Path(path).expanduser().resolve()
        if not place.exists():
            raise StudyError(
                f"There is no study at {place}. Make one with "
                f"'vortex-viewer import MANIFEST {place}' or 'vortex-viewer demo {place}'."
            )
        try:
            record: Any = zarr.open_group(place, mode="r").attrs["vortex"]
            number = int(record["format"])
        except (KeyError, FileNotFoundError, ValueError, TypeError) as error:
            raise StudyError(
                f"{place} is no vortex-viewer study: its zarr.json names no study format. "
                "Give the folder NAME.zarr that 'vortex-viewer import' made."
            ) from error
        if number > FORMAT:
            raise StudyError(
                f"{place} has study format {number}; this version reads up to {FORMAT}. "
                "Update vortex-viewer."
            )
        return cls(place)

    @classmethod
    @contextlib.contextmanager
    def create(
        cls: type[StudyType],
        path: str | os.PathLike[str],
        info: StudyInfo,
        *,
        overwrite: bool = False,
    ) -> Iterator[StudyType]:
        """Make a study; it appears at ``path`` only when the ``with`` block ends well.

        Raises
        ------
        StudyError
            When something is at ``path`` and ``overwrite`` is false, or it is no study.
        """
        final = Path(path).expanduser().resolve()
        if final.exists():
            if not overwrite:
                raise StudyError(
                    f"{final} exists. Choose another name, or pass --overwrite to replace it."
                )
            cls.open(final)  # never replace what is not a study
        final.parent.mkdir(parents=True, exist_ok=True)
        draft = final.parent / f".partial-{final.name}-{uuid.uuid4().hex[:8]}"
        try:
            root = zarr.open_group(draft, mode="w-", zarr_format=3)
            root.attrs["vortex"] = {"format": FORMAT, "created": now(), **asdict(info)}
            for folder in ("labels", "sections", "overlays", "features", "predictions", "truth"):
                root.create_group(folder)
            study = cls(draft)
            with study.writing("import"):
                yield study
            with replaced(final):
                draft.rename(final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    # -- what it is ------------------------------------------------------------------------

    @property
    def info(self) -> StudyInfo:
        """What the study says of itself."""
        record: Any = self._root().attrs["vortex"]
        known = {f.name for f in fields(StudyInfo)}
        return StudyInfo(**{k: v for k, v in record.items() if k in known})

    @property
    def name(self) -> str:
        """The study's name."""
        return self.info.name

    @property
    def has_morphology(self) -> bool:
        """Whether there is an image volume."""
        return (self.path / "morphology" / "zarr.json").exists()

    @property
    def morphology(self) -> Image:
        """The image volume.

        Raises
        ------
        StudyError
            When the study has none, or it cannot be read.
        """
        if self._image is None:
            self._image = self._read_image("morphology")
        return self._image

    @property
    def serial(self) -> bool:
        """Whether the planes are sections cut and stained one by one."""
        return self.info.modality == "serial-sections"

    @property
    def label_names(self) -> list[str]:
        """The label images, sorted."""
        return self._names("labels")

    def label(self, name: str) -> Image:
        """A label image on the morphology's frame.

        Raises
        ------
        UnknownNameError
            When there is none of this name.
        """
        self._known("label image", "labels", name)
        return self._read_image(f"labels/{name}")

    def label_classes(self, name: str) -> dict[int, str]:
        """What the values of a label image mean, where that is known.

        Raises
        ------
        UnknownNameError
            When there is no label image of this name.
        """
        self._known("label image", "labels", name)
        ome: Any = zarr.open_group(self.path / "labels" / name, mode="r").attrs["ome"]
        named = ome.get("image-label", {}).get("properties", [])
        return {int(p["label-value"]): str(p["name"]) for p in named if "name" in p}

    @property
    def section_names(self) -> list[str]:
        """The measured sections, from low z to high."""
        place = self.path / "sections"
        return sorted(self._names("sections"), key=lambda name: (height_um(place / name), name))

    def section(self, name: str) -> anndata.AnnData:
        """A measured section; shared by all who ask, so copy before changing it.

        ``X`` holds raw counts (CSR), ``obsm["spatial"]`` x, y, z in micrometres, and
        ``uns["vortex"]`` ``spot_diameter_um``, ``content`` and what the import recorded.

        Raises
        ------
        UnknownNameError
            When there is none of this name.
        """
        self._known("section", "sections", name)
        if name not in self._sections:
            self._sections[name] = read_section(self.path / "sections" / name)
        return self._sections[name]

    def overlay(self, name: str) -> tuple[npt.NDArray[np.uint8], dict[str, Any]] | None:
        """The registration overlay (y, x, rgb) of a section or plane and its record, if any."""
        if name not in self.overlay_names:
            return None
        array = zarr.open_array(self.path / "overlays" / name, mode="r")
        return np.asarray(array[:], dtype=np.uint8), cast(dict[str, Any], array.attrs["vortex"])

    @property
    def overlay_names(self) -> list[str]:
        """What has a registration overlay."""
        return self._names("overlays")

    # -- what people keep ------------------------------------------------------------------

    def records(self, kind: RecordKind) -> dict[str, dict[str, Any]]:
        """The records of a kind by id, such as the named views."""
        return {name: self.record(kind, name) for name in self._names(kind)}

    def record(self, kind: RecordKind, name: str) -> dict[str, Any]:
        """One record.

        Raises
        ------
        UnknownNameError
            When there is none of this id.
        """
        self._known(kind.rstrip("s"), kind, name)
        group = zarr.open_group(self.path / kind / name, mode="r")
        return cast(dict[str, Any], group.attrs["record"])

    def write_record(self, kind: RecordKind, name: str, record: Mapping[str, Any]) -> None:
        """Keep a record of plain JSON types under an id, in place of the one that is there.

        Raises
        ------
        StudyError
            When the id is no plain name, or the study cannot be written.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise StudyError(f"{name!r} cannot be an id; use letters, digits, - and _.")
        with self.writing(f"keeping one of the {kind}"):
            zarr.open_group(self.path / kind, mode="a", zarr_format=3)
            with self._pen.landing(f"{kind}/{name}") as group:
                group.attrs["record"] = dict(record)

    def remove_record(self, kind: RecordKind, name: str) -> None:
        """Forget a record."""
        self._known(kind.rstrip("s"), kind, name)
        with self.writing(f"removing one of the {kind}"):
            shutil.rmtree(self.path / kind / name)

    # -- writing ---------------------------------------------------------------------------

    def write_morphology(
        self,
        source: VolumeSource,
        progress: Progress = silent,
        *,
        crew: Crew = HERE,
        again: Again | None = None,
    ) -> None:
        """Write the image volume, by chunk; ``again`` opens the source where the crew is."""
        with self.writing("writing morphology"), self._pen.landing("morphology") as group:
            write_image(
                group, source, self.name, progress, serial=self.serial, crew=crew, again=again
            )
        self._image = None

    def write_label(
        self,
        name: str,
        source: VolumeSource,
        progress: Progress = silent,
        *,
        crew: Crew = HERE,
        again: Again | None = None,
        classes: Mapping[int, str] | None = None,
    ) -> None:
        """Write a label image on the morphology's frame, by chunk; ``classes`` name its values."""
        with self.writing(f"writing label {name}"), self._pen.landing(f"labels/{name}") as group:
            write_image(group, source, name, progress, labels=True, crew=crew, again=again)
            named: Any = [{"label-value": v, "name": n} for v, n in (classes or {}).items()]
            ome: Any = group.attrs["ome"]
            group.attrs["ome"] = {**ome, "image-label": {"version": "0.5", "properties": named}}

    def remove_label(self, name: str) -> None:
        """Forget a label image."""
        self._known("label image", "labels", name)
        with self.writing(f"removing label {name}"):
            shutil.rmtree(self.path / "labels" / name)

    def write_section(
        self,
        name: str,
        counts: anndata.AnnData,
        *,
        spot_diameter_um: float,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a measured section.

        Parameters
        ----------
        counts
            Raw counts in ``X`` (spots by genes), ``obsm["spatial"]`` = x, y, z in micrometres.
        spot_diameter_um
            Diameter of a spot, or side of a bin.
        record
            What the import wants to remember (files, registration, score); plain JSON types.
        """
        stored = section_of(name, counts, spot_diameter_um, record or {})
        with (
            self.writing(f"writing section {name}"),
            self._pen.landing(f"sections/{name}") as group,
        ):
            fill_section(group, stored)
        self._sections.pop(name, None)

    def write_overlay(
        self, name: str, rgb: npt.NDArray[np.uint8], record: Mapping[str, Any]
    ) -> None:
        """Keep a registration overlay (y, x, rgb) and its record (score, warning)."""
        with self.writing(f"writing overlay {name}"):
            draft = self._pen.draft()
            array = zarr.create_array(draft, data=np.ascontiguousarray(rgb), zarr_format=3)
            array.attrs["vortex"] = json.loads(json.dumps(dict(record), default=plain))
            self._pen.land(draft, f"overlays/{name}")

    # -- inner -----------------------------------------------------------------------------

    def _root(self) -> zarr.Group:
        return zarr.open_group(self.path, mode="r")

    def _read_image(self, where: str) -> Image:
        try:
            return read_image(zarr.open_group(self.path / where, mode="r"))
        except FileNotFoundError as error:
            raise StudyError(f"{self.path} has no {where}.") from error
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise StudyError(
                f"{self.path}: the image in {where} cannot be read ({error}). "
                "Import the study again."
            ) from error
