"""Made things by key: each made once, whoever asks first, and the oldest dropped."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

Made = TypeVar("Made")


class Shelf:
    """Made things by key, the least recently used dropped; one maker a key at a time.

    Parameters
    ----------
    count
        How many are kept.
    most
        How much all of them may weigh together; the newest is kept whatever it weighs.
    weigh
        What one weighs.
    """

    def __init__(
        self, count: int, most: int = 0, weigh: Callable[[Any], int] = lambda _: 0
    ) -> None:
        self._count, self._most, self._weigh = count, most, weigh
        self._things: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._things

    def get(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What is under ``key``, made when it is not there."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                return cast(Made, self._things[key])
            gate = self._making.setdefault(key, threading.Lock())
        with gate:
            with self._lock:
                if key in self._things:
                    return cast(Made, self._things[key])
            try:
                thing = make()
                with self._lock:
                    self._things[key] = thing
                    self._drop()
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return thing

    def drop(self, key: Hashable) -> None:
        """Keep what is under ``key`` no longer."""
        with self._lock:
            self._things.pop(key, None)

    def _drop(self) -> None:
        total = sum(map(self._weigh, self._things.values()))
        while len(self._things) > self._count or (total > self._most and len(self._things) > 1):
            total -= self._weigh(self._things.popitem(last=False)[1])
