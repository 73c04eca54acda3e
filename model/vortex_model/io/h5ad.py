"""An AnnData file, .h5ad, as a section: raw counts from X or a layer, places from obsm."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.io.counts import Spots, name_genes
from vortex_model.io.spec import SectionSpec

_KNOWN = ("gene_id", "symbol")


def read_h5ad(spec: SectionSpec) -> Spots:
    """Read a section of an AnnData file.

    ``layer`` names where raw counts are (``raw`` for ``.raw``), ``spatial`` the obsm key,
    ``columns.gene_id`` and ``columns.symbol`` columns of ``var``, ``select`` values of ``obs``.

    Raises
    ------
    VortexError
        When the file is damaged, or a key is not there.
    """
    path = spec.paths["path"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old files, and of names that repeat: told below
            data = anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise VortexError(
            f"{path} cannot be read as .h5ad ({str(error).splitlines()[0]}). Is it whole? Copy it "
            "again."
        ) from error
    return from_anndata(data, spec)


def from_anndata(data: anndata.AnnData, spec: SectionSpec) -> Spots:
    """Spots of an AnnData in memory, as the manifest says.

    Raises
    ------
    VortexError
        When a key is not there.
    """
    for column, value in spec.select.items():
        if column not in data.obs:
            raise UnknownNameError("column of obs", column, [str(c) for c in data.obs])
        chosen = data.obs[column].astype(str) == value
        if not chosen.any():
            raise UnknownNameError(
                f"value of {column}", value, sorted(set(data.obs[column].astype(str)))
            )
        data = data[chosen.to_numpy()]
    var = data.var
    if spec.layer == "raw":
        if data.raw is None:
            raise VortexError("layer: the file has no .raw. Name a layer, or take 'layer' out.")
        matrix, var = data.raw.X, data.raw.var
    elif spec.layer:
        if spec.layer not in data.layers:
            raise UnknownNameError("layer", spec.layer, list(data.layers))
        matrix = data.layers[spec.layer]
    else:
        matrix = data.X
    if matrix is None:
        raise VortexError(f"X is empty. Name the layer of raw counts: {', '.join(data.layers)}.")
    key = spec.spatial or "spatial"
    if key not in data.obsm:
        raise UnknownNameError("place (obsm key)", key, list(data.obsm))
    places = np.asarray(data.obsm[key], dtype=np.float64)
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise VortexError(f"obsm[{key!r}] has shape {places.shape}; it needs x, y or x, y, z.")
    names, known = _genes(var, spec)
    return Spots(
        counts=sp.csr_matrix(matrix),
        names=[str(n) for n in data.obs_names],
        genes=names,
        places=places,
        var=known,
        obs=pd.DataFrame(index=data.obs_names),
    )


def _genes(var: pd.DataFrame, spec: SectionSpec) -> tuple[list[str], pd.DataFrame]:
    for key, column in spec.columns.items():
        if key not in _KNOWN:
            raise UnknownNameError("key of columns", key, _KNOWN)
        if column not in var:
            raise UnknownNameError("column of var", column, [str(c) for c in var])
    index = [str(n) for n in var.index]
    record = {k: [str(v) for v in var[c]] for k, c in spec.columns.items()}
    if "gene_id" in record and "symbol" not in record:
        return name_genes(index, record["gene_id"]), pd.DataFrame({**record, "symbol": index})
    if "symbol" in record:
        ids = record.setdefault("gene_id", index)
        return name_genes(record["symbol"], ids), pd.DataFrame(record)
    return index, pd.DataFrame(record)
