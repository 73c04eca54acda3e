"""Writes docs/accuracy.md and docs/accuracy.json: every number beside the command that made it.

    .venv/bin/python tests/bench/accuracy.py [--studies DIR] [--shared DIR] [--only NAME ...]

Studies that are not in DIR are imported from ``docs/examples`` first, phantoms are made; what has
no data is left out and said so. BDTNP is read from ``--shared`` (84 genes at 3,039 places of an
embryo's surface). With ``--only`` the other parts stay as docs/accuracy.json has them.
``--encoder`` may be given several times; bars hold for the first.

The JSON: ``rows`` (name, value, interval, bar, holds) and ``parts``, what each part found. The
page is drawn by ``accuracy_page.py``; what phantoms truly express, by ``phantom_truth.py``.
"""

# ruff: noqa: T201 -- tells what it is at

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_page import markdown

from vortex_model import io
from vortex_model.evaluate import evaluate
from vortex_model.expression import select_genes
from vortex_model.features import Features, compute_features
from vortex_model.metrics import pearson
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.predictors import DEFAULT, Places, Training, create
from vortex_model.predictors.blocks import folds
from vortex_model.study import Study
from vortex_model.training.assess import assess
from vortex_model.training.model import fit_model
from vortex_model.training.samples import Sample, gather
from vortex_model.training.unlike import POINT_UM, Familiar

ENCODERS = ("texture", "pretrained", "learned")
"""Compared on stained sections; the first, what the app uses by itself, has to pass the bars."""
HER2ST = [(["C4"], ["C3", "C5", "C2"], 0.42), (["C4", "C3", "C2"], ["C5"], 0.46)]
PANELS = ("hvg:50", "hvg:1000", "top:250")
PARTS = ("her2st", "heart3d", "bdtnp", "phantoms", "trust", "ablation")
CHOSEN_BY = [(["C3"], ["C2", "C4"]), (["C2"], ["C3", "C4"])]
"""Pairs that choices are made by: C5, and C4 as the only section learned from, stay out of it."""
FAMILIES = {
    "maps": ("",),
    "words": ("words",),
    "maps and words (texture)": ("", "words"),
    "learned features alone": ("learned",),
    "maps and learned features": ("", "learned"),
    "all (learned)": ("", "words", "learned"),
}
"""What the encoder ``learned`` holds, by the family of each group of channels."""
COVER = (0.87, 0.93)
HEART_BETTER = 7
PHANTOMS = {"breast": 21, "prostate": 22, "colorectal": 23}
DEPTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PHANTOM_TRAIN = (["S5"], ["S3", "S7"], ["S2", "S5", "S8"])
Row = dict[str, Any]


def measure(
    study: Path,
    train: Sequence[str],
    test: Sequence[str],
    encoders: Sequence[str],
    predictor: str = DEFAULT,
    genes: Sequence[str] = ("hvg:250",),
    intervals: bool = True,
) -> list[dict[str, Any]]:
    """Evaluations with their command and time; features are computed before the clock starts."""
    opened = Study.open(study)
    found = []
    for encoder in encoders:
        if opened.has_morphology:
            compute_features(opened, encoder)
        for panel in genes:
            start = time.perf_counter()
            result = evaluate(opened, train, test, panel, predictor, encoder, intervals=intervals)
            command = (
                f"vortex-viewer evaluate {study.name} --train {','.join(train)} "
                f"--test {','.join(test)} --genes {panel} --predictor {predictor} "
                f"--encoder {encoder} --json"
            )
            seconds = round(time.perf_counter() - start, 1)
            found.append({"command": command, "seconds": seconds, **result})
            print(f"{study.name}: {predictor}, {encoder}, {panel}, {seconds} s", flush=True)
    return found


def her2st(place: Path, encoders: Sequence[str]) -> list[dict[str, Any]]:
    """C4 to the others, three sections to C5; each part of the kernel alone; other panels."""
    found = []
    for train, test, _ in HER2ST:
        found += measure(place, train, test, encoders)
        found += measure(place, train, test, encoders[:1], "gp-features", intervals=False)
        found += measure(place, train, test, encoders[:1], "gp-place", intervals=False)
        found += measure(place, train, test, encoders[:1], genes=PANELS)
    return found


def heart3d(place: Path, encoders: Sequence[str]) -> list[dict[str, Any]]:
    """Each section from the seven others."""
    names = Study.open(place).section_names
    return [
        row
        for held in names
        for row in measure(place, [n for n in names if n != held], [held], encoders)
    ]


