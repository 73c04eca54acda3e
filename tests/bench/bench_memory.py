"""Peak memory from file to page, of a block and of one thirty times as large.

Measuring takes an hour and 30 GB of disk: rows are made from docs/memory.json, by memory.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from rows import ROOT, Row

BLOCK = "phantom, 1000 x 857 x 154 voxels, 2 channels"
GIGA = "phantom, 4250 x 4000 x 230 voxels, 2 channels"
COMMAND = ".venv/bin/python tests/bench/memory.py brain block giga"


def rows(work: Path) -> list[Row]:
    """The highest of import, features, fine-tuning and serving."""
    told = json.loads((ROOT / "docs" / "memory.json").read_text())
    peak = {}
    for study in (BLOCK, GIGA):
        own = [row for row in told if row["study"] == study]
        worst = max(own, key=lambda row: row["peak_mib"])
        minutes = sum(row["seconds"] for row in own) / 60
        steps = ", ".join(f"{row['step']} {row['peak_mib']:.0f}" for row in own)
        peak[study] = (worst["peak_mib"], f"MiB: {steps}; {minutes:.0f} min in all")
    return [
        Row(f"peak memory, import to page, {size}", peak[study][0] / 1024, 3.0, "at most", "GiB",
            COMMAND, peak[study][1])
        for size, study in (("264 M voxels", BLOCK), ("7.8 G voxels by coarse", GIGA))
    ] + [
        Row("... the larger over the smaller", peak[GIGA][0] / peak[BLOCK][0], 1.2, "at most", "",
            COMMAND)
    ]  # fmt: skip
