"""Writes docs/accuracy.md and docs/accuracy.json: every number beside the command that made it.

    .venv/bin/python tests/bench/accuracy.py [--studies DIR] [--shared DIR] [--only NAME]

Studies that are not in DIR are imported from ``docs/examples`` first; what has no data is left
out and said so. BDTNP is read from ``--shared`` (84 genes at 3,039 places of an embryo's
surface). Phantoms have their own script, ``phantom_truth.py``. With ``--only`` the other tables
stay as docs/accuracy.json has them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vortex_model import io
from vortex_model.evaluate import evaluate
from vortex_model.metrics import pearson
from vortex_model.predictors import Places, Training, create
from vortex_model.predictors.blocks import folds
from vortex_model.study import Study

HER2ST = [(["C4"], ["C3", "C5", "C2"]), (["C4", "C3", "C2"], ["C5"])]
FOLDS = 5


def row(study: Path, train: list[str], test: list[str], predictor: str) -> dict[str, Any]:
    """One evaluation with its command and time; features are computed before the clock starts."""
    opened = Study.open(study)
    if opened.has_morphology:
        from vortex_model.features import compute_features

        compute_features(opened, "texture")
    start = time.perf_counter()
    found = evaluate(opened, train, test, predictor=predictor)
    return {
        "command": f"vortex-viewer evaluate {study.name} --train {','.join(train)} "
        f"--test {','.join(test)} --genes hvg:250 --predictor {predictor} --json",
        "seconds": round(time.perf_counter() - start, 1),
        **found,
    }


def her2st(studies: Path) -> list[dict[str, Any]]:
    """C4 to the others, and three sections to C5; the spatial and the image part alone too."""
    place = studies / "her2st.zarr"
    return [row(place, a, b, p) for a, b in HER2ST for p in ("gp", "gp-features", "gp-place")]


def heart3d(studies: Path) -> list[dict[str, Any]]:
    """Each section from the seven others."""
    place = studies / "heart3d.zarr"
    names = Study.open(place).section_names
    return [row(place, [n for n in names if n != held], [held], "gp") for held in names]


def bdtnp(shared: Path) -> dict[str, Any]:
    """Place alone: Gaussian process against kNN, random and blocked hold-out."""
    values = np.loadtxt(shared / "bdtnp" / "dge.txt", skiprows=1)
    points = np.loadtxt(shared / "bdtnp" / "geometry.txt", skiprows=1)[: len(values)]
    random = np.random.default_rng(0)
    order = random.permutation(len(values))
    hold = {
        "random half": lambda: iter([(order[: len(order) // 2], order[len(order) // 2 :])]),
        "random 90 %": lambda: iter([(order[: len(order) // 10], order[len(order) // 10 :])]),
        "5 spatial blocks": lambda: folds(points, FOLDS),
    }
    table = {name: _hold_out(values, points, parts) for name, parts in hold.items()}
    return {"command": "python tests/bench/accuracy.py --only bdtnp", "pearson": table}


def _hold_out(
    values: np.ndarray, points: np.ndarray, parts: Callable[[], Iterator[tuple[Any, Any]]]
) -> dict[str, float]:
    out = {}
    for name in ("gp-place", "knn", "nearest", "mean"):
        predicted = np.full_like(values, np.nan)
        for keep, held in parts():
            mean = values[keep].mean(axis=0)
            left, size, right = np.linalg.svd(values[keep] - mean, full_matrices=False)
            rank = min(12, int((np.cumsum(size**2) < 0.99 * (size**2).sum()).sum()) + 1)
            scores = left[:, :rank] * size[:rank]
            places = Places(points[keep], np.zeros((len(keep), 0)), ())
            predictor = create(name)
            predictor.fit(
                Training(places, np.zeros(len(keep), dtype=int), scores, np.ones(len(keep)))
            )
            there = Places(points[held], np.zeros((len(held), 0)), ())
            predicted[held] = mean + predictor.predict(there) @ right[:rank]
        known = np.isfinite(predicted[:, 0])
        out[name] = float(pearson(predicted[known], values[known]).mean())
    return out


def markdown(result: dict[str, Any]) -> str:
    """The tables."""
    lines = [
        "# Accuracy",
        "",
        "Pearson correlation by gene within each test section, averaged over the 250 most variable",
        "genes of the training sections; in brackets the 95 % interval of a bootstrap over the",
        "section's spots. A constant prediction counts as 0. *Ceiling*: what a perfect predictor",
        "would reach in view of the counts' own noise. Made by",
        "`make accuracy`. Phantoms, whose truth is known: [phantom.md](phantom.md).",
        "",
    ]
    lines += [
        "How the defaults were chosen: by blocked cross-validation and left-out pairs among C2, C3",
        "and C4; about 25 configurations were also scored with the test cells in view, so that",
        "differences under .01 mean nothing. Without effect, or worse: affine over rigid poses,",
        "B-splines, Macenko's stain vectors, minimum/maximum autocorrelation factors of the",
        "features, other ladders of spatial lengths, Matern kernels, ranks of 6 to 64, genes of",
        "unit variance, priors that tie components' weights, three scales of visual words.",
        "",
    ]
    for name in ("her2st", "heart3d"):
        lines += [f"## {name}", ""]
        if not isinstance(result.get(name), list):
            lines += [str(result.get(name)), ""]
            continue
        lines += [
            "| train | test | predictor | Pearson | ceiling | ridge | knn | nearest | mean | s |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for found in result[name]:
            for section, r in found["sections"].items():
                base = " | ".join(
                    f"{found['baselines'][b][section]:.3f}" if b in found["baselines"] else "-"
                    for b in ("ridge", "knn", "nearest", "mean")
                )
                ceiling = f"{r['ceiling']:.2f}" if r["ceiling"] else "-"
                lines.append(
                    f"| {' '.join(found['train'])} | {section} | {found['predictor']} | "
                    f"{r['pearson']:.3f} ({r['low']:.3f} to {r['high']:.3f}) | {ceiling} | "
                    f"{base} | {found['seconds']} |"
                )
        lines += ["", "Commands:", ""]
        lines += [f"    {c}" for c in dict.fromkeys(f["command"] for f in result[name])]
        lines.append("")
    lines += ["## bdtnp (place alone)", ""]
    own = result.get("bdtnp")
    if isinstance(own, dict):
        lines += [
            "| held out | gp-place | knn | nearest | mean |",
            "| --- | --- | --- | --- | --- |",
        ]
        for held, scores in own["pearson"].items():
            lines.append(f"| {held} | " + " | ".join(f"{v:.3f}" for v in scores.values()) + " |")
        lines += ["", f"    {own['command']}", ""]
    else:
        lines += [str(own), ""]
    return "\n".join(lines)


def main() -> None:
    """Run what is there and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=Path, default=Path("build/studies"))
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--only", choices=["her2st", "heart3d", "bdtnp"])
    options = parser.parse_args()
    place = options.out / "accuracy.json"
    result: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    for name in ("her2st", "heart3d"):
        study = options.studies / f"{name}.zarr"
        if options.only in (None, name) and not study.exists():
            manifest = Path(__file__).parents[2] / "docs" / "examples" / f"{name}.yaml"
            if not io.check(manifest, options.shared):
                io.import_study(manifest, study, root=options.shared)
    jobs: dict[str, tuple[Path, Callable[[], Any]]] = {
        "her2st": (options.studies / "her2st.zarr", lambda: her2st(options.studies)),
        "heart3d": (options.studies / "heart3d.zarr", lambda: heart3d(options.studies)),
        "bdtnp": (options.shared / "bdtnp", lambda: bdtnp(options.shared)),
    }
    for name, (needed, work) in jobs.items():
        if options.only in (None, name):
            result[name] = work() if needed.exists() else f"Not run: {needed.name} was absent."
            place.write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "accuracy.md").write_text(markdown(result))


if __name__ == "__main__":
    main()
