"""The paper's claims on phantoms, whose true expression is known; writes docs/claims.md.

    .venv/bin/python tests/bench/claims.py [--work DIR] [--blocks 24] [--held 8] [--steps 400]

Some blocks of the family are held out. Networks are pretrained on the others; in each held-out
block one section is learned from, and predictions are compared with the true expression at the
spots of two others. Figures are means over held-out blocks of the paired difference, with a
bootstrap interval over blocks. All is kept in DIR, so that a stopped run goes on.

1. 3D against 2D: the same encoder on the volume, and on its planes one by one (texture, and the
   pretrained network), for genes that follow 3D structure and for the others.
2. Other blocks and one section, against the section alone and against the other blocks alone; by
   texture, and by a network that was pretrained on the other blocks, or not at all.
3. Pretraining by regression, by alignment, by both.
4. 250 and 1,000 genes.
"""

# ruff: noqa: T201 -- tells what it is at

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
import zarr
from phantom_truth import at_tokens

from vortex_model.expression import select_genes, stack
from vortex_model.features import Features, compute_features
from vortex_model.metrics import interval, pearson
from vortex_model.phantom import PhantomSpec, make_phantom, true_expression, true_genes
from vortex_model.predictors import create
from vortex_model.study import Study
from vortex_model.training.elsewhere import common, gathered, with_others
from vortex_model.training.model import fit_model
from vortex_model.training.pretrain import pretrain
from vortex_model.training.samples import gather, places_at, stacked

STYLES = ("breast", "prostate", "colorectal")
SHAPE, VOXEL_UM = (48, 160, 160), (5.0, 5.0, 5.0)
LEARN, HELD = "S2", ("S1", "S3")
PANELS = ("hvg:250", "hvg:1000")
MIN_SPREAD = 0.02
GROUPS = ("markers", "3d", "others", "fillers", "measured")
DRAWS = 2000
VOLUME = {"patch": [8, 8, 8], "tokens": [3, 3, 3], "window": [3, 3, 3]}
PLANE = {"patch": [1, 8, 8], "tokens": [1, 3, 3], "window": [1, 3, 3]}
SMALL = {"width": 96, "depth": 4, "heads": 3, "rank": 16}
NETWORKS: dict[str, dict[str, Any]] = {
    "both": {**SMALL, **VOLUME},
    "plane": {**SMALL, **PLANE},
    "regression": {**SMALL, **VOLUME, "align": False},
    "alignment": {**SMALL, **VOLUME, "weights": {"regression": 0.0}},
    "untrained": {**SMALL, **VOLUME},
}
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """Where the blocks lie: those that are pretrained on, and those held out."""

    place: Path
    trained: list[Path]
    held: list[Path]


