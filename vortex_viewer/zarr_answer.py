"""Answers to keys of a served tree: bytes, called by what they are a function of and made once."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CODE = 1
"""Raised when the same study would be served as other bytes."""


@dataclass(frozen=True)
class Answer:
    """What a key holds: how it is called by its content, and how to make it."""

    tag: str
    content_type: str
    make: Callable[[], bytes]


def as_json(content: str, make: Callable[[], dict[str, Any]]) -> Answer:
    """A JSON object that is a function of ``content``."""
    return Answer(
        tag_of(content + "json"),
        "application/json",
        lambda: json.dumps(make(), separators=(",", ":"), allow_nan=False).encode(),
    )


def tag_of(content: str) -> str:
    """The name of whatever is a function of ``content``."""
    return hashlib.blake2b(f"{CODE}/{content}".encode(), digest_size=12).hexdigest()


class BytesCache:
    """Made answers, the least recently used dropped beyond a size; each is made once."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._held: dict[str, bytes] = {}
        self._making: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def peek(self, tag: str) -> bytes | None:
        """What is held already, without making it."""
        with self._lock:
            body = self._held.pop(tag, None)
            if body is not None:
                self._held[tag] = body  # used last
            return body

    def get(self, answer: Answer) -> bytes:
        """The bytes; whoever asks while they are being made waits for them."""
        while True:
            body = self.peek(answer.tag)
            if body is not None:
                return body
            with self._lock:
                busy = self._making.get(answer.tag)
                if busy is None:
                    self._making[answer.tag] = threading.Event()
            if busy is None:
                break
            busy.wait()
        try:
            body = answer.make()
            self._keep(answer.tag, body)
            return body
        finally:
            with self._lock:
                self._making.pop(answer.tag).set()

    def _keep(self, tag: str, body: bytes) -> None:
        with self._lock:
            self._held[tag] = body
            self._bytes += len(body)
            while self._bytes > self._max_bytes:
                oldest = next(iter(self._held))
                self._bytes -= len(self._held.pop(oldest))
