"""Writes docs/benchmarks.md and .json: every figure a ratio in one run, its command beside it.

    .venv/bin/python tests/bench/bench.py [SECTION...]

Sections: store, http, kriging, size, memory, workers, network, page, clicks, export, finetune; all
when none is named. Peak memory is measured by tests/bench/memory.py, an hour; here its rows are put
together.
``--small --out FOLDER`` tries on little data whether the browser's rows work.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

from rows import ROOT, write

SECTIONS = (
    "store", "http", "kriging", "size", "memory", "workers", "network", "page", "clicks", "export",
    "finetune",
)  # fmt: skip


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run sections and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []])
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--small", action="store_true", help="little data: does it work at all?")
    options = parser.parse_args()
    if options.small:
        if options.out == ROOT / "docs":
            parser.error("--small measures nothing: name another folder with --out")
        os.environ["VORTEX_BENCH_SMALL"] = "1"
    chosen = options.sections or SECTIONS
    with tempfile.TemporaryDirectory(prefix="vortex-bench-") as work:
        os.environ["XDG_CACHE_HOME"] = f"{work}/cache"
        os.environ["XDG_DATA_HOME"] = f"{work}/data"
        for name in chosen:
            say(f"-- {name}")
            start = time.perf_counter()
            rows = importlib.import_module(f"bench_{name}").rows(Path(work))
            seconds = time.perf_counter() - start
            for row in rows:
                told = "holds" if row.holds else "FAILS"
                say(f"{told}  {row.name}: {row.value:.4g} {row.unit} ({row.better} {row.bar:g})")
            write(options.out, {name: rows}, {name: seconds})
            say(f"   {seconds:.0f} s")


if __name__ == "__main__":
    main()
