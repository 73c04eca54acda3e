"""What is told of regions: their genes, what differs between two, profiles. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.analysis import profiles
from vortex_model.analysis.differential import compare
from vortex_model.prediction import Prediction
from vortex_viewer.panels.answer import column, numbers
from vortex_viewer.scene import marks

RATE, LEAST = 0.05, 0.2
"""Genes are called at this false discovery rate and difference (natural log)."""
GENE_INKS = ("#f0a020", "#4fb0f0", "#10b080", "#e07cb4")
Mask = npt.NDArray[np.bool_]


def measured(prediction: Prediction, name: str, mask: Mask) -> dict[str, Any]:
    """Every gene in a region."""
    size = profiles.region_summary(prediction, {name: mask}).iloc[0]
    table = profiles.region_genes(prediction, mask)
    return {
        "title": name,
        "facts": [
            ["Tissue", f"{size.tissue_mm3:.4g} mm³", "Volume of the region that is tissue"],
            ["Places", f"{int(size.tissue_tokens):,}", "Tokens of the lattice, in tissue"],
            ["Centre x, y, z", f"{size.x_um:.0f}, {size.y_um:.0f}, {size.z_um:.0f} µm"],
        ],
        "genes": [str(g) for g in table.index],
        "sure": [bool(v) for v in table["reliable"]],
        "columns": [
            column("mean", "Mean", "Mean expression, log1p CP10K", table["mean"]),
            column("deviation", "Spread", "Standard deviation within", table["deviation"]),
            column(
                "uncertainty", "± of it", "Standard deviation of the prediction itself",
                table["uncertainty"],
            ),
            column("reliability", "Reliab.", "Held-out correlation", table["reliability"]),
        ],
        "sort": "mean",
    }  # fmt: skip


def compared(
    prediction: Prediction, first: Mask, second: Mask | None, names: tuple[str, str]
) -> dict[str, Any]:
    """What differs between two regions, or one and the rest, with how far to trust it."""
    made = compare(prediction, first, second)
    table = made.table
    called = (table["q"] <= RATE) & (table["difference"].abs() >= LEAST)
    sure = int((called & table["reliable"]).sum())
    note = made.note
    if not called.any():
        least = max(1 / comb(sum(made.blocks), made.blocks[0]), table["p"].min())
        note = (
            f"No gene is surely different: the sides hold {made.blocks[0]} and {made.blocks[1]} "
            f"independent pieces of tissue, and the clearest gene has p = {least:.2g}, too large "
            f"among {len(table):,}. Draw larger regions, or several for each side. The effects "
            "are still in order."
        )
    return {
        "title": f"{names[0]} against {names[1]}",
        "note": note,
        "facts": [
            ["Genes that differ", f"{int(called.sum()):,} of {len(table):,}",
             f"False discovery rate {RATE} or less, difference {LEAST} or more (natural log)"],
            ["of them trusted", f"{sure:,}",
             "Predicted surely better than chance on spots held out"],
            ["Places A, B", f"{made.tokens[0]:,}, {made.tokens[1]:,}", "Tokens of the lattice"],
            ["Pieces A, B", f"{made.blocks[0]}, {made.blocks[1]}",
             "Independent pieces of tissue, which the test permutes"],
        ],
        "legend": [
            [marks.INKS[5], "higher in A", ""],
            [marks.INKS[1], "higher in B" if second is not None else "lower in A", ""],
            ["var(--faint)", "no call", ""],
            ["none; border: 1px solid currentColor", "hollow, ?: do not trust", ""],
        ],
        "genes": [str(g) for g in table.index],
        "sure": [bool(v) for v in table["reliable"]],
        "columns": [
            column(
                "difference", "A \N{MINUS SIGN} B", "Difference of means, natural log",
                table["difference"],
            ),
            column("standardised", "Effect", "Difference over the spread", table["standardised"]),
            {**column("q", "FDR", "False discovery rate", table["q"]), "small": True},
            column("reliability", "Reliab.", "Held-out correlation", table["reliability"]),
        ],
        "plot": {
            "kind": "volcano",
            "x": numbers(table["difference"]),
            "q": numbers(table["q"]),
            "rate": RATE,
            "least": LEAST,
            "label": "difference of means (natural log)",
            "inks": [marks.INKS[5], marks.INKS[1]],
        },
        "sort": "standardised",
    }  # fmt: skip


def along(
    prediction: Prediction, genes: Sequence[str], ends: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """Genes along a line from one point (x, y, z) to another."""
    table = profiles.along_line(prediction, genes, np.asarray(ends, np.float64))
    told = _profile(table, "distance_um", "distance along the line, µm", "uncertainty")
    one = table[table["gene"] == table["gene"].iloc[0]]
    told["plot"]["places"] = one[["x_um", "y_um", "z_um"]].round(2).to_numpy().tolist()
    return {**told, "note": "The band is the prediction's own deviation. Click to go there."}


def with_depth(
    prediction: Prediction, genes: Sequence[str], mask: Mask | None, where: str
) -> dict[str, Any]:
    """Genes plane by plane."""
    table = profiles.with_depth(prediction, genes, mask)
    told = _profile(table, "z_um", "depth z, µm", "deviation")
    return {**told, "note": f"Mean over {where} at each depth; the band is the spread there."}


def from_surface(
    prediction: Prediction, genes: Sequence[str], mask: Mask, name: str
) -> dict[str, Any]:
    """Genes by distance from a region's surface."""
    table = profiles.by_distance(prediction, genes, mask)
    told = _profile(table, "distance_um", f"distance from {name}, µm (inside below 0)", "deviation")
    return {**told, "note": f"Mean at each distance from {name}; the band is the spread there."}


def _profile(table: pd.DataFrame, across: str, label: str, band: str) -> dict[str, Any]:
    lines = []
    for number, (gene, own) in enumerate(table.groupby("gene", sort=False)):
        lines.append(
            {
                "name": str(gene),
                "ink": GENE_INKS[number % len(GENE_INKS)],
                "x": numbers(own[across], 6),
                "y": numbers(own["mean"]),
                "band": numbers(own[band]),
            }
        )
    return {
        "plot": {"kind": "profile", "lines": lines, "label": label},
        "legend": [[line["ink"], line["name"], ""] for line in lines],
        "csv": table.to_csv(index=False, float_format="%.6g"),
        "genes": [],
        "columns": [],
    }
