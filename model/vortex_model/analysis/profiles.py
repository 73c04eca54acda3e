"""Numbers of regions and along paths: what a part of the block expresses, and how it changes.

Each profile is a table with a row a gene (or formula of genes) and place: ``mean``, the
``deviation`` over the tokens there, and the ``uncertainty`` of the prediction itself (root of the
mean predictive variance: errors of neighbours go together, so a mean does not shrink it much).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from vortex_model.analysis.moments import (
    Columns,
    Floats,
    Mask,
    check_shape,
    columns,
    grouped,
    reliable,
)
from vortex_model.errors import VortexError
from vortex_model.grid import Grid, Triple
from vortex_model.prediction import Prediction

MOST_BINS = 2000


def region_summary(prediction: Prediction, regions: Mapping[str, Mask]) -> pd.DataFrame:
    """Size and place of regions.

    Returns
    -------
    pandas.DataFrame
        Index: region. ``volume_mm3``, ``tissue_mm3``, ``tokens``, ``tissue_tokens``, the
        centre of what is tissue, ``x_um``, ``y_um``, ``z_um`` (nan without tissue).
    """
    voxel = float(np.prod(prediction.grid.spacing_um)) * 1e-9
    rows = []
    for mask in regions.values():
        check_shape(mask, prediction)
        tokens = np.argwhere(mask & prediction.mask)
        centre = prediction.grid.to_points(tokens.mean(axis=0))[0] if len(tokens) else [np.nan] * 3
        count = int(mask.sum())
        rows.append((count * voxel, len(tokens) * voxel, count, len(tokens), *centre))
    names = ["volume_mm3", "tissue_mm3", "tokens", "tissue_tokens", "x_um", "y_um", "z_um"]
    return pd.DataFrame(rows, columns=names, index=pd.Index(list(regions), name="region"))


def region_genes(
    prediction: Prediction, mask: Mask, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Every gene in a region, or some genes and formulas; from factors alone.

    Returns
    -------
    pandas.DataFrame
        Index: gene. ``mean``, ``deviation``, ``uncertainty``; of genes also ``reliability``
        and ``reliable``.

    Raises
    ------
    VortexError
        When the region holds no tissue.
    """
    check_shape(mask, prediction)
    of = columns(prediction, names)
    made = grouped(prediction, np.where(mask, 0, -1), 1)
    _some(int(made.count[0]))
    table = _table(made.gene_mean(of), made.gene_deviation(of), made.gene_uncertainty(of))
    table.index = pd.Index(of.names, name="gene")
    if names is None:
        table["reliability"] = prediction.genes["reliability"].to_numpy()
        table["reliable"] = reliable(prediction.genes)
    return table


def region_quantiles(
    prediction: Prediction,
    mask: Mask,
    names: Sequence[str],
    quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
) -> pd.DataFrame:
    """Quantiles of some genes or formulas over a region's tissue, (names, quantiles).

    Raises
    ------
    VortexError
        When the region holds no tissue.
    """
    check_shape(mask, prediction)
    tokens = np.argwhere(mask & prediction.mask)
    _some(len(tokens))
    of = columns(prediction, names)
    factors = prediction.factors_of(tokens)
    rows = [
        np.quantile(mean + factors @ weight, quantiles)
        for mean, weight in zip(of.mean, of.loadings.T, strict=True)
    ]
    return pd.DataFrame(rows, index=pd.Index(of.names, name="gene"), columns=list(quantiles))


def along_line(
    prediction: Prediction, names: Sequence[str], points_um: npt.ArrayLike, step_um: float = 0.0
) -> pd.DataFrame:
    """Genes or formulas along a line through points (x, y, z).

    Parameters
    ----------
    points_um
        Two or more corners of the line, (n, 3).
    step_um
        Distance between places; by default the lattice's finest spacing.

    Returns
    -------
    pandas.DataFrame
        ``gene``, ``distance_um`` from the line's start, ``x_um``, ``y_um``, ``z_um``, ``mean``
        and ``uncertainty`` of the token there; nan outside tissue.

    Raises
    ------
    VortexError
        When the line has no length.
    """
    grid = prediction.grid
    corners = np.asarray(points_um, dtype=np.float64).reshape(-1, 3)
    lengths = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    total = float(lengths.sum())
    if not (np.isfinite(total) and total > 0):
        raise VortexError("A line needs two different points (x, y, z) in micrometres.")
    step = step_um if step_um > 0 else min(grid.spacing_um)
    count = min(max(int(total / step) + 1, 2), MOST_BINS)
    at = np.linspace(0.0, total, count)
    ends = np.concatenate([[0.0], np.cumsum(lengths)])
    places = np.column_stack([np.interp(at, ends, corners[:, a]) for a in range(3)])
    index = grid.nearest(places)
    known = grid.contains(places) & prediction.mask[tuple(index.T)]
    of = columns(prediction, names)
    factors = prediction.factors_of(index[known])
    noise = np.array([prediction.variance_at(i, i + 1)[:, 0, 0, 0] for i in index[known]])
    parts = []
    for name, mean, weight in zip(of.names, of.mean, of.loadings.T, strict=True):
        columns_: dict[str, Any] = {"gene": name, "distance_um": at}
        columns_ |= dict(zip(("x_um", "y_um", "z_um"), places.T, strict=True))
        values, spread = np.full(count, np.nan), np.full(count, np.nan)
        if known.any():
            values[known] = mean + factors @ weight
            spread[known] = np.sqrt(noise @ weight**2)
        parts.append(pd.DataFrame({**columns_, "mean": values, "uncertainty": spread}))
    return pd.concat(parts, ignore_index=True)


