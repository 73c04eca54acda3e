"""Predicted against true volumes on a phantom, for 1, 2 and 3 measured sections.

Prints Markdown tables: Pearson correlation with the true expression over all tissue, in the
whole volume and within planes, by what a gene can be told from, for each predictor.

    python tests/bench/phantom_truth.py STUDY.zarr

makes the phantom where it is not there yet. See ``vortex_model.phantom.genes`` for the kinds:
genes seen in ``morphology``, only in the ``3d`` surroundings, only in the ``depth`` (constant
within a plane: no picture of it can tell them), or ``hidden``.

``gp + level`` adds to the default predictor the sections' mean of each gene, interpolated in z,
as fine-tuning does (``vortex_model.training.levels``); ``gp`` is the predictor by itself.
"""

# ruff: noqa: T201 -- tables are what it is for

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter1d, map_coordinates

from vortex_model.expression import Measured
from vortex_model.features import Features, compute_features
from vortex_model.phantom import PhantomSpec, make_phantom, true_expression, true_genes
from vortex_model.predictors import create
from vortex_model.predictors.base import Places
from vortex_model.study import Study
from vortex_model.training.model import fit_model
from vortex_model.training.samples import gather

SPEC = PhantomSpec(
    shape=(80, 320, 320), voxel_um=(5.0, 4.0, 4.0), seed=11, sections=(0.2, 0.5, 0.8)
)
TRAINING = {1: ("S2",), 2: ("S1", "S3"), 3: ("S1", "S2", "S3")}
PREDICTORS = ("gp", "ridge", "knn", "nearest", "mean")
LEVEL = "gp + level"
SHOWN = (
    "KRT8 EPCAM KRT5 COL1A1 ACTA2 PECAM1 ERBB2 MKI67 MMP11 CA9 ELF5 ETV4 KRT23 CD3E CD68 IGKC "
    "FOS HOXA5 CXCL17 GREM1 WNT2B"
)
FILLERS = 60
MIN_SPREAD = 0.05
Values = npt.NDArray[np.float64]


def at_tokens(volume: xr.DataArray, points_um: Values, spot_um: float) -> Values:
    """The truth as a spot would average it (in-plane), at points (x, y, z)."""
    known = np.isfinite(volume.to_numpy())
    rate = np.where(known, np.expm1(volume.to_numpy()), 0.0)
    weight = known.astype(np.float64)
    for axis, name in ((1, "y"), (2, "x")):
        step = float(np.diff(volume[name].to_numpy()[:2])[0])
        rate = gaussian_filter1d(rate, spot_um / 4 / step, axis=axis)
        weight = gaussian_filter1d(weight, spot_um / 4 / step, axis=axis)
    smooth = np.log1p(np.divide(rate, weight, out=np.zeros_like(rate), where=weight > 0.05))
    index = [
        (points_um[:, 2 - axis] - volume[name].to_numpy()[0])
        / float(np.diff(volume[name].to_numpy()[:2])[0])
        for axis, name in enumerate("zyx")
    ]
    return np.asarray(map_coordinates(smooth, index, order=1, mode="nearest"))