def bdtnp(shared: Path) -> dict[str, Any]:
    """Place alone: Gaussian process against kNN, random and blocked hold-out."""
    values = np.loadtxt(shared / "bdtnp" / "dge.txt", skiprows=1)
    points = np.loadtxt(shared / "bdtnp" / "geometry.txt", skiprows=1)[: len(values)]
    random = np.random.default_rng(0)
    order = random.permutation(len(values))
    hold = {
        "random half": lambda: iter([(order[: len(order) // 2], order[len(order) // 2 :])]),
        "random 90 %": lambda: iter([(order[: len(order) // 10], order[len(order) // 10 :])]),
        "5 spatial blocks": lambda: folds(points),
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


def phantoms(studies: Path, encoders: Sequence[str]) -> list[dict[str, Any]]:
    """Nine sections a block; one, two or three learned from, all others compared with."""
    found = []
    for style, seed in PHANTOMS.items():
        place = studies / f"phantom_{style}.zarr"
        if not place.exists():
            spec = PhantomSpec(
                shape=(80, 240, 240),
                voxel_um=(5.0, 5.0, 5.0),
                seed=seed,
                style=style,
                sections=DEPTHS,
                name=f"phantom, {style}",
            )
            make_phantom(place, spec)
        names = Study.open(place).section_names
        for train in PHANTOM_TRAIN:
            rest = [n for n in names if n not in train]
            found += [{**row, "study": place.stem} for row in measure(place, train, rest, encoders)]
    return found


def trust(studies: Path, encoders: Sequence[str]) -> list[dict[str, Any]]:
    """Reliability against what held-out sections show; how often usual tissue is called unlike."""
    asked = [("her2st", train, test) for train, test, _ in HER2ST]
    asked += [
        (f"phantom_{style}", train, [f"S{n}" for n in range(1, 10) if f"S{n}" not in train])
        for style in PHANTOMS
        for train in PHANTOM_TRAIN
    ]
    found = []
    for name, train, test in asked:
        place = studies / f"{name}.zarr"
        if not place.exists():
            continue
        study = Study.open(place)
        features = Features.load(study, compute_features(study, encoders[0]))
        sample = gather(study, train, features)
        genes = select_genes(sample.measured, "hvg:250")
        model = fit_model(sample, genes, lambda: create(DEFAULT))
        rows = assess(sample, genes, lambda: create(DEFAULT), model.basis.rank).reliability
        known = Familiar.of(sample, features)
        seen, strange = [], []
        for section in test:
            held = gather(study, [section], features)
            seen.append(pearson(model.expression(held.places), held.measured.expression(genes)))
            here = features.at_points(held.places.points_um, POINT_UM)
            strange.append(float((known(here) > 1).mean()) if known is not None else 0.0)
        truth = np.mean(seen, axis=0)
        guess = rows["reliability"].to_numpy()
        found.append(
            {
                "study": name,
                "train": train,
                "reliability": float(guess.mean()),
                "held_out": float(truth.mean()),
                "correlation": float(np.corrcoef(guess, truth)[0, 1]),
                "unlike": dict(zip(test, strange, strict=True)),
            }
        )
        print(f"trust: {name} from {' '.join(train)}", flush=True)
    return found


def ablation(place: Path) -> list[dict[str, Any]]:
    """What each family of features, and each part of the kernel, is worth on HER2ST."""
    study = Study.open(place)
    features = Features.load(study, compute_features(study, "learned"))
    samples: dict[tuple[str, ...], Sample] = {}

    def seen(sections: Sequence[str], families: Sequence[str]) -> Sample:
        key = tuple(sections)
        if key not in samples:
            samples[key] = gather(study, list(sections), features)
        whole = samples[key]
        own = [
            i
            for i, group in enumerate(whole.places.groups)
            if group.rpartition(":")[0].partition(":")[0] in families
        ]
        return Sample(
            whole.measured,
            Places(
                whole.places.points_um,
                whole.places.features[:, own],
                tuple(whole.places.groups[i] for i in own),
            ),
        )

    every = FAMILIES["all (learned)"]
    tried = [(name, families, DEFAULT) for name, families in FAMILIES.items()]
    tried += [("all, without place", every, "gp-features"), ("place alone", every, "gp-place")]
    tried += [("all, ridge", every, "ridge")]
    asked = [(train, test) for train, test, _ in HER2ST] + CHOSEN_BY
    found = []
    for name, families, predictor in tried:
        scores = {}
        for train, tests in asked:
            sample = seen(train, families)
            genes = select_genes(sample.measured, "hvg:250")
            model = fit_model(sample, genes, partial(create, predictor))
            for test in tests:
                held = seen([test], families)
                said = model.expression(held.places)
                score = float(pearson(said, held.measured.expression(genes)).mean())
                scores[f"{' '.join(train)} to {test}"] = score
        found.append({"name": name, "predictor": predictor, "pearson": scores})
        print(f"ablation: {name}", flush=True)
    return found


def rows_of(parts: dict[str, Any], encoder: str) -> list[Row]:
    """Every figure that a bar was set for."""
    rows: list[Row] = []
    for run in _own(parts, "her2st", encoder):
        bar = next(b for train, _, b in HER2ST if sorted(train) == sorted(run["train"]))
        for section, found in run["sections"].items():
            name = f"HER2ST {' '.join(run['train'])} to {section}"
            rows.append(_row(f"{name}, Pearson", found["pearson"], _between(found), [bar, None]))
            rows.append(_row(f"{name}, 90 % covers", found["coverage"], None, list(COVER)))
    hearts = _own(parts, "heart3d", encoder)
    if hearts:
        better = 0
        for run in hearts:
            for section, found in run["sections"].items():
                best = max(b[section] for b in run["baselines"].values())
                better += found["pearson"] > best
                gap = found["pearson"] - best
                rows.append(_row(f"heart3d {section}, Pearson above the best baseline", gap))
        title = f"heart3d, sections of {len(hearts)} where it beats the best baseline"
        rows.append(_row(title, better, None, [HEART_BETTER, None]))
    covered: dict[tuple[int, int], list[float]] = {}
    for run in _own(parts, "phantoms", encoder):
        for found in run["sections"].values():
            key = (len(run["train"]), round(found["distance_um"]))
            covered.setdefault(key, []).append(found["coverage"])
    for (count, distance), values in sorted(covered.items()):
        name = f"Phantoms, {count} section(s), {distance} um off, 90 % covers"
        spread = [float(min(values)), float(max(values))]
        rows.append(_row(name, float(np.mean(values)), spread, list(COVER)))
    return rows


def _own(parts: dict[str, Any], name: str, encoder: str) -> list[dict[str, Any]]:
    found = parts.get(name)
    if not isinstance(found, list):
        return []
    wanted = {"genes": "hvg:250", "predictor": DEFAULT, "encoder": encoder}
    return [r for r in found if all(r[k] == v for k, v in wanted.items())]


def _between(found: dict[str, Any]) -> list[float]:
    return [found["low"], found["high"]]


def _row(
    name: str, value: float, interval: list[float] | None = None, bar: list[Any] | None = None
) -> Row:
    """``bar`` is at least, at most; ``holds`` is None where no bar was set."""
    holds = None
    if bar is not None:
        low, high = bar
        holds = bool((low is None or value >= low) and (high is None or value <= high))
    return {"name": name, "value": value, "interval": interval, "bar": bar, "holds": holds}


def main() -> None:
    """Run what is there and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=Path, default=Path("build/studies"))
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--encoder", action="append")
    options = parser.parse_args()
    encoders = tuple(options.encoder or ENCODERS)
    asked = options.only or PARTS
    place = options.out / "accuracy.json"
    options.studies.mkdir(parents=True, exist_ok=True)
    before: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    parts: dict[str, Any] = before.get("parts", {})
    for name in ("her2st", "heart3d"):
        study = options.studies / f"{name}.zarr"
        if name in asked and not study.exists():
            manifest = Path(__file__).parents[2] / "docs" / "examples" / f"{name}.yaml"
            if not io.check(manifest, options.shared):
                io.import_study(manifest, study, root=options.shared)
    jobs: dict[str, tuple[Path, Callable[[], Any]]] = {
        "her2st": (
            options.studies / "her2st.zarr",
            lambda: her2st(options.studies / "her2st.zarr", encoders),
        ),
        "heart3d": (
            options.studies / "heart3d.zarr",
            lambda: heart3d(options.studies / "heart3d.zarr", encoders[:1]),
        ),
        "bdtnp": (options.shared / "bdtnp", lambda: bdtnp(options.shared)),
        "phantoms": (options.studies, lambda: phantoms(options.studies, encoders[:1])),
        "trust": (options.studies, lambda: trust(options.studies, encoders)),
        "ablation": (
            options.studies / "her2st.zarr",
            lambda: ablation(options.studies / "her2st.zarr"),
        ),
    }
    for name, (needed, work) in jobs.items():
        if name not in asked:
            continue
        start = time.perf_counter()
        parts[name] = work() if needed.exists() else f"Not run: {needed.name} was absent."
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        result = {"rows": rows_of(parts, encoders[0]), "encoder": encoders[0], "parts": parts}
        place.write_text(json.dumps(result, indent=1) + "\n")
        (options.out / "accuracy.md").write_text(markdown(result))


if __name__ == "__main__":
    main()