def with_depth(
    prediction: Prediction, names: Sequence[str], mask: Mask | None = None
) -> pd.DataFrame:
    """Genes or formulas plane by plane, over all tissue or a region's.

    Returns
    -------
    pandas.DataFrame
        ``gene``, ``z_um``, ``mean``, ``deviation``, ``uncertainty``, ``tokens``; planes without
        tissue are left out.
    """
    grid = prediction.grid
    plane = np.broadcast_to(np.arange(grid.shape[0])[:, None, None], grid.shape)
    if mask is not None:
        check_shape(mask, prediction)
        plane = np.where(mask, plane, -1)
    return _binned(prediction, names, plane, grid.axis_um(0), "z_um")


def by_distance(
    prediction: Prediction,
    names: Sequence[str],
    surface: Mask,
    *,
    step_um: float = 0.0,
    reach_um: float = np.inf,
) -> pd.DataFrame:
    """Genes or formulas by distance from a region's surface, below 0 inside.

    Parameters
    ----------
    surface
        The region, (z, y, x).
    step_um
        Width of a bin; by default the lattice's finest spacing.
    reach_um
        How far to look on both sides.

    Returns
    -------
    pandas.DataFrame
        ``gene``, ``distance_um`` (middle of the bin), ``mean``, ``deviation``, ``uncertainty``,
        ``tokens``; bins without tissue are left out.

    Raises
    ------
    VortexError
        When the region is empty or everything, so that it has no surface.
    """
    distance = signed_distance(surface, prediction.grid)
    step = step_um if step_um > 0 else min(prediction.grid.spacing_um)
    near = prediction.mask & (np.abs(distance) <= reach_um)
    _some(int(near.sum()))
    number = np.floor(distance / step).astype(np.int64)
    low = int(number[near].min())
    count = int(number[near].max()) - low + 1
    if count > MOST_BINS:
        raise VortexError(
            f"Bins of {step:.3g} um are {count}; at most {MOST_BINS} are made. Use wider ones."
        )
    middle = (np.arange(count, dtype=np.float64) + low + 0.5) * float(step)
    return _binned(prediction, names, np.where(near, number - low, -1), middle, "distance_um")


def signed_distance(mask: Mask, grid: Grid) -> Floats:
    """Distance of each token's centre to a region's surface, below 0 inside, (z, y, x), in um.

    Raises
    ------
    VortexError
        When the region is empty or everything.
    """
    if mask.all() or not mask.any():
        raise VortexError("The region has no surface: it is empty, or the whole lattice.")
    outside = ndimage.distance_transform_edt(~mask, sampling=grid.spacing_um)
    inside = ndimage.distance_transform_edt(mask, sampling=grid.spacing_um)
    half = _half(grid.spacing_um)
    return np.asarray(np.where(mask, half - inside, outside - half), dtype=np.float64)


def _half(spacing_um: Triple) -> float:
    """The surface lies between two tokens' centres: half a step of the finest axis."""
    return min(spacing_um) / 2


def _binned(
    prediction: Prediction,
    names: Sequence[str],
    number: npt.NDArray[np.integer[Any]],
    at: Floats,
    label: str,
) -> pd.DataFrame:
    of: Columns = columns(prediction, names)
    made = grouped(prediction, number, len(at))
    _some(int(made.count.sum()))
    keep = np.flatnonzero(made.count)
    values = (made.gene_mean(of), made.gene_deviation(of), made.gene_uncertainty(of))
    parts = []
    for index, name in enumerate(of.names):
        head = pd.DataFrame({"gene": name, label: at[keep]})
        table = _table(*(v[keep, index] for v in values))
        parts.append(pd.concat([head, table.assign(tokens=made.count[keep])], axis=1))
    return pd.concat(parts, ignore_index=True)


def _table(mean: Floats, deviation: Floats, uncertainty: Floats) -> pd.DataFrame:
    columns_ = {"mean": mean, "deviation": deviation, "uncertainty": uncertainty}
    return pd.DataFrame({name: values.ravel() for name, values in columns_.items()})


def _some(count: int) -> None:
    if not count:
        raise VortexError("There is no tissue there. Choose a region that holds some.")
