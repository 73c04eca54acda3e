"""Transcripts with a place each, counted in square bins; any number of them, some at a time."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.io.counts import Spots, reading, separator, shown
from vortex_model.io.schema import nearest
from vortex_model.io.spec import SectionSpec

ROWS = 1 << 20
"""Transcripts read at a time."""
BITS = 21
"""Of a bin's row, its column, and a gene's number in a key of 63 bits."""
MOST = 1 << (BITS - 1)
MERGE = 1 << 23
"""Keys that wait until they are added up."""

_KNOWN = ("x", "y", "gene", "quality")
Keys = npt.NDArray[np.int64]


def read_transcripts(spec: SectionSpec) -> Spots:
    """Read a table of transcripts (MERSCOPE, CosMx, Stereo-seq and others), binned.

    ``columns`` names x, y, gene, and quality where ``min_quality`` is given; ``bin_um`` the bins'
    side; ``um_per_pixel`` micrometres a unit of x and y.

    Raises
    ------
    VortexError
        When the table cannot be read, or lacks what is named.
    """
    path = spec.paths["path"]
    for key in spec.columns:
        if key not in _KNOWN:
            raise VortexError(
                f"columns.{key} is not known.{nearest(key, _KNOWN)} Known: {', '.join(_KNOWN)}."
            )
    if spec.bin_um is None:
        raise VortexError("'bin_um' is missing: the side of the bins, in micrometres.")
    if spec.um_per_unit is None:
        raise VortexError(
            "'um_per_pixel' is missing: micrometres a unit of x and y; 1 where they are in "
            "micrometres."
        )
    if spec.min_quality is not None and "quality" not in spec.columns:
        raise VortexError("'min_quality' is given; name the table's column, as columns.quality.")
    columns = {key: spec.columns.get(key, key) for key in ("x", "y", "gene")}
    if spec.min_quality is not None:
        columns["quality"] = spec.columns["quality"]
    return binned(path, columns, spec.bin_um / spec.um_per_unit, spec.min_quality, spec.bin_um)


def binned(
    path: Path,
    columns: dict[str, str],
    side: float,
    min_quality: float | None,
    side_um: float,
    genes: Sequence[str] | None = None,
) -> Spots:
    """Count a table's transcripts by bin and gene.

    Parameters
    ----------
    columns
        Of the table: ``x``, ``y``, ``gene``, and ``quality`` where it has a limit.
    side, side_um
        Of a bin: in units of x and y, and in micrometres.
    genes
        The features that are genes; all where left out.

    Raises
    ------
    VortexError
        When the table cannot be read, lacks a column, or bins are too many.
    """
    allowed = None if genes is None else set(genes)
    numbers: dict[str, int] = {}
    keys: list[tuple[Keys, Keys]] = []
    read = faint = control = waiting = 0
    for table in _tables(path, list(columns.values())):
        read += len(table)
        keep = np.ones(len(table), dtype=bool)
        if min_quality is not None:
            keep &= _numbers(table, columns["quality"], path) >= min_quality
            faint += int((~keep).sum())
        names = _texts(table[columns["gene"]])
        codes, found = pd.factorize(names)
        own = np.array([n and (allowed is None or n in allowed) for n in found], dtype=bool)
        known = own[codes] if len(found) else np.zeros(0, dtype=bool)
        control += int((keep & ~known).sum())
        keep &= known
        for name in found[own]:
            numbers.setdefault(name, len(numbers))
        gene = np.array([numbers.get(n, 0) for n in found], dtype=np.int64)[codes][keep]
        row, column = (_bins(_numbers(table, columns[a], path)[keep], side, path) for a in "yx")
        keys.append(_key(row, column, gene))
        waiting += len(keys[-1][0])
        if waiting > MERGE:
            keys = [_merged(keys)]
            waiting = len(keys[0][0])
    found_keys, counts = _merged(keys) if keys else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    if not len(found_keys):
        raise VortexError(
            f"{path} has no transcript of a gene among {read:,} rows"
            + (
                f" ({faint:,} below min_quality {min_quality:g})."
                if min_quality is not None
                else "."
            )
        )
    spots = _spots((found_keys, counts), list(numbers), side, side_um)
    if faint:
        spots.warnings.append(f"{faint:,} of {read:,} transcripts are below the quality asked for.")
    if control:
        spots.warnings.append(f"{control:,} transcripts are controls or have no gene.")
    return spots


def _spots(found: tuple[Keys, Keys], genes: list[str], side: float, side_um: float) -> Spots:
    keys, count = found
    gene, place = keys & ((1 << BITS) - 1), keys >> BITS
    bins, row_of = np.unique(place, return_inverse=True)
    column = (bins & ((1 << BITS) - 1)) - MOST
    row = (bins >> BITS) - MOST
    order = np.argsort(genes, kind="stable")
    rank = np.empty(len(genes), dtype=np.int64)
    rank[order] = np.arange(len(genes))
    counts = sp.csr_matrix(
        (count.astype(np.float32), (row_of, rank[gene])), shape=(len(bins), len(genes))
    )
    names = [f"{r}x{c}" for r, c in zip(row, column, strict=True)]
    return Spots(
        counts=counts,
        names=names,
        genes=[genes[i] for i in order],
        places=np.column_stack([column + 0.5, row + 0.5]) * side,
        um_per_unit=side_um / side,
        spot_diameter_um=side_um,
    )


def _key(row: Keys, column: Keys, gene: Keys) -> tuple[Keys, Keys]:
    key = ((row + MOST) << (2 * BITS)) | ((column + MOST) << BITS) | gene
    keys, count = np.unique(key, return_counts=True)
    return keys, count.astype(np.int64)


def _merged(parts: list[tuple[Keys, Keys]]) -> tuple[Keys, Keys]:
    keys, inverse = np.unique(np.concatenate([k for k, _ in parts]), return_inverse=True)
    count = np.bincount(inverse, weights=np.concatenate([c for _, c in parts]))
    return keys, np.rint(count).astype(np.int64)


def _bins(places: npt.NDArray[np.float64], side: float, path: Path) -> Keys:
    if not np.isfinite(places).all():
        raise VortexError(f"{path}: a transcript's place is no number. Export the table again.")
    found = np.floor(places / side)
    if len(found) and np.abs(found).max() >= MOST:
        raise VortexError(
            f"{path}: a transcript lies {np.abs(places).max():g} units off, which is more than "
            f"{MOST:,} bins. Check 'bin_um' and 'um_per_pixel'."
        )
    return np.asarray(found, dtype=np.int64)


def _numbers(table: pd.DataFrame, column: str, path: Path) -> npt.NDArray[np.float64]:
    try:
        return table[column].to_numpy(dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise VortexError(f"{path}, column {column}: {error}. Export the table again.") from error


def _texts(column: pd.Series) -> npt.NDArray[np.object_]:
    """Names; older files hold them as bytes."""
    values = column.to_numpy(dtype=object)
    if len(values) and isinstance(values[0], bytes):
        values = np.array([v.decode("utf-8", "replace") for v in values], dtype=object)
    return np.where(pd.isna(values), "", values)


def _tables(path: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    if path.suffix.casefold() == ".parquet":
        yield from _parquet(path, columns)
        return
    with reading(path):
        head = list(pd.read_csv(path, sep=separator(path), nrows=0).columns)
        _has(path, head, columns)
        yield from pd.read_csv(path, sep=separator(path), usecols=columns, chunksize=ROWS)


def _parquet(path: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise VortexError(
            f"{path} needs pyarrow: pip install 'vortex-viewer[parquet]', or export it as .csv."
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            _has(path, list(file.schema_arrow.names), columns)
            for batch in file.iter_batches(ROWS, columns=columns):
                yield batch.to_pandas()
    except (OSError, ValueError) as error:
        raise VortexError(f"{path} is damaged ({error}). Copy it again.") from error


def _has(path: Path, there: list[str], columns: list[str]) -> None:
    for column in columns:
        if column not in there:
            raise VortexError(
                f"{path} has no column {column!r}; it has {shown([str(t) for t in there], 12)}."
                f"{nearest(column, [str(t) for t in there])} Name it under 'columns'."
            )
