"""SpatialData stores as sections; the library is an extra and is imported only here."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.io.counts import Spots
from vortex_model.io.h5ad import from_anndata
from vortex_model.io.spec import SectionSpec

_KNOWN = ("table", "element", "coordinate_system", "gene_id", "symbol")


def read_spatialdata(spec: SectionSpec) -> Spots:
    """Read a table of a SpatialData store; places are centroids of the element it annotates.

    ``columns`` may name the ``table``, the ``element`` and the ``coordinate_system``, needed
    where the store holds several.

    Raises
    ------
    VortexError
        When the library is not installed, or the store lacks what is named.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's own dependencies
            import spatialdata
    except ImportError as error:
        raise VortexError(
            "SpatialData needs an extra that cannot be imported here "
            f"({error}): pip install 'vortex-viewer[spatialdata]'."
        ) from error
    path = spec.paths["path"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library's own dependencies
            store = spatialdata.read_zarr(path)
    except (OSError, KeyError, ValueError, TypeError, FileNotFoundError) as error:
        raise VortexError(f"{path} cannot be read as SpatialData ({error}).") from error
    for key in spec.columns:
        if key not in _KNOWN:
            raise UnknownNameError("key of columns", key, _KNOWN)
    table = store.tables[_one("table", list(store.tables), spec)]
    record: dict[str, Any] = table.uns.get("spatialdata_attrs", {})
    regions = record.get("region", [])
    regions = [regions] if isinstance(regions, str) else list(regions)
    element = _one("element", regions or list(store.shapes), spec)
    region_key, instance_key = record.get("region_key"), record.get("instance_key")
    if region_key:
        table = table[(table.obs[region_key].astype(str) == element).to_numpy()]
    try:
        shapes = store[element]
    except KeyError as error:
        raise UnknownNameError("element", element, list(store.shapes)) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = list(spatialdata.transformations.get_transformation(shapes, get_all=True))
        system = _one("coordinate_system", known, spec)
        centres = spatialdata.get_centroids(shapes, coordinate_system=system).compute()
    index = table.obs[instance_key] if instance_key else table.obs_names
    lost = [str(n) for n in index if n not in centres.index]
    if lost:
        raise VortexError(
            f"{len(lost)} spots of the table are not in {element!r}, as {lost[0]}. Mend the store."
        )
    axes = [a for a in ("x", "y", "z") if a in centres.columns]
    places = centres.loc[list(index), axes].to_numpy(dtype=np.float64)
    table = table.copy()
    table.obsm["spatial"] = places
    own = {k: v for k, v in spec.columns.items() if k in ("gene_id", "symbol")}
    return from_anndata(table, SectionSpec(**{**spec.__dict__, "columns": own, "spatial": ""}))


def _one(key: str, known: list[str], spec: SectionSpec) -> str:
    named = spec.columns.get(key)
    if named is not None:
        if named not in known:
            raise UnknownNameError(key.replace("_", " "), named, known)
        return named
    if len(known) != 1:
        raise VortexError(
            f"The store has {len(known)} of this kind ({', '.join(known)}): name one under "
            f"columns.{key}."
        )
    return known[0]
