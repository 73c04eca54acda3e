"""Legacy ST: a spots-by-genes table with spots named ``XxY``, and a spot file with their pixels."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.io.counts import Spots, numbers, read_counts_table, read_table, shown
from vortex_model.io.spec import SectionSpec

_SPOT = re.compile(r"^\s*-?[\d.]+\s*x\s*-?[\d.]+\s*$")


def read_legacy(spec: SectionSpec) -> Spots:
    """Read a section of legacy ST.

    Spots of the table without a row in the spot file are a mistake, unless ``unplaced: drop``;
    rows of the spot file without counts are told as a warning, since published tables leave out
    spots that failed.

    Raises
    ------
    VortexError
        When a file cannot be read, a column is missing, or names do not match.
    """
    counts, names, genes = read_counts_table(spec.paths["counts"])
    if not any(_SPOT.match(n) for n in names) and all(_SPOT.match(g) for g in genes):
        counts, names, genes = sp.csr_matrix(counts.T), genes, names  # genes by spots
    path = spec.paths["spots"]
    table = read_table(path)
    column = {key: spec.columns.get(key, key) for key in ("x", "y", "pixel_x", "pixel_y")}
    grid = [numbers(table, column[key], path) for key in ("x", "y")]
    pixel = [numbers(table, column[key], path) for key in ("pixel_x", "pixel_y")]
    if "selected" in table.columns:
        chosen = numbers(table, "selected", path) != 0
        grid, pixel = [g[chosen] for g in grid], [p[chosen] for p in pixel]
    known = [f"{x:g}x{y:g}" for x, y in zip(*grid, strict=True)]
    return join(
        counts,
        [_tidy(n) for n in names],
        genes,
        pd.DataFrame({"name": known, "x": pixel[0], "y": pixel[1]}),
        spec,
        path,
    )


def join(
    counts: sp.csr_matrix,
    names: list[str],
    genes: list[str],
    places: pd.DataFrame,
    spec: SectionSpec,
    path: Path,
) -> Spots:
    """Counts and places with the same spot names, in the order of the counts.

    Raises
    ------
    VortexError
        When the names do not match.
    """
    known = list(places["name"])
    if len(set(known)) < len(known):
        twice = places["name"][places["name"].duplicated()]
        raise VortexError(f"{path}: spot {twice.iloc[0]!r} comes twice. Name each spot once.")
    row = {name: number for number, name in enumerate(known)}
    lost = [n for n in names if n not in row]
    source = spec.paths["counts"]
    if len(lost) == len(names):
        raise VortexError(
            f"No spot name is shared: {source} says {shown(names)}, {path} says {shown(known)}. "
            "Are these the files of one section?"
        )
    if lost and spec.unplaced != "drop":
        raise VortexError(
            f"{len(lost)} of {len(names)} spots in {source} are not in {path}, as {shown(lost)}. "
            "Mend the names, or set unplaced: drop to leave these spots out."
        )
    found = np.array([n in row for n in names])
    order = [row[n] for n in names if n in row]
    spots = Spots(
        counts=sp.csr_matrix(counts[found]),
        names=[n for n in names if n in row],
        genes=genes,
        places=places[["x", "y"]].to_numpy(dtype=np.float64)[order],
    )
    if lost:
        spots.warnings.append(f"{len(lost)} spots without a place were left out: {shown(lost)}.")
    unread = len(known) - len(order)
    if unread:
        missing = [n for n in known if n not in set(names)]
        spots.warnings.append(f"{unread} placed spots have no counts: {shown(missing)}.")
    return spots


def _tidy(name: str) -> str:
    if not _SPOT.match(name):
        return name
    x, y = name.split("x")
    try:
        return f"{float(x):g}x{float(y):g}"
    except ValueError:
        return name
