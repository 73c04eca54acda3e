"""What genes are sorted by, and how measured and predicted agree at the sections."""

from __future__ import annotations

from typing import Any

import numpy as np

from vortex_model.analysis.spatial import Field, field, likeness, spatial_table
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.gene import Gene

MOST_POINTS = 1500


def moments(data: StudyData, prediction: str) -> Field:
    """The factors' moments over tissue, worked out once a prediction."""
    return data.kept(("moments", prediction), lambda: field(data.prediction(prediction)))


def scores(data: StudyData, prediction: str, order: str, gene: str | None) -> list[float | None]:
    """A score a gene, in the table's order: ``mean``, ``moran``, or ``like`` a gene."""
    made, known = data.prediction(prediction), moments(data, prediction)
    if order == "like" and gene is not None:
        return numbers(likeness(made, gene, known).to_numpy())
    table = spatial_table(made, known)
    return numbers(table["moran" if order == "moran" else "mean"].to_numpy())


def numbers(values: Any) -> list[float | None]:
    """Four digits each; None where there is no number."""
    return [round(float(v), 4) if np.isfinite(v) else None for v in values]


def measured(data: StudyData, gene: Gene) -> list[dict[str, Any]]:
    """Measured beside predicted of a gene at each section that measured it.

    Each has ``section``, ``r`` (Pearson, over its spots in tissue), ``count`` and ``points``: at
    most ``MOST_POINTS`` pairs (measured, predicted), spread over the spots.
    """
    told = []
    for spots in data.spots(gene.key):
        predicted = gene.at(spots.points_um).astype(np.float64)
        both = np.isfinite(predicted)
        own, other = spots.values[both], predicted[both]
        spread = len(own) > 2 and own.std() > 0 and other.std() > 0
        every = max(1, len(own) // MOST_POINTS)
        told.append(
            {
                "section": spots.section,
                "count": len(own),
                "r": float(np.corrcoef(own, other)[0, 1]) if spread else None,
                "points": np.round(np.column_stack([own, other])[::every], 3).tolist(),
            }
        )
    return told
