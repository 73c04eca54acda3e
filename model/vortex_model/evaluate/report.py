"""An evaluation as one table: rows of text for the terminal, or Markdown.

*Moran's I*: of the prediction, of the measured. *90 % covers*: the share of spots within their
intervals; in brackets the 5 % and 95 % quantiles over genes.
"""

from __future__ import annotations

from typing import Any

Row = list[str]
HEAD = ["compared with", "encoder", "genes", "predictor", "Pearson", "ceiling"]
TAIL = ["error", "Moran's I", "variance kept", "90 % covers"]


def table(result: dict[str, Any]) -> tuple[Row, list[Row]]:
    """Head and rows: a unit and run each; the baselines' Pearson stand in columns of their own."""
    runs = result.get("runs", [result])
    names = list(dict.fromkeys(name for run in runs for name in run["baselines"]))[::-1]
    rows: list[Row] = []
    for run in runs:
        for unit, row in run["sections"].items():
            pearson, ceiling, *rest = _scores(row)
            beside = [_number(run["baselines"].get(name, {}).get(unit)) for name in names]
            named = [unit, run["encoder"] or "-", run["genes"], run["predictor"]]
            rows.append([*named, pearson, ceiling, *beside, *rest])
    return [*HEAD, *names, *TAIL], rows


def sentences(result: dict[str, Any]) -> list[str]:
    """The paired test of each run, and means by distance or number of sections."""
    said = []
    for run in result.get("runs", [result]):
        what = f"{run['predictor']}, {run['encoder'] or 'no morphology'}, {run['genes']}"
        found = run.get("against")
        if found is not None:
            said.append(
                f"{what}: {found['difference']:+.3f} ({found['low']:+.3f} to "
                f"{found['high']:+.3f}) against {found['baseline']}, the best baseline; "
                f"p = {found['p']:.3g}, paired over patches of spots."
            )
        for row in run.get("by_group") or []:
            unit = "um" if run["protocol"] == "depth" else "section(s)"
            covers = "" if row["coverage"] is None else f", 90 % covers {row['coverage']:.1%}"
            said.append(f"{what}: {row['group']:g} {unit}: {row['pearson']:.3f}{covers}.")
    return said


def markdown(result: dict[str, Any]) -> str:
    """The table and its sentences in Markdown."""
    head, rows = table(result)
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    said = sentences(result)
    return "\n".join([*lines, *([""] if said else []), *(f"- {s}" for s in said)]) + "\n"


def _scores(row: dict[str, Any]) -> Row:
    covers = "-"
    if row["coverage"] is not None:
        low, high = row["coverage_genes"]
        covers = f"{row['coverage']:.1%} ({low:.0%} to {high:.0%})"
    return [
        f"{row['pearson']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
        _number(row["ceiling"]),
        _number(row["mse"]),
        f"{row['moran']:.2f} of {row['moran_measured']:.2f}",
        f"{row['variance_kept']:.0%}",
        covers,
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
