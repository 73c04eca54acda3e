"""Peak memory of import, features, fine-tuning and serving, each in a process of its own.

    .venv/bin/python tests/bench/memory.py [--data DIR] [--keep DIR] [--steps STEPS] [WHICH ...]

WHICH: ``brain`` (the light-sheet mouse brain), ``block`` (1000 x 857 x 154 voxels, two channels),
``giga`` (4250 x 4000 x 230, two channels, 7.8 gigavoxels, by the encoder ``coarse``; 16 GB of
files, 10 GB of study, half an hour). Block and giga are one phantom of 230 x 1000 x 1063 voxels,
mirrored side by side and written plane by plane as OME-TIFF with the spots of a section, so that
both are imported as a user's files are. Writes docs/memory.md; rows that are not measured anew
come from memory.json.
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

import anndata
import numpy as np
import tifffile
from playwright.sync_api import sync_playwright

from vortex_model.study import Study

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).parent / "vortex-viewer")
PIECE, VOXEL_UM = (230, 1000, 1063), 2.0
SHAPES = {"block": (154, 857, 1000), "giga": (230, 4000, 4250)}
ENCODERS = {"brain": "texture", "block": "texture", "giga": "coarse"}
STEPS = ("import", "features", "finetune", "serve")
MANIFEST = """version: 1
name: Mirrored phantom
modality: light-sheet
volume:
  path: volume.ome.tif
  channels: [{name: nuclei, role: nuclear}, {name: cytoplasm, role: cytoplasm}]
sections:
  - {name: S1, format: h5ad, path: section.h5ad, spatial: spatial, um_per_pixel: 1,
     spot_diameter_um: 55}
"""
DRAWN = "() => document.body.dataset.drawn && !document.body.dataset.busy"


@dataclass
class Row:
    """One step on one study."""

    study: str
    step: str
    command: str
    seconds: float
    peak_mib: float


def write_mirrored(piece: Study, shape: tuple[int, int, int], folder: Path) -> None:
    """OME-TIFF, section and manifest of a phantom mirrored to fill a shape."""
    folder.mkdir(parents=True, exist_ok=True)
    array = piece.morphology.levels[0].array
    grow = [(0, n - m) for n, m in zip(shape[1:], PIECE[1:], strict=True)]

    def planes():
        for channel in range(2):
            for z in range(shape[0]):
                plane = np.asarray(array[channel, z])
                kept = plane[: min(shape[1], PIECE[1]), : min(shape[2], PIECE[2])]
                yield np.pad(kept, np.maximum(grow, 0), mode="symmetric")

    sizes = {f"PhysicalSize{axis}": VOXEL_UM for axis in "XYZ"}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    tifffile.imwrite(
        folder / "volume.ome.tif",
        planes(),
        shape=(2, *shape),
        dtype=np.uint16,
        bigtiff=True,
        metadata={"axes": "CZYX", **sizes, **units},
    )
    section = piece.section(piece.section_names[0])
    points = np.asarray(section.obsm["spatial"])
    depth, height, width = (n * VOXEL_UM for n in shape)
    parts = []
    for row, column in np.ndindex(-(-shape[1] // PIECE[1]), -(-shape[2] // PIECE[2])):
        part, at = section.copy(), points.copy()
        for axis, number, size in ((1, row, PIECE[1]), (0, column, PIECE[2])):
            # pixel i of a mirrored piece is pixel 2 size - 1 - i
            own = at[:, axis] if number % 2 == 0 else (size - 1) * VOXEL_UM - at[:, axis]
            at[:, axis] = own + number * size * VOXEL_UM
        inside = (at[:, 0] < width - 60) & (at[:, 1] < height - 60) & (at[:, 2] < depth)
        part.obsm["spatial"] = at
        part.obs_names = [f"{name}-{row}-{column}" for name in part.obs_names]
        parts.append(part[inside])
    anndata.concat(parts, merge="same").write_h5ad(folder / "section.h5ad")
    (folder / "mirrored.yaml").write_text(MANIFEST)


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
    parser.add_argument("--steps", default=",".join(STEPS), help="with --keep: some only")
    parser.add_argument("which", nargs="*", default=["brain", "block"])
    options = parser.parse_args()
    work = options.keep or Path(tempfile.mkdtemp(prefix="vortex-memory-"))
    work.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "XDG_CACHE_HOME": str(work / "cache")}
    record = ROOT / "docs" / "memory.json"
    known = [Row(**row) for row in json.loads(record.read_text())] if record.exists() else []
    rows = {(row.study, row.step): row for row in known}
    for which in options.which:
        study = work / f"{which}.zarr"
        if which == "brain":
            title = "mouse brain, 193 x 271 x 270 voxels"
            source = f"docs/examples/mouse_brain.yaml {study} --root {options.data}"
        else:
            title = "phantom, {2} x {1} x {0} voxels, 2 channels".format(*SHAPES[which])
            source = f"{work}/{which}/mirrored.yaml {study}"
            if "import" in options.steps:
                make(work, which, env)
        commands = {
            "import": f"import {source} --overwrite",
            "features": f"features {study} --encoder {ENCODERS[which]}",
            "finetune": f"finetune {study} --encoder {ENCODERS[which]}",
            "serve": f"serve {study}",
        }
        for step in options.steps.split(","):
            command = commands[step]
            if step == "finetune" and not Study.open(study).section_names:
                continue
            if step == "serve":
                seconds, peak = peak_of_serving(study, env)
            else:
                seconds, peak = peak_of([PROGRAM, *command.split()], env)
            shown = command.replace(f"{work}/", "").replace(str(options.data), "../shared/data")
            rows[title, step] = Row(title, step, f"vortex-viewer {shown}", seconds, peak)
            print(rows[title, step], file=sys.stderr, flush=True)  # noqa: T201
            write(record, list(rows.values()))
    if options.keep is None:
        shutil.rmtree(work)


def make(work: Path, which: str, env: dict[str, str]) -> None:
    """The files that are imported, unless they are there."""
    piece = work / "piece.zarr"
    if not piece.exists():
        size, voxel = (",".join(map(str, n)) for n in (PIECE, (VOXEL_UM,) * 3))
        words = f"demo {piece} --size {size} --voxel {voxel} --no-finetune --sections 0.3"
        subprocess.run([PROGRAM, *words.split()], env=env, check=True)
    if not (work / which / "mirrored.yaml").exists():
        write_mirrored(Study.open(piece), SHAPES[which], work / which)


def write(record: Path, rows: list[Row]) -> None:
    """The rows, and the page of them."""
    record.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    record.with_suffix(".md").write_text(page_of(rows))


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
        "The two phantoms share the machine with other work, so their seconds are upper bounds.",
        "",
        "Of 7.8 gigavoxels, features by `texture` (`vortex-viewer features giga.zarr`) were",
        "stopped after 8 minutes on the busy machine: 73 of 2,176 parts, a peak of 2,388 MiB.",
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
