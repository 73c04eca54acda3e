"""What a benchmark row is, the machine that it came from, and the page that shows it."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
BENCH = ".venv/bin/python tests/bench/bench.py"


def small() -> bool:
    """Whether everything is to be made small: does it work at all?"""
    return "VORTEX_BENCH_SMALL" in os.environ


@dataclass
class Row:
    """One figure: a ratio or a time taken in one run.

    Attributes
    ----------
    better
        ``at most`` or ``at least`` the bar.
    note
        What was smaller than the bar's own words, or measured only in part.
    """

    name: str
    value: float
    bar: float
    better: str
    unit: str
    command: str
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bar is held."""
        return self.value <= self.bar if self.better == "at most" else self.value >= self.bar


def median_s(work: Callable[[], Any], rounds: int = 7) -> float:
    """Median seconds of some work, after one round that does not count."""
    work()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((ln.split(":")[1].strip() for ln in lines if ln.startswith("model name")), name)
    packages = ("numpy", "scipy", "zarr", "torch", "panel", "vtk", "distributed")
    return {
        "processor": name,
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{p: version(p) for p in packages},
    }


def write(out: Path, found: dict[str, list[Row]], seconds: dict[str, float]) -> None:
    """Write benchmarks.json and benchmarks.md; sections that were not run stay as they were."""
    place = out / "benchmarks.json"
    record: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {"sections": {}}
    for section, rows in found.items():
        record["sections"][section] = {
            "machine": machine(),
            "seconds": round(seconds[section], 1),
            "rows": [{**asdict(row), "holds": row.holds} for row in rows],
        }
    place.write_text(json.dumps(record, indent=1) + "\n")
    (out / "benchmarks.md").write_text(page(record))


def page(record: dict[str, Any]) -> str:
    """The tables as a page."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`. Ratios are taken in one run, times are medians after a warm-up;",
        "seeds are fixed.",
        "",
    ]
    for name, section in record["sections"].items():
        on = ", ".join(f"{k} {v}" for k, v in section["machine"].items())
        lines += [f"## {name}", "", f"{on}; {section['seconds']} s.", ""]
        lines += ["| figure | value | bar | holds |", "| --- | --- | --- | --- |"]
        for row in section["rows"]:
            value, bar = (f"{row[k]:.4g} {row['unit']}".strip() for k in ("value", "bar"))
            told = "yes" if row["holds"] else "**no**"
            note = f" ({row['note']})" if row["note"] else ""
            lines.append(f"| {row['name']}{note} | {value} | {row['better']} {bar} | {told} |")
        commands = dict.fromkeys(row["command"] for row in section["rows"])
        lines += ["", *(f"    {command}" for command in commands), ""]
    return "\n".join(lines)
