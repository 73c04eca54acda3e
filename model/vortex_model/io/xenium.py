"""Xenium's output folder: counts by cell, or transcripts in square bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from vortex_model.errors import VortexError
from vortex_model.io.counts import Spots, name_genes, reading, shown
from vortex_model.io.spaceranger import counts_h5
from vortex_model.io.spec import SectionSpec
from vortex_model.io.transcripts import binned

QUALITY = 20.0
"""Transcripts below this phred-scaled quality are not counted by 10x's own pipeline either."""
_COLUMNS = {"x": "x_location", "y": "y_location", "gene": "feature_name", "quality": "qv"}


def read_xenium(spec: SectionSpec) -> Spots:
    """Read a Xenium output folder; places are micrometres of its own image.

    Cells with the counts of ``cell_feature_matrix.h5``; with ``bin_um``, bins of that side with
    the transcripts of quality ``min_quality`` (20 where left out) or better. Controls are left out.

    Raises
    ------
    VortexError
        When a file is missing or damaged, or cells do not match.
    """
    folder = spec.paths["path"]
    if (folder / "outs").is_dir():
        folder = folder / "outs"
    matrix = folder / "cell_feature_matrix.h5"
    if not matrix.is_file():
        raise VortexError(
            f"{folder} holds no cell_feature_matrix.h5. Give Xenium's output folder, whole."
        )
    counts, cells, ids, symbols = counts_h5(matrix)
    if spec.bin_um is None:
        if spec.min_quality is not None:
            raise VortexError("'min_quality' is for bins of transcripts: give 'bin_um' too.")
        return _cells(folder, counts, cells, ids, symbols)
    quality = QUALITY if spec.min_quality is None else spec.min_quality
    table = _file(folder, "transcripts", (".parquet", ".csv.gz", ".csv"))
    spots = binned(table, _COLUMNS, spec.bin_um, quality, spec.bin_um, symbols)
    number = {s: i for i, s in enumerate(symbols)}
    known = [ids[number[g]] for g in spots.genes]
    spots.var = pd.DataFrame({"gene_id": known, "symbol": spots.genes})
    spots.genes = name_genes(spots.genes, known)
    return spots


def _cells(
    folder: Path, counts: sp.csr_matrix, cells: list[str], ids: list[str], symbols: list[str]
) -> Spots:
    path = _file(folder, "cells", (".parquet", ".csv.gz", ".csv"))
    table = _table(path)
    lost = [c for c in ("cell_id", "x_centroid", "y_centroid") if c not in table]
    if lost:
        raise VortexError(f"{path} has no column {lost[0]!r}. Was it changed? Copy it again.")
    own = [c.decode() if isinstance(c, bytes) else str(c) for c in table["cell_id"]]
    table.index = pd.Index(own, dtype=object)
    missing = [c for c in cells if c not in table.index]
    if missing:
        raise VortexError(
            f"{len(missing)} of {len(cells)} cells of the matrix are not in {path}, as "
            f"{shown(missing)}. Are both of one run?"
        )
    table = table.loc[cells]
    diameter = None
    if "cell_area" in table:
        area = float(np.nanmedian(table["cell_area"].to_numpy(dtype=np.float64)))
        diameter = 2 * float(np.sqrt(area / np.pi)) if area > 0 else None
    return Spots(
        counts=counts,
        names=cells,
        genes=name_genes(symbols, ids),
        places=table[["x_centroid", "y_centroid"]].to_numpy(dtype=np.float64),
        um_per_unit=1.0,
        spot_diameter_um=diameter,
        var=pd.DataFrame({"gene_id": ids, "symbol": symbols}),
    )


def _file(folder: Path, name: str, endings: tuple[str, ...]) -> Path:
    for ending in endings:
        if (folder / f"{name}{ending}").is_file():
            return folder / f"{name}{ending}"
    raise VortexError(f"{folder} holds no {name}{endings[0]}, nor {name}{endings[1]}.")


def _table(path: Path) -> pd.DataFrame:
    if path.suffix != ".parquet":
        with reading(path):
            return pd.read_csv(path)
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise VortexError(
            f"{path} needs pyarrow: pip install 'vortex-viewer[parquet]', or give cells.csv.gz."
        ) from error
    except (OSError, ValueError) as error:
        raise VortexError(f"{path} is damaged ({error}). Copy it again.") from error
