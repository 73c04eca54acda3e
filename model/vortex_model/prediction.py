"""Prediction: factors + loadings -> any gene as an xarray volume, cached.

A gene is one product, ``mean + factors . loadings``; no network runs, and no torch is needed.
A part of a gene, a mean over a region and all genes at a place read the chunks that they touch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
import zarr

from vortex_model.chunks import ChunkCache
from vortex_model.errors import StudyError, VortexError
from vortex_model.expression import UNITS
from vortex_model.factors import (
    CHUNK,
    Level,
    read_factors,
    read_levels,
)
from vortex_model.gene_cache import GeneCache
from vortex_model.gene_sums import Genes, GeneSum, GeneSums
from vortex_model.grid import Grid
from vortex_model.study import Study
from vortex_model.trust import (
    Calibration,
    read_trust,
    read_unlike,
)

SAMPLE = 1 << 18
"""A gene's range and histogram are those of so many tokens."""
Floats = npt.NDArray[np.floating[Any]]

UNCHECKED = (
    "Not checked: nobody knows yet how far this prediction can be trusted. Fine-tuning is at it "
    "still, or was stopped: start it again with the same choices to know."
)
_OLD = (
    "This prediction has no {}: it was made before they were worked out, or from too few spots. "
    "Fine-tune again, on at least 20 spots."
)


