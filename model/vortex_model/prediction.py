"""Prediction: factors + loadings -> any gene as an xarray volume, cached.

A gene is one product, ``mean + factors . loadings``; no network runs, and no torch is needed.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import platformdirs
import xarray as xr
import zarr

from vortex_model.errors import StudyError, UnknownNameError, VortexError
from vortex_model.expression import UNITS
from vortex_model.grid import Grid
from vortex_model.study import Provenance, Study

FACTOR_CHUNK = 32
Floats = npt.NDArray[np.floating[Any]]


class GeneCache:
    """Gene volumes on disk, the least recently used dropped beyond a size.

    Parameters
    ----------
    folder
        Where; the user's cache directory by default. A study may be read-only, so never there.
    max_bytes
        How much all volumes together may take.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = 4 << 30) -> None:
        self.folder = folder or platformdirs.user_cache_path("vortex-viewer") / "genes"
        self.max_bytes = max_bytes

    def get(self, key: str, make: Callable[[], Floats]) -> Floats:
        """The volume under ``key``, made and kept when it is not there."""
        place = self.folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npy"
        try:
            volume = np.load(place, allow_pickle=False)
            os.utime(place)
            return cast(Floats, volume)
        except (OSError, ValueError):
            volume = make()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = place.with_name(f".{uuid.uuid4().hex}.npy")
            np.save(draft, volume, allow_pickle=False)
            draft.replace(place)
            self._trim()
        except OSError:
            pass  # a full or read-only disk costs speed, not the picture
        return volume

    def _trim(self) -> None:
        entries = []
        for place in self.folder.glob("*.npy"):
            try:
                status = place.stat()
            except OSError:
                continue
            entries.append((status.st_mtime, status.st_size, place))
        total = sum(size for _, size, _ in entries)
        for _, size, place in sorted(entries):
            if total <= self.max_bytes:
                return
            place.unlink(missing_ok=True)
            total -= size


@dataclass(frozen=True)
class PredictionRecord:
    """What a prediction is made of, in memory, before it is written.

    Attributes
    ----------
    factors
        (k, z, y, x), nan-free; zero outside tissue.
    variance
        Predictive variance of each factor, (k, z, y, x).
    mask
        Tissue, (z, y, x) bool.
    loadings
        (k, genes).
    genes
        Index: gene name. Columns: ``mean`` (added to the product), ``reliability``, ``low``,
        ``high`` (held-out Pearson correlation by spatial blocks and its 95 % interval).
    grid
        The token lattice.
    """

    factors: Floats
    variance: Floats
    mask: npt.NDArray[np.bool_]
    loadings: Floats
    genes: pd.DataFrame
    grid: Grid


