"""A static site of studies: any host serves it; no server, no CDN, no request to anybody else."""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import zarr

from vortex_model.errors import StudyError, VortexError
from vortex_model.expression import UNITS
from vortex_model.multiscale import Image
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Study
from vortex_model.tissue import channel_ranges
from vortex_viewer import __version__
from vortex_viewer.built import LIVE, viewer_folder
from vortex_viewer.export import picture
from vortex_viewer.export.address import slug
from vortex_viewer.export.links import Linked, page
from vortex_viewer.export.lowrank import LowRank, gene_table, write_lowrank
from vortex_viewer.export.plan import Part, SizeReport, megabytes, plan_site
from vortex_viewer.export.pyramid import (
    Coding,
    Layout,
    Pyramid,
    coded_windows,
    coding_of,
    image_metadata,
    is_stack,
    label_metadata,
    write_pyramid,
)
from vortex_viewer.scene import palette
from vortex_viewer.state import PALETTES

FORMAT = 1
MARK = "site.json"
CLASS_COLOURS = (
    "4477AA", "EE6677", "228833", "CCBB44", "66CCEE", "AA3377", "BBBBBB", "EE8866", "44BB99",
    "FFAABB", "99DDFF", "DDCC77", "882255", "117733", "332288", "999933",
)  # fmt: skip
"""Paul Tol's bright, light and muted schemes: told apart by colour-blind eyes."""