class Prediction:
    """Expression of every gene of a panel on the token lattice, as factors and loadings."""

    def __init__(self, study: Study, name: str, cache: GeneCache | None = None) -> None:
        self.id = name
        self.cache = cache or GeneCache()
        group = study.derived("predictions", name)
        own: Any = group.attrs["prediction"]
        self.provenance: dict[str, Any] = study.provenance("predictions", name)
        self.grid = Grid.from_json(own["grid"])
        self.checked = _is_checked(own)
        """Whether it is known how far it can be trusted."""
        # a column of nothing but None is of no numbers otherwise
        self.genes = pd.DataFrame(own["genes"]).set_index("gene").astype(float)
        """Index: gene name; columns ``mean``, ``reliability``, ``low``, ``high``."""
        self._chunks = ChunkCache()
        self._levels: list[Level] = read_levels(group, own, self._chunks)
        name_of_spread = "deviation" if "deviation" in group else "variance"
        self._spread = read_factors(group, name_of_spread, self._chunks)
        self._spread_is_squared = name_of_spread == "variance"
        self.rounding = float(own.get("rounding", 0.0))
        """Largest error from storing factors as whole numbers: of a gene, over its deviation."""
        self.loadings: Floats = np.asarray(cast("zarr.Array[Any]", group["loadings"])[:])
        self._sampled: Floats | None = None
        self._masks: dict[int, npt.NDArray[np.bool_]] = {}
        self._sums = GeneSums(self.genes, self.loadings)
        self._group = group
        self._trust = read_trust(group)

    @classmethod
    def load(
        cls, study: Study, name: str | None = None, cache: GeneCache | None = None
    ) -> Prediction:
        """A prediction of the study; the current one when no id is given.

        Raises
        ------
        StudyError
            When the study has none yet.
        """
        if name is None:
            name = study.current_prediction
            if name is None:
                raise StudyError(
                    f"{study.name} has no prediction yet. Fine-tune one: the button in the app, "
                    f"or 'vortex-viewer finetune {study.path}'."
                )
        return cls(study, name, cache)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Tissue on the token lattice, (z, y, x)."""
        return self.mask_at(0)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The token lattice, then coarser ones."""
        return tuple(level.grid for level in self._levels)

    def mask_at(self, level: int) -> npt.NDArray[np.bool_]:
        """Tissue on the lattice of a level, (z, y, x)."""
        if level not in self._masks:
            self._masks[level] = np.asarray(self._levels[level].mask[:], dtype=np.bool_)
        return self._masks[level]

    def resolve(self, gene: str) -> str:
        """The gene's name as the table spells it; case does not matter.

        Raises
        ------
        UnknownNameError
            When it was not predicted; near names are suggested.
        """
        return self._sums.resolve(gene)

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
        volume = self.cache.get(f"{self.id}/{name}", lambda: self._combine(self._sums.of(name)))
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
        wanted = self._sums.of(weights)
        return self._dataarray(self._combine(wanted), wanted.label, {"long_name": wanted.label})

    def part(
        self, genes: Genes, start: Sequence[int], stop: Sequence[int], level: int = 0
    ) -> Floats:
        """Genes in a box of (z, y, x) tokens of a level: (z, y, x) float32, nan outside tissue.

        Reads the chunks of factors that the box touches, and nothing else.

        Raises
        ------
        UnknownNameError
            When the gene was not predicted.
        VortexError
            When the box reaches beyond the lattice, or the level is not there.
        """
        if not 0 <= level < len(self._levels):
            raise VortexError(f"There is no level {level}; there are {len(self._levels)}, from 0.")
        shape = self._levels[level].grid.shape
        if not all(0 <= a < b <= n for a, b, n in zip(start, stop, shape, strict=True)):
            raise VortexError(
                f"A box from {tuple(start)} to {tuple(stop)} is not within the lattice, {shape}."
            )
        return self._combine(self._sums.of(genes), level, tuple(start), tuple(stop))

    def at(self, genes: Genes, points_um: npt.ArrayLike) -> Floats:
        """Genes at points (x, y, z), (n, 3): (n,) float32, nan where there is no tissue.

        Raises
        ------
        UnknownNameError
            When a gene was not predicted.
        """
        index, known = self._tokens(points_um)
        wanted = self._sums.of(genes)
        out = np.full(len(index), np.nan, dtype=np.float32)
        out[known] = wanted.mean + self._levels[0].factors.at(index[known]) @ wanted.weight
        return out

    def deviation_at(self, genes: Genes, points_um: npt.ArrayLike) -> Floats:
        """Predictive standard deviation of genes at points, as :meth:`at` gives the values."""
        index, known = self._tokens(points_um)
        weight = self._sums.of(genes).weight
        spread = self._spread.at(index[known])
        variance = (spread if self._spread_is_squared else spread**2) @ weight**2
        out = np.full(len(index), np.nan, dtype=np.float32)
        out[known] = np.sqrt(np.maximum(variance, 0.0))
        return out

    def sample(self, genes: Genes) -> Floats:
        """Values (n,) of genes in tissue: of every token, or of ``SAMPLE`` of them, spread evenly.

        The tokens' factors are read once, so that one gene more costs next to nothing.
        """
        if self._sampled is None:
            tokens = np.flatnonzero(self.mask)
            if len(tokens) > SAMPLE:  # one of each stretch, or rows of the lattice would repeat
                places = np.arange(SAMPLE) + np.random.default_rng(0).random(SAMPLE)
                tokens = tokens[(places * (len(tokens) / SAMPLE)).astype(np.int64)]
            index = np.column_stack(np.unravel_index(tokens, self.grid.shape))
            self._sampled = self._levels[0].factors.at(index)
        wanted = self._sums.of(genes)
        return np.asarray(wanted.mean + self._sampled @ wanted.weight, dtype=np.float32)

    def uncertainty(self, genes: Genes) -> xr.DataArray:
        """Predictive standard deviation of genes, (z, y, x), nan outside tissue.

        The factors are independent, so their variances add with the squares of the sum's own
        loadings: genes that share a factor are counted together.
        """
        wanted = self._sums.of(genes)
        weight = wanted.weight**2
        volume = np.full(self.grid.shape, np.nan, dtype=np.float32)
        for z in range(0, self.grid.shape[0], CHUNK):
            planes = slice(z, min(z + CHUNK, self.grid.shape[0]))
            spread = self.variance_at((z, 0, 0), (planes.stop, *self.grid.shape[1:]))
            volume[planes] = np.sqrt(np.maximum(np.tensordot(weight, spread, axes=1), 0.0))
        volume[~self.mask] = np.nan
        name = f"standard deviation of {wanted.label}"
        return self._dataarray(volume, wanted.label, {"long_name": name})

    def profile(self, points_um: npt.ArrayLike) -> pd.DataFrame:
        """All genes at some points (x, y, z): a row a point, nan where there is no tissue."""
        index, known = self._tokens(points_um)
        rows = np.full((len(index), self.loadings.shape[1]), np.nan)
        factors = self._levels[0].factors.at(index[known])
        rows[known] = self.genes["mean"].to_numpy() + factors @ self.loadings
        return pd.DataFrame(rows, columns=self.genes.index)

    # -- trust -----------------------------------------------------------------------------

    @property
    def has_intervals(self) -> bool:
        """Whether :meth:`interval` can be asked; not in predictions of before."""
        return self._trust is not None and self._trust.calibration is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that whoever looks at the prediction should read; often none."""
        if not self.checked:
            return (UNCHECKED,)
        return self._trust.warnings if self._trust is not None else ()

    def interval(self, name: str, level: float = 0.9) -> tuple[xr.DataArray, xr.DataArray]:
        """Lower and upper bound between which a spot measured there would lie.

        Calibrated on held-out spots (:mod:`vortex_model.trust`), so that it covers its level on
        average over places, away from the measured sections too.

        Parameters
        ----------
        level
            From 0.5 to 0.95.

        Raises
        ------
        UnknownNameError
            When the gene was not predicted.
        VortexError
            When the level is outside that range, or the prediction has no intervals.
        """
        name = self.resolve(name)
        found = self._calibration()
        found.quantile(level)
        where = np.array([self._sums.position(name)])
        mean, spread = self.gene(name).to_numpy(), self.uncertainty(name).to_numpy()
        bounds = [np.full(self.grid.shape, np.nan, dtype=np.float32) for _ in range(2)]
        inside = self.mask
        sides = found.bounds(
            mean[inside][:, None],
            spread[inside][:, None] ** 2,
            self.distance().to_numpy()[inside],
            level,
            where,
        )
        for volume, side in zip(bounds, sides, strict=True):
            volume[inside] = side[:, 0]
        low, high = (
            self._dataarray(v, name, {"long_name": f"{side} bound of {name}", "level": level})
            for v, side in zip(bounds, ("lower", "upper"), strict=True)
        )
        return low, high

    def profile_interval(
        self, points_um: npt.ArrayLike, level: float = 0.9
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Bounds of all genes at some points (x, y, z), as :meth:`profile` gives the values.

        Raises
        ------
        VortexError
            As :meth:`interval`.
        """
        points = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
        found = self._calibration()
        mean = self.profile(points)
        index = self.grid.nearest(points)
        spread = self._spread.at(index)
        variance = (spread if self._spread_is_squared else spread**2) @ self.loadings**2
        sides = found.bounds(mean.to_numpy(), variance, self.distance_at(points), level)
        low, high = (pd.DataFrame(side, columns=mean.columns) for side in sides)
        return low.where(mean.notna()), high.where(mean.notna())

    def distance_at(self, points_um: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Distance (n,) of points (x, y, z) from the nearest measured section, in micrometres.

        Raises
        ------
        VortexError
            When the prediction does not say where was measured.
        """
        if self._trust is None:
            raise VortexError(_OLD.format("where was measured"))
        return self._trust.spots.distance_um(points_um)

    def distance(self) -> xr.DataArray:
        """Distance from the nearest measured section, in micrometres, nan outside tissue."""
        self.distance_at(np.zeros((0, 3)))
        volume = self.cache.get(f"{self.id}/ distance", self._distance)
        name = "distance from the nearest measured section"
        return self._dataarray(volume, name, {"long_name": name, "units": "micrometer"})

    def unlike(self) -> xr.DataArray | None:
        """How unlike the measured spots the morphology is, nan outside tissue.

        Above 1 it is more so than 99 of 100 spots that were held out. None without morphology,
        and in predictions of before.
        """
        volume = read_unlike(self._group)
        if volume is None:
            return None
        volume[~self.mask] = np.nan
        name = "unlike the measured spots"
        return self._dataarray(volume, name, {"long_name": name, "units": "1"})

    def region_mean(self, region: npt.NDArray[np.bool_]) -> pd.Series[float]:
        """Mean of every gene over the tissue tokens of a region (z, y, x) of the lattice.

        Raises
        ------
        VortexError
            When the region has another shape than the lattice, or holds no tissue.
        """
        if region.shape != self.grid.shape:
            raise VortexError(
                f"The region is {region.shape} tokens (z, y, x), the lattice {self.grid.shape}."
            )
        index = np.argwhere(region & self.mask)
        if not len(index):
            raise VortexError("The region holds no tissue; choose one that does.")
        factors = self._levels[0].factors.at(index).mean(axis=0, dtype=np.float64)
        return pd.Series(
            self.genes["mean"].to_numpy() + factors @ self.loadings, index=self.genes.index
        )

    def factors_at(self, start: Sequence[int], stop: Sequence[int], level: int = 0) -> Floats:
        """The factors (k, z, y, x) of a part of the lattice of a level."""
        return self._levels[level].factors.values(start, stop)

    def variance_at(self, start: Sequence[int], stop: Sequence[int]) -> Floats:
        """Predictive variance of the factors, (k, z, y, x), of a part of the lattice."""
        spread = self._spread.values(start, stop)
        if not self._spread_is_squared:
            np.square(spread, out=spread)
        return spread

    def factors_of(self, tokens: npt.NDArray[np.int64]) -> Floats:
        """The factors (n, k) of single tokens (z, y, x), (n, 3); each chunk is read once."""
        return self._levels[0].factors.at(tokens)

    # -- inner -----------------------------------------------------------------------------

    def _calibration(self) -> Calibration:
        if self._trust is None or self._trust.calibration is None:
            raise VortexError(_OLD.format("intervals"))
        return self._trust.calibration

    def _distance(self) -> Floats:
        volume = np.full(self.grid.shape, np.nan, dtype=np.float32)
        for z in range(self.grid.shape[0]):
            index = np.argwhere(self.mask[z : z + 1]) + (z, 0, 0)
            if len(index):
                volume[tuple(index.T)] = self.distance_at(self.grid.to_points(index))
        return volume

    def _tokens(
        self, points_um: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The token (z, y, x) nearest to each point, (n, 3), and whether it holds tissue."""
        index = self.grid.nearest(points_um)
        return index, self.grid.contains(points_um) & self.mask[tuple(index.T)]

    def _combine(
        self,
        wanted: GeneSum,
        level: int = 0,
        start: Sequence[int] | None = None,
        stop: Sequence[int] | None = None,
    ) -> Floats:
        start = start or (0, 0, 0)
        stop = stop or self._levels[level].grid.shape
        volume = self._levels[level].factors.product(wanted.weight, start, stop)
        volume += wanted.mean
        inside = self.mask_at(level)[tuple(map(slice, start, stop))]
        np.copyto(volume, np.nan, where=~inside)
        return volume

    def _dataarray(self, volume: Floats, name: str, attrs: dict[str, Any]) -> xr.DataArray:
        coords = {
            axis: (axis, values, {"units": "micrometer"})
            for axis, values in self.grid.coords().items()
        }
        return xr.DataArray(
            volume, dims=("z", "y", "x"), coords=coords, name=name, attrs={"units": UNITS, **attrs}
        )


def is_checked(study: Study, name: str) -> bool:
    """Whether it is known how far a prediction can be trusted."""
    return _is_checked(study.derived("predictions", name).attrs["prediction"])


def _is_checked(own: Any) -> bool:
    return bool(own.get("checked", True))


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
