"""The 3D view's frame and its buttons; what stands in the scene."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_model.grid import Grid
from vortex_viewer import drawing, gene_names
from vortex_viewer.drawings import COLOURS
from vortex_viewer.panels.display import Display
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene import marks
from vortex_viewer.scene.detail import Detail
from vortex_viewer.scene.drawer import WISHES, Graphics, choose
from vortex_viewer.scene.gene import Gene
from vortex_viewer.state import COLOURS as COLOUR_NAMES
from vortex_viewer.state import Camera, ViewState

if TYPE_CHECKING:
    from vortex_viewer.session import Session

TURN_S = 30.0
TURN_EVERY_S = 0.05
FRAMES_S = 0.1
"""Outlines in 3D follow the crosshair no oftener: the slices, which it is moved for, go first."""
REST_S = 0.3
"""A slider that has not moved for so long rests."""


class View(Piece):
    """The 3D view's frame and its buttons; what stands in the scene."""

    slot = "view"
    _esm = script("view")

    def connect(self, session: Session) -> None:
        """Three drawings: the body, the measured spots, the frames around them."""
        self._session = session
        self._second = False
        self._detail: Detail | None = None
        self._wish: str = WISHES[0]
        self._graphics: Graphics | None = None
        session.stream.on_lost = self._lost
        session.house.workers.submit(gene_names.table)  # read once, before a gene is told
        self.on("side", self._see_from)
        add = session.drawings.add
        self.on("turning", lambda on: session.change(turning=bool(on)))
        self._body_drawing = add(
            "body", self._draw_body, COLOURS | {"morphology", "depth", "mode", "level", "label_as"}
        )
        add("detail", self._refine, {"crop_um"}, REST_S)
        add("spots", self._draw_spots, COLOURS | {"spots", "crop_um", "depth"})
        add(
            "frames",
            self._draw_frames,
            {"loaded", "cursor_um", "planes", "crop_um", "depth", "oblique"},
            FRAMES_S,
        )

    async def opened(self) -> None:
        """An empty scene of the new block's size."""
        session, data = self._session, self._session.data
        assert data is not None
        self._decide(1)
        session.stream.depth, session.stream.largest_um = session.depth, max(data.frame.extent_um)
        self._empty()
        self.aim(session.state.camera)

    def _empty(self) -> None:
        session, data = self._session, self._session.data
        assert data is not None
        depth, content = session.depth, data.content
        self._detail = None

        def clear(stage: Any) -> None:
            stage.clear()
            stage.set_depth(depth)
            stage.set_crop(None)
            stage.set_box(content)

        session.stream.change(clear)  # whatever is put into the scene comes after it

    def drawn_by(self, wish: str, graphics: Graphics) -> None:
        """The visitor's browser says what it has, and who the visitor wants to draw."""
        self._wish, self._graphics = wish, graphics
        if self._session.data is not None:
            self._session.drawings.ask("body")

    def _lost(self) -> None:
        if self._graphics is not None:
            self.drawn_by(self._wish, replace(self._graphics, lost=True))

    def _decide(self, count: int) -> bool:
        """Let the right one draw so many panes; whether that is another than before."""
        session, data = self._session, self._session.data
        assert data is not None
        finest = data.details(session.state.crop_um)[-1:]
        shape = finest[0].grid(data.image).shape if finest and data.image is not None else ()
        chosen = choose(
            self._wish, session.house.library.renderer, self._graphics, panes=count, shape=shape
        )
        switched = session.stream.draw_in_browser(chosen.local)
        self.show(local=chosen.local)
        session.piece(Display).show(drawn_by=chosen.why)
        return switched

    def follow(self, changed: set[str]) -> None:
        """What stands around the picture."""
        session, state = self._session, self._session.state
        if session.data is None:
            return
        if "depth" in changed:
            session.stream.depth = session.depth
        extent = [b - a for a, b in session.data.content]
        self.show(
            genes=self._names(), about=self._about(), depth=session.depth, extent=extent,
            turning=state.turning, layout=state.layout, scalebar=state.bar,
        )  # fmt: skip
        if "turning" in changed and state.turning:
            session.spawn(self._turn())
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

    def _names(self) -> list[list[str | None]]:
        """What stands over the panes: each gene, with its colour where it shares a picture."""
        state = self._session.state
        if state.gene is None:
            return []
        if drawing.differs(state):
            return [[f"{state.gene} \N{MINUS SIGN} {state.others[0].gene}", None]]
        inks = [state.colour, *(layer.colour for layer in state.others)]
        names = [name.removeprefix("=") for name in drawing.shown(state)]
        mixed = drawing.several(state)
        told: list[list[str | None]] = [
            [n, COLOUR_NAMES[c] if mixed else None] for n, c in zip(names, inks, strict=True)
        ]
        return told

    def _about(self) -> str:
        """The gene in words, where one stands alone."""
        session = self._session
        gene, data = session.state.gene, session.data
        if gene is None or data is None or session.state.others or gene.startswith("="):
            return ""
        return gene_names.described(gene, data.info.species)

    async def _turn(self) -> None:
        """Turn the block until it is told to stop: a turn in about half a minute."""
        session, last = self._session, time.monotonic()
        while session.state.turning and session.data is not None:
            await asyncio.sleep(TURN_EVERY_S)
            now = time.monotonic()
            session.stream.spin(2.0 * (now - last) / TURN_S)
            last = now
        session.drawings.follow({"camera"})

    async def _draw_body(self) -> None:
        session = self._session
        data, state, genes = session.data, session.state, list(session.genes)
        if data is None:
            return
        beside = state.together == "beside" and len(genes) > 1
        labels = session.marking.labels
        second = labels is not None and state.label_as == "beside" and not beside
        count = len(genes) if beside else 2 if second else 1
        switched = self._decide(count)
        if switched:
            self._empty()
        anew = session.stream.set_panes(count) or second != self._second or switched
        self._second = second
        self.show(panes=session.stream.panes, labelled=second)
        depth = session.depth
        if beside:
            panes = [(drawing.alone(state, genes, i), [gene]) for i, gene in enumerate(genes)]
        else:
            panes = [(state, genes)]

        def put(index: int, one: Any, stage: Any) -> None:
            bare = second and index == 1
            if stage.bare != bare:
                stage.clear()
                stage.bare = bare
            stage.set_depth(depth)
            one(stage)

        steps: list[Detail | None] = [*data.details(state.crop_um)] or [None]
        if self._detail is not None:
            steps = steps[-1:]  # a picture stands already
        for which in steps:
            work = [await self._body(s, own, which) for s, own in panes]
            if second and labels is not None:
                work.append(await self._labels(labels))
            await session.stream.change(*(partial(put, i, one) for i, one in enumerate(work)))
            self._detail = which
            if anew:
                # a new pane has nothing of them yet
                lacking = {"spots", "planes", "label_as"} if switched else {"spots", "planes"}
                session.drawings.follow(lacking)
                anew = False
            if self._body_drawing.stale and which is not steps[-1]:
                return  # something else is wanted by now
            self.show(busy=None)
        fine = self._detail
        self.show(
            drawn=f"{state.gene}/{state.prediction}/{state.palette}",
            detail=None if fine is None else fine.level,
        )
        session.ready()

    async def _refine(self) -> None:
        """Draw a crop as finely as it can be, once its sliders rest."""
        session = self._session
        if session.data is None or self._detail is None:
            return
        steps = session.data.details(session.state.crop_um)
        if steps and steps[-1] != self._detail:
            session.drawings.ask("body")

    async def _body(
        self, state: ViewState, genes: list[Gene], which: Detail | None
    ) -> Callable[[Any], None]:
        """What puts the morphology with these genes into a pane."""
        session, data = self._session, self._session.data
        assert data is not None
        gene, more, depth = genes[0] if genes else None, genes[1:], session.depth
        over = session.marking.labels if state.label_as == "fill" else None
        if data.is_stack:
            sheets = await session.run(partial(drawing.sheets, data, state, gene, more))
            if over is not None:
                await session.run(partial(_blend, sheets, over))
            return lambda stage: stage.set_sheets(sheets, depth)
        made: tuple[Any, Grid] | None
        told = session.stream.local is not None and over is None
        make = drawing.volume_layers if told else drawing.volume
        made = await session.run(partial(make, data, state, gene, more, which))
        if made is not None and over is not None:
            made = await session.run(partial(marks.tinted, *made, over)), made[1]
        found = await session.run(partial(drawing.surfaces, data, state, genes))

        def put(stage: Any) -> None:
            stage.set_maximum(state.mode == "maximum")
            if made is not None:
                stage.set_volume(*made, data.frame)
            stage.set_surfaces(found)

        return put

    async def _labels(self, labels: marks.Marks) -> Callable[[Any], None]:
        """What puts the labels alone into a pane."""
        session, data = self._session, self._session.data
        assert data is not None
        if data.is_stack:
            depth = session.depth
            sheets = await session.run(
                lambda: [
                    (s.grid, marks.sheet(s.picture, s.glass, s.grid, labels)) for s in data.sheets()
                ]
            )
            return lambda stage: stage.set_sheets(sheets, depth)
        found = await session.run(partial(marks.shells, labels))
        return lambda stage: stage.set_surfaces([one for one, _ in found])

    async def _draw_spots(self) -> None:
        session, state = self._session, self._session.state
        if session.data is None:
            return
        made = await session.run(partial(drawing.spots, session.data, state, session.gene))
        crop = state.crop_um

        def put(stage: Any) -> None:
            stage.set_crop(crop)
            if not stage.bare:
                stage.set_spots(*made)

        await session.stream.change(put)

    async def _draw_frames(self) -> None:
        session, state = self._session, self._session.state
        if session.data is None:
            return
        content = session.data.content
        crop, place = state.crop_um, session.cursor if state.planes else None
        ring = drawing.oblique_ring(session.data, state, session.cursor)

        def put(stage: Any) -> None:
            stage.set_crop(crop)
            stage.set_box(content)
            stage.set_planes(crop or content, place)
            stage.set_oblique(ring)

        await session.stream.change(put)
        self.show(crop=None if crop is None else ",".join(f"{a:.0f}-{b:.0f}" for a, b in crop))


def _blend(sheets: list[Any], labels: marks.Marks) -> None:
    """Colour a stack's planes, which are fresh copies, by labels."""
    for grid, rgba in sheets:
        marks.blend(rgba, marks.numbers_at(labels, grid)[0], labels)
