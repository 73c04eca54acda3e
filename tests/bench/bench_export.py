"""The exported site, timed as its peers were, and its size against the PNG stacks of one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from export_site import GENES, SHAPE, make_block, measure
from PIL import Image
from rows import BENCH, Row, small

from vortex_model.api import Study
from vortex_viewer.export import export_site
from vortex_viewer.scene import palette

LAYERS, PARTS = 7, 12
"""What the demo site shows of a sample: the image alone, and six genes."""


def png_stack_bytes(study: Path) -> int:
    """Bytes of the PNG stacks of morphology and six genes along each axis, from some planes."""
    opened = Study.open(study)
    image, prediction = opened.morphology, opened.prediction()
    level, coding = image.levels[0], image.windows
    gene = np.nan_to_num(prediction.gene(str(prediction.genes.index[0])).values)
    low, high = np.percentile(gene, [2, 98])
    table = (np.asarray(palette.table("magma")) * 1).astype(np.uint8)
    total = 0
    for axis, planes in enumerate(level.grid.shape):
        sizes = []
        for number in range(PARTS):
            at = (2 * number + 1) * planes // (2 * PARTS)
            cut: list[Any] = [slice(None)] * 3
            cut[axis] = at
            voxels = np.asarray(level.array[(slice(None), *cut)], dtype=np.float32)
            gray = np.zeros(voxels.shape[1:], np.float32)
            for plane, (first, last) in zip(voxels, coding, strict=True):
                gray += np.clip((plane - first) / (last - first), 0, 1) * 255 / len(voxels)
            index = at * gene.shape[axis] // planes
            own = np.take(gene, index, axis=axis)
            part = np.clip((own - low) / max(high - low, 1e-9), 0, 1)
            colours = Image.fromarray(table[(part * 255).astype(np.uint8)])
            over = np.asarray(colours.resize(gray.shape[::-1], Image.Resampling.BILINEAR))
            base = np.repeat(gray[..., None], 3, axis=2)
            mixed = (0.15 * base + 0.85 * over * (0.6 + 0.4 * base / 255)).astype(np.uint8)
            sizes.append(packed(gray.astype(np.uint8)) + (LAYERS - 1) * packed(mixed))
        total += int(np.mean(sizes) * planes)
    return total


def packed(pixels: np.ndarray) -> int:
    """Bytes as PNG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.tell()


def rows(work: Path) -> list[Row]:
    """Measure."""
    study, site = work / "block.zarr", work / "site"
    make_block(study, (30, 120, 140) if small() else SHAPE)
    export_site([study], site)
    found = measure(site, visits=1 if small() else 3)
    stacks = png_stack_bytes(study)
    command = f"{BENCH} export"
    size = " x ".join(str(n) for n in reversed(SHAPE))
    new, seen = found["gene_new_ms"], found["gene_seen_ms"]
    at_most = [
        ("first picture (slices) after the page opens", found["first_slices_ms"], 1000.0, "ms",
         f"{size}, {GENES} genes; 3D too after {found['first_picture_ms']} ms"),
        ("volume data sent before all panes stand", found["first_picture_data_bytes"] / 1e6, 1.0,
         "MB", ""),
        ("gene not seen before: choice to changed slices", new["slice"], 200.0, "ms", ""),
        ("gene not seen before: choice to changed 3D", new["volume"], 200.0, "ms", ""),
        ("gene seen before: choice to changed slices", seen["slice"], 60.0, "ms", ""),
        ("gene seen before: choice to changed 3D", seen["volume"], 60.0, "ms", ""),
        (f"the whole with {GENES} genes, over PNG stacks of six", found["site_bytes"] / stacks,
         0.1, "", f"{found['site_bytes'] / 1e6:.0f} MB of {stacks / 1e9:.1f} GB; PNG from "
         f"{PARTS} planes an axis"),
    ]  # fmt: skip
    made = [
        Row(name, value, bar, "at most", unit, command, note)
        for name, value, bar, unit, note in at_most
    ]
    made += [
        Row("crosshair drag: slices", found["drag_slices_per_s"], 20.0, "at least", "/s", command),
        Row("frames while turning, software WebGL", found["turn_frames_per_s"], 5.0, "at least",
            "/s", command),
    ]  # fmt: skip
    return made
