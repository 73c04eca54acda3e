"""What an export will weigh, part by part, before anything is written."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_viewer.export.lowrank import CHUNK, LowRank
from vortex_viewer.export.pyramid import GZIP, Layout, Pyramid, coding_of

SAMPLES = 6
LOADING_RATIO = 0.93  # float32 loadings hardly shrink
BYTES_A_GENE = 110  # its row of the gene list


@dataclass(frozen=True)
class Part:
    """One part of the export: whose, what, how large (estimated), how many files."""

    study: str
    what: str
    size: int
    files: int


@dataclass(frozen=True)
class SizeReport:
    """The whole export's weight. ``str(report)`` is a table for people."""

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(part.size for part in self.parts)

    @property
    def files(self) -> int:
        """All files."""
        return sum(part.files for part in self.parts)

    def __str__(self) -> str:
        width = max((len(f"{p.study}: {p.what}") for p in self.parts), default=8)
        rows = [
            f"{f'{p.study}: {p.what}':<{width}}  {megabytes(p.size):>10}  {p.files:>6} files"
            for p in self.parts
        ]
        rows.append(f"{'total':<{width}}  {megabytes(self.size):>10}  {self.files:>6} files")
        return "\n".join(rows)

    def require(self, max_size: int | None) -> None:
        """Refuse what is larger than ``max_size`` bytes.

        Raises
        ------
        VortexError
            That names what to leave out, and how much each saves.
        """
        if max_size is None or self.size <= max_size:
            return
        savings = [p for p in sorted(self.parts, key=lambda p: -p.size) if p.what != "viewer"]
        finest = [p for p in savings if p.what == "morphology, level 0"]
        advice = []
        if finest:
            saved = sum(p.size for p in finest)
            advice.append(
                f"the finest level of the morphology (leave_out=1 saves {megabytes(saved)})"
            )
        factors = [p for p in savings if "factors" in p.what]
        if factors:
            saved = sum(p.size for p in factors)
            advice.append(
                f"genes (factors of all genes take {megabytes(saved)}; fewer genes than factors "
                "take a share of it)"
            )
        if len({p.study for p in savings}) > 1:
            advice.append(f"a study (the largest part is of {savings[0].study})")
        raise VortexError(
            f"The export would take {megabytes(self.size)}, more than the {megabytes(max_size)} "
            f"that were allowed. Leave out {', or '.join(advice) or 'a study'}.\n{self}"
        )


def megabytes(size: float) -> str:
    """A size for people."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size:.0f} B"


def plan_site(
    studies: Sequence[Path],
    *,
    genes: Sequence[str] | None = None,
    layout: Layout = "shards",
    leave_out: int = 0,
) -> SizeReport:
    """Estimate an export's size by compressing a few chunks of every level.

    Parameters
    ----------
    studies
        Folders NAME.zarr.
    genes
        Names; all that were predicted when None.
    leave_out
        How many of the finest levels of the morphology stay behind.
    """
    parts = []
    for path in studies:
        study = Study.open(path)
        if study.has_morphology:
            pyramid = Pyramid.of(study.morphology, leave_out)
            for number, grid in enumerate(pyramid.grids):
                parts.append(
                    Part(
                        study.name,
                        f"morphology, level {number}",
                        _image_size(pyramid, grid),
                        pyramid.files(grid, layout),
                    )
                )
            for name in study.label_names:
                parts.append(_label_part(study, name, leave_out, layout))
        if study.derived_ids("predictions"):
            parts.append(_prediction_part(study, genes, layout))
        parts.append(Part(study.name, "picture and gene list", 90_000, 3))
    return SizeReport(tuple(parts))


def _image_size(pyramid: Pyramid, grid: Grid) -> int:
    have = {level.grid: level for level in pyramid.image.levels}
    raw = pyramid.channels * int(np.prod(grid.shape, dtype=np.int64))
    level = have.get(grid, pyramid.image.levels[-1])
    codings = None if pyramid.labels else coding_of(pyramid.image)
    whole = packed = 0
    shape, size = level.grid.shape, pyramid.chunks(level.grid)
    for sample in range(SAMPLES):
        c = sample % pyramid.channels
        # spread over the block along its diagonal, so that glass and tissue both count
        part = (sample + 0.5) / SAMPLES
        box = tuple(
            slice(start, start + edge)
            for start, edge in (
                (int(max(0, n - e) * part), e) for n, e in zip(shape, size, strict=True)
            )
        )
        block = np.asarray(level.array[c, box[0], box[1], box[2]])
        codes = codings[c].encode(block) if codings else block.astype(np.uint8)
        whole += codes.size
        packed += len(zlib.compress(np.ascontiguousarray(codes).tobytes(), GZIP))
    return int(raw * packed / max(whole, 1))


def _label_part(study: Study, name: str, leave_out: int, layout: Layout) -> Part:
    pyramid = Pyramid.of(study.label(name), leave_out, labels=True)
    size = sum(_image_size(pyramid, grid) for grid in pyramid.grids)
    files = sum(pyramid.files(grid, layout) for grid in pyramid.grids)
    return Part(study.name, f"labels {name}", size, files)


def _prediction_part(study: Study, genes: Sequence[str] | None, layout: Layout) -> Part:
    lowrank = LowRank.of(Prediction.load(study), genes)
    mask = lowrank.prediction.mask
    where = np.argwhere(mask)
    ratio = 0.9
    if len(where):
        z, y, x = where[len(where) // 2]
        start = [
            max(0, min(p - CHUNK // 2, n - CHUNK))
            for p, n in zip((z, y, x), mask.shape, strict=True)
        ]
        stop = [min(s + CHUNK, n) for s, n in zip(start, mask.shape, strict=True)]
        block = lowrank.read(tuple(start), tuple(stop))
        span = max(float(np.ptp(block)), 1e-9)
        codes = ((block - block.min()) / span * 255).astype(np.uint8)
        ratio = len(zlib.compress(codes.tobytes(), GZIP)) / max(codes.size, 1)
    raw = sum(lowrank.rank * int(np.prod(g.shape, dtype=np.int64)) for g in lowrank.grids)
    share = float(mask.mean())
    size = int(raw * min(1.0, ratio * max(share, 0.02) ** 0.5 if share < 0.5 else ratio))
    size += int(lowrank.rank * len(lowrank.genes) * 4 * LOADING_RATIO)
    size += BYTES_A_GENE * len(lowrank.genes)
    per = 4 * CHUNK if layout == "shards" else CHUNK
    files = sum(int(np.prod([-(-n // per) for n in g.shape])) + 4 for g in lowrank.grids)
    what = f"factors and loadings of {len(lowrank.genes)} genes"
    return Part(study.name, what, size, files)