def pearson(a: Values, b: Values) -> Values:
    """Correlation of the columns of two matrices; nan where one does not vary."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    power = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), power, out=np.full(power.shape, np.nan), where=power > 0)


def within_planes(truth: Values, predicted: Values, plane: npt.NDArray[np.int64]) -> Values:
    """Mean over planes of the correlation within each."""
    found = [
        pearson(truth[plane == p], predicted[plane == p])
        for p in np.unique(plane)
        if (plane == p).sum() > 50
    ]
    return np.asarray(np.nanmean(np.nan_to_num(np.stack(found)), axis=0))


def level_in_z(measured: Measured, genes: list[str], z_um: Values) -> Values:
    """Mean of each gene in each section, interpolated in z, less its mean over sections."""
    expression = measured.expression(genes)
    numbers = np.unique(measured.section)
    depth = np.array([measured.points_um[measured.section == n, 2].mean() for n in numbers])
    means = np.stack([expression[measured.section == n].mean(axis=0) for n in numbers])
    order = np.argsort(depth)
    columns = [np.interp(z_um, depth[order], column[order]) for column in means.T]
    return np.stack(columns, axis=1) - means.mean(axis=0)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--encoder", default="texture")
    options = parser.parse_args(arguments)
    if not options.study.exists():
        make_phantom(options.study, SPEC)
    study = Study.open(options.study)
    features = Features.load(study, compute_features(study, options.encoder))
    table = true_genes(study)
    fillers = table.index[~table["marker"]][:FILLERS]
    genes = [g for g in table.index if table.loc[g, "marker"]] + list(fillers)

    tokens, parts = [], []
    for _, _, values, index in features.blocks():
        tokens.append(index)
        parts.append(values.astype(np.float64))
    index = np.concatenate(tokens)
    places = Places(features.grid.to_points(index), np.concatenate(parts), features.groups)
    spot_um = float(study.section(study.section_names[0]).uns["vortex"]["spot_diameter_um"])
    truth = np.stack(
        [at_tokens(true_expression(study, g), places.points_um, spot_um) for g in genes], axis=1
    )
    kind = np.where(table.loc[genes, "marker"], table.loc[genes, "sees"], "filler")
    varies = truth.std(axis=0) > MIN_SPREAD

    rows, shown = [], {}
    for count, names in TRAINING.items():
        sample = gather(study, names, features)
        for predictor in PREDICTORS:
            start = time.perf_counter()
            model = fit_model(sample, genes, lambda name=predictor: create(name))
            seconds = time.perf_counter() - start
            predicted = np.empty(truth.shape)
            for first in range(0, len(places), 20_000):
                own = slice(first, first + 20_000)
                predicted[own] = model.expression(places[own])
            made = {predictor: predicted}
            if predictor == "gp" and count > 1:
                made[LEVEL] = predicted + level_in_z(sample.measured, genes, places.points_um[:, 2])
            for name, values in made.items():
                volume = np.nan_to_num(pearson(truth, values))
                plane = within_planes(truth, values, index[:, 0])
                for group in ("morphology", "3d", "hidden", "depth", "filler"):
                    own_genes = (kind == group) & varies
                    means = (volume[own_genes].mean(), plane[own_genes].mean())
                    rows.append((name, count, group, int(own_genes.sum()), *means))
                if name in ("gp", LEVEL):
                    shown[name, count] = pd.DataFrame({"volume": volume, "plane": plane}, genes)
            print(f"{predictor} {count}: fitted in {seconds:.1f} s", file=sys.stderr, flush=True)

    print(f"{len(places):,} tokens of {features.grid.spacing_um} um; {len(genes)} genes.\n")
    print("Mean correlation with the truth, whole volume / within planes:\n")
    groups = list(dict.fromkeys((r[2], r[3]) for r in rows))
    print("| sections | predictor | " + " | ".join(f"{g} ({n})" for g, n in groups) + " |")
    print("| --- " * (len(groups) + 2) + "|")
    for count in TRAINING:
        for predictor in (*PREDICTORS, LEVEL):
            cells = [f"{r[4]:.2f} / {r[5]:.2f}" for r in rows if r[:2] == (predictor, count)]
            if cells:
                print(f"| {count} | {predictor} | " + " | ".join(cells) + " |")
    print("\nPer gene, default predictor, whole volume / within planes:\n")
    heads = [f"{count} {name}" for name, count in shown]
    print("| gene | program | seen in | " + " | ".join(heads) + " |")
    print("| --- " * (len(heads) + 3) + "|")
    for gene in SHOWN.split():
        cells = [
            f"{f.loc[gene, 'volume']:.2f} / {f.loc[gene, 'plane']:.2f}" for f in shown.values()
        ]
        row = table.loc[gene]
        print(f"| {gene} | {row['program']} | {row['sees']} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
