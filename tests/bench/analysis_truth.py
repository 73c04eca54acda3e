"""Analysis against the truth of phantoms: what differs, domains, segmentation; writes a page.

    python tests/bench/analysis_truth.py FOLDER [--seeds 11,12] > docs/analysis.md

makes the phantoms in FOLDER where they are not there yet.
"""

# ruff: noqa: T201 -- a page is what it is for

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from vortex_model import Study
from vortex_model.analysis.differential import compare
from vortex_model.analysis.domains import adjusted_rand, find_domains
from vortex_model.analysis.moments import reliable
from vortex_model.analysis.sampling import on_lattice
from vortex_model.analysis.segmentation import Learner, Stroke
from vortex_model.analysis.shapes import Ellipsoid
from vortex_model.analysis.spatial import spatial_table
from vortex_model.features import Features
from vortex_model.grid import Grid
from vortex_model.phantom import PhantomSpec, make_phantom, true_expression
from vortex_model.phantom.anatomy import CLASSES
from vortex_model.prediction import Prediction
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, StudyInfo

GROUPS = {
    "stroma": ("stroma", "vessel wall", "blood", "immune", "muscle", "fat"),
    "gland": ("luminal epithelium", "basal layer", "lumen"),
    "tumour": ("tumour", "tumour lumen"),
    "necrosis": ("necrosis",),
}
PLANTED = 0.2
"""A gene truly differs when its true means do by this much (natural log)."""
STROKES = ("stroma", "stroma", "gland", "tumour", "necrosis")
BRUSH_UM = 15.0
PATH_UM = 500.0


def study_of(folder: Path, seed: int) -> Study:
    """A phantom with three measured sections, all its genes predicted."""
    place = folder / f"truth{seed}.zarr"
    if not place.exists():
        spec = PhantomSpec(
            shape=(80, 320, 320), voxel_um=(5.0, 4.0, 4.0), seed=seed, sections=(0.2, 0.5, 0.8)
        )
        make_phantom(place, spec)
    study = Study.open(place)
    if not study.derived_ids("predictions"):
        study.finetune(panel="all")
    return study


def true_groups(study: Study, grid: Grid) -> np.ndarray:
    """The group that takes most of each token, (z, y, x), from 1 in the order of GROUPS."""
    image = study.label("classes")
    shares = [
        on_lattice(image, 0, grid, lambda b, own=own: np.isin(b, [CLASSES.index(c) for c in own]))
        for own in GROUPS.values()
    ]
    return np.argmax(shares, axis=0) + 1


def regions_of(truth: np.ndarray, prediction: Prediction) -> dict[str, np.ndarray]:
    """What a visitor would draw: an ellipsoid where each group is densest, the largest that is
    mostly of it; no truth is used beyond where to draw."""
    grid, made = prediction.grid, {}
    for number, name in enumerate(GROUPS, start=1):
        own = (truth == number) & prediction.mask
        for radius in (160, 130, 100, 80, 60, 45):
            sigma = [radius / 1.5 / s for s in grid.spacing_um]
            dense = ndimage.gaussian_filter(own.astype(np.float32), sigma)
            place = np.unravel_index(int(dense.argmax()), dense.shape)
            centre = tuple(grid.to_points([place])[0])
            mask = Ellipsoid(centre, (radius, radius, radius)).mask(grid)
            if own[mask].mean() > 0.75:
                break
        made[name] = mask
    return made


def true_means(study: Study, genes: list[str], masks: list[np.ndarray], grid: Grid) -> np.ndarray:
    """Mean true expression of each gene over regions given on ``grid``, (regions, genes).

    As a spot would measure it there: the mean of rates over a spot's disc, before the logarithm.
    """
    spot_um = float(study.section(study.section_names[0]).uns["vortex"]["spot_diameter_um"])
    out = np.empty((len(masks), len(genes)))
    for column, gene in enumerate(genes):
        volume = true_expression(study, gene)
        if column == 0:
            lattice = Grid.from_json(
                {
                    "shape": volume.shape,
                    "spacing_um": [float(np.diff(volume[a][:2])[0]) for a in "zyx"],
                    "origin_um": [float(volume[a][0]) for a in "zyx"],
                }
            )
            index = tuple(grid.nearest(lattice.points()).T)
            owners = [mask[index].reshape(lattice.shape) for mask in masks]
            known = np.isfinite(volume.to_numpy())
            sigma = (0.0, *(spot_um / 4 / s for s in lattice.spacing_um[1:]))
            weight = ndimage.gaussian_filter(known.astype(np.float64), sigma)
        rate = np.where(known, np.expm1(volume.to_numpy()), 0.0)
        smooth = ndimage.gaussian_filter(rate, sigma) / np.maximum(weight, 0.05)
        values = np.where(known, np.log1p(smooth), np.nan)
        out[:, column] = [np.nanmean(values[own]) for own in owners]
    return out


