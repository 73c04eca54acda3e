"""Gene volumes on disk, beside no study: made again whenever they are gone."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import platformdirs

Floats = npt.NDArray[np.floating[Any]]


class GeneCache:
    """Gene volumes on disk, the least recently used dropped beyond a size.

    Parameters
    ----------
    folder
        Where; the user's cache directory by default. A study may be read-only, so never there.
    max_bytes
        How much all volumes together may take.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = 4 << 30) -> None:
        self.folder = folder or platformdirs.user_cache_path("vortex-viewer") / "genes"
        self.max_bytes = max_bytes

    def get(self, key: str, make: Callable[[], Floats]) -> Floats:
        """The volume under ``key``, made and kept when it is not there."""
        place = self.folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npy"
        try:
            volume = np.load(place, allow_pickle=False)
            os.utime(place)
            return cast(Floats, volume)
        except (OSError, ValueError):
            volume = make()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            draft = place.with_name(f".{uuid.uuid4().hex}.npy")
            np.save(draft, volume, allow_pickle=False)
            draft.replace(place)
            self._trim()
        except OSError:
            pass  # a full or read-only disk costs speed, not the picture
        return volume

    def _trim(self) -> None:
        entries = []
        for place in self.folder.glob("*.npy"):
            try:
                status = place.stat()
            except OSError:
                continue
            entries.append((status.st_mtime, status.st_size, place))
        total = sum(size for _, size, _ in entries)
        for _, size, place in sorted(entries):
            if total <= self.max_bytes:
                return
            place.unlink(missing_ok=True)
            total -= size
