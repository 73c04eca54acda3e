"""What the panels say of a study: its facts, its genes, what is under the crosshair."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from vortex_model.analysis.signatures import signature
from vortex_model.errors import VortexError
from vortex_viewer.jobs import Status
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.formula import is_formula
from vortex_viewer.scene.gene import Gene
from vortex_viewer.state import Point, ViewState

BY = "\N{MULTIPLICATION SIGN}"
MODALITIES = {
    "light-sheet": "Light-sheet",
    "microct": "MicroCT",
    "serial-sections": "Serial sections",
    "other": "Other",
}
PREDICTORS = [
    ["gp", "Gaussian process"],
    ["ridge", "Ridge"],
    ["knn", "Nearest spots"],
    ["nearest", "Nearest section"],
    ["mean", "Section mean"],
]


@dataclass(frozen=True)
class GeneTable:
    """The gene list: columns for the page, or a note that says why it is empty."""

    columns: dict[str, list[Any]]
    note: str | None
    warnings: tuple[str, ...] = ()


def gene_table(data: StudyData, prediction: str | None) -> GeneTable:
    """Genes with their reliability."""
    if prediction is not None:
        made = data.prediction(prediction)
        table = made.genes
        return GeneTable(
            {
                "name": [str(g) for g in table.index],
                "r": _numbers(table["reliability"]),
                "low": _numbers(table["low"]),
                "high": _numbers(table["high"]),
            },
            None,
            made.warnings,
        )
    if data.section_names:
        note = (
            "No gene has been predicted yet.\n\nThe morphology is shown alone. Open Fine-tune "
            "below, choose the measured sections, and start: every gene of the panel then "
            "appears here."
        )
    else:
        note = (
            "This study has no measured section, so no gene can be predicted.\n\nThe morphology "
            "is shown alone. Add a spatial-transcriptomics section to its manifest and import "
            "it again."
        )
    return GeneTable({"name": [], "r": [], "low": [], "high": []}, note)


def first_gene(table: GeneTable, wanted: str | None) -> str | None:
    """The gene to show: the wanted one if it is there, else the most reliable."""
    names = table.columns["name"]
    if not names:
        return None
    folded = {n.casefold(): n for n in names}
    if wanted is not None and wanted.casefold() in folded:
        return str(folded[wanted.casefold()])
    scores = [-2.0 if r is None else r for r in table.columns["r"]]
    return str(names[int(np.argmax(scores))])


def fitted(data: StudyData, wanted: ViewState) -> tuple[ViewState, str]:
    """A state with the prediction and genes that a study has; words on what is not there."""
    missing = []
    ids = data.study.derived_ids("predictions")
    prediction = wanted.prediction
    if prediction is not None and prediction not in ids:
        missing.append(f"the prediction {prediction}")
        prediction = None
    prediction = prediction or data.newest_prediction()
    table = gene_table(data, prediction)
    names = table.columns["name"]
    known = {name.casefold() for name in names}

    def there(gene: str) -> bool:
        if is_formula(gene):
            with contextlib.suppress(VortexError):
                return bool(signature(gene[1:], names))
            return False
        return gene.casefold() in known

    asked = [wanted.gene, *(layer.gene for layer in wanted.others)]
    if wanted.prediction is not None and known:
        missing += [f"the gene {g}" for g in asked if g and not there(g)]
    formula = wanted.gene is not None and is_formula(wanted.gene) and there(wanted.gene)
    gene = wanted.gene if formula else first_gene(table, wanted.gene)
    if gene is not None and wanted.gene is None and wanted.prediction is not None:
        gene = None  # morphology alone, as the view was
    others = tuple(layer for layer in wanted.others if there(layer.gene))
    label = wanted.label
    if label is not None and label not in data.study.label_names:
        missing.append(f"the label image {label}")
        label = None
    said = f"This study does not have {', '.join(missing)}; the rest is shown." if missing else ""
    return wanted.with_(prediction=prediction, gene=gene, others=others, label=label), said


def study_facts(data: StudyData, prediction: str | None) -> dict[str, Any]:
    """Title and facts for the study bar: label, value, longer hint."""
    info = data.info
    z, y, x = (e / 1000 for e in data.frame.extent_um)
    nz, ny, nx = data.frame.shape
    dz, dy, dx = data.frame.spacing_um
    rows = [
        [
            "Block",
            f"{_mm(x)} {BY} {_mm(y)} {BY} {_mm(z)} mm",
            f"{nx} {BY} {ny} {BY} {nz} voxels of {dx:g} {BY} {dy:g} {BY} {dz:g} µm (x, y, z)",
        ],
        ["Modality", MODALITIES.get(info.modality, info.modality), "How the morphology was taken"],
    ]
    if info.organ or info.species:
        rows.append(["Tissue", ", ".join(v for v in (info.organ, info.species) if v), info.source])
    names = data.section_names
    rows.append(
        [
            "Measured",
            _count(len(names), "section") if names else "nothing",
            ", ".join(names) or "No section was measured",
        ]
    )
    if prediction is not None:
        made = data.prediction(prediction).provenance
        parameters = made.get("parameters", {})
        encoder = _found(parameters, "encoder")
        if encoder:
            rows.append(["Encoder", encoder, "What turned the image into features"])
        model = _found(parameters, "predictor") or "prediction"
        trained = _found(parameters, "sections")
        rows.append(
            [
                "Model",
                _model_name(model),
                f"Prediction {prediction}, made {made.get('created', '')}"
                + (f", from {trained}" if trained else ""),
            ]
        )
    return {"title": info.name, "description": info.description, "facts": rows}


def finetune_choices(data: StudyData) -> dict[str, Any]:
    """What the fine-tune panel offers."""
    rows = []
    for name in data.section_names:
        section = data.study.section(name)
        rows.append([name, int(section.n_obs), float(np.mean(section.obsm["spatial"][:, 2]))])
    note = None
    if not rows:
        note = "There is no measured section to learn from. Import one with this study's manifest."
    elif find_spec("vortex_model.training.finetune") is None:
        note = "Fine-tuning is not installed."
    return {"sections": rows, "predictors": PREDICTORS, "note": note, "stamp": str(data.path)}


def section_places(data: StudyData) -> list[tuple[str, float]]:
    """The measured sections and their z in micrometres."""
    return [(name, z) for name, _, z in finetune_choices(data)["sections"]]


def job_message(status: Status, data: StudyData) -> str:
    """A job's message, with what its end means."""
    if status.phase != "done":
        return status.message
    genes = data.prediction(str(status.result)).genes
    known = genes["reliability"].dropna()
    middle = f", median reliability {known.median():.2f}" if len(known) else ""
    return f"{len(genes):,} genes are ready{middle}."