def differences(study: Study, prediction: Prediction, truth: np.ndarray) -> list[tuple]:
    """Called genes against planted ones for each pair of regions."""
    masks = regions_of(truth, prediction)
    genes = [str(g) for g in prediction.genes.index]
    means = true_means(study, genes, list(masks.values()), prediction.grid)
    names, rows = list(masks), []
    trusted = reliable(prediction.genes)
    for first, second in ((0, 1), (2, 0), (2, 1), (3, 2)):
        difference = means[first] - means[second]
        planted = np.abs(difference) >= PLANTED
        start = time.perf_counter()
        made = compare(prediction, masks[names[first]], masks[names[second]])
        seconds = time.perf_counter() - start
        sized = made.table["difference"].abs() >= PLANTED
        called = ((made.table["q"] <= 0.05) & sized).to_numpy()
        right = called & planted & (np.sign(made.table["difference"]) == np.sign(difference))
        sure = called & trusted
        rows.append(
            (
                f"{names[first]} / {names[second]}",
                f"{made.tokens[0]} / {made.tokens[1]}",
                f"{made.blocks[0]} / {made.blocks[1]}",
                planted.mean(),
                int(called.sum()),
                right.sum() / max(called.sum(), 1),
                (right & trusted).sum() / max(sure.sum(), 1),
                right.sum() / max(planted.sum(), 1),
                (right & trusted).sum() / max((planted & trusted).sum(), 1),
                np.corrcoef(made.table["difference"], difference)[0, 1],
                seconds,
            )
        )
    return rows


