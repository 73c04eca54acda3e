"""What a visitor takes away, made in a process of its own by the code of ``vortex-viewer export``.

Drawing off screen there shares no graphics driver with the page, and a cancel ends it at once.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vortex_model.errors import VortexError
from vortex_model.progress import Progress, part
from vortex_viewer.apart import answer, run_apart

TABLES = ("genes", "spots", "regions")


def export_apart(request: dict[str, Any], progress: Progress) -> Path:
    """Make what a request asks for in a child process; returns where it lies.

    Parameters
    ----------
    request
        ``study`` (a folder), ``folder`` (where to), ``kind`` and its options: see ``KINDS``.

    Raises
    ------
    VortexError
        What the export raised, or that the child was killed.
    Cancelled
        When ``progress`` raises it.
    """
    return Path(run_apart("vortex_viewer.leaving", "The export", request, progress))


def _figure(study: Path, folder: Path, ask: dict[str, Any], progress: Progress) -> Path:
    from vortex_viewer.export.figure import FORMATS, export_figure

    state = _state(ask)
    genes = names(ask.get("genes", "")) or _seen(state)
    return export_figure(
        study,
        _place(folder, study, genes[:4], "." + _one_of(ask, "format", FORMATS)),
        genes=genes,
        views=[str(v) for v in ask.get("views", [])],
        state=state,
        same_range=bool(ask.get("same_range")),
        panel_mm=float(ask.get("panel_mm", 70)),
        dpi=int(ask.get("dpi", 300)),
        link=ask.get("link"),
        progress=progress,
    )


def _movie(study: Path, folder: Path, ask: dict[str, Any], progress: Progress) -> Path:
    from vortex_viewer.export.movie import export_movie

    state = _state(ask)
    width, height = (int(n) for n in str(ask.get("size", "1280x720")).split("x"))
    return export_movie(
        study,
        _place(folder, study, _seen(state)[:1], ".mp4"),
        state=state,
        seconds=float(ask.get("seconds", 8)),
        size=(width, height),
        progress=progress,
    )


def _table(study: Path, folder: Path, ask: dict[str, Any], progress: Progress) -> Path:
    from vortex_viewer.export.table import export_table

    what = _one_of(ask, "table", TABLES)
    suffix = "." + _one_of(ask, "format", ("csv", "parquet"))
    return export_table(
        study,
        what,  # type: ignore[arg-type]
        _place(folder, study, [what], suffix),
        genes=names(ask.get("genes", "")) or None,
        labels=ask.get("labels") or None,
        progress=progress,
    )


def _volume(study: Path, folder: Path, ask: dict[str, Any], progress: Progress) -> Path:
    from vortex_viewer.export.volume import SUFFIXES, export_volume

    kind = _one_of(ask, "format", tuple(SUFFIXES))
    gene = (names(ask.get("genes", "")) or _seen(_state(ask)) or [""])[0]
    if not gene:
        raise VortexError("Name the gene whose volume is to be written.")
    deviation = bool(ask.get("deviation"))
    words = [gene, *(["deviation"] if deviation else [])]
    made = export_volume(
        study,
        gene,
        _place(folder, study, words, SUFFIXES[kind]),
        kind=kind,  # type: ignore[arg-type]
        deviation=deviation,
        progress=part(progress, 0.0, 0.8),
    )
    return _packed(made, part(progress, 0.8, 1.0))


def _sections(study: Path, folder: Path, ask: dict[str, Any], progress: Progress) -> Path:
    from vortex_viewer.export.sections import export_sections

    made = export_sections(
        study,
        _place(folder, study, ["sections"], ""),
        genes=names(ask.get("genes", "")) or None,
        progress=part(progress, 0.0, 0.9),
    )
    return made[0] if len(made) == 1 else _packed(made[0].parent, part(progress, 0.9, 1.0))


def _site(study: Path, folder: Path, ask: dict[str, Any], progress: Progress) -> Path:
    from vortex_viewer.export import export_site

    dest = _free(_place(folder, study, ["site"], ""))
    genes = names(ask.get("genes", "")) or None
    if ask.get("keep"):
        return export_site([study], dest, genes=genes, progress=progress)
    made = export_site([study], dest, genes=genes, progress=part(progress, 0.0, 0.9))
    return _packed(made, part(progress, 0.9, 1.0))


KINDS: dict[str, Callable[[Path, Path, dict[str, Any], Progress], Path]] = {
    "figure": _figure,
    "movie": _movie,
    "table": _table,
    "volume": _volume,
    "sections": _sections,
    "site": _site,
}
"""What can be asked for: ``(study, folder, request, progress)`` to a file, or the kept site."""


def make(request: dict[str, Any], progress: Progress) -> Path:
    """Make what a request asks for, here and now.

    Raises
    ------
    VortexError
        When it asks for what there is not, or the export says no.
    """
    kind = _one_of(request, "kind", tuple(KINDS))
    try:
        return KINDS[kind](Path(request["study"]), Path(request["folder"]), request, progress)
    except (TypeError, ValueError, OverflowError) as error:
        raise VortexError(f"This {kind} cannot be made ({error}). Check the numbers.") from error
    except OSError as error:
        raise VortexError(
            f"{error.filename or request['folder']} cannot be written ({error.strerror or error})."
        ) from error


def names(text: str) -> list[str]:
    """``A, mean(B, C)`` as a list: commas within brackets part nothing."""
    found, depth = [""], 0
    for letter in str(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += letter
    return [name.strip() for name in found if name.strip()]


def _state(ask: dict[str, Any]) -> Any:
    from vortex_viewer.state import ViewState

    return ViewState.loads(str(ask["state"]))


def _seen(state: Any) -> list[str]:
    from vortex_viewer.drawing import shown

    return shown(state)


def _one_of(ask: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = str(ask.get(name, known[0]))
    if value not in known:
        raise VortexError(f"The {name} cannot be {value!r}; choose from {', '.join(known)}.")
    return value


def _place(folder: Path, study: Path, words: list[str], suffix: str) -> Path:
    parts = [study.name.removesuffix(".zarr"), *words]
    plain = [re.sub(r"[^\w+.-]+", "_", part).strip("_.") for part in parts]
    return folder / ("-".join(p for p in plain if p)[:120] + suffix)


def _free(place: Path) -> Path:
    tries = (place.with_name(f"{place.name}-{n}") for n in range(2, 10_000))
    return place if not place.exists() else next(p for p in tries if not p.exists())


def _packed(made: Path, progress: Progress) -> Path:
    """A folder as one ZIP, for browsers take files only; a file stays what it is."""
    if made.is_file():
        return made
    files = sorted(p for p in made.rglob("*") if p.is_file())
    packed = made.with_name(f"{made.name}.zip")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as out:  # its chunks are packed already
        for number, file in enumerate(files):
            progress(number / len(files), f"packing {number + 1} of {len(files)} files")
            out.write(file, Path(made.name) / file.relative_to(made))
    return packed


if __name__ == "__main__":
    answer(lambda request, progress: str(make(request, progress)))
