"""The studies that a server shows."""

from __future__ import annotations

import threading
from pathlib import Path

from vortex_model.chunks import ChunkCache
from vortex_model.errors import UnknownNameError
from vortex_viewer.scene.data import MORPHOLOGY_BYTES, StudyData
from vortex_viewer.scene.graphics import SOFTWARE_VOXELS, voxels_for


class Library:
    """The studies that a server shows, opened when first asked for and shared."""

    def __init__(self, paths: list[Path], max_voxels: int | None = None) -> None:
        self._max_voxels = max_voxels
        self.renderer = ""
        """What draws on this machine; empty while it is unknown."""
        self._chunks = ChunkCache(MORPHOLOGY_BYTES)
        self._open: dict[str, StudyData] = {}
        self._lock = threading.Lock()
        self.paths: dict[str, Path] = {}
        for path in paths:
            name, number = path.name.removesuffix(".zarr"), 2
            while name in self.paths:
                name, number = f"{path.name.removesuffix('.zarr')} ({number})", number + 1
            self.paths[name] = path

    def draw_by(self, renderer: str) -> None:
        """Let 3D views hold what this renderer can draw, unless a number was given."""
        self.renderer = renderer
        self._max_voxels = self._max_voxels or voxels_for(renderer)

    @property
    def names(self) -> list[str]:
        """What the studies are called in the page."""
        return list(self.paths)

    def open(self, name: str) -> StudyData:
        """A study by name.

        Raises
        ------
        UnknownNameError
            When none has this name.
        StudyError
            When it cannot be read.
        """
        with self._lock:
            if name not in self.paths:
                raise UnknownNameError("study", name, self.names)
            if name not in self._open:
                budget = self._max_voxels or SOFTWARE_VOXELS
                self._open[name] = StudyData(self.paths[name], budget, self._chunks)
            return self._open[name]
