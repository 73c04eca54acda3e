"""How several 3D views share one picture: side by side, or two by two."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from vortex_viewer.scene.agreed import BACKGROUND
from vortex_viewer.scene.stage import Frame, Stage
from vortex_viewer.state import Camera

GAP = 2
Size = tuple[int, int]


def arrangement(count: int) -> tuple[int, int]:
    """Columns and rows of so many panes."""
    return (2, 2) if count == 4 else (count, 1)


def pane_size(size: Size, count: int) -> Size:
    """Width and height of one pane of a picture (width, height)."""
    columns, rows = arrangement(count)
    width, height = ((n - GAP * (m - 1)) // m for n, m in zip(size, (columns, rows), strict=True))
    return max(width, 16), max(height, 16)


def render(stages: Sequence[Stage], camera: Camera, size: Size, still: bool) -> Frame:
    """One picture of all stages, seen by one camera."""
    if len(stages) == 1:
        return stages[0].render(camera, size, still)
    columns, _rows = arrangement(len(stages))
    width, height = pane_size(size, len(stages))
    ink = [int(BACKGROUND[i : i + 2], 16) + 24 for i in (1, 3, 5)]
    out: npt.NDArray[np.uint8] = np.full((size[1], size[0], 3), ink, np.uint8)
    for index, stage in enumerate(stages):
        x, y = index % columns * (width + GAP), index // columns * (height + GAP)
        part = stage.draw(camera, (width, height), still)
        out[y : y + height, x : x + width] = part[: size[1] - y, : size[0] - x]
    held = io.BytesIO()
    Pillow.fromarray(out).save(held, "JPEG", quality=92 if still else 72)
    return Frame(held.getvalue(), camera.height_um / height, still)
