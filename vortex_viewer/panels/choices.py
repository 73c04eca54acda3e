"""What fine-tuning can be asked for on a page, and the versions that it made."""

from __future__ import annotations

from typing import Any

from vortex_model.encoders import available
from vortex_model.training.versions import compare, summary, versions
from vortex_viewer.scene.data import StudyData


def encoder_choices(data: StudyData) -> dict[str, Any]:
    """Encoders that can be used now, those that can be tuned, and what to get for more."""
    if data.image is None:
        return {"encoders": [], "tunable": [], "more": "This study has no morphology to encode."}
    rows = [row for row in available() if row.usable]
    named = [[row.name, row.title if row.page else row.name.capitalize()] for row in rows]
    return {
        "encoders": named,
        "tunable": [row.name for row in rows if row.tunable],
        "more": "Full needs an encoder with weights. In a terminal: vortex-viewer encoders "
        "shows which there are; vortex-viewer encoders uni --checkpoint FILE brings one.",
    }


def version_rows(data: StudyData) -> list[dict[str, Any]]:
    """The models that the study keeps, newest first."""
    return [row.to_json() for row in reversed(versions(data.study))]


def version_change(data: StudyData, shown: str, other: str) -> str:
    """How another version differs from the one that is shown, in a sentence or two."""
    told = summary(compare(data.study, other, shown))
    if told["difference"] is None:
        return "No gene has a reliability in both."
    ends = [
        f"{word} {', '.join(f'{gene} {change:+.2f}' for gene, change in told[key])}."
        for word, key in (("Most gained:", "gained"), ("Most lost:", "lost"))
        if told[key]
    ]
    return (
        f"Shown here: mean r {told['second']:.3f}; the other: {told['first']:.3f} "
        f"({told['difference']:+.3f} over {told['genes']:,} genes). {' '.join(ends)}"
    )