def reading(data: StudyData, state: ViewState, gene: Gene | None, place: Point) -> dict[str, Any]:
    """What is under the crosshair."""
    told: dict[str, Any] = {
        "cursor": list(place),
        "gene": None,
        "value": None,
        "sd": None,
        "units": None,
        "morphology": None,
        "morphology_hint": None,
    }
    if gene is not None and state.prediction is not None:
        told.update(gene=gene.name, units=gene.units)
        value = float(gene.at([place])[0])
        if math.isfinite(value):
            told.update(value=value, sd=float(gene.deviation_at([place])[0]))
    if data.image is not None:
        here = [int(n) for n in data.image.grid.nearest([place])[0]]
        block = data.voxels(data.image.levels[0], here, [n + 1 for n in here])
        voxel = [float(v) for v in block.ravel()]
        names = [c.name for c in data.image.channels]
        told["morphology"] = " · ".join(f"{v:g}" for v in voxel)
        told["morphology_hint"] = ", ".join(f"{n} {v:g}" for n, v in zip(names, voxel, strict=True))
    nearest = None
    for name in data.section_names:
        away = abs(float(np.mean(data.study.section(name).obsm["spatial"][:, 2])) - place[2])
        if nearest is None or away < nearest[1]:
            nearest = (name, away)
    if nearest is not None:
        told["section"] = f"{nearest[0]}, {nearest[1]:.0f} µm away"
        told["section_hint"] = "Distance in z to the nearest measured section"
    else:
        told["section"] = told["section_hint"] = None
    return told


def _numbers(column: Any) -> list[float | None]:
    return [round(float(v), 4) if math.isfinite(float(v)) else None for v in column.astype(float)]


def _mm(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _model_name(model: str) -> str:
    return {row[0]: row[1] for row in PREDICTORS}.get(model, model)


def _found(parameters: Any, name: str) -> str:
    value = parameters.get(name)
    if isinstance(value, dict):
        value = value.get("name", "")
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return "" if value is None else str(value)
