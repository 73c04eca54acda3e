"""What fine-tuning can be asked for on a page, and the versions that it made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vortex_model.encoders import EncoderRow, available
from vortex_model.errors import VortexError
from vortex_model.study import Study
from vortex_model.training.versions import compare, summary, versions
from vortex_viewer.scene.data import StudyData

FIRST = "The first time it encodes the whole block, which can take minutes; after that, seconds."
AGAIN = "This block's features are there: seconds."
FULL = "At most these minutes, and some seconds; a held-out curve is drawn as it learns."
MORE = (
    "Full needs an encoder with weights. In a terminal: vortex-viewer encoders shows which there "
    "are; vortex-viewer encoders uni --checkpoint FILE brings one."
)


def encoder_choices(data: StudyData) -> dict[str, Any]:
    """Encoders that can be used now, with what each costs in words, and what to get for more."""
    if data.image is None:
        return {"encoders": [], "more": "This study has no morphology to encode."}
    study = data.study
    there = {
        str(study.provenance("features", name)["parameters"]["encoder"])
        for name in study.derived_ids("features")
    }
    rows = [_choice(row, row.name in there) for row in available() if row.usable]
    return {"encoders": rows, "more": MORE}


def version_rows(data: StudyData) -> list[dict[str, Any]]:
    """The models that the study keeps, newest first."""
    return [row.to_json() for row in reversed(versions(data.study))]


def version_change(data: StudyData, shown: str, other: str) -> str:
    """How another version differs from the one that is shown, in a sentence or two."""
    told = summary(compare(data.study, shown, other))
    if told["difference"] is None:
        return "No gene has a reliability in both."
    ends = [
        f"{word} {', '.join(f'{gene} {change:+.2f}' for gene, change in told[key])}."
        for word, key in (("More:", "gained"), ("Less:", "lost"))
        if told[key]
    ]
    return (
        f"Mean r {told['second']:.3f}, the shown one {told['first']:.3f} "
        f"({told['difference']:+.3f} over {told['genes']:,} genes). {' '.join(ends)}"
    )


def _choice(row: EncoderRow, there: bool) -> dict[str, Any]:
    # a row without a page is the program's own: its title says in words what it does
    own = f"{row.title[:1].upper()}{row.title[1:]}. " if row.title and not row.page else ""
    return {
        "name": row.name,
        "label": row.title if row.page else row.name.capitalize(),
        "tunable": row.tunable,
        "fast": own + (AGAIN if there else FIRST),
        "full": own + FULL,
    }


def others(data: StudyData, paths: Mapping[str, Path]) -> list[tuple[str, str, int]]:
    """Other studies that can be learned from too: name, title, how many measured sections.

    Those with morphology and measured sections; one that cannot be opened is left out.
    """
    found = []
    for name, path in paths.items():
        if path == data.path:
            continue
        try:
            study = Study.open(path)
            sections = len(study.section_names) if study.has_morphology else 0
        except VortexError:
            continue
        if sections:
            found.append((name, study.info.name, sections))
    return found
