"""Peak memory of import, features and serve, each in a process of its own; writes docs/memory.md.

Usage: python tests/bench/memory.py [--data DIR] [--keep DIR] [--steps STEPS] [brain] [phantom]

Rows that are not measured anew are taken from docs/memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).parent / "vortex-viewer")
DRAWN = "() => document.body.dataset.drawn && !document.body.dataset.busy"


@dataclass
class Row:
    """One step on one study."""

    study: str
    step: str
    command: str
    seconds: float
    peak_mib: float


def peak_of(arguments: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak resident MiB of a command; its own process alone."""
    start = time.monotonic()
    process = subprocess.Popen(arguments, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(arguments)}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def peak_of_serving(study: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds to the first whole picture, and peak resident MiB of the server."""
    process = subprocess.Popen(
        [PROGRAM, "serve", str(study), "--port", "0"], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        start = time.monotonic()
        address = next(m[1] for line in process.stdout if (m := re.search(r"(http://\S+)", line)))
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-background-networking"],
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address)
            page.wait_for_function(DRAWN, timeout=120_000)
            seconds = time.monotonic() - start
            for _ in range(12):  # turn it and go through it, as a visitor does
                page.keyboard.press("ArrowRight")
            page.mouse.move(700, 400)
            page.mouse.down()
            page.mouse.move(820, 460, steps=8)
            page.mouse.up()
            page.wait_for_timeout(3000)
            browser.close()
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None
        return seconds, int(peak[1]) / 1024
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    """Run the steps and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, help="keep the studies here")
    parser.add_argument("--steps", default="import,features,serve", help="with --keep: some only")
    parser.add_argument("which", nargs="*", default=["brain", "phantom"])
    options = parser.parse_args()
    work = options.keep or Path(tempfile.mkdtemp(prefix="vortex-memory-"))
    work.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "XDG_CACHE_HOME": str(work / "cache")}
    brain, phantom = work / "brain.zarr", work / "phantom.zarr"
    imports = {
        "brain": (
            "mouse brain, 193 x 271 x 270 voxels",
            brain,
            f"import docs/examples/mouse_brain.yaml {brain} --root {options.data} --overwrite",
        ),
        "phantom": (
            "phantom, 1000 x 857 x 154 voxels, 2 channels",
            phantom,
            f"demo {phantom} --size 154,857,1000 --voxel 4,4,4 --no-finetune --overwrite",
        ),
    }
    record = ROOT / "docs" / "memory.json"
    known = [Row(**row) for row in json.loads(record.read_text())] if record.exists() else []
    rows = {(row.study, row.step): row for row in known}
    for which in options.which:
        title, study, make = imports[which]
        commands = {"import": make, "features": f"features {study}", "serve": f"serve {study.name}"}
        for step in options.steps.split(","):
            command = commands[step]
            if step == "serve":
                seconds, peak = peak_of_serving(study, env)
            else:
                seconds, peak = peak_of([PROGRAM, *command.split()], env)
            shown = command.replace(f"{work}/", "").replace(str(options.data), "../shared/data")
            rows[title, step] = Row(title, step, f"vortex-viewer {shown}", seconds, peak)
            print(rows[title, step], file=sys.stderr)  # noqa: T201
    record.write_text(json.dumps([asdict(row) for row in rows.values()], indent=1) + "\n")
    if options.keep is None:
        shutil.rmtree(work)
    (ROOT / "docs" / "memory.md").write_text(page_of(list(rows.values())))


def page_of(rows: list[Row]) -> str:
    """The table as a page."""
    lines = [
        "# Memory",
        "",
        "Peak resident memory of each step in a process of its own, measured by the operating",
        f"system: {platform.machine()}, {os.cpu_count()} cores, no GPU, Python "
        f"{platform.python_version()}. Made by `.venv/bin/python tests/bench/memory.py`.",
        "",
        "`serve` is the server with one visitor who turned the volume and went through its planes;",
        "its seconds count from the start of the server to the first whole picture.",
        "",
        "| study | step | peak MiB | seconds | command |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.study} | {r.step} | {r.peak_mib:.0f} | {r.seconds:.0f} | `{r.command}` |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
