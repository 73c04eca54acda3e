"""Factors on disk: whole numbers by chunk, each chunk with its scale; any part is read alone.

A value is ``offset + step * code``, with offset and step of its chunk and component, so a gene
needs one product of small integers a chunk. One byte a value where that costs every gene at most
``MOST_ROUNDING`` of its own deviation (root mean square), else two. Coarser levels are means over
tissue: a gene is linear in its factors, so a mean of factors is the mean of the gene.

Predictions of before (float16, one level) open as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec

from vortex_model.chunks import ChunkCache, Sizes, Touched, touched
from vortex_model.grid import Grid
from vortex_model.multiscale import level_step

CHUNK = 32
MOST_ROUNDING = 0.01
"""A rounding error of 1 % of a gene's deviation takes 5e-5 off a correlation."""
COARSEST_TOKENS = 64**3
THREADS = 2

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[Any]


@dataclass(frozen=True)
class Factors:
    """One stored array of factors, (k, z, y, x), at one level.

    Attributes
    ----------
    array
        Codes, or the values themselves where ``scale`` is None.
    scale
        Offset and step, (chunks along z, y, x, k, 2); nan where a chunk has no tissue.
    """

    array: zarr.Array[Any]
    scale: Floats | None
    cache: ChunkCache

    @property
    def shape(self) -> Sizes:
        """Tokens along z, y, x."""
        _, z, y, x = self.array.shape
        return z, y, x

    def product(self, weight: Floats, start: Sequence[int], stop: Sequence[int]) -> Floats:
        """``weight . factors`` over a box of the lattice, (z, y, x); 0 where no tissue is stored.

        Only chunks that the box touches and that hold tissue are read.
        """
        out = np.zeros([b - a for a, b in zip(start, stop, strict=True)], dtype=np.float32)
        weight = np.asarray(weight, dtype=np.float32)
        full = [
            t for t in touched(start, stop, self.array.chunks[1:]) if not self._is_empty(t.number)
        ]
        if len(full) < 2 * THREADS:
            self._products(weight, full, out)
            return out
        with ThreadPoolExecutor(THREADS) as pool:
            shares = [full[first::THREADS] for first in range(THREADS)]
            for done in [pool.submit(self._products, weight, share, out) for share in shares]:
                done.result()
        return out

    def _products(self, weight: Floats, chunks: Sequence[Touched], out: Floats) -> None:
        held: Floats | None = None  # one buffer for all chunks: fresh memory costs as much again
        for number, here, there in chunks:
            codes = self.cache.get(self.array, number)[(slice(None), *here)]
            if held is None or held.shape != codes.shape:
                held = np.empty(codes.shape, dtype=np.float32)
            np.copyto(held, codes)
            values = held.reshape(len(codes), -1)
            if self.scale is None:
                made = weight @ values
            else:
                offset, step = self.scale[number].T
                made = (weight * step) @ values
                made += weight @ offset
            out[there] = made.reshape(codes.shape[1:])

    def values(self, start: Sequence[int], stop: Sequence[int]) -> Floats:
        """The factors themselves over a box, (k, z, y, x); 0 where no tissue is stored."""
        size = [b - a for a, b in zip(start, stop, strict=True)]
        out = np.zeros((self.array.shape[0], *size), dtype=np.float32)
        for number, here, there in touched(start, stop, self.array.chunks[1:]):
            if not self._is_empty(number):
                codes = self.cache.get(self.array, number)[(slice(None), *here)]
                out[(slice(None), *there)] = self._decoded(number, codes)
        return out

    def at(self, index: npt.NDArray[np.int64]) -> Floats:
        """The factors at tokens (z, y, x), (n, 3) -> (n, k); each chunk is read once."""
        out = np.zeros((len(index), self.array.shape[0]), dtype=np.float32)
        size = np.asarray(self.array.chunks[1:])
        chunk = index // size
        for own in np.unique(chunk, axis=0) if len(index) else ():
            number = (int(own[0]), int(own[1]), int(own[2]))
            if self._is_empty(number):
                continue
            rows = np.flatnonzero((chunk == own).all(axis=1))
            z, y, x = (index[rows] - own * size).T
            out[rows] = self._decoded(number, self.cache.get(self.array, number)[:, z, y, x]).T
        return out

    def _decoded(self, number: Sizes, codes: Codes) -> Floats:
        values = codes.astype(np.float32)
        if self.scale is None:
            return values
        offset, step = (v.reshape(-1, *([1] * (codes.ndim - 1))) for v in self.scale[number].T)
        return np.asarray(offset + step * values, dtype=np.float32)

    def _is_empty(self, number: Sizes) -> bool:
        return self.scale is not None and bool(np.isnan(self.scale[(*number, 0, 0)]))


