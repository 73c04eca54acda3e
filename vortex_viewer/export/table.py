"""Tables of a study as CSV or Parquet: genes, spots, classes of a label image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import normalise
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent
from vortex_model.study import Study
from vortex_viewer.export.landing import landing

What = Literal["genes", "spots", "regions"]
WHATS = ("genes", "spots", "regions")
SAMPLE = 200_000
"""Spread over the tissue, as many tokens tell a gene's range."""


def export_table(
    study: Path,
    what: What,
    dest: Path,
    *,
    genes: Sequence[str] | None = None,
    labels: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write a table; its suffix says the format: CSV or Parquet.

    Parameters
    ----------
    what
        "genes": a row a gene: reliability, and mean, deviation and range over the tissue.
        "spots": a row a measured spot: place, counts, and each gene as measured and predicted.
        "regions": a row a class of a label image: tokens, volume, and each gene's mean.
    genes
        Names; all that were predicted when None.
    labels
        The label image of "regions"; the study's only one when None.

    Raises
    ------
    VortexError
        When the format or table is unknown, or the study lacks what the table is made of.
    UnknownNameError
        When a gene was not predicted, or there is no such label image.
    """
    if dest.suffix.lower() not in (".csv", ".parquet"):
        raise VortexError(f"A table cannot be a {dest.suffix or 'file without suffix'}; "
                          "name it .csv or .parquet.")  # fmt: skip
    if what not in WHATS:
        raise VortexError(f"There is no table of {what!r}; choose from {', '.join(WHATS)}.")
    opened = Study.open(study)
    prediction = Prediction.load(opened)
    chosen = [prediction.resolve(g) for g in genes] if genes else list(prediction.genes.index)
    with landing(dest, overwrite) as draft:
        progress(0.0, f"table of {what}")
        if what == "genes":
            frame = gene_table(prediction, chosen)
        elif what == "spots":
            frame = spot_table(opened, prediction, chosen, progress)
        else:
            frame = region_table(opened, prediction, chosen, labels)
        progress(0.9, "writing")
        if dest.suffix.lower() == ".csv":
            frame.to_csv(draft, index=False)
        else:
            _parquet(frame, draft)
    progress(1.0, f"{dest}")
    return dest


def gene_table(prediction: Prediction, genes: Sequence[str]) -> pd.DataFrame:
    """A row a gene: the prediction's own columns, then what the tissue's tokens hold."""
    frame = prediction.genes.loc[list(genes)].copy()
    columns = prediction.genes.index.get_indexer(frame.index)
    places = np.argwhere(prediction.mask)
    places = places[:: max(1, len(places) // SAMPLE)]
    factors = _factors(prediction, places)
    means = frame["mean"].to_numpy()
    rows: dict[str, list[float]] = {n: [] for n in ("tissue_mean", "tissue_deviation", "p2", "p98")}
    for first in range(0, len(columns), 64):
        part = columns[first : first + 64]
        values = factors @ prediction.loadings[:, part] + means[first : first + 64]
        rows["tissue_mean"] += values.mean(axis=0).tolist()
        rows["tissue_deviation"] += values.std(axis=0).tolist()
        low, high = np.percentile(values, [2, 98], axis=0)
        rows["p2"] += low.tolist()
        rows["p98"] += high.tolist()
    renamed = frame.rename(
        columns={"mean": "intercept", "low": "reliability_low", "high": "reliability_high"}
    )
    return renamed.assign(**rows).reset_index(names="gene")


def spot_table(
    study: Study, prediction: Prediction, genes: Sequence[str], progress: Progress = silent
) -> pd.DataFrame:
    """A row a spot: section, name, place in micrometres, counts, genes measured and predicted.

    Measured values are normalised as the prediction is; a gene that a section did not measure,
    and a spot that lies outside the predicted tissue, are empty.
    """
    if not study.section_names:
        raise VortexError(f"{study.name} has no measured section, so there are no spots.")
    parts = []
    for number, name in enumerate(study.section_names):
        progress(0.8 * number / len(study.section_names), f"section {name}")
        data = study.section(name)
        points = np.asarray(data.obsm["spatial"], dtype=np.float64)
        totals = np.asarray(data.X.sum(axis=1), dtype=np.float64).ravel()
        columns: dict[str, Any] = {
            "section": name,
            "spot": data.obs_names.astype(str),
            "x_um": points[:, 0],
            "y_um": points[:, 1],
            "z_um": points[:, 2],
            "diameter_um": float(data.uns["vortex"]["spot_diameter_um"]),
            "counts": totals,
        }
        index = {str(g).casefold(): i for i, g in enumerate(data.var_names)}
        there = [g for g in genes if g.casefold() in index]
        counts = data.X[:, [index[g.casefold()] for g in there]]
        measured = pd.DataFrame(normalise(counts, totals).toarray(), columns=there)
        predicted = prediction.profile(points)
        for gene in genes:
            columns[f"{gene} measured"] = measured[gene].to_numpy() if gene in measured else np.nan
            columns[f"{gene} predicted"] = predicted[gene].to_numpy()
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def region_table(
    study: Study, prediction: Prediction, genes: Sequence[str], labels: str | None
) -> pd.DataFrame:
    """A row a class of a label image: number, name, tokens, volume, each gene's mean."""
    names = study.label_names
    if not names:
        raise VortexError(f"{study.name} has no label image, so there are no regions to tell of.")
    if labels is None and len(names) > 1:
        raise VortexError(f"{study.name} has several label images; name one: {', '.join(names)}.")
    if labels is not None and labels not in names:
        raise UnknownNameError("label image", labels, names)
    numbers = label_on_lattice(study, prediction, labels or names[0])
    token_um3 = float(np.prod(prediction.grid.spacing_um))
    rows = []
    for number in np.unique(numbers[prediction.mask]):
        if number == 0:
            continue
        region = (numbers == number) & prediction.mask
        mean = prediction.region_mean(region)
        tokens = int(region.sum())
        row: dict[str, Any] = {
            "class": int(number),
            "name": str(study.info.notes.get(f"class {number}", f"class {number}")),
            "tokens": tokens,
            "volume_mm3": tokens * token_um3 / 1e9,
        }
        rows.append(row | {gene: float(mean[gene]) for gene in genes})
    return pd.DataFrame(rows)


def label_on_lattice(study: Study, prediction: Prediction, name: str) -> npt.NDArray[Any]:
    """A label image's class at the centre of every token, (z, y, x); 0 beyond the image."""
    level = study.label(name).levels[0]
    grid, lattice = level.grid, prediction.grid
    out = np.zeros(lattice.shape, dtype=level.array.dtype)
    places = [lattice.axis_um(a) for a in range(3)]
    index = []
    for axis, at in enumerate(places):
        points = np.zeros((len(at), 3))
        points[:, 2 - axis] = at
        index.append(grid.nearest(points)[:, axis])
    low, high = (np.array([b[i] for b in grid.bounds_um]) for i in (0, 1))
    known = [(at >= low[a]) & (at <= high[a]) for a, at in enumerate(places)]
    for z in np.flatnonzero(known[0]):
        plane = np.asarray(level.array[0, int(index[0][z])])
        values = plane[np.ix_(index[1], index[2])]
        out[z] = np.where(known[1][:, None] & known[2][None, :], values, 0)
    return out


def _factors(prediction: Prediction, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Factors (n, k) of tokens in array order, slab by slab."""
    rows = []
    shape = prediction.grid.shape
    for z in np.unique(places[:, 0]):
        plane = prediction.factors_at((int(z), 0, 0), (int(z) + 1, *shape[1:]))[:, 0]
        here = places[places[:, 0] == z]
        rows.append(plane[:, here[:, 1], here[:, 2]].T)
    return np.concatenate(rows) if rows else np.zeros((0, prediction.loadings.shape[0]))


def _parquet(frame: pd.DataFrame, place: Path) -> None:
    try:
        frame.to_parquet(place, index=False)
    except ImportError as error:
        raise VortexError(
            "Parquet needs pyarrow: pip install 'vortex-viewer[parquet]', or name the table .csv."
        ) from error
