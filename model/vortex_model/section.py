"""A measured section on disk: AnnData with raw counts, where its spots lie, and a hash of both."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import zarr

from vortex_model.errors import StudyError
from vortex_model.provenance import plain


def section_of(
    name: str, counts: anndata.AnnData, spot_diameter_um: float, record: Mapping[str, Any]
) -> anndata.AnnData:
    """A section as it is kept: counts, places, and ``uns["vortex"]``.

    Parameters are those of :meth:`vortex_model.study.Study.write_section`.

    Raises
    ------
    StudyError
        When the places are not x, y, z.
    """
    place = np.asarray(counts.obsm["spatial"], dtype=np.float64)
    if place.ndim != 2 or place.shape[1] != 3:
        raise StudyError(
            f"Section {name}: obsm['spatial'] has shape {place.shape}; it needs x, y, z."
        )
    matrix = sp.csr_matrix(counts.X)
    return anndata.AnnData(
        X=matrix,
        obs=counts.obs.copy(),
        var=counts.var.copy(),
        obsm={"spatial": place},
        uns={
            "vortex": {
                "spot_diameter_um": float(spot_diameter_um),
                "content": section_hash(matrix, place, list(counts.var_names)),
                "record": json.dumps(dict(record), default=plain),
            }
        },
    )


def fill_section(group: zarr.Group, section: anndata.AnnData) -> None:
    """Write a section of :func:`section_of` into an empty group."""
    with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
        anndata.io.write_elem(group, "/", section)
    place = section.obsm["spatial"]
    made = zarr.open_group(group.store_path, mode="r+")
    made.attrs["vortex"] = {"z_um": float(place[:, 2].mean()) if len(place) else 0.0}


def read_section(place: Path) -> anndata.AnnData:
    """The section that is kept at a place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(place)


def height_um(place: Path) -> float:
    """Mean z of the section that is kept at a place; reads no counts."""
    record: Any = zarr.open_group(place, mode="r").attrs["vortex"]
    return float(record["z_um"])


def section_hash(matrix: sp.csr_matrix, place: npt.NDArray[np.float64], genes: list[str]) -> str:
    """Content hash of a section: counts, places and gene names."""
    digest = hashlib.blake2b("\n".join(genes).encode(), digest_size=16)
    for part in (matrix.indptr, matrix.indices, matrix.data):
        digest.update(np.ascontiguousarray(part).astype(np.float64).data)
    digest.update(np.ascontiguousarray(place).data)
    return digest.hexdigest()
