"""An evaluation as one plot: Pearson by what was compared, baselines and ceiling beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vortex_model.errors import VortexError

FORMATS = (".png", ".svg", ".pdf")
MARKS = {"ridge": "s", "knn": "^", "nearest": "v", "mean": "x"}
COLOURS = ("#3b528b", "#d1495b", "#2a9d8f", "#8a5a9e", "#b8860b", "#4d4d4d")
GREY = "#8c8c8c"


def check_name(path: Path) -> None:
    """Refuse a name that no plot can be written to.

    Raises
    ------
    VortexError
        When the name ends otherwise than in one of ``FORMATS``.
    """
    if path.suffix.lower() not in FORMATS:
        raise VortexError(f"{path.name}: a plot ends in {', '.join(FORMATS)}. Choose one of them.")


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw an evaluation to a file.

    Parameters
    ----------
    result
        From :func:`vortex_model.evaluate.evaluate` or ``evaluate_studies``.

    Raises
    ------
    VortexError
        When the name says no known format, or the file cannot be written.
    """
    check_name(path)
    figure = plot(result)
    try:
        figure.savefig(path, dpi=160)
    except OSError as error:
        raise VortexError(f"{path} cannot be written: {error.strerror}.") from error


def plot(result: dict[str, Any]) -> Figure:
    """Each unit a row: Pearson with its interval, run by run; baselines and ceiling in grey."""
    runs = result.get("runs", [result])
    units = list(runs[0]["sections"])
    covered = any(row["coverage"] is not None for r in runs for row in r["sections"].values())
    figure = Figure(figsize=(9 if covered else 7, 1.8 + 0.36 * len(units)), layout="constrained")
    grid = figure.add_gridspec(1, 1 + covered, width_ratios=[3, 1][: 1 + covered])
    axes: list[Axes] = [figure.add_subplot(grid[0])]
    _scores(axes[0], runs, units)
    if covered:
        axes.append(figure.add_subplot(grid[1], sharey=axes[0]))
        axes[1].tick_params(labelleft=False)
        _coverage(axes[1], runs, units)
    axes[0].set_yticks(range(len(units)), units)
    axes[0].set_ylim(len(units) - 0.5, -0.5)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _scores(axes: Axes, runs: list[dict[str, Any]], units: list[str]) -> None:
    first = runs[0]
    rows = np.arange(len(units))
    for name, found in first["baselines"].items():
        if name == first["predictor"]:
            continue
        values = [found[u] for u in units]
        axes.plot(values, rows, MARKS.get(name, "d"), color=GREY, ms=5, ls="", label=name)
    ceilings = [first["sections"][u]["ceiling"] for u in units]
    if all(c is not None for c in ceilings):
        axes.plot(ceilings, rows, "|", color=GREY, ms=14, mew=2, label="noise ceiling")
    for number, (run, offset) in enumerate(zip(runs, _offsets(len(runs)), strict=True)):
        own = [run["sections"].get(u) for u in units]
        there = [n for n, row in enumerate(own) if row is not None]
        middle = np.array([own[n]["pearson"] for n in there])
        reach = [
            np.abs(np.array([own[n][side] for n in there]) - middle) for side in ("low", "high")
        ]
        axes.errorbar(
            middle,
            rows[there] + offset,
            xerr=reach,
            fmt="o",
            ms=6,
            lw=1.5,
            color=COLOURS[number % len(COLOURS)],
            label=_label(run, runs),
        )
    axes.set_xlabel("Pearson r within the section, mean over genes (95 % interval)")
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.grid(axis="x", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _coverage(axes: Axes, runs: list[dict[str, Any]], units: list[str]) -> None:
    axes.axvspan(87, 93, color="#eeeeee")
    axes.axvline(90, color=GREY, lw=1)
    for number, (run, offset) in enumerate(zip(runs, _offsets(len(runs)), strict=True)):
        for row, unit in enumerate(units):
            found = run["sections"].get(unit)
            if found is None or found["coverage"] is None:
                continue
            low, high = (100 * v for v in found["coverage_genes"])
            colour = COLOURS[number % len(COLOURS)]
            axes.plot([low, high], [row + offset] * 2, color=colour, lw=1.5)
            axes.plot(100 * found["coverage"], row + offset, "o", color=colour, ms=5)
    axes.set_xlabel("spots within 90 % intervals, %\n(line: genes, 5 % to 95 %)")
    axes.spines[["top", "right"]].set_visible(False)


def _offsets(count: int) -> list[float]:
    return list(np.linspace(-0.2, 0.2, count)) if count > 1 else [0.0]


def _label(run: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    parts = [run["predictor"]]
    for key in ("encoder", "genes"):
        if len({str(r[key]) for r in runs}) > 1:
            parts.append(str(run[key]))
    return ", ".join(parts)
