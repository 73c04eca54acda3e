"""Decoded chunks of Zarr arrays, kept in memory: what is looked at again is not decoded again.

Arrays are (component or channel, z, y, x); a chunk is told by its number along z, y and x, and
holds all components.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zarr

CACHE_BYTES = 192 << 20

Voxels = npt.NDArray[Any]
Sizes = tuple[int, int, int]


class Touched(NamedTuple):
    """A chunk that a box touches: its number, the box's part of it, its part of the box."""

    number: Sizes
    here: tuple[slice, ...]
    there: tuple[slice, ...]


class ChunkCache:
    """Decoded chunks, the least recently used dropped beyond a size; shared by threads."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[str, Sizes], Voxels] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ChunkCache], tuple[int]]:
        """Another process begins with an empty one."""
        return ChunkCache, (self._max_bytes,)

    def get(self, array: zarr.Array[Any], number: Sizes) -> Voxels:
        """All components of one chunk, (k, z, y, x), as stored; not to be written to."""
        found = self._find(array, number)
        if found is None:
            box = _box(number, number, array.chunks[1:])
            found = np.ascontiguousarray(array[(slice(None), *box)])
            self._keep(array, number, found)
        return found

    def read(self, array: zarr.Array[Any], start: Sequence[int], stop: Sequence[int]) -> Voxels:
        """All components in a box of (z, y, x), as a fresh array; missing chunks in one reading.

        A box that would take half of what is held is read past the cache.
        """
        size = array.chunks[1:]
        chunks = list(touched(start, stop, size))
        whole = len(chunks) * array.shape[0] * int(np.prod(size)) * array.dtype.itemsize
        if whole > self._max_bytes // 2:
            return np.asarray(array[(slice(None), *map(slice, start, stop))])
        self._fetch(array, [c.number for c in chunks if self._find(array, c.number) is None])
        shape = [b - a for a, b in zip(start, stop, strict=True)]
        out = np.empty((array.shape[0], *shape), array.dtype)
        for number, here, there in chunks:
            out[(slice(None), *there)] = self.get(array, number)[(slice(None), *here)]
        return out

    def _fetch(self, array: zarr.Array[Any], numbers: list[Sizes]) -> None:
        """Read chunks together where they fill most of their bounding box."""
        if len(numbers) < 2:
            return
        size = array.chunks[1:]
        low, high = np.min(numbers, axis=0), np.max(numbers, axis=0)
        if np.prod(high - low + 1) > 2 * len(numbers):
            return
        voxels = np.asarray(array[(slice(None), *_box(low, high, size))])
        for number in numbers:
            box = _box(number - low, number - low, size)
            # views: chunks that are read together are looked at, and dropped, together
            self._keep(array, number, voxels[(slice(None), *box)])

    def _find(self, array: zarr.Array[Any], number: Sizes) -> Voxels | None:
        key = (str(array.store_path), number)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        return None

    def _keep(self, array: zarr.Array[Any], number: Sizes, voxels: Voxels) -> None:
        key = (str(array.store_path), number)
        with self._lock:
            if key not in self._held:
                self._held[key] = voxels
                self._bytes += voxels.nbytes
            while self._bytes > self._max_bytes and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes


def touched(start: Sequence[int], stop: Sequence[int], size: Sequence[int]) -> Iterator[Touched]:
    """Chunks of ``size`` that a box touches, along z, y and x."""
    first = [a // s for a, s in zip(start, size, strict=True)]
    count = [-(-b // s) - f for b, s, f in zip(stop, size, first, strict=True)]
    for step in np.ndindex(*(max(0, c) for c in count)):
        number = [f + i for f, i in zip(first, step, strict=True)]
        here, there = [], []
        for n, s, a, b in zip(number, size, start, stop, strict=True):
            low, high = max(a, n * s), min(b, (n + 1) * s)
            here.append(slice(low - n * s, high - n * s))
            there.append(slice(low - a, high - a))
        yield Touched((number[0], number[1], number[2]), tuple(here), tuple(there))


def _box(first: Sequence[int], last: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Voxels from one chunk to another, both included."""
    return tuple(
        slice(int(a * s), int((b + 1) * s)) for a, b, s in zip(first, last, size, strict=True)
    )
