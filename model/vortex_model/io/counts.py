"""Measured spots as read from files, and the mistakes that counts and places can hold."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.io.schema import Problems

FloatArray = npt.NDArray[np.float64]


@dataclass
class Spots:
    """One section as its files give it.

    Attributes
    ----------
    counts
        (spots, genes) CSR.
    names, genes
        Of spots and of genes.
    places
        (spots, 2 or 3): x, y (, z) in pixels or whatever unit the files use.
    um_per_unit
        Micrometres a unit of ``places``, where the files say.
    spot_diameter_um
        Where the files say.
    obs, var
        What else is known of spots and of genes; ``gene_id`` and ``symbol`` where known.
    warnings
        What was noticed and is no mistake.
    """

    counts: sp.csr_matrix
    names: list[str]
    genes: list[str]
    places: FloatArray
    um_per_unit: float | None = None
    spot_diameter_um: float | None = None
    obs: pd.DataFrame = field(default_factory=pd.DataFrame)
    var: pd.DataFrame = field(default_factory=pd.DataFrame)
    warnings: list[str] = field(default_factory=list)

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Forget the other spots."""
        self.counts = sp.csr_matrix(self.counts[rows])
        self.names = [n for n, k in zip(self.names, rows, strict=True) if k]
        self.places = self.places[rows]
        if len(self.obs):
            self.obs = self.obs.loc[rows]

    def to_anndata(self, points_um: FloatArray) -> anndata.AnnData:
        """Raw counts with places (n, 3) in micrometres of the study's frame."""
        obs = self.obs.copy() if len(self.obs) else pd.DataFrame(index=range(len(self.names)))
        obs.index = pd.Index(self.names, dtype=object)
        var = (
            self.var.copy() if len(self.var.columns) else pd.DataFrame(index=range(len(self.genes)))
        )
        var.index = pd.Index(self.genes, dtype=object)
        return anndata.AnnData(
            X=sp.csr_matrix(self.counts), obs=obs, var=var, obsm={"spatial": points_um}
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what damaged files raise into words.

    Raises
    ------
    VortexError
        With the file, what is wrong, and what to do.
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise VortexError(
            f"{path} is cut short or damaged ({error}). Copy or download it again."
        ) from error
    except UnicodeDecodeError as error:
        raise VortexError(
            f"{path} is no text file. Is it compressed? Then it ends in .gz."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise VortexError(f"{path} is empty. Copy or download it again.") from error
    except pd.errors.ParserError as error:
        raise VortexError(f"{path} is no table ({error}). Copy or export it again.") from error
    except OSError as error:
        raise VortexError(f"{path} cannot be read: {error.strerror or error}.") from error


def check_spots(spots: Spots, where: str, problems: Problems, duplicate_genes: str) -> None:
    """Note every mistake in names, counts and places; genes that repeat are summed if asked."""
    n_spots, n_genes = spots.counts.shape
    if not n_spots or not n_genes:
        problems.add(
            where,
            f"the section is empty: {n_spots} spots and {n_genes} genes. Check its files, and "
            "'select' if it is given.",
        )
        return
    if repeated := repeats(spots.names):
        problems.add(
            where, f"{len(repeated)} spot names come twice, as {shown(repeated)}. Name each once."
        )
    if repeated := repeats(spots.genes):
        if duplicate_genes == "sum":
            _sum_genes(spots)
            spots.warnings.append(
                f"{len(repeated)} genes came twice, as {shown(repeated)}; their counts were added."
            )
        else:
            problems.add(
                where,
                f"{len(repeated)} genes come twice, as {shown(repeated)}. Mend the table, or set "
                "duplicate_genes: sum to add their counts.",
            )
    if any(not g.strip() or g == "nan" for g in spots.genes):
        problems.add(where, "a gene has no name. Mend the table's header or the gene list.")
    _check_counts(spots, where, problems)
    finite = np.asarray(np.isfinite(spots.places).all(axis=1), dtype=bool)
    if not finite.all():
        bad = [n for n, ok in zip(spots.names, finite, strict=True) if not ok]
        problems.add(
            where,
            f"{len(bad)} spots have no place, or one that is no number, as {shown(bad)}. "
            "Mend or take out these rows.",
        )


def _check_counts(spots: Spots, where: str, problems: Problems) -> None:
    data = spots.counts.data
    total = 0.0
    for text, wrong in (
        ("no number", ~np.isfinite(data)),
        ("negative", data < 0),
        ("not whole", np.isfinite(data) & (data != np.floor(data))),
    ):
        count = int(wrong.sum())
        if not count:
            continue
        at = int(np.flatnonzero(wrong)[0])
        row = int(np.searchsorted(spots.counts.indptr, at, side="right") - 1)
        gene = spots.genes[spots.counts.indices[at]]
        remedy = "Give raw counts, not normalised ones"
        problems.add(
            where,
            f"{count} counts are {text}: {data[at]:g} for gene {gene} in spot {spots.names[row]}. "
            f"{remedy} (for .h5ad: 'layer').",
        )
        return
    total = float(data.sum())
    if total == 0:
        problems.add(where, "the section is empty: every count is 0. Is this the right file?")


def _sum_genes(spots: Spots) -> None:
    names = list(dict.fromkeys(spots.genes))
    column = {name: number for number, name in enumerate(names)}
    where = np.array([column[g] for g in spots.genes])
    ones = np.ones(len(where))
    gather = sp.csr_matrix((ones, (np.arange(len(where)), where)), shape=(len(where), len(names)))
    spots.counts = sp.csr_matrix(spots.counts @ gather)
    if len(spots.var):
        first = [spots.genes.index(name) for name in names]
        spots.var = spots.var.iloc[first]
    spots.genes = names


def name_genes(symbols: Sequence[str], ids: Sequence[str]) -> list[str]:
    """One name a gene: its symbol, or ``SYMBOL_ID`` where several genes share the symbol."""
    count = Counter(symbols)
    return [
        symbol if symbol and count[symbol] == 1 else (f"{symbol}_{own}" if symbol else own)
        for symbol, own in zip(symbols, ids, strict=True)
    ]


def repeats(names: Sequence[str]) -> list[str]:
    """Names that come more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def shown(names: Sequence[str], most: int = 3) -> str:
    """The first few, for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def read_table(path: Path) -> pd.DataFrame:
    """A table as texts; tab or comma by its ending, else by its first line.

    Raises
    ------
    VortexError
        When it cannot be read.
    """
    with reading(path):
        return pd.read_csv(path, sep=separator(path), dtype=str, keep_default_na=False)


def separator(path: Path) -> str:
    """Tab or comma."""
    name = path.name.casefold().removesuffix(".gz")
    if name.endswith(".tsv"):
        return "\t"
    if name.endswith(".csv"):
        return ","
    with reading(path):
        opener = gzip.open if path.name.casefold().endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8") as file:
            line = file.readline()
    return "\t" if "\t" in line else ","


def numbers(table: pd.DataFrame, column: str, path: Path) -> FloatArray:
    """A column as numbers; what is none becomes NaN.

    Raises
    ------
    VortexError
        When there is no such column.
    """
    from vortex_model.io.schema import nearest

    if column not in table.columns:
        known = [str(c) for c in table.columns]
        raise VortexError(
            f"{path} has no column {column!r}; it has {shown(known, 12)}.{nearest(column, known)} "
            "Name it under 'columns'."
        )
    return pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)


def read_counts_table(path: Path) -> tuple[sp.csr_matrix, list[str], list[str]]:
    """A spots-by-genes text table as CSR, spot names and gene names; some rows at a time.

    Raises
    ------
    VortexError
        When it is no table, or a cell is no number.
    """
    sep = separator(path)
    opener = gzip.open if path.name.casefold().endswith(".gz") else open
    rows: list[sp.csr_matrix] = []
    names: list[str] = []
    genes: list[str] = []
    with reading(path), opener(path, "rt", encoding="utf-8") as file:
        header = [_unquoted(cell) for cell in file.readline().rstrip("\r\n").split(sep)]
        for line in file:
            first, *cells = line.rstrip("\r\n").split(sep)
            if not cells and not first.strip():
                continue
            genes = genes or (header[1:] if len(header) == len(cells) + 1 else header)
            if len(cells) != len(genes):
                raise VortexError(
                    f"{path}: the header names {len(genes)} genes, but spot {first} has "
                    f"{len(cells)} counts. Is the file whole?"
                )
            names.append(_unquoted(first))
            rows.append(sp.csr_matrix(_row(cells, names[-1], genes, path)))
    if not rows:
        raise VortexError(f"{path} is empty: it has no spot below its header. Is it whole?")
    return sp.csr_matrix(sp.vstack(rows)), names, genes


def _row(cells: list[str], spot: str, genes: list[str], path: Path) -> FloatArray:
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        for cell, gene in zip(cells, genes, strict=True):
            try:
                float(cell)
            except ValueError as error:
                raise VortexError(
                    f"{path}: {cell!r} in spot {spot}, gene {gene} is no number. Give counts, one "
                    "row a spot."
                ) from error
        raise


def _unquoted(cell: str) -> str:
    return cell.strip().strip('"')