@dataclass(frozen=True)
class Level:
    """One resolution of a prediction: its factors, its tissue, its lattice."""

    factors: Factors
    mask: zarr.Array[Any]
    grid: Grid


def read_levels(group: zarr.Group, record: dict[str, Any], cache: ChunkCache) -> list[Level]:
    """The levels of a prediction, finest first; one of a prediction of before."""
    grids = [Grid.from_json(g) for g in record.get("levels", [record["grid"]])]
    return [
        Level(
            read_factors(group, _named("factors", n), cache),
            cast("zarr.Array[Any]", group[_named("mask", n)]),
            grid,
        )
        for n, grid in enumerate(grids)
    ]


def read_factors(group: zarr.Group, name: str, cache: ChunkCache) -> Factors:
    """Factors that :func:`write_factors` wrote, or plain float16 ones."""
    scale = None
    if f"{name}_scale" in group:
        scale = np.asarray(cast("zarr.Array[Any]", group[f"{name}_scale"])[:], dtype=np.float32)
    return Factors(cast("zarr.Array[Any]", group[name]), scale, cache)


def write_levels(
    group: zarr.Group, factors: npt.NDArray[Any], mask: Mask, loadings: npt.NDArray[Any], grid: Grid
) -> dict[str, Any]:
    """Write factors (k, z, y, x) with coarser levels; returns what the prediction records.

    Returns
    -------
    dict
        ``levels`` (grids), ``codes`` (their type), and ``rounding``: the largest root mean
        square error of a gene over its own deviation in tissue.
    """
    rounding = {kind: rounding_error(factors, mask, loadings, kind) for kind in ("uint8", "uint16")}
    kind = "uint8" if rounding["uint8"] <= MOST_ROUNDING else "uint16"
    levels, number = [grid], 0
    while True:
        write_factors(group, _named("factors", number), factors, mask, kind)
        group.create_array(
            _named("mask", number),
            data=mask,
            chunks=tuple(min(CHUNK, n) for n in mask.shape),
            dimension_names=("z", "y", "x"),
        )
        step = level_step(levels[-1])
        if mask.size <= COARSEST_TOKENS or step == (1, 1, 1):
            break
        factors, mask = coarser(factors, mask, step)
        levels.append(levels[-1].coarsen(step))
        number += 1
    return {
        "levels": [g.to_json() for g in levels],
        "codes": kind,
        "rounding": rounding[kind],
    }


