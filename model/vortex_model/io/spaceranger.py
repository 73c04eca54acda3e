"""Space Ranger ``outs`` (Visium, binned Visium HD): filtered counts and the spots under tissue."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.io
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.io.counts import Spots, name_genes, reading, shown
from vortex_model.io.spec import SectionSpec

PITCH_UM = 100.0
"""Centre to centre of neighbouring Visium spots (10x Genomics, Visium slide layouts)."""
DIAMETER_UM = 55.0
"""A Visium spot's diameter (same source)."""
SCALEFACTOR_SPOT_UM = 65.0
"""What ``spot_diameter_fullres`` spans: 10x documents a theoretical 65 um spot, not the 55 um."""

_COLUMNS = (
    "barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres",
)  # fmt: skip


def read_space_ranger(spec: SectionSpec) -> Spots:
    """Read Space Ranger's ``outs`` (or a ``binned_outputs/square_*`` folder of Visium HD).

    Micrometres a pixel come from the lattice of spots, whose pitch is 100 um, fitted to all of
    them; from ``microns_per_pixel`` for HD; with too few spots from ``spot_diameter_fullres``.
    Genes are named by symbol; where several share one, as ``SYMBOL_ID``.

    Raises
    ------
    VortexError
        When a file is missing or damaged, or barcodes do not match.
    """
    outs = spec.paths["path"]
    if (outs / "outs").is_dir():
        outs = outs / "outs"
    counts, barcodes, ids, symbols = _counts(outs)
    table = _positions(outs)
    factors = _scalefactors(outs)
    table = table[table["in_tissue"] == 1].set_index("barcode")
    missing = [b for b in barcodes if b not in table.index]
    if missing and (len(missing) == len(barcodes) or spec.unplaced != "drop"):
        raise VortexError(
            f"{len(missing)} of {len(barcodes)} barcodes have no place under tissue in "
            f"{outs / 'spatial'}, as {shown(missing)}. Are matrix and 'spatial' of one run? "
            "Set unplaced: drop to leave them out."
        )
    found = np.array([b in table.index for b in barcodes], dtype=bool)
    names = [b for b, k in zip(barcodes, found, strict=True) if k]
    table = table.loc[names]
    places = table[["pxl_col_in_fullres", "pxl_row_in_fullres"]].to_numpy(dtype=np.float64)
    array = table[["array_row", "array_col"]].to_numpy(dtype=np.float64)
    scale, diameter, warnings = _scale(factors, array, places)
    spots = Spots(
        counts=sp.csr_matrix(counts[found]),
        names=names,
        genes=name_genes(symbols, ids),
        places=places,
        um_per_unit=scale,
        spot_diameter_um=diameter,
        obs=table[["array_row", "array_col"]].astype(int),
        var=pd.DataFrame({"gene_id": ids, "symbol": symbols}),
        warnings=warnings,
    )
    if missing:
        spots.warnings.append(f"{len(missing)} barcodes without a place were left out.")
    return spots


def _scale(
    factors: dict[str, Any], array: npt.NDArray[np.float64], places: npt.NDArray[np.float64]
) -> tuple[float | None, float | None, list[str]]:
    """Micrometres a pixel, and the spot's diameter (or the bin's side)."""
    if "microns_per_pixel" in factors:
        side = factors.get("bin_size_um")
        return float(factors["microns_per_pixel"]), float(side) if side else None, []
    said = factors.get("spot_diameter_fullres")
    by_factor = SCALEFACTOR_SPOT_UM / float(said) if said else None
    by_lattice = lattice_scale(array, places)
    if by_lattice is None:
        return by_factor, DIAMETER_UM, []
    warnings = []
    if by_factor and abs(by_factor / by_lattice - 1) > 0.25:
        warnings.append(
            f"spot_diameter_fullres ({said:g} pixels) would mean {by_factor:.3f} um a pixel, the "
            f"lattice of spots says {by_lattice:.3f}; the lattice was believed."
        )
    return by_lattice, DIAMETER_UM, warnings


def lattice_scale(array: npt.NDArray[np.float64], places: npt.NDArray[np.float64]) -> float | None:
    """Micrometres a pixel from array rows and columns (n, 2) and pixels x, y (n, 2).

    Visium's lattice is hexagonal: a step of 2 columns is 100 um, a step of 1 row 100 sin 60.
    """
    known = np.column_stack([array[:, 1] * PITCH_UM / 2, array[:, 0] * PITCH_UM * np.sqrt(3) / 2])
    if len(known) < 4:
        return None
    known = known - known.mean(axis=0)
    if np.linalg.svd(known, compute_uv=False)[1] < PITCH_UM:
        return None
    solution, *_ = np.linalg.lstsq(known, places - places.mean(axis=0), rcond=None)
    area = abs(float(np.linalg.det(solution)))
    return 1.0 / float(np.sqrt(area)) if area > 0 else None


