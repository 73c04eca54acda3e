"""docs/accuracy.md from what accuracy.py found."""

from __future__ import annotations

from typing import Any

INTRODUCTION = """# Accuracy

Pearson correlation by gene within each test section, averaged over the genes; in brackets the
95 % interval of a bootstrap over the section's spots. Genes are chosen on the training sections
(`hvg:250`, the 250 most variable, unless it says otherwise). A constant prediction counts as 0.
*Ceiling*: what a perfect predictor would reach in view of the counts' own noise. *Error*: mean
squared, in normalised expression squared. *Moran's I*: of the prediction, of the measured.
*90 % covers*: share of held-out spots within their 90 % intervals; in brackets the 5 % and 95 %
quantiles over genes. Made by `make accuracy`. What phantoms truly express is in
[phantom.md](phantom.md).

How the defaults were chosen: by blocked cross-validation and left-out pairs among C2, C3 and C4;
about 180 configurations were also scored with the test cells in view, so that differences under
.01 mean nothing. Without effect, or worse: affine over rigid poses, B-splines, Macenko's stain
vectors, minimum/maximum autocorrelation factors of the features, other ladders of spatial lengths,
Matern kernels, ranks of 6 to 64, genes of unit variance, priors that tie components' weights,
three scales of visual words, principal components of the features (16 to 100) and whitened ones,
features clipped, squashed or turned into ranks, other formulas of the counts' noise, decoding by
ridge from left-out scores, products of the kernels of features and place, components of square
roots (.363 on the pairs to choose by, with log1p .384) or of Pearson residuals (.327), each gene's
loadings shrunk by its own evidence, or regressed on fitted scores. What visual words see of pixels
of 0.69 um is soon exhausted: 256 words, patches of 8 or 18 pixels, and a network taught at that
width (alone or beside them all) scored alike. So did networks that others taught: on the pairs to
choose by (.393 from one section, .417 from two), EfficientNet-Lite0 of ImageNet, at 0.69 and 1.37
um, scored .368 and .406 alone and .390 and .416 beside `texture`; one that segments epithelium in
H&E, at 1 and 2 um, .333 and .380 alone and .375 and .412 beside it.

What is left to be won lies in the components more than in the features (this paragraph and the
networks that others taught are single trials, by scripts that are not kept): components of all
sections but the test one, so of three times the spots, with nothing else changed, scored .402 and
.419 (C4 to C3, C5, C2: .408, .386, .367). No such gain was had from one section's own spots: factor
analysis (.394, .418), genes weighted by their counting noise (.392, .417), components of what
neighbouring spots share (.361 to .380, .413 to .416), components regressed on what was fitted, once
or thrice, left out or not (.367 to .390, .407 to .416), a Poisson or negative binomial factor model
of the counts (from one .386 and .389, read linearly; .348 and .359 read as its rates). Spots of
other patients beside (A1, A2, B4, with a third of the say, expression alone) changed nothing on the
pairs (.393, .419) and .003 to .008 on the test cells (.401, .375, .361), within noise, and were not
kept.
"""

TRUST = """Intervals: residuals of spatial blocks that were held out, divided by the predictor's
deviation and the spot's own noise together, and their quantiles by gene (`vortex_model.trust`).
Tried on HER2ST (C4 to C3, C5, C2; three sections to C5) and on a phantom of nine sections, and
without effect within .01 of coverage: noise that depends on the predicted level as counts do;
whole sections held out beside or instead of blocks (of two sections, one alone learns too
differently, and intervals came out too narrow: .85); smaller blocks; quantiles drawn towards those
of all genes. Dividing by no predicted variance covered .92 near the measured section and .80 far
from it on the phantom, and .89 at either with it.

Reliability is what a gene's Pearson correlation on held-out blocks is. Where several sections were
measured, blocks lie at another place in each: with the same place held out in all, reliability
fell short of what other sections show by .03 (HER2ST, three sections) to .25 (kNN, phantom).
*Unlike*: how much of held-out sections, which are usual tissue, is called unlike the measured
spots; by construction about 1 % is.
"""


ABLATION = """HER2ST, 250 most variable genes. Choices were made by the pairs that learn from C3 or
C2 alone. A second run of the encoder `learned`, whose views were taken from larger fields, scored
.376 over all eight pairs where the first scored .380 and texture .374: what it adds is little more
than what two runs differ by. Without effect on the pairs to choose by, or worse, beside what is
listed above: features learned by VICReg in the same time (they nearly collapsed to a few
directions); a second scale (2.7 um a pixel); windows of 80, 200 and 450 um in place of two; the
mean of two networks' features; weights by group of features found by marginal likelihood; other
weights of a family (2 to 20 times); the mean of predictions by texture and by learned features;
whitening within a group, which helps hand-made features a little (.385 against .382, C4 to C3) and
hurts learned ones.

What the default's last parts brought, by texture, one after the other. From one: mean of C2 to C3
and C4, C3 to C2 and C4. From two: mean over two of C2, C3, C4 to the third. Those chose; the rest
are the test cells (`tests/bench/beside.py parts`).

| part | from one | from two | C4 to C3, C5, C2 | three to C5 |
| --- | --- | --- | --- | --- |
| before | .388 | .406 | .387, .368, .347 | .399 |
| components weighted by the spots' counts | .392 | .411 | .396, .372, .348 | .395 |
| RBFs of three lengths in place of one | .393 | .415 | .397, .372, .351 | .398 |
| components of 500 variable genes beside the panel's | .393 | .414 | .398, .371, .353 | .402 |
| place within a section | .393 | .417 | .398, .371, .353 | .409 |
| all of them, from pixels of 1.37 um in place of 0.69 | .385 | .415 | .394, .369, .352 | .403 |

On phantoms, whose sections have nothing of their own, place within a section cost nothing to speak
of at a length of three spot pitches, and more at one (a trial, not kept).
"""


