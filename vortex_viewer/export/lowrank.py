"""A prediction for the browser: factors in eight bits, each chunk with its scale, and loadings.

A gene is ``mean + sum over k of loading[k] * (offset[k] + step[k] * code[k])``, with offset and
step of the chunk that the token lies in. The largest error of a gene at a token is therefore
``sum over k of |loading[k]| * step[k] / 2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import GzipCodec

from vortex_model.expression import UNITS
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent
from vortex_viewer.export.pyramid import GZIP, Layout

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
CHUNK = 32
COARSE_TOKENS = 25_000
"""The level that answers first holds at most so many tokens: under 1 MB at 32 factors."""


@dataclass(frozen=True)
class LowRank:
    """Factors (k, z, y, x) of a prediction by parts, and loadings (k, genes) of chosen genes.

    Few genes need fewer factors than were fitted: then the genes themselves are the factors.
    """

    prediction: Prediction
    genes: tuple[str, ...]
    columns: npt.NDArray[np.int64]

    @classmethod
    def of(cls, prediction: Prediction, genes: Sequence[str] | None = None) -> LowRank:
        """The chosen genes of a prediction; all when none is named.

        Raises
        ------
        UnknownNameError
            When a gene was not predicted.
        """
        table = prediction.genes.index
        if genes is None:
            chosen = [str(g) for g in table]
        else:
            chosen = list(dict.fromkeys(prediction.resolve(g) for g in genes))
        position = {str(g): i for i, g in enumerate(table)}
        columns = np.array([position[g] for g in chosen], dtype=np.int64)
        return cls(prediction, tuple(chosen), columns)

    @property
    def direct(self) -> bool:
        """Whether genes are stored as they are: there are fewer than factors."""
        return len(self.genes) < int(self.prediction.loadings.shape[0])

    @property
    def rank(self) -> int:
        """How many volumes are stored."""
        return len(self.genes) if self.direct else int(self.prediction.loadings.shape[0])

    @property
    def loadings(self) -> Floats:
        """(rank, genes)."""
        if self.direct:
            return np.eye(self.rank, dtype=np.float32)
        return np.asarray(self.prediction.loadings[:, self.columns], dtype=np.float32)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The token lattice, and a coarser one where it is large."""
        fine = self.prediction.grid
        step = self.coarse_step
        return (fine,) if step == (1, 1, 1) else (fine, fine.coarsen(step))

    @property
    def coarse_step(self) -> tuple[int, int, int]:
        """Tokens (z, y, x) that are averaged into one of the coarse level."""
        grid = self.prediction.grid
        step = [1, 1, 1]
        while int(np.prod(grid.coarsen(step).shape)) > COARSE_TOKENS:
            now = grid.coarsen(step)
            axis = min((s, a) for a, s in enumerate(now.spacing_um) if now.shape[a] > 1)[1]
            step[axis] *= 2
        return step[0], step[1], step[2]

    def read(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Floats:
        """Factors (rank, z, y, x) of a part of the lattice."""
        factors = self.prediction.factors_at(start, stop)
        if not self.direct:
            return cast(Floats, factors)
        weight = self.prediction.loadings[:, self.columns].astype(np.float32)
        return np.asarray(np.tensordot(weight.T, factors, axes=1), dtype=np.float32)


@dataclass(frozen=True)
class Ranges:
    """Of every gene in tissue: lowest, highest, 2nd and 98th percentile, standard deviation."""

    low: Floats
    high: Floats
    start: Floats
    end: Floats
    deviation: Floats
    average: Floats


def write_lowrank(
    group: zarr.Group, lowrank: LowRank, layout: Layout, progress: Progress = silent
) -> Ranges:
    """Write factors, scales, mask and loadings; returns what the gene list shows."""
    mask = lowrank.prediction.mask
    fine = _Writer(group, 0, lowrank, mask.shape, layout)
    step = lowrank.coarse_step
    two = len(lowrank.grids) > 1
    slab = CHUNK * step[0] // int(np.gcd(CHUNK, step[0]))
    total = _Moments(lowrank, mask)
    coarse_parts: list[Floats] = []
    mask_parts: list[Mask] = []
    for z in range(0, mask.shape[0], slab):
        stop = min(z + slab, mask.shape[0])
        progress(z / mask.shape[0], f"factors, plane {z} of {mask.shape[0]}")
        block = lowrank.read((z, 0, 0), (stop, *mask.shape[1:]))
        inside = mask[z:stop]
        fine.write(z, block, inside)
        total.add(z, block, inside)
        if two:
            mean, share = _coarser(block, inside, step)
            coarse_parts.append(mean)
            mask_parts.append(share)
    _mask(group, 0, mask, layout)
    fine.finish()
    if two:
        block = np.concatenate(coarse_parts, axis=1)
        inside = np.concatenate(mask_parts, axis=0)
        coarse = _Writer(group, 1, lowrank, inside.shape, layout)
        coarse.write(0, block, inside)
        coarse.finish()
        _mask(group, 1, inside, layout)
    loadings = np.ascontiguousarray(lowrank.loadings.T)
    group.create_array(
        "loadings",
        data=loadings,
        chunks=(min(len(loadings), 4096), loadings.shape[1]),
        compressors=GzipCodec(level=GZIP),
        dimension_names=("gene", "factor"),
    )
    group.attrs["vortex"] = {
        "rank": lowrank.rank,
        "units": UNITS,
        "levels": [
            {"path": f"factors{n}", "scale": f"scale{n}", "mask": f"mask{n}", **g.to_json()}
            for n, g in enumerate(lowrank.grids)
        ],
        "formula": "mean + sum_k loading_k * (offset_k + step_k * code_k); scale holds, for every "
        "chunk, offset and step of every factor",
    }
    return total.ranges()


class _Writer:
    """One level of factors: codes by chunk, and each chunk's offset and step."""

    def __init__(
        self,
        group: zarr.Group,
        number: int,
        lowrank: LowRank,
        shape: tuple[int, ...],
        layout: Layout,
    ) -> None:
        chunks = tuple(min(CHUNK, n) for n in shape)
        counts = tuple(-(-n // c) for n, c in zip(shape, chunks, strict=True))
        shards = tuple(c * min(4, n) for c, n in zip(chunks, counts, strict=True))
        self._group, self._number, self._chunks = group, number, chunks
        self._codes = group.create_array(
            f"factors{number}",
            shape=(lowrank.rank, *shape),
            dtype=np.uint8,
            chunks=(lowrank.rank, *chunks),
            shards=(lowrank.rank, *shards) if layout == "shards" else None,
            compressors=GzipCodec(level=GZIP),
            fill_value=0,
            dimension_names=("factor", "z", "y", "x"),
            config={"write_empty_chunks": True},
        )
        self._scale = np.zeros((*counts, lowrank.rank, 2), dtype=np.float32)

    def write(self, z0: int, block: Floats, inside: Mask) -> None:
        """Planes from ``z0`` on, which begin and end at chunks' faces."""
        codes = np.zeros(block.shape, dtype=np.uint8)
        dz, dy, dx = self._chunks
        for z in range(0, block.shape[1], dz):
            for y in range(0, block.shape[2], dy):
                for x in range(0, block.shape[3], dx):
                    box = (slice(z, z + dz), slice(y, y + dy), slice(x, x + dx))
                    known = inside[box]
                    if not known.any():
                        continue
                    part = block[(slice(None), *box)]
                    offset, step, code = quantise(part[:, known])
                    codes[(slice(None), *box)][:, known] = code
                    at = ((z0 + z) // dz, y // dy, x // dx)
                    self._scale[at] = np.stack([offset, step], axis=1)
        self._codes[:, z0 : z0 + block.shape[1]] = codes

    def finish(self) -> None:
        """Write the scales."""
        self._group.create_array(
            f"scale{self._number}",
            data=self._scale,
            chunks=self._scale.shape,
            compressors=GzipCodec(level=GZIP),
            dimension_names=("z", "y", "x", "factor", "offset_step"),
        )


def quantise(values: Floats) -> tuple[Floats, Floats, npt.NDArray[np.uint8]]:
    """Values (k, n) -> offset (k,), step (k,) and codes (k, n): the full 8 bits of each row."""
    low, high = values.min(axis=1), values.max(axis=1)
    step = ((high - low) / np.float32(255.0)).astype(np.float32)
    safe = np.where(step > 0, step, np.float32(1.0))
    code = np.clip(np.rint((values - low[:, None]) / safe[:, None]), 0, 255).astype(np.uint8)
    return low.astype(np.float32), step, code


def dequantise(codes: npt.NDArray[np.uint8], scale: Floats, chunks: Sequence[int]) -> Floats:
    """What the browser computes: codes (k, z, y, x) and scales (z, y, x, k, 2) -> factors."""
    out = np.empty(codes.shape, dtype=np.float32)
    dz, dy, dx = chunks
    for z, y, x in np.ndindex(*scale.shape[:3]):
        box = np.s_[:, z * dz : (z + 1) * dz, y * dy : (y + 1) * dy, x * dx : (x + 1) * dx]
        offset, step = (scale[z, y, x, :, i][:, None, None, None] for i in (0, 1))
        out[box] = offset + step * codes[box]
    return out


def _mask(group: zarr.Group, number: int, mask: Mask, layout: Layout) -> None:
    chunks = tuple(min(2 * CHUNK, n) for n in mask.shape)
    counts = tuple(-(-n // c) for n, c in zip(mask.shape, chunks, strict=True))
    array = group.create_array(
        f"mask{number}",
        shape=mask.shape,
        dtype=np.uint8,
        chunks=chunks,
        shards=tuple(c * min(8, n) for c, n in zip(chunks, counts, strict=True))
        if layout == "shards"
        else None,
        compressors=GzipCodec(level=GZIP),
        fill_value=0,
        dimension_names=("z", "y", "x"),
        config={"write_empty_chunks": True},
    )
    array[:] = mask.astype(np.uint8)


def _coarser(block: Floats, inside: Mask, step: tuple[int, int, int]) -> tuple[Floats, Mask]:
    weight = inside.astype(np.float32)
    share = _block_sum(weight[None], step)[0]
    total = _block_sum(block * weight, step)
    known = share > 0
    return np.asarray(total / np.where(known, share, 1.0), dtype=np.float32), known


def _block_sum(array: Floats, step: tuple[int, int, int]) -> Floats:
    for axis, size in enumerate(step, start=1):
        array = np.add.reduceat(array, np.arange(0, array.shape[axis], size), axis=axis)
    return array


class _Moments:
    """Ranges of every gene from an even sample of the tissue's tokens."""

    SAMPLE = 60_000

    def __init__(self, lowrank: LowRank, mask: Mask) -> None:
        self._lowrank = lowrank
        self._every = max(1, int(mask.sum()) // self.SAMPLE)
        self._seen = 0
        self._kept: list[Floats] = []

    def add(self, z: int, block: Floats, inside: Mask) -> None:
        del z
        values = block[:, inside]
        first = -self._seen % self._every
        self._kept.append(values[:, first :: self._every])
        self._seen += values.shape[1]

    def ranges(self) -> Ranges:
        lowrank = self._lowrank
        count = len(lowrank.genes)
        rows: dict[str, Any] = {
            name: np.zeros(count, np.float32)
            for name in ("low", "high", "start", "end", "deviation", "average")
        }
        factors = np.concatenate(self._kept, axis=1) if self._kept else np.zeros((1, 0))
        means = lowrank.prediction.genes["mean"].to_numpy()[lowrank.columns]
        loadings = lowrank.loadings
        for begin in range(0, count if factors.shape[1] else 0, 64):
            part = slice(begin, begin + 64)
            values = loadings[:, part].T @ factors + means[part, None]
            rows["low"][part], rows["high"][part] = values.min(axis=1), values.max(axis=1)
            rows["deviation"][part], rows["average"][part] = values.std(axis=1), values.mean(axis=1)
            rows["start"][part], rows["end"][part] = np.percentile(values, [2.0, 98.0], axis=1)
        return Ranges(**rows)


def gene_table(lowrank: LowRank, ranges: Ranges) -> dict[str, Any]:
    """Columns of the gene list, for JSON."""
    table = lowrank.prediction.genes.iloc[lowrank.columns]
    columns: dict[str, Any] = {"name": list(lowrank.genes)}
    for name in ("mean", "reliability", "low", "high"):
        if name in table:
            columns[name] = [_short(v) for v in table[name]]
    columns["min"] = [_short(v) for v in ranges.low]
    columns["max"] = [_short(v) for v in ranges.high]
    columns["start"] = [_short(v) for v in ranges.start]
    columns["end"] = [_short(v) for v in ranges.end]
    columns["deviation"] = [_short(v) for v in ranges.deviation]
    columns["average"] = [_short(v) for v in ranges.average]
    return columns


def _short(value: Any) -> float | None:
    number = float(value)
    return float(f"{number:.6g}") if np.isfinite(number) else None