def painted(truth: np.ndarray, grid: Grid, seed: int) -> list[Stroke]:
    """Five strokes in one plane, each a path that stays within its group."""
    rng = np.random.default_rng(seed)
    present = [len(np.unique(plane)) for plane in truth]
    planes = np.flatnonzero(np.asarray(present) == max(present))
    plane = int(planes[len(planes) // 2])
    made = []
    for name in STROKES:
        own = truth[plane] == list(GROUPS).index(name) + 1
        inner = ndimage.binary_erosion(own) if ndimage.binary_erosion(own).any() else own
        best: list[np.ndarray] = []
        for _ in range(30):
            path = _walk(inner, rng, int(PATH_UM / grid.spacing_um[1]))
            best = path if len(path) > len(best) else best
        points = grid.to_points([(plane, *p) for p in best])
        made.append(Stroke(name, tuple(map(tuple, points)), BRUSH_UM))
    return made


def _walk(own: np.ndarray, rng: np.random.Generator, steps: int) -> list[np.ndarray]:
    """A path that turns slowly and does not leave ``own``."""
    places = np.argwhere(own)
    at = places[rng.integers(len(places))].astype(float)
    angle, path = rng.uniform(0, 2 * np.pi), [at.astype(int)]
    for _ in range(steps):
        for turn in rng.normal(0, 0.7, 8):
            new = at + [np.sin(angle + turn), np.cos(angle + turn)]
            cell = np.rint(new).astype(int)
            if (cell >= 0).all() and (cell < own.shape).all() and own[tuple(cell)]:
                at, angle = new, angle + turn
                path.append(cell)
                break
        else:
            return path
    return path


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Overlap of two masks, 0 to 1."""
    return 2 * float((one & two).sum()) / max(float(one.sum() + two.sum()), 1.0)


def segmentations(study: Study, truth: np.ndarray, mask: np.ndarray) -> tuple[list, float, int]:
    """Dice of each group from five strokes, ten times drawn; seconds to make ready; tokens."""
    features = Features.load(study, study.derived_ids("features")[-1])
    start = time.perf_counter()
    learner = Learner(features)
    ready = time.perf_counter() - start
    rows = []
    for seed in range(10):
        strokes = painted(np.where(mask, truth, 0), features.grid, seed)
        start = time.perf_counter()
        made = learner.learn(strokes)
        seconds = time.perf_counter() - start
        found = [
            dice(made.labels == made.names.index(name) + 1, (truth == number) & mask)
            for number, name in enumerate(GROUPS, start=1)
        ]
        tokens = len({tuple(t) for s in strokes for t in s.tokens(features.grid)})
        rows.append((*found, seconds, tokens))
    return rows, ready, int(mask.sum())


def large_panel() -> tuple[float, float, float]:
    """Seconds of a spatial table, and of a comparison, of 20,000 genes; tokens in thousands."""
    rng = np.random.default_rng(0)
    shape, k, genes = (40, 140, 140), 32, 20_000
    factors = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 2) for _ in range(k)])
    table = pd.DataFrame(
        {"mean": 0.0, "reliability": 0.5, "low": 0.1, "high": 0.9},
        index=[f"G{i}" for i in range(genes)],
    )
    with tempfile.TemporaryDirectory() as folder:
        with Study.create(Path(folder) / "s.zarr", StudyInfo("large panel")):
            pass
        study = Study.open(Path(folder) / "s.zarr")
        record = PredictionRecord(
            factors.astype(np.float32),
            np.full(factors.shape, 0.01, np.float32),
            np.ones(shape, bool),
            rng.normal(size=(k, genes)),
            table,
            Grid(shape, (20.0, 20.0, 20.0)),
        )
        write_prediction(study, Provenance("predictions", {}, {}, 1), record)
        prediction = Prediction.load(study)
        start = time.perf_counter()
        spatial_table(prediction)
        first = time.perf_counter() - start
        half = np.zeros(shape, bool)
        half[:, :70] = True
        start = time.perf_counter()
        compare(prediction, half, ~half)
        return first, time.perf_counter() - start, np.prod(shape) / 1000


def table(head: str, rows: list[tuple]) -> None:
    """Print a Markdown table; numbers with two decimals."""
    columns = head.split("|")
    print("| " + " | ".join(c.strip() for c in columns) + " |")
    print("| --- " * len(columns) + "|")
    for row in rows:
        cells = [f"{c:.2f}" if isinstance(c, float) else str(c) for c in row]
        print("| " + " | ".join(cells) + " |")
    print()


def main(arguments: list[str] | None = None) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", default="11,12")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    seeds = [int(s) for s in options.seeds.split(",")]
    found, parts, strokes = [], [], []
    ready = 0.0
    for seed in seeds:
        print(f"phantom {seed}", file=sys.stderr, flush=True)
        study = study_of(options.folder, seed)
        prediction = study.prediction()
        truth = true_groups(study, prediction.grid)
        mask = prediction.mask
        found += [(seed, *row) for row in differences(study, prediction, truth)]
        start = time.perf_counter()
        made = find_domains(prediction)
        seconds = time.perf_counter() - start
        given = find_domains(prediction, len(GROUPS))
        shuffled = np.random.default_rng(0).permutation(given.labels[mask])
        parts.append(
            (
                seed,
                made.count,
                adjusted_rand(made.labels[mask], truth[mask]),
                adjusted_rand(given.labels[mask], truth[mask]),
                adjusted_rand(shuffled, truth[mask]),
                seconds,
            )
        )
        rows, ready, tokens = segmentations(study, truth, mask)
        middle = np.mean(rows, axis=0)
        strokes.append((seed, *(float(v) for v in middle[:4]), float(middle[:4].mean())))
        strokes[-1] += (float(max(r[4] for r in rows)), round(float(middle[5])), tokens)
    first, second, thousands = large_panel()
    page(options, found, parts, strokes, ready, (first, second, thousands))


def page(options, found, parts, strokes, ready, large) -> None:  # type: ignore[no-untyped-def]
    """Print what was measured, with what it means."""
    print("# Analysis, measured against planted truth\n")
    print(
        "Phantoms of 80 x 320 x 320 voxels (400 x 1280 x 1280 um) with three measured sections "
        "and\n1,200 genes, predicted by the default predictor on a lattice of 20 um. Written by\n\n"
        f"    python tests/bench/analysis_truth.py FOLDER --seeds {options.seeds} "
        "> docs/analysis.md\n\n"
        f"on {platform.machine()}, {platform.system()}, one thread of a shared 2-core machine.\n"
    )
    print("## Which genes differ between two regions\n")
    print(
        "One ellipsoid where each tissue is densest, compared in pairs. A gene is planted when "
        f"its\ntrue mean, of what spots would measure, differs by at least {PLANTED} (natural log, "
        f"{np.expm1(PLANTED):.0%});\n"
        "called "
        "when its false discovery rate\nis at most .05 and its predicted difference at least as "
        "much; right when called, planted, and of\nthe right sign. Chance is the share of planted "
        "genes: the precision of calling at random.\n'Reliable' counts only genes whose held-out "
        "correlation is surely above 0. r is the correlation\nof predicted with true differences "
        "over all genes.\n"
    )
    table(
        "phantom | regions | tokens | blocks | chance | called | precision | reliable only | recall"
        " | reliable only | r | seconds",
        found,
    )
    print(
        "Blocks change sides as a whole, and their side follows each gene's autocorrelation. "
        "Over smooth\nfields that know nothing of two regions, p < .05 in about 5 % of genes\n"
        "(`tests/unit/test_differential.py`), where a test that takes tokens for independent "
        "calls more\nthan half.\n\n"
        f"A panel of 20,000 genes on {large[2]:.0f} thousand tokens, 32 factors: comparison of two "
        f"halves {large[1]:.1f} s (4,999\npermutations), Moran's I of every gene "
        f"{large[0]:.1f} s.\n"
    )
    print("## Domains\n")
    print(
        f"Adjusted Rand index of domains with the planted tissues ({', '.join(GROUPS)};\n"
        "the one that takes most of a token): with the suggested number, with the true number, "
        "and of\nshuffled labels. Domains also follow what is no tissue class: margins, hypoxia, "
        "depth.\n"
    )
    table("phantom | suggested | ARI | ARI, 4 domains | ARI, shuffled | seconds", parts)
    print("## Five strokes\n")
    print(
        "Two strokes of stroma and one of each other tissue in one plane, each up to "
        f"{PATH_UM:.0f} um long\nwith a brush of {BRUSH_UM:.0f} um; Dice over the whole block, "
        f"mean of ten drawings. Making the\nfeatures ready once took {ready:.1f} s; the slowest "
        "learning of the ten, strokes to labels of the\nwhole block, is in the table.\n"
    )
    table(
        "phantom | " + " | ".join(GROUPS) + " | mean | seconds | tokens painted | of",
        strokes,
    )


if __name__ == "__main__":
    main()
