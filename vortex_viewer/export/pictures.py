"""A study's pictures off screen, as the app draws them: 3D and slices, true pixels and lengths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.errors import VortexError
from vortex_viewer import drawing
from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.gene import Gene
from vortex_viewer.scene.slices import AXES, Window
from vortex_viewer.scene.stage import Stage
from vortex_viewer.state import Camera, ViewState

Bytes = npt.NDArray[np.uint8]
VIEWS = ("3d", *AXES)
MAX_VOXELS = 24_000_000
"""What a picture that nobody waits for in front of may hold."""


@dataclass(frozen=True)
class Drawn:
    """A picture (y, x, rgb), how many micrometres a pixel is wide, and how far z is stretched."""

    pixels: Bytes
    um_per_pixel: float
    stretch: float


class Pictures:
    """Draws one study off screen; close it, or use it in a ``with`` block.

    Parameters
    ----------
    path
        The study's folder.
    state
        What is seen; its study's name is not looked at. The newest prediction where it names none.
        When None, the study's own start, without the slices' outlines.

    Raises
    ------
    StudyError
        When the study cannot be read.
    """

    def __init__(self, path: Path, state: ViewState | None = None) -> None:
        self.data = StudyData(Path(path).expanduser().resolve(), MAX_VOXELS)
        state = state or ViewState(planes=False)
        self.state = state.with_(prediction=state.prediction or self.data.newest_prediction())
        self._stage: Stage | None = None

    def __enter__(self) -> Pictures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the graphics driver holds."""
        if self._stage is not None:
            self._stage.close()
            self._stage = None

    @property
    def cursor(self) -> tuple[float, float, float]:
        """Where slices are cut: the state's crosshair, else the middle of the tissue."""
        return self.state.cursor_um or self.data.middle

    @property
    def depth(self) -> float:
        """How far z is stretched."""
        return self.state.depth or self.data.depth

    def gene(self, name: str | None) -> Gene | None:
        """A predicted gene; None is morphology alone.

        Raises
        ------
        UnknownNameError
            When it was not predicted.
        VortexError
            When the study has no prediction.
        """
        if name is None:
            return None
        if self.state.prediction is None:
            raise VortexError(
                f"{self.data.info.name} has no prediction yet, so there is no gene to draw. "
                f"Fine-tune first: vortex-viewer finetune {self.data.path}"
            )
        return self.data.gene(self.state.prediction, name)

    def camera(self, side: str, size: tuple[int, int]) -> Camera:
        """The state's camera, or the whole block from a side of ``scene.camera.SIDES``."""
        if self.state.camera is not None and side == "corner":
            return self.state.camera
        box = self.state.crop_um or self.data.content
        return cameras.look(box, side, size[0] / size[1], self.depth)

    def draw(
        self, view: str, gene: Gene | None, state: ViewState, size: tuple[int, int], side: str
    ) -> Drawn:
        """One picture of "3d", "xy", "xz" or "yz", at most ``size`` (width, height) pixels."""
        if view == "3d":
            self.set_scene(gene, state)
            return self.solid(self.camera(side, size), size)
        return self._slice(view, gene, state, size)

    # -- 3D --------------------------------------------------------------------------------

    def set_scene(self, gene: Gene | None, state: ViewState) -> None:
        """Put a gene and its look into the 3D scene."""
        stage = self._stage = self._stage or Stage()
        stage.set_depth(self.depth)
        stage.set_crop(state.crop_um)
        stage.set_box(self.data.content)
        if self.data.is_stack:
            stage.set_sheets(drawing.sheets(self.data, state, gene), self.depth)
        else:
            made = drawing.volume(self.data, state, gene)
            if made is None:
                raise VortexError(
                    f"{self.data.info.name} has no morphology: name a gene to draw it in 3D."
                )
            stage.set_volume(*made)
        stage.set_spots(*drawing.spots(self.data, state, gene))
        stage.set_planes(state.crop_um or self.data.content, self.cursor if state.planes else None)
        stage.set_oblique(drawing.oblique_ring(self.data, state, self.cursor))

    def solid(self, camera: Camera, size: tuple[int, int]) -> Drawn:
        """The 3D scene from a camera; :meth:`set_scene` comes first."""
        assert self._stage is not None, "set_scene comes before solid"
        return Drawn(self._stage.draw(camera, size), camera.height_um / size[1], self.depth)

    # -- slices ----------------------------------------------------------------------------

    def _slice(
        self, view: str, gene: Gene | None, state: ViewState, size: tuple[int, int]
    ) -> Drawn:
        _, down, across = AXES[view]
        content = self.data.content
        (left, right), (top, bottom) = content[2 - across], content[2 - down]
        stretch = self.depth if down == 0 else 1.0
        # one scale for both axes: the picture is as true as its extent fits
        um = max((right - left) / size[0], (bottom - top) * stretch / size[1])
        width = max(2, round((right - left) / um))
        height = max(2, round((bottom - top) * stretch / um))
        window = Window((left, right), (top, bottom), width)
        picture = drawing.slice_picture(self.data, state, gene, view, self.cursor, window)
        x = left + (np.arange(width) + 0.5) * (right - left) / width
        y = top + (np.arange(height) + 0.5) * (bottom - top) / height
        rows = _nearest(y, picture.down_um, picture.rgba.shape[0])
        columns = _nearest(x, picture.across_um, picture.rgba.shape[1])
        rgba = picture.rgba[np.ix_(rows, columns)].astype(np.float32)
        alpha = rgba[..., 3:] / 255.0
        pixels = rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)
        return Drawn(pixels.astype(np.uint8), um, stretch)


def _nearest(
    places: npt.NDArray[Any], span: tuple[float, float], count: int
) -> npt.NDArray[np.intp]:
    index = np.floor((places - span[0]) / (span[1] - span[0]) * count)
    return np.clip(index, 0, count - 1).astype(np.intp)