def _counts(outs: Path) -> tuple[sp.csr_matrix, list[str], list[str], list[str]]:
    file = outs / "filtered_feature_bc_matrix.h5"
    folder = outs / "filtered_feature_bc_matrix"
    if file.is_file():
        return counts_h5(file)
    if folder.is_dir():
        return _counts_mtx(folder)
    hd = sorted(p.name for p in (outs / "binned_outputs").glob("square_*"))
    if hd:
        raise VortexError(
            f"{outs} is Visium HD; give one bin size, as path: {outs.name}/binned_outputs/{hd[0]} "
            f"(there are {', '.join(hd)})."
        )
    raise VortexError(
        f"{outs} holds no filtered_feature_bc_matrix.h5, nor a folder of that name. Give Space "
        "Ranger's 'outs'."
    )


def counts_h5(path: Path) -> tuple[sp.csr_matrix, list[str], list[str], list[str]]:
    """Counts (spots, genes) of 10x's HDF5 matrix, barcodes, ids and symbols; genes alone.

    Raises
    ------
    VortexError
        When the file is no such matrix.
    """
    try:
        with h5py.File(path) as file:
            group: Any = file["matrix"]
            rows, cols = (int(n) for n in group["shape"][:])
            parts = tuple(group[key][:] for key in ("data", "indices", "indptr"))
            barcodes = group["barcodes"].asstr()[:].tolist()
            features = group["features"]
            ids, symbols = (features[key].asstr()[:].tolist() for key in ("id", "name"))
            kinds = features["feature_type"].asstr()[:]
        matrix = sp.csc_matrix(parts, shape=(rows, cols))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise VortexError(
            f"{path} is no matrix of 10x Genomics, or is damaged ({error}). Copy it again."
        ) from error
    return _genes_only(sp.csr_matrix(matrix.T), barcodes, ids, symbols, kinds == "Gene Expression")


def _counts_mtx(folder: Path) -> tuple[sp.csr_matrix, list[str], list[str], list[str]]:
    files = {}
    for key in ("matrix.mtx", "barcodes.tsv", "features.tsv"):
        found = [p for p in (folder / f"{key}.gz", folder / key) if p.is_file()]
        if not found:
            raise VortexError(f"{folder} holds no {key}.gz. Copy the folder again.")
        files[key] = found[0]
    try:
        with reading(files["matrix.mtx"]):
            matrix = sp.csr_matrix(scipy.io.mmread(files["matrix.mtx"])).T
    except ValueError as error:
        raise VortexError(f"{files['matrix.mtx']} is damaged ({error}). Copy it again.") from error
    barcodes = _lines(files["barcodes.tsv"])
    features = [line.split("\t") for line in _lines(files["features.tsv"])]
    ids, symbols = [f[0] for f in features], [f[1] if len(f) > 1 else f[0] for f in features]
    kinds = np.array([f[2] if len(f) > 2 else "Gene Expression" for f in features])
    if matrix.shape != (len(barcodes), len(features)):
        raise VortexError(
            f"{folder}: the matrix is {matrix.shape[1]} genes by {matrix.shape[0]} spots, but "
            f"{len(features)} genes and {len(barcodes)} barcodes are named. Copy the folder again."
        )
    return _genes_only(sp.csr_matrix(matrix), barcodes, ids, symbols, kinds == "Gene Expression")


def _lines(path: Path) -> list[str]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with reading(path), opener(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\r\n") for line in file if line.strip()]


def _genes_only(
    matrix: sp.csr_matrix,
    barcodes: list[str],
    ids: list[str],
    symbols: list[str],
    genes: npt.NDArray[np.bool_],
) -> tuple[sp.csr_matrix, list[str], list[str], list[str]]:
    keep = np.flatnonzero(np.asarray(genes))
    return (
        sp.csr_matrix(matrix[:, keep]),
        barcodes,
        [ids[i] for i in keep],
        [symbols[i] for i in keep],
    )


def _positions(outs: Path) -> pd.DataFrame:
    folder = outs / "spatial"
    new, old = folder / "tissue_positions.csv", folder / "tissue_positions_list.csv"
    parquet = folder / "tissue_positions.parquet"
    if new.is_file():
        with reading(new):
            table = pd.read_csv(new)
        path = new
    elif old.is_file():
        with reading(old):
            table = pd.read_csv(old, header=None)
        if table.shape[1] != len(_COLUMNS):
            raise VortexError(
                f"{old} has {table.shape[1]} columns; Space Ranger writes {len(_COLUMNS)}."
            )
        table.columns = pd.Index(_COLUMNS)
        path = old
    elif parquet.is_file():
        try:
            table = pd.read_parquet(parquet)
        except ImportError as error:
            raise VortexError(
                f"{parquet} needs pyarrow: pip install pyarrow, or save the table as "
                "tissue_positions.csv beside it."
            ) from error
        path = parquet
    else:
        raise VortexError(f"{folder} holds no tissue_positions.csv. Give Space Ranger's 'outs'.")
    lost = [c for c in _COLUMNS if c not in table.columns]
    if lost:
        raise VortexError(f"{path} has no column {lost[0]!r}. Was it changed? Copy it again.")
    return table


def _scalefactors(outs: Path) -> dict[str, Any]:
    path = outs / "spatial" / "scalefactors_json.json"
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise VortexError(f"{path} is damaged ({error}). Copy it again.") from error
    return record if isinstance(record, dict) else {}