def markdown(result: dict[str, Any]) -> str:
    """The page."""
    parts = result["parts"]
    lines = [INTRODUCTION, "## Bars", "", *_bars(result["rows"]), ""]
    for name, title in (("her2st", "HER2ST"), ("heart3d", "heart3d"), ("phantoms", "Phantoms")):
        lines += [f"## {title}", ""]
        found = parts.get(name, "Not run.")
        lines += [found, ""] if isinstance(found, str) else [*_runs(found), ""]
    lines += ["## bdtnp (place alone)", ""]
    own = parts.get("bdtnp", "Not run.")
    lines += [own, ""] if isinstance(own, str) else [*_places(own), ""]
    lines += ["## Trust", "", TRUST]
    own = parts.get("trust", "Not run.")
    lines += [own, ""] if isinstance(own, str) else [*_trust(own), ""]
    lines += ["", "## Ablation", "", ABLATION]
    own = parts.get("ablation", "Not run.")
    lines += [own, ""] if isinstance(own, str) else [*_ablation(own), ""]
    return "\n".join(lines).rstrip() + "\n"


def _bars(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| what | value | interval | bar | holds |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        low, high = row["bar"] or (None, None)
        bar = "-"
        if low is not None:
            bar = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
        between = "-" if row["interval"] is None else "{:.3f} to {:.3f}".format(*row["interval"])
        holds = {None: "-", True: "yes", False: "**no**"}[row["holds"]]
        value = f"{row['value']:.3f}" if isinstance(row["value"], float) else str(row["value"])
        lines.append(f"| {row['name']} | {value} | {between} | {bar} | {holds} |")
    return lines


def _runs(runs: list[dict[str, Any]]) -> list[str]:
    names = ("ridge", "knn", "nearest", "mean")
    head = ["train", "test", "encoder", "genes", "predictor", "Pearson", "ceiling", *names]
    head += ["error", "Moran's I", "variance kept", "90 % covers", "s"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for run in runs:
        for section, row in run["sections"].items():
            cells = [" ".join(run["train"]), section, run["encoder"] or "-", run["genes"]]
            if "study" in run:
                cells[0] = f"{run['study']}: {cells[0]}"
                cells[1] += f" ({row['distance_um']:.0f} um)"
            cells += [run["predictor"]]
            cells += [f"{row['pearson']:.3f} ({row['low']:.3f} to {row['high']:.3f})"]
            cells += ["-" if row["ceiling"] is None else f"{row['ceiling']:.2f}"]
            scores = [run["baselines"].get(n, {}).get(section) for n in names]
            cells += ["-" if s is None else f"{s:.3f}" for s in scores]
            cells += [f"{row['mse']:.3f}", f"{row['moran']:.2f}, {row['moran_measured']:.2f}"]
            cells += [f"{row['variance_kept']:.0%}", _covers(row), str(run["seconds"])]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Paired with the best baseline (patches of spots drawn):", ""]
    for run in runs:
        found = run["against"]
        if found is not None:
            lines.append(
                f"- {' '.join(run['train'])} to {' '.join(run['sections'])}, {run['predictor']}, "
                f"{run['encoder']}, {run['genes']}: {found['difference']:+.3f} "
                f"({found['low']:+.3f} to {found['high']:+.3f}) against {found['baseline']}, "
                f"p = {found['p']:.2g}."
            )
    lines += ["", "Commands:", ""]
    return lines + [f"    {c}" for c in dict.fromkeys(r["command"] for r in runs)]


def _covers(row: dict[str, Any]) -> str:
    if row["coverage"] is None:
        return "-"
    low, high = row["coverage_genes"]
    return f"{row['coverage']:.1%} ({low:.0%} to {high:.0%})"


def _places(own: dict[str, Any]) -> list[str]:
    lines = ["| held out | gp-place | knn | nearest | mean |", "| --- | --- | --- | --- | --- |"]
    for held, scores in own["pearson"].items():
        lines.append(f"| {held} | " + " | ".join(f"{v:.3f}" for v in scores.values()) + " |")
    return [*lines, "", f"    {own['command']}"]


def _ablation(found: list[dict[str, Any]]) -> list[str]:
    pairs = list(found[0]["pearson"])
    head = ["features", "predictor", *pairs]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    for row in found:
        cells = [row["name"], row["predictor"], *(f"{row['pearson'][p]:.3f}" for p in pairs)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", "    python tests/bench/accuracy.py --only ablation"]


def _trust(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| study | train | reliability | held-out sections show | bias | correlation over genes "
        "| unlike, of held-out sections |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found:
        unlike = ", ".join(f"{name} {share:.1%}" for name, share in row["unlike"].items())
        lines.append(
            f"| {row['study']} | {' '.join(row['train'])} | {row['reliability']:.3f} | "
            f"{row['held_out']:.3f} | {row['reliability'] - row['held_out']:+.3f} | "
            f"{row['correlation']:.2f} | {unlike} |"
        )
    return [*lines, "", "    python tests/bench/accuracy.py --only trust"]