def family(place: Path, blocks: int, held: int) -> Family:
    """Make the blocks that are not there yet; every style in turn, held-out ones evenly."""
    every = max(1, blocks // held)
    trained, tested = [], []
    for number in range(blocks):
        apart = number % every == every - 1 and len(tested) < held
        path = place / ("held" if apart else "trained") / f"block{number:02d}.zarr"
        (tested if apart else trained).append(path)
        if not path.exists():
            style = STYLES[(number + number // len(STYLES)) % len(STYLES)]
            spec = PhantomSpec(
                shape=SHAPE,
                voxel_um=VOXEL_UM,
                seed=100 + number,
                style=style,
                sections=(0.2, 0.5, 0.8),
                name=f"block {number:02d}, {style}",
            )
            make_phantom(path, spec)
            print(f"made {path.name}, {style}", flush=True)
    return Family(place, trained, tested)


def planar(path: Path, place: Path) -> Path:
    """The same block, its planes encoded one by one, as sections are."""
    copy = place / "planes" / path.name
    if not copy.exists():
        shutil.copytree(path, copy, ignore=shutil.ignore_patterns("features", "predictions"))
        (copy / "features").mkdir()
        (copy / "predictions").mkdir()
        for name in ("features", "predictions"):
            zarr.open_group(copy / name, mode="w", zarr_format=3)
        group = zarr.open_group(copy, mode="r+")
        group.attrs["vortex"] = {**group.attrs["vortex"], "modality": "serial-sections"}
    return copy


def network(found: Family, name: str, steps: int) -> Path:
    """Pretrain one of ``NETWORKS`` on the family; a run that is there is not made again."""
    steps = 1 if name == "untrained" else steps
    out = found.place / f"run-{name}-{steps}"
    weights = out / "vortex.safetensors"
    if weights.exists():
        return weights
    recipe = found.place / f"{name}.yaml"
    record = {
        "studies": [str(found.place.resolve() / "trained" / "*.zarr")],
        "voxel_um": list(VOXEL_UM),
        "network": NETWORKS[name],
        "batch": 16,
        "precision": "float32",
        "checkpoint_every": 200,
        "masked": {"steps": steps, "width": 64, "heads": 4},
        "aligned": {"steps": steps, "panel": "hvg:250", "learning_rate": 3e-4},
    }
    recipe.write_text(yaml.safe_dump(record))
    start = time.perf_counter()
    made = pretrain(recipe, out, accelerator="cpu")
    print(f"pretrained {name} in {time.perf_counter() - start:.0f} s", flush=True)
    return made


class Truth:
    """True expression at the spots of the sections that are compared with."""

    def __init__(self, study: Study, genes: Sequence[str]) -> None:
        self.genes = list(genes)
        table = true_genes(study).loc[self.genes]
        self.kind = np.where(table["marker"], table["sees"], "filler")
        self.values: dict[str, Values] = {}
        self.measured = {n: stack({n: study.section(n)}).expression(self.genes) for n in HELD}
        points = {n: np.asarray(study.section(n).obsm["spatial"]) for n in HELD}
        for gene in self.genes:
            volume = true_expression(study, gene)
            for name in HELD:
                column = at_tokens(volume, points[name], 55.0)[:, None]
                before = self.values.get(name)
                self.values[name] = column if before is None else np.hstack([before, column])

    def score(self, guess: dict[str, Values]) -> dict[str, float]:
        """Mean Pearson within a section, by what genes follow; against the measured, all genes."""
        found = np.mean([pearson(guess[n], self.values[n]) for n in HELD], axis=0)
        seen = np.mean([pearson(guess[n], self.measured[n]) for n in HELD], axis=0)
        varies = np.min([self.values[n].std(axis=0) for n in HELD], axis=0) > MIN_SPREAD
        filler, deep = self.kind == "filler", self.kind == "3d"
        groups = {"markers": ~filler, "3d": deep, "others": ~filler & ~deep, "fillers": filler}
        scores = {
            name: float(found[own & varies].mean())
            for name, own in groups.items()
            if (own & varies).any()
        }
        return {**scores, "measured": float(seen.mean())}


def own_section(
    path: Path, encoder: str, genes: Sequence[str], predictor: str
) -> dict[str, Values]:
    """Learn from one section of a block; what is said of the others."""
    study = Study.open(path)
    features = Features.load(study, compute_features(study, encoder))
    model = fit_model(gather(study, [LEARN], features), genes, partial(create, predictor))
    return {n: _at(study, n, features, model.expression) for n in HELD}


def other_blocks(
    found: Family, path: Path, encoder: str, genes: Sequence[str], joined: bool
) -> dict[str, Values]:
    """Learn from the other blocks' sections, alone or with one of this block's beside."""
    others, study = [Study.open(p) for p in found.trained], Study.open(path)
    if joined:
        features = Features.load(study, compute_features(study, encoder))
        own, also = with_others(study, gather(study, [LEARN], features), features, others)
        model = fit_model(own, genes, partial(create, "gp"), also=also)
        return {n: _at(study, n, features, model.expression) for n in HELD}
    *rest, here = common(gathered([*others, study], encoder))
    model = fit_model(stacked(rest), genes, partial(create, "gp-features"))
    return {n: model.expression(here.only([f"{study.name}/{n}"]).places) for n in HELD}


def _at(study: Study, name: str, features: Features, say: Callable[[Any], Values]) -> Values:
    return say(places_at(stack({name: study.section(name)}), features))


def scores(found: Family, steps: int) -> list[dict[str, Any]]:
    """Every way of every held-out block, scored."""
    vortex = {name: f"vortex:{network(found, name, steps)}" for name in NETWORKS}
    rows = []
    for path in found.held:
        study = Study.open(path)
        sample = gather(study, [LEARN], None)
        flat = planar(path, found.place)
        for panel in PANELS:
            genes = select_genes(sample.measured, panel)
            truth = Truth(study, genes)
            ways: dict[str, Callable[[], dict[str, Values]]] = {
                "texture, volume": partial(own_section, path, "texture", genes, "gp"),
                "texture, planes": partial(own_section, flat, "texture", genes, "gp"),
            }
            for name, encoder in (("network", vortex["both"]), ("texture", "texture")):
                for title, joined in (("alone", False), ("and section", True)):
                    way = partial(other_blocks, found, path, encoder, genes, joined)
                    ways[f"{name}, other blocks {title}"] = way
            for name, encoder in vortex.items():
                ways[f"network, {name}"] = partial(own_section, path, encoder, genes, "gp")
            ways["place alone"] = partial(own_section, path, "texture", genes, "gp-place")
            for name, way in ways.items():
                start = time.perf_counter()
                row = {"block": study.name, "panel": panel, "way": name, **truth.score(way())}
                rows.append(row)
                print(
                    f"{study.name}, {panel}, {name}: {row['markers']:.3f} "
                    f"({time.perf_counter() - start:.1f} s)",
                    flush=True,
                )
    return rows


BLOCKS, NETWORK = "texture, other blocks", "network, other blocks"
CLAIMS = (
    ("3D beats planes: texture, 3D genes", "texture, volume", "texture, planes", "3d"),
    ("... the other genes", "texture, volume", "texture, planes", "others"),
    ("3D beats planes: network, 3D genes", "network, both", "network, plane", "3d"),
    ("... the other genes", "network, both", "network, plane", "others"),
    ("other blocks + section beat section", BLOCKS + " and section", "texture, volume", "markers"),
    ("... against what was measured", BLOCKS + " and section", "texture, volume", "measured"),
    ("... beat other blocks alone", BLOCKS + " and section", BLOCKS + " alone", "markers"),
    ("network pretrained beats untrained", "network, both", "network, untrained", "markers"),
    ("... beats texture", "network, both", "texture, volume", "markers"),
    (
        "... with other blocks + section, beats texture's",
        NETWORK + " and section",
        BLOCKS + " and section",
        "markers",
    ),
    ("... beats itself with section alone", NETWORK + " and section", "network, both", "markers"),
    ("regression beats alignment", "network, regression", "network, alignment", "markers"),
    ("both beat regression", "network, both", "network, regression", "markers"),
    ("... against what was measured", "network, both", "network, regression", "measured"),
)
"""What is claimed of which two ways, on which genes."""


def claims(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Paired differences over held-out blocks, with bootstrap intervals."""
    table = {(r["block"], r["panel"], r["way"]): r for r in rows}
    blocks = sorted({r["block"] for r in rows})
    random = np.random.default_rng(0)
    draws = random.integers(len(blocks), size=(DRAWS, len(blocks)))
    found = []
    for panel in PANELS:
        for name, one, other, group in CLAIMS:
            gaps = np.array(
                [
                    table[b, panel, one].get(group, np.nan)
                    - table[b, panel, other].get(group, np.nan)
                    for b in blocks
                ]
            )
            low, high = interval(np.nanmean(gaps[draws], axis=1))
            verdict = "yes" if low > 0 else "no, the reverse" if high < 0 else "not shown"
            found.append(
                {
                    "claim": name,
                    "panel": panel,
                    "first": one,
                    "second": other,
                    "genes": group,
                    "difference": float(np.nanmean(gaps)),
                    "low": float(low),
                    "high": float(high),
                    "blocks_better": int((gaps > 0).sum()),
                    "blocks": len(blocks),
                    "verdict": verdict,
                }
            )
    return found


def markdown(found: Family, steps: int, rows: list[dict[str, Any]]) -> str:
    """The page."""
    size = " x ".join(f"{n * v:g}" for n, v in zip(SHAPE, VOXEL_UM, strict=True))
    lines = [
        "# The paper's claims, where the truth is known",
        "",
        f"{len(found.trained) + len(found.held)} phantoms of {size} um (z, y, x), "
        f"{len(found.held)} of them held out; three styles of tissue. Networks of "
        f"{SMALL['width']} channels and {SMALL['depth']} layers, {steps} steps of masked "
        f"autoencoding and {steps} at spots, on the others. In each held-out block the middle "
        "section is learned from; Pearson correlation by gene with the true expression at the "
        "spots of the two others, averaged over genes. Differences are paired by block; "
        "intervals are 95 %, by bootstrap over blocks. Networks and training are far smaller "
        "than the paper's: what is not shown here may hold at its scale.",
        "",
        "| claim | panel | first | second | genes | difference | interval | better in | shown |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in claims(rows):
        lines.append(
            f"| {row['claim']} | {row['panel']} | {row['first']} | {row['second']} | "
            f"{row['genes']} | {row['difference']:+.3f} | "
            f"{row['low']:+.3f} to {row['high']:+.3f} | {row['blocks_better']} of "
            f"{row['blocks']} | {row['verdict']} |"
        )
    ways = list(dict.fromkeys(r["way"] for r in rows))
    lines += [
        "",
        "Pearson correlation, mean over held-out blocks: markers / those of 3D structure / the "
        "other markers / fillers / all genes against what was measured. Fillers hardly vary in "
        "truth; what is measured of them follows a spot's depth through the logarithm, and so "
        "does what is predicted.",
    ]
    lines += ["", "| way | " + " | ".join(PANELS) + " |", "| --- " * (len(PANELS) + 1) + "|"]
    for way in ways:
        cells = []
        for panel in PANELS:
            own = [r for r in rows if r["way"] == way and r["panel"] == panel]
            means = [np.mean([r[g] for r in own if g in r] or [np.nan]) for g in GROUPS]
            cells.append(" / ".join(f"{m:.3f}" for m in means))
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    total = len(found.trained) + len(found.held)
    lines += ["", f"    python tests/bench/claims.py --blocks {total} --held {len(found.held)} "]
    lines[-1] += f"--steps {steps}"
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the family, pretrain, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/claims"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--held", type=int, default=8)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    found = family(options.work, options.blocks, options.held)
    rows = scores(found, options.steps)
    record = {"claims": claims(rows), "scores": rows}
    (options.out / "claims.json").write_text(json.dumps(record, indent=1) + "\n")
    (options.out / "claims.md").write_text(markdown(found, options.steps, rows))


if __name__ == "__main__":
    main()