def export_site(
    studies: Sequence[Path],
    dest: Path,
    *,
    genes: Sequence[str] | None = None,
    max_size: int | None = None,
    layout: Layout = "shards",
    leave_out: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write a folder that any static host serves; it appears at ``dest`` whole, or not at all.

    Parameters
    ----------
    studies
        Folders NAME.zarr. A study without a prediction shows its morphology alone.
    dest
        The folder to make.
    genes
        Names of genes to keep; all that were predicted when None.
    max_size
        Bytes that the whole may take.
    layout
        "shards": few files, for hosts that answer range requests (nearly all; where one does
        not, whole shards are loaded). "chunks": one file a chunk.
    leave_out
        How many of the finest levels of the morphology stay behind.
    overwrite
        Replace an export that is at ``dest``.

    Raises
    ------
    VortexError
        When nothing is to be exported, ``dest`` is taken, or the export would be larger than
        ``max_size`` (it says what to leave out).
    """
    final = Path(dest).expanduser().resolve()
    if not studies:
        raise VortexError("Name at least one study to export.")
    if layout not in ("shards", "chunks"):
        raise VortexError(f"The layout is {layout!r}; use 'shards' or 'chunks'.")
    viewer = viewer_folder()
    _check_destination(final, overwrite)
    progress(0.0, "weighing")
    report = plan_site(studies, genes=genes, layout=layout, leave_out=leave_out)
    weight = sum(
        p.stat().st_size
        for p in viewer.rglob("*")
        if p.is_file() and viewer / LIVE not in p.parents
    )
    report = SizeReport((*report.parts, Part("site", "viewer", weight, 8)))
    progress(0.02, f"about {megabytes(report.size)} in {report.files} files")
    report.require(max_size)
    with _landing(final, overwrite) as draft:
        shutil.copytree(viewer, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(LIVE))
        (draft / "studies").mkdir()
        entries, linked = [], []
        names: set[str] = set()
        for number, path in enumerate(studies):
            study = Study.open(path)
            folder = _slug(study.name, names)
            share = part(
                progress, 0.02 + 0.96 * number / len(studies),
                0.02 + 0.96 * (number + 1) / len(studies),
            )  # fmt: skip
            entry, link = _write_study(
                study, draft / "studies" / folder, folder, genes, layout, leave_out, share
            )
            entries.append(entry)
            linked += [link] if link else []
        _dump(
            draft / MARK,
            {
                "format": FORMAT,
                "made_by": f"vortex-viewer {__version__}",
                "studies": entries,
                "palettes": {name: palette.table(name).tobytes().hex() for name in PALETTES},
            },
        )
        (draft / "LINKS.md").write_text(page(linked), encoding="utf-8")
        (draft / ".nojekyll").touch()  # GitHub Pages would drop names that start with _
        actual = sum(p.stat().st_size for p in draft.rglob("*") if p.is_file())
        if max_size is not None and actual > max_size:
            raise VortexError(
                f"The export took {megabytes(actual)}, more than the {megabytes(max_size)} that "
                "were allowed (it was estimated at "
                f"{megabytes(report.size)}). Leave out a level (leave_out) or a study."
            )
    progress(1.0, f"{megabytes(actual)} at {final}")
    return final


def _check_destination(final: Path, overwrite: bool) -> None:
    if not final.exists():
        return
    if not overwrite:
        raise VortexError(
            f"{final} exists. Choose another name, or pass --overwrite to replace it."
        )
    if not (final / MARK).is_file():
        raise VortexError(
            f"{final} is no export of vortex-viewer (it has no {MARK}), so it is not replaced. "
            "Choose another name."
        )


@contextlib.contextmanager
def _landing(final: Path, overwrite: bool) -> Iterator[Path]:
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = final.parent / f".partial-{final.name}-{uuid.uuid4().hex[:8]}"
    try:
        draft.mkdir()
        yield draft
        if overwrite and final.exists():
            aside = final.parent / f".partial-old-{uuid.uuid4().hex[:8]}"
            final.rename(aside)
            draft.rename(final)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _slug(name: str, taken: set[str]) -> str:
    stem = slug(name)
    made, number = stem, 2
    while made in taken:
        made, number = f"{stem}-{number}", number + 1
    taken.add(made)
    return made


def _write_study(
    study: Study,
    place: Path,
    folder: str,
    genes: Sequence[str] | None,
    layout: Layout,
    leave_out: int,
    progress: Progress,
) -> tuple[dict[str, Any], Linked | None]:
    place.mkdir(parents=True)
    record: dict[str, Any] = {"id": folder, **_about(study)}
    link = None
    image = study.morphology if study.has_morphology else None
    if image is not None:
        link = _write_images(study, place, folder, record, layout, leave_out, progress)
    lowrank = None
    if study.derived_ids("predictions"):
        lowrank = LowRank.of(Prediction.load(study), genes)
        group = zarr.open_group(place / "prediction.zarr", mode="w-", zarr_format=3)
        ranges = write_lowrank(group, lowrank, layout, part(progress, 0.8, 0.98))
        own: Any = group.attrs["vortex"]
        record["prediction"] = {
            "id": lowrank.prediction.id,
            "units": UNITS,
            "rank": own["rank"],
            "levels": own["levels"],
            "count": len(lowrank.genes),
        }
        _dump(place / "genes.json", gene_table(lowrank, ranges))
    if image is None and lowrank is None:
        raise StudyError(
            f"{study.name} holds neither morphology nor a prediction: there is nothing to show. "
            "Import it again, or leave it out."
        )
    progress(0.99, "drawing the picture")
    _picture(place / "picture.jpg", study, lowrank)
    _dump(place / "study.json", record)
    entry = {k: v for k, v in record.items() if k in _ENTRY}
    entry["genes"] = record.get("prediction", {}).get("count", 0)
    return entry, link


_ENTRY = (
    "id", "name", "modality", "organ", "species", "description", "source", "licence", "size_um",
    "voxels", "voxel_um", "channels", "sections", "labels",
)  # fmt: skip


def _about(study: Study) -> dict[str, Any]:
    info = study.info
    record: dict[str, Any] = {"name": info.name, "modality": info.modality}
    for key in ("organ", "species", "description", "source", "licence"):
        if value := getattr(info, key):
            record[key] = value
    record["sections"] = [
        {
            "name": name,
            "spots": int(study.section(name).n_obs),
            "z_um": round(float(np.mean(study.section(name).obsm["spatial"][:, 2])), 3),
        }
        for name in study.section_names
    ]
    return record


def _write_images(
    study: Study,
    place: Path,
    folder: str,
    record: dict[str, Any],
    layout: Layout,
    leave_out: int,
    progress: Progress,
) -> Linked:
    image = study.morphology
    pyramid = Pyramid.of(image, leave_out)
    codings = coding_of(image)
    windows = coded_windows(image.windows, codings)
    group = zarr.open_group(place / "morphology.ome.zarr", mode="w-", zarr_format=3)
    write_pyramid(group, pyramid, codings, layout, part(progress, 0.0, 0.7))
    group.attrs["ome"] = image_metadata(study.name, pyramid, windows)
    group.attrs["vortex"] = {"value_of_code": [c.to_json() for c in codings]}
    grid = pyramid.grids[0]
    z, y, x = grid.extent_um
    record |= {
        "size_um": [x, y, z],
        "voxels": list(reversed(grid.shape)),
        "voxel_um": list(reversed(grid.spacing_um)),
        "rgb": image.is_rgb,
        "stack": is_stack(grid),
        "levels": [g.to_json() for g in pyramid.grids],
        "channels": [
            {
                "name": channel.name,
                "role": channel.role,
                "color": channel.color,
                "window": [0.0, 255.0] if image.is_rgb else list(window),
                **coding.to_json(),
            }
            for channel, window, coding in zip(image.channels, windows, codings, strict=True)
        ],
        "labels": [],
    }
    if image.is_rgb:
        record["glass"] = _glass(image, study.serial, codings)
    if study.label_names:
        labels = group.create_group("labels")
        labels.attrs["ome"] = {"version": "0.5", "labels": list(study.label_names)}
    for number, name in enumerate(study.label_names):
        share = part(
            progress,
            0.7 + 0.1 * number / len(study.label_names),
            0.7 + 0.1 * (number + 1) / len(study.label_names),
        )
        made = _write_label(study, name, labels.create_group(name), leave_out, layout, share)
        record["labels"].append(made)
    return Linked(
        f"studies/{folder}", study.name, grid, [(c.name, c.color) for c in image.channels],
        windows, list(study.label_names),
    )  # fmt: skip


def _glass(image: Image, serial: bool, codings: list[Coding]) -> list[list[int]]:
    """Colour of the empty glass of every plane, in codes: what the viewer takes for no tissue."""
    ranges = channel_ranges(image, serial)
    return [
        [
            int(coding.encode(np.array([high]))[0])
            for (_, high), coding in zip(plane, codings, strict=True)
        ]
        for plane in ranges
    ]


def _write_label(
    study: Study, name: str, group: zarr.Group, leave_out: int, layout: Layout, progress: Progress
) -> dict[str, Any]:
    pyramid = Pyramid.of(study.label(name), leave_out, labels=True)
    write_pyramid(group, pyramid, None, layout, progress)
    coarse = group[str(next(
        (n for n, g in enumerate(pyramid.grids) if int(np.prod(g.shape)) <= 4_000_000),
        len(pyramid.grids) - 1,
    ))]  # fmt: skip
    assert isinstance(coarse, zarr.Array)
    numbers, counts = np.unique(np.asarray(coarse[:]), return_counts=True)
    notes = study.info.notes
    inside = max(int(counts[numbers > 0].sum()), 1)
    classes: list[dict[str, Any]] = [
        {
            "number": int(number),
            "name": str(notes.get(f"class {number}", f"class {number}")),
            "color": CLASS_COLOURS[(position - (numbers[0] == 0)) % len(CLASS_COLOURS)],
            "share": round(float(count) / inside, 5),
        }
        for position, (number, count) in enumerate(zip(numbers, counts, strict=True))
        if number != 0
    ]
    rows = [(c["number"], c["name"], tuple(bytes.fromhex(c["color"]))) for c in classes]
    group.attrs["ome"] = label_metadata(name, pyramid, rows)  # type: ignore[arg-type]
    return {"name": name, "classes": classes, "levels": [g.to_json() for g in pyramid.grids]}


def _picture(place: Path, study: Study, lowrank: LowRank | None) -> None:
    gene = None
    if lowrank is not None:
        table = lowrank.prediction.genes.loc[list(lowrank.genes)]
        best = table["reliability"].fillna(-1.0).idxmax()
        gene = lowrank.prediction.expression({str(best): 1.0}).values  # needs no cache
    pixels = picture.draw(
        study.morphology if study.has_morphology else None,
        gene,
        lowrank.prediction.grid if lowrank else None,
    )
    place.write_bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), level=82))


def _dump(place: Path, record: Any) -> None:
    place.write_text(
        json.dumps(record, separators=(",", ":"), ensure_ascii=False), encoding="utf-8"
    )
