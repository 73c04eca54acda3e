"""What stands in a 3D view that the visitor's browser draws: told in words, kept in bytes.

The same methods as :class:`~vortex_viewer.scene.stage.Stage`, so that whoever fills a scene need
not know who draws it. Nothing is drawn here: the page asks for the parts that it does not have.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_viewer.scene.agreed import (
    AXIS_COLOURS,
    OBLIQUE_COLOUR,
    UNITS_ACROSS,
    apart_um,
    ring_of,
    spots_seen,
)
from vortex_viewer.scene.camera import Box
from vortex_viewer.scene.compose import Layers
from vortex_viewer.scene.surfaces import Surface

Bytes = npt.NDArray[np.uint8]
QUICK = 1
"""Level of gzip: a part is packed while somebody waits for it."""


class Part:
    """Some numbers of a scene, little-endian one array after the other; packed when asked for."""

    def __init__(self, version: int, arrays: Sequence[npt.NDArray[Any]]) -> None:
        self.version = version
        self._arrays: tuple[npt.NDArray[Any], ...] = tuple(arrays)
        self._packed: bytes | None = None
        self._lock = threading.Lock()

    def holds(self, arrays: Sequence[npt.NDArray[Any]]) -> bool:
        """Whether these very arrays are in it."""
        return len(arrays) == len(self._arrays) and all(
            mine is other for mine, other in zip(self._arrays, arrays, strict=True)
        )

    def packed(self) -> bytes:
        """All of it, by gzip; slow the first time, safe in any thread."""
        with self._lock:
            if self._packed is None:
                joined = b"".join(
                    np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes()
                    for a in self._arrays
                )
                self._packed = gzip.compress(joined, QUICK, mtime=0)
            return self._packed


@dataclass(frozen=True)
class _Volume:
    names: tuple[str, ...]
    grid: Grid
    block: Grid


class ToldStage:
    """The 3D scene of a visitor whose browser draws it.

    Its methods belong to the event loop, and take no time; :meth:`Part.packed` does.
    """

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.bare = False
        self._versions = 0
        self.clear()

    def close(self) -> None:
        """Let go of everything."""
        self.clear()

    def clear(self) -> None:
        """Empty the scene, for another study."""
        self.parts = {}
        self._depth = 1.0
        self._crop: Box | None = None
        self._maximum = False
        self._lines: dict[str, dict[str, Any]] = {}
        self._volume: _Volume | None = None
        self._sheets: list[dict[str, Any]] = []
        self._meshes: dict[str, list[dict[str, Any]]] = {}
        self._spots: tuple[Any, Any, Any] | None = None

    def told(self) -> dict[str, Any]:
        """The scene in plain values, for JSON: the page knows by versions what it lacks."""
        return {
            "depth": self._depth,
            "crop": self._crop,
            "maximum": self._maximum,
            "across": UNITS_ACROSS,
            "lines": list(self._lines.values()),
            "volume": self._told_volume(),
            "sheets": self._sheets,
            "meshes": self._meshes,
            "parts": {name: part.version for name, part in self.parts.items()},
        }

    # -- what is shown ---------------------------------------------------------------------

    def set_depth(self, depth: float) -> None:
        """How far z is stretched."""
        self._depth = depth

    def set_crop(self, crop: Box | None) -> None:
        """Show only what lies in these x, y and z ranges, in micrometres."""
        if crop != self._crop:
            self._crop = crop
            self._keep_spots()

    def set_maximum(self, on: bool) -> None:
        """Whether a ray shows its strongest voxel alone."""
        self._maximum = on

    def set_box(self, box: Box) -> None:
        """The edges of the block."""
        self._lines["box"] = {"name": "box", "box": box, "colour": "#39414f", "width": 1}

    def set_planes(self, box: Box, cursor_um: tuple[float, float, float] | None) -> None:
        """Outlines of the three slices; None removes them."""
        for axis, name in enumerate("xyz"):
            ring = None if cursor_um is None else ring_of(box, axis, cursor_um[axis])
            self._outline(name, ring, AXIS_COLOURS[name])

    def set_oblique(self, ring: npt.NDArray[np.float64] | None) -> None:
        """Outline of the oblique slice: its corners (n, 3) in order; None removes it."""
        shown = None if ring is None or len(ring) < 3 else ring.tolist()
        self._outline("oblique", shown, OBLIQUE_COLOUR)

    def set_volume(
        self, rgba: npt.NDArray[np.uint32] | Layers, grid: Grid, block: Grid | None = None
    ) -> None:
        """Packed RGBA (z, y, x), or what it is composed of; ``block`` is the whole around it."""
        if isinstance(rgba, Layers):
            found = {"base": rgba.base, "levels": rgba.levels, "table": rgba.table}
        else:
            found = {"rgba": rgba}
        arrays = {name: a for name, a in found.items() if a is not None}
        for name in ("base", "levels", "table", "rgba"):
            self._keep(name, [arrays[name]] if name in arrays else [])
        self._volume = _Volume(tuple(arrays), grid, block or grid)
        self._keep_spots()

    def set_sheets(self, sheets: list[tuple[Grid, Bytes]], depth: float) -> None:
        """Planes of a stack: each one's grid and RGBA (y, x, 4)."""
        self._depth = depth
        self._sheets = [
            {
                "z": grid.origin_um[0],
                "y": grid.bounds_um[1],
                "x": grid.bounds_um[2],
                "shape": rgba.shape[:2],
            }
            for grid, rgba in sheets
        ]
        self._keep("sheets", [rgba for _, rgba in sheets])
        self._keep_spots()

    def set_spots(
        self, points_um: npt.NDArray[Any], colours: Bytes, diameter_um: npt.NDArray[Any]
    ) -> None:
        """Measured spots as discs in their plane, coloured (n, 3); none removes them."""
        self._spots = points_um, colours, diameter_um
        self._keep_spots()

    def set_surfaces(self, surfaces: Sequence[Surface]) -> None:
        """Where genes reach a value; none removes them."""
        self._keep_meshes("surfaces", [(one, 1.0) for one in surfaces])

    def set_shells(self, shells: Sequence[tuple[Surface, float]]) -> None:
        """Surfaces of labels and regions with their opacity; none removes them."""
        self._keep_meshes("shells", shells)

    # -- how it is kept --------------------------------------------------------------------

    def _keep(self, name: str, arrays: Sequence[npt.NDArray[Any]]) -> None:
        if not arrays or not sum(a.size for a in arrays):
            self.parts.pop(name, None)
        elif name not in self.parts or not self.parts[name].holds(arrays):
            self._versions += 1
            self.parts[name] = Part(self._versions, arrays)

    def _keep_spots(self) -> None:
        if self._spots is None:
            return
        points, colours, sizes = self._spots
        apart = apart_um([s["x"][1] - s["x"][0] for s in self._sheets], self._depth)
        which, points = spots_seen(points, self._crop, self._step_um, apart)
        arrays = [points.astype(np.float32), sizes[which].astype(np.float32), colours[which]]
        self._keep("spots", arrays if len(which) else [])

    def _keep_meshes(self, name: str, found: Sequence[tuple[Surface, float]]) -> None:
        arrays: list[npt.NDArray[Any]] = []
        self._meshes[name] = []
        for one, opacity in found:
            counts = {"points": len(one.points_um), "triangles": len(one.triangles)}
            self._meshes[name].append({**counts, "opacity": opacity})
            arrays += [one.points_um.astype(np.float32), one.triangles.astype(np.uint32)]
        # bytes come last: what lies before them stays on whole words
        self._keep(name, arrays + [one.colours for one, _ in found])

    def _outline(self, name: str, ring: Any, colour: str) -> None:
        if ring is None:
            self._lines.pop(name, None)
        else:
            self._lines[name] = {"name": name, "ring": ring, "colour": colour, "width": 2}

    @property
    def _step_um(self) -> float:
        if self._volume is None:
            return 1.0
        z, y, x = self._volume.grid.spacing_um
        return min(x, y, z * self._depth)

    def _told_volume(self) -> dict[str, Any] | None:
        if self._volume is None:
            return None
        grid = self._volume.grid
        return {
            "of": self._volume.names,
            "shape": grid.shape,
            "spacing": grid.spacing_um,
            "origin": grid.origin_um,
            "extent": self._volume.block.extent_um,
        }
