"""Predictions as they are written: at once, or first the picture, then how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from vortex_model.expression import UNITS
from vortex_model.factors import CHUNK, write_factors, write_levels
from vortex_model.grid import Grid
from vortex_model.prediction import Floats, Prediction
from vortex_model.study import Provenance, Study
from vortex_model.trust import Trust, write_trust


@dataclass(frozen=True)
class PredictionRecord:
    """What a prediction is made of, in memory, before it is written.

    Attributes
    ----------
    factors
        (k, z, y, x), nan-free; zero outside tissue.
    variance
        Predictive variance of the first factors, (at most k, z, y, x); of the others it is 0.
    mask
        Tissue, (z, y, x) bool.
    loadings
        (k, genes).
    genes
        Index: gene name. Columns: ``mean`` (added to the product), ``reliability``, ``low``,
        ``high`` (held-out Pearson correlation by spatial blocks and its 95 % interval).
    grid
        The token lattice.
    trust
        Calibrated intervals, measured places, unlike morphology; none when nobody worked it out.
    checked
        Whether reliability and trust are final; else :func:`check_prediction` adds them.
    """

    factors: Floats
    variance: Floats
    mask: npt.NDArray[np.bool_]
    loadings: Floats
    genes: pd.DataFrame
    grid: Grid
    trust: Trust | None = None
    checked: bool = True


def write_prediction(study: Study, provenance: Provenance, record: PredictionRecord) -> str:
    """Keep a prediction in its study; returns its id."""

    def fill(group: zarr.Group) -> None:
        stored = write_levels(group, record.factors, record.mask, record.loadings, record.grid)
        _write_deviation(group, record.variance, len(record.factors), record.mask)
        group.create_array(
            "loadings",
            data=np.asarray(record.loadings, dtype=np.float32),
            dimension_names=("factor", "gene"),
        )
        if record.trust is not None:
            write_trust(group, record.trust, _chunks(record.grid))
        group.attrs["prediction"] = {
            "grid": record.grid.to_json(),
            **stored,
            "units": UNITS,
            "checked": record.checked,
            "genes": _json_table(record.genes),
        }

    return study.write_derived(provenance, fill)


def check_prediction(
    study: Study, name: str, variance: Floats, reliability: pd.DataFrame, trust: Trust
) -> None:
    """Add to a prediction that was written unchecked how far it can be trusted.

    Parameters
    ----------
    variance
        As of :class:`PredictionRecord`.
    reliability
        Index: gene; columns ``reliability``, ``low``, ``high``.
    """
    made = Prediction(study, name)
    table = made.genes[["mean"]].join(reliability)

    def fill(group: zarr.Group) -> None:
        _write_deviation(group, variance, len(made.loadings), made.mask)
        write_trust(group, trust, _chunks(made.grid))
        own: Any = group.attrs["prediction"]
        group.attrs["prediction"] = {**own, "checked": True, "genes": _json_table(table)}

    study.add_derived("predictions", name, fill)


def _write_deviation(
    group: zarr.Group, variance: Floats, count: int, mask: npt.NDArray[np.bool_]
) -> None:
    deviation = np.zeros((count, *mask.shape), np.float32)
    np.sqrt(np.maximum(variance, 0), out=deviation[: len(variance)], dtype=np.float32)
    write_factors(group, "deviation", deviation, mask, "uint8")


def _chunks(grid: Grid) -> tuple[int, ...]:
    return tuple(min(CHUNK, n) for n in grid.shape)


def _json_table(genes: pd.DataFrame) -> dict[str, list[Any]]:
    table = genes.rename_axis("gene").reset_index()
    return {column: _json_column(table[column]) for column in table.columns}


def _json_column(column: pd.Series[Any]) -> list[Any]:
    if column.dtype.kind == "f":
        return [float(v) if np.isfinite(v) else None for v in column]
    return [v.item() if isinstance(v, np.generic) else v for v in column]