def write_factors(
    group: zarr.Group, name: str, factors: npt.NDArray[Any], mask: Mask, kind: str
) -> None:
    """Write codes of ``kind`` and, as ``NAME_scale``, offset and step by chunk and component."""
    k, *zyx = factors.shape
    chunks = [min(CHUNK, n) for n in zyx]
    counts = [-(-n // c) for n, c in zip(zyx, chunks, strict=True)]
    array = group.create_array(
        name,
        shape=(k, *zyx),
        dtype=kind,
        chunks=(k, *chunks),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
        fill_value=0,
        dimension_names=("factor", "z", "y", "x"),
    )
    scale = np.full((*counts, k, 2), np.nan, dtype=np.float32)
    for number in np.ndindex(*counts):
        box = tuple(slice(n * c, (n + 1) * c) for n, c in zip(number, chunks, strict=True))
        inside = mask[box]
        if inside.any():
            part = np.asarray(factors[(slice(None), *box)], dtype=np.float32)
            codes = np.zeros(part.shape, dtype=kind)
            offset, step, codes[:, inside] = quantise(part[:, inside], kind)
            scale[number] = np.stack([offset, step], axis=1)
            array[(slice(None), *box)] = codes
    group.create_array(
        f"{name}_scale",
        data=scale,
        chunks=scale.shape,
        dimension_names=("z", "y", "x", "factor", "offset_step"),
    )


def quantise(values: Floats, kind: str) -> tuple[Floats, Floats, Codes]:
    """Values (k, n) -> offset (k,), step (k,), codes (k, n): each row over the codes' range."""
    most = np.iinfo(kind).max
    low, high = values.min(axis=1), values.max(axis=1)
    step = ((high.astype(np.float64) - low) / most).astype(np.float32)
    safe = np.where(step > 0, step, np.float32(1.0)).astype(np.float64)
    codes = np.clip(np.rint((values - low[:, None]) / safe[:, None]), 0, most)
    return low.astype(np.float32), step, codes.astype(kind)


def rounding_error(
    factors: npt.NDArray[Any], mask: Mask, loadings: npt.NDArray[Any], kind: str
) -> float:
    """Expected rounding error of the worst gene, root mean square, over its own deviation.

    A code's error is even over a step, so its variance is step squared over 12; errors of
    components add up by squared loadings. A gene that does not vary counts as 0.
    """
    k, *zyx = factors.shape
    chunks = [min(CHUNK, n) for n in zyx]
    error, count = np.zeros(k), 0
    total, product = np.zeros(k), np.zeros((k, k))
    for number in np.ndindex(*(-(-n // c) for n, c in zip(zyx, chunks, strict=True))):
        box = tuple(slice(n * c, (n + 1) * c) for n, c in zip(number, chunks, strict=True))
        inside = mask[box]
        if not inside.any():
            continue
        part = np.asarray(factors[(slice(None), *box)], dtype=np.float64)[:, inside]
        error += part.shape[1] * (np.ptp(part, axis=1) / np.iinfo(kind).max) ** 2 / 12
        count += part.shape[1]
        total += part.sum(axis=1)
        product += part @ part.T
    if not count:
        return 0.0
    mean = total / count
    weight = np.asarray(loadings, dtype=np.float64)
    spread = np.einsum("kg,kl,lg->g", weight, product / count - np.outer(mean, mean), weight)
    noise = (weight**2 * (error / count)[:, None]).sum(axis=0)
    # what rounding of sums alone makes of a gene that is the same everywhere is no variation
    varies = spread > 1e-9 * (weight**2).sum(axis=0) * max(float(np.diag(product).max()), 0) / count
    return float(np.sqrt((noise[varies] / spread[varies]).max(initial=0.0)))


def coarser(
    factors: npt.NDArray[Any], mask: Mask, step: Sequence[int]
) -> tuple[npt.NDArray[np.float32], Mask]:
    """Means over the tissue tokens of blocks of ``step`` (z, y, x); tissue where there is one."""
    share = _block_sum(mask.astype(np.float32)[None], step)[0]
    safe = np.where(share > 0, share, np.float32(1.0))
    out = np.empty((len(factors), *share.shape), dtype=np.float32)
    for row, component in zip(out, factors, strict=True):
        inside = np.where(mask, component, np.float32(0.0)).astype(np.float32)
        row[:] = _block_sum(inside[None], step)[0] / safe
    return out, share > 0


def _block_sum(array: Floats, step: Sequence[int]) -> Floats:
    for axis, size in enumerate(step, start=1):
        if size > 1:
            array = np.add.reduceat(array, np.arange(0, array.shape[axis], size), axis=axis)
    return array


def _named(name: str, number: int) -> str:
    return name if number == 0 else f"{name}{number}"