class Prediction:
    """Expression of every gene of a panel on the token lattice, as factors and loadings."""

    def __init__(self, study: Study, name: str, cache: GeneCache | None = None) -> None:
        self.id = name
        self.cache = cache or GeneCache()
        group = study.derived("predictions", name)
        own: Any = group.attrs["prediction"]
        self.provenance: dict[str, Any] = study.provenance("predictions", name)
        self.grid = Grid.from_json(own["grid"])
        self.genes = pd.DataFrame(own["genes"]).set_index("gene")
        """Index: gene name; columns ``mean``, ``reliability``, ``low``, ``high``."""
        self._factors = cast("zarr.Array[Any]", group["factors"])
        self._variance = cast("zarr.Array[Any]", group["variance"])
        self.loadings: Floats = np.asarray(cast("zarr.Array[Any]", group["loadings"])[:])
        self._mask: npt.NDArray[np.bool_] | None = None
        self._mask_array = cast("zarr.Array[Any]", group["mask"])
        self._position = {g.casefold(): i for i, g in enumerate(self.genes.index)}

    @classmethod
    def load(
        cls, study: Study, name: str | None = None, cache: GeneCache | None = None
    ) -> Prediction:
        """A prediction of the study; the newest when no id is given.

        Raises
        ------
        StudyError
            When the study has none yet.
        """
        if name is None:
            made = study.derived_ids("predictions")
            if not made:
                raise StudyError(
                    f"{study.name} has no prediction yet. Fine-tune one: the button in the app, "
                    f"or 'vortex-viewer finetune {study.path}'."
                )
            name = made[-1]
        return cls(study, name, cache)

    @staticmethod
    def write(study: Study, provenance: Provenance, record: PredictionRecord) -> str:
        """Keep a prediction in its study; returns its id."""

        def fill(group: zarr.Group) -> None:
            k, *zyx = record.factors.shape
            chunks = tuple(min(FACTOR_CHUNK, n) for n in zyx)
            names = ("factor", "z", "y", "x")
            for name, data in (("factors", record.factors), ("variance", record.variance)):
                group.create_array(
                    name,
                    data=np.asarray(data, dtype=np.float16),
                    chunks=(k, *chunks),
                    dimension_names=names,
                )
            group.create_array("mask", data=record.mask, chunks=chunks, dimension_names=names[1:])
            group.create_array(
                "loadings",
                data=np.asarray(record.loadings, dtype=np.float32),
                dimension_names=("factor", "gene"),
            )
            table = record.genes.rename_axis("gene").reset_index()
            group.attrs["prediction"] = {
                "grid": record.grid.to_json(),
                "units": UNITS,
                "genes": {c: _json_column(table[c]) for c in table.columns},
            }

        return study.write_derived(provenance, fill)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Tissue on the token lattice, (z, y, x)."""
        if self._mask is None:
            self._mask = np.asarray(self._mask_array[:], dtype=np.bool_)
        return self._mask

    def resolve(self, gene: str) -> str:
        """The gene's name as the table spells it; case does not matter.

        Raises
        ------
        UnknownNameError
            When it was not predicted; near names are suggested.
        """
        try:
            return str(self.genes.index[self._position[gene.casefold()]])
        except KeyError:
            raise UnknownNameError("gene", gene, list(self.genes.index)) from None

    def gene(self, name: str) -> xr.DataArray:
        """Expression of one gene as a volume.

        Returns
        -------
        xarray.DataArray
            (z, y, x), float32, nan outside tissue; coordinates in micrometres; attrs hold
            ``units`` and ``reliability``.

        Raises
        ------
        UnknownNameError
            When the gene was not predicted.
        """
        name = self.resolve(name)
        volume = self.cache.get(f"{self.id}/{name}", lambda: self._combine({name: 1.0}))
        row = self.genes.loc[name]
        return self._dataarray(
            volume, name, {"long_name": name, "reliability": _finite(row["reliability"])}
        )

    def expression(self, weights: Mapping[str, float]) -> xr.DataArray:
        """A weighted sum of genes, such as ``{"KRT8": 1, "VIM": -1}``, as a volume.

        Raises
        ------
        UnknownNameError
            When a gene was not predicted.
        VortexError
            When no gene is given, or a weight is not a finite number.
        """
        if not weights:
            raise VortexError("A score needs at least one gene, such as {'KRT8': 1, 'VIM': -1}.")
        for gene, weight in weights.items():
            if not np.isfinite(weight):
                raise VortexError(f"The weight of {gene} is {weight}; give a finite number.")
        resolved: dict[str, float] = {}
        for gene, weight in weights.items():
            name = self.resolve(gene)
            resolved[name] = resolved.get(name, 0.0) + float(weight)
        label = " ".join(f"{w:+g} {g}" for g, w in resolved.items())
        volume = self._combine(resolved)
        return self._dataarray(volume, label, {"long_name": label})

    def uncertainty(self, name: str) -> xr.DataArray:
        """Predictive standard deviation of one gene, (z, y, x), nan outside tissue."""
        name = self.resolve(name)
        weight = self.loadings[:, self._position[name.casefold()]] ** 2
        variance = self._product(self._variance, weight.astype(np.float32))
        volume = np.where(self.mask, np.sqrt(np.maximum(variance, 0.0)), np.nan)
        return self._dataarray(volume, name, {"long_name": f"standard deviation of {name}"})

    def profile(self, points_um: npt.ArrayLike) -> pd.DataFrame:
        """All genes at some points (x, y, z): a row a point, nan where there is no tissue."""
        index = self.grid.nearest(points_um)
        inside = self.grid.contains(points_um)
        rows = []
        for (z, y, x), known in zip(index, inside, strict=True):
            row = np.full(self.loadings.shape[1], np.nan)
            if known and self.mask[z, y, x]:
                factors = np.asarray(self._factors[:, z, y, x], dtype=np.float32)
                row = self.genes["mean"].to_numpy() + factors @ self.loadings
            rows.append(row)
        return pd.DataFrame(rows, columns=self.genes.index)

    def factors_at(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Floats:
        """The factors (k, z, y, x) of a part of the lattice."""
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return np.asarray(self._factors[(slice(None), *box)], dtype=np.float32)

    # -- inner -----------------------------------------------------------------------------

    def _combine(self, weights: Mapping[str, float]) -> Floats:
        positions = [self._position[g.casefold()] for g in weights]
        values = np.fromiter(weights.values(), dtype=np.float32)
        mean = float(self.genes["mean"].to_numpy()[positions] @ values)
        volume = self._product(self._factors, self.loadings[:, positions] @ values) + mean
        return np.where(self.mask, volume, np.nan).astype(np.float32)

    def _product(self, array: zarr.Array[Any], weight: Floats) -> Floats:
        out = np.empty(self.grid.shape, dtype=np.float32)
        depth = array.chunks[1]
        for z in range(0, self.grid.shape[0], depth):
            block = np.asarray(array[:, z : z + depth], dtype=np.float32)
            out[z : z + depth] = np.tensordot(weight, block, axes=1)
        return out

    def _dataarray(self, volume: Floats, name: str, attrs: dict[str, Any]) -> xr.DataArray:
        coords = {
            axis: (axis, values, {"units": "micrometer"})
            for axis, values in self.grid.coords().items()
        }
        return xr.DataArray(
            volume, dims=("z", "y", "x"), coords=coords, name=name, attrs={"units": UNITS, **attrs}
        )


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _json_column(column: pd.Series[Any]) -> list[Any]:
    if column.dtype.kind == "f":
        return [_finite(v) for v in column]
    return [v.item() if isinstance(v, np.generic) else v for v in column]
