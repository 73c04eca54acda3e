"""Spots and counts as two plain tables (or a sparse matrix), one section or several in a file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.io.counts import Spots, numbers, read_counts_table, read_table, reading, shown
from vortex_model.io.schema import nearest
from vortex_model.io.spec import SectionSpec
from vortex_model.io.st_legacy import join

_KNOWN = ("x", "y", "z", "name")


def read_st_table(spec: SectionSpec) -> Spots:
    """Read a section from a table of spots and a matrix of counts.

    Row i of the spots belongs to row i of an .npz or .mtx matrix; a text table of counts is
    joined by name where ``columns.name`` says which column that is. ``select`` keeps the rows
    whose columns have the given values, so that one file may hold several sections.

    Raises
    ------
    VortexError
        When a file cannot be read, or rows, columns or names do not match.
    """
    for key in spec.columns:
        if key not in _KNOWN:
            raise VortexError(
                f"columns.{key} is not known.{nearest(key, _KNOWN)} Known: {', '.join(_KNOWN)}."
            )
    path = spec.paths["spots"]
    table = read_table(path)
    x = numbers(table, spec.columns.get("x", "x"), path)
    y = numbers(table, spec.columns.get("y", "y"), path)
    places = [x, y]
    if "z" in spec.columns:
        places.append(numbers(table, spec.columns["z"], path))
    name = spec.columns.get("name")
    if name is not None and name not in table.columns:
        raise VortexError(f"{path} has no column {name!r}; name another under columns.name.")
    chosen = _select(table, spec, path)
    source = spec.paths["counts"]
    if source.name.casefold().removesuffix(".gz").endswith((".tsv", ".csv", ".txt")):
        counts, names, genes = read_counts_table(source)
        if name is not None:
            frame = pd.DataFrame({"name": table[name], "x": x, "y": y})[chosen]
            return join(counts, names, genes, frame, spec, path)
    else:
        counts, genes = _matrix(source, spec)
    if counts.shape[0] != len(table):
        turned = counts.shape[1] == len(table)
        raise VortexError(
            f"{source} has {counts.shape[0]} rows, but {path} has {len(table)} spots. "
            + ("It looks like genes by spots: transpose it." if turned else "One row a spot.")
        )
    if len(genes) != counts.shape[1]:
        raise VortexError(
            f"{spec.paths.get('genes', source)} names {len(genes)} genes, but {source} has "
            f"{counts.shape[1]} columns. One name a column."
        )
    names = list(table[name]) if name is not None else [str(n) for n in range(len(table))]
    spots = Spots(sp.csr_matrix(counts), names, genes, np.column_stack(places))
    spots.keep(chosen)
    return spots


def _select(table: pd.DataFrame, spec: SectionSpec, path: Path) -> np.ndarray:
    chosen = np.ones(len(table), dtype=bool)
    for column, value in spec.select.items():
        if column not in table.columns:
            raise VortexError(
                f"select.{column}: {path} has no such column."
                f"{nearest(column, [str(c) for c in table.columns])}"
            )
        chosen &= (table[column] == value).to_numpy()
        if not chosen.any():
            values = sorted(set(table[column]))
            raise VortexError(
                f"select.{column}: no row of {path} has {value!r}.{nearest(value, values)} "
                f"There are {shown(values, 8)}."
            )
    return chosen


def _matrix(path: Path, spec: SectionSpec) -> tuple[sp.csr_matrix, list[str]]:
    genes = spec.paths.get("genes")
    if genes is None:
        raise VortexError(f"'genes' is missing: the file of gene names, one a line, for {path}.")
    with reading(genes):
        names = [n for n in genes.read_text(encoding="utf-8").splitlines() if n.strip()]
    try:
        with reading(path):
            if path.suffix.casefold() == ".npz":
                with path.open("rb") as file:
                    matrix = sp.load_npz(file)
            else:
                matrix = scipy.io.mmread(path)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise VortexError(
            f"{path} is no sparse matrix (.npz of scipy, or Matrix Market), or is damaged "
            f"({error}). Save it again."
        ) from error
    return sp.csr_matrix(matrix), names
