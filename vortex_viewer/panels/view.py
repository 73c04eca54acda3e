"""The 3D view's frame and its buttons; what stands in the scene."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_viewer import drawing
from vortex_viewer.drawings import COLOURS
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene import camera as cameras
from vortex_viewer.state import Camera

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class View(Piece):
    """The 3D view's frame and its buttons; what stands in the scene."""

    slot = "view"
    _esm = script("view")

    def connect(self, session: Session) -> None:
        """Three drawings: the body, the measured spots, the frames around them."""
        self._session = session
        self.on("side", self._see_from)
        add = session.drawings.add
        add("body", self._draw_body, COLOURS | {"morphology", "depth"})
        add("spots", self._draw_spots, COLOURS | {"spots", "crop_um", "depth"})
        add("frames", self._draw_frames, {"loaded", "cursor_um", "planes", "crop_um", "depth"})

    async def opened(self) -> None:
        """An empty scene of the new block's size."""
        session, data = self._session, self._session.data
        assert data is not None
        depth, content = session.depth, data.content
        session.stream.depth, session.stream.largest_um = depth, max(data.frame.extent_um)

        def clear(stage: Any) -> None:
            stage.clear()
            stage.set_depth(depth)
            stage.set_crop(None)
            stage.set_box(content)

        await session.stream.change(clear)
        self.aim(session.state.camera)

    def follow(self, changed: set[str]) -> None:
        """What stands around the picture."""
        session, state = self._session, self._session.state
        if session.data is None:
            return
        if "depth" in changed:
            session.stream.depth = session.depth
        extent = [b - a for a, b in session.data.content]
        self.show(gene=state.gene, depth=session.depth, extent=extent)
        if changed & {"gene", "prediction"}:
            self.show(busy=f"Loading {state.gene}" if state.gene else "Loading")

    def aim(self, camera: Camera | None) -> None:
        """See the block from here; None is all of it from a corner, whatever the pane's shape."""
        session = self._session
        assert session.data is not None
        content, stream = session.data.content, session.stream
        stream.home = lambda aspect: cameras.look(content, "corner", aspect, stream.depth)
        if camera is None:
            stream.go_home()
        else:
            stream.set_camera(camera)

    def camera_moved(self, camera: Camera, um_per_pixel: float, done: bool) -> None:
        """The visitor has turned the block."""
        self.show(um_per_pixel=um_per_pixel, back=camera.back, up=camera.up)
        if done:
            self.show(camera=",".join(f"{v:.3f}" for v in camera.back))

    def _see_from(self, side: str) -> None:
        session = self._session
        if session.data is None or side not in cameras.SIDES:
            return
        if side == "corner" and session.state.crop_um is None:
            self.aim(None)
            return
        box = session.state.crop_um or session.data.content
        session.stream.set_camera(cameras.look(box, side, session.stream.aspect, session.depth))

    async def _draw_body(self) -> None:
        session, state, gene = self._session, self._session.state, self._session.gene
        data = session.data
        if data is None:
            return
        depth = session.depth
        if state.depth is not None:
            await session.stream.change(lambda stage: stage.set_depth(depth))
        if data.is_stack:
            sheets = await session.run(partial(drawing.sheets, data, state, gene))
            await session.stream.change(lambda stage: stage.set_sheets(sheets, depth))
        else:
            made = await session.run(partial(drawing.volume, data, state, gene))
            if made is not None:
                rgba, grid = made
                await session.stream.change(lambda stage: stage.set_volume(rgba, grid))
        self.show(busy=None, drawn=f"{state.gene}/{state.prediction}/{state.palette}")
        session.ready()

    async def _draw_spots(self) -> None:
        session, state = self._session, self._session.state
        if session.data is None:
            return
        made = await session.run(partial(drawing.spots, session.data, state, session.gene))
        crop = state.crop_um

        def put(stage: Any) -> None:
            stage.set_crop(crop)
            stage.set_spots(*made)

        await session.stream.change(put)

    async def _draw_frames(self) -> None:
        session, state = self._session, self._session.state
        if session.data is None:
            return
        content = session.data.content
        crop, place = state.crop_um, session.cursor if state.planes else None

        def put(stage: Any) -> None:
            stage.set_crop(crop)
            stage.set_box(content)
            stage.set_planes(crop or content, place)

        await session.stream.change(put)
        self.show(crop=None if crop is None else ",".join(f"{a:.0f}-{b:.0f}" for a, b in crop))
