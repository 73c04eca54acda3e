"""One visitor: a state, a study, a scene, panels, a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import panel as pn

from vortex_model.errors import VortexError
from vortex_viewer import drawing
from vortex_viewer.house import House
from vortex_viewer.latest import Latest
from vortex_viewer.panels import facts
from vortex_viewer.panels.crop import Crop
from vortex_viewer.panels.display import Display
from vortex_viewer.panels.finetune import FineTune
from vortex_viewer.panels.genes import GeneList
from vortex_viewer.panels.legend import Legend
from vortex_viewer.panels.readout import Readout
from vortex_viewer.panels.slices import Slices
from vortex_viewer.panels.study import StudyBar
from vortex_viewer.panels.view import View
from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene import palette
from vortex_viewer.scene.data import Gene, StudyData
from vortex_viewer.scene.stream import Stream
from vortex_viewer.state import Camera, Point, ViewState
from vortex_viewer.tuning import Tuning

log = logging.getLogger(__name__)
Result = TypeVar("Result")
COLOURS = {"gene", "prediction", "palette", "window", "opacity", "threshold"}


class Session:
    """One visitor's everything."""

    def __init__(self, house: House, document: Any) -> None:
        self.house, self.document = house, document
        self.state = ViewState()
        self.data: StudyData | None = None
        self.gene: Gene | None = None
        self.tuning = Tuning(self._show_job, self._tuned)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._table_stamp = 0
        self._sections: list[tuple[str, float]] = []
        self.stream = Stream(house.renderer, self._camera_moved)
        house.relays.add(self.stream)
        self.study_bar, self.gene_list = StudyBar(self.on_page), GeneList(self.on_page)
        self.view, self.legend = View(self.on_page), Legend(self.on_page)
        self.display, self.crop = Display(self.on_page), Crop(self.on_page)
        self.finetune, self.readout = FineTune(self.on_page), Readout(self.on_page)
        self.slices = Slices(self._cursor_moved, self._window_moved)
        self.pieces = {
            "study": self.study_bar,
            "genes": self.gene_list,
            "view": self.view,
            "legend": self.legend,
            "display": self.display,
            "crop": self.crop,
            "finetune": self.finetune,
            "readout": self.readout,
        }
        self._drawings = {
            "gene": Latest(self._load_gene, self._fail),
            "body": Latest(self._draw_body, self._fail),
            "spots": Latest(self._draw_spots, self._fail),
            "frames": Latest(self._draw_frames, self._fail),
            "readout": Latest(self._read, self._fail),
            **{v: Latest(partial(self._draw_slice, v), self._fail) for v in self.slices.views},
        }
        self._opening: asyncio.Task[None] | None = None
        self._connect()

    # -- life ------------------------------------------------------------------------------

    def page(self) -> pn.Template:
        """The page, at once and empty; the study follows."""
        from vortex_viewer.panels.page import template

        self.legend.show(palettes=palette.all_css())
        self._opening = asyncio.ensure_future(self._begin())
        return template(self)

    async def _begin(self) -> None:
        await self.stream.start()
        names = self.house.library.names
        self.study_bar.show(studies=names)
        if not names:
            self._fail("There is no study to show. Start with: vortex-viewer serve STUDY.zarr")
            return
        await self._open(names[0])

    async def close(self) -> None:
        """The visitor is gone: free what was theirs."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
        for drawing_ in self._drawings.values():
            drawing_.stop()
        self.house.relays.remove(self.stream)
        for piece in self.pieces.values():
            piece.close()
        self.slices.close()
        await self.stream.close()
        self.data = self.gene = None

    async def run(self, work: Callable[[], Result]) -> Result:
        """Slow work in a worker thread."""
        return await self._loop.run_in_executor(self.house.workers, work)

    def on_page(self, change: Callable[[], None]) -> None:
        """Change Bokeh models, under the document's lock; from any thread."""
        if not self._closed:
            self.document.add_next_tick_callback(change)

    def _fail(self, text: str) -> None:
        self.study_bar.show(error=text, busy=None)
        self.view.show(busy=None)

    # -- what the visitor does -------------------------------------------------------------

    def _connect(self) -> None:
        self.study_bar.on("study", self.open_study)
        self.gene_list.on("gene", lambda name: self.change(gene=name, window=None))
        self.view.on("side", self._see_from)
        self.legend.on("window", lambda pair: self.change(window=pair and tuple(pair)))
        self.legend.on("palette", lambda name: self.change(palette=name))
        for name in ("opacity", "threshold", "morphology"):
            self.display.on(name, partial(self._set, name, float))
        for name in ("spots", "planes"):
            self.display.on(name, partial(self._set, name, bool))
        self.display.on("depth", lambda value: self.change(depth=float(value)))
        self.display.on("cut", self._cut_at)
        self.crop.on("crop", self._crop_to)
        self.finetune.on("finetune", self._finetune)
        self.finetune.on("cancel", lambda _: self.tuning.cancel())

    def _set(self, name: str, kind: Callable[[Any], Any], value: Any) -> None:
        self.change(**{name: kind(value)})

    def open_study(self, name: str) -> None:
        """Show another study."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        self._opening = asyncio.ensure_future(self._open(name))

    def change(self, **changes: Any) -> None:
        """Go to a new state, and draw what it changes."""
        if self.data is None:
            return
        try:
            new = self.state.with_(**changes)
        except VortexError as error:
            self._fail(str(error))
            return
        old, self.state = self.state, new
        changed = {name for name in changes if getattr(old, name) != getattr(new, name)}
        if changed:
            self.study_bar.show(error=None)
            self._draw(changed)

    def _crop_to(self, box: Any) -> None:
        assert self.data is not None
        bounds = self.data.frame.bounds_um[::-1]
        crop = None if box is None else tuple((float(a), float(b)) for a, b in box)
        if crop is not None and all(
            abs(a - c) < 1e-6 and abs(b - d) < 1e-6
            for (a, b), (c, d) in zip(crop, bounds, strict=True)
        ):
            crop = None
        self.change(crop_um=crop)

    def _cut_at(self, section: Any) -> None:
        """Open the block at a measured section, on the side that the visitor sees."""
        assert self.data is not None
        if section is None:
            self.change(crop_um=None)
            return
        where = dict(self._sections).get(section)
        if where is None:
            return
        x, y, (low, high) = self.state.crop_um or self.data.frame.bounds_um[::-1]
        low, high = self.data.frame.bounds_um[0]
        front = self.state.camera is None or self.state.camera.back[2] <= 0
        kept = (where, high) if front else (low, where)
        place = (*self.cursor[:2], where)
        if kept[0] < kept[1]:
            self.change(crop_um=(x, y, kept), cursor_um=place)
            self.on_page(partial(self.slices.set_cursor, place))

    @property
    def _cut(self) -> str | None:
        """The section that the block is open at."""
        if self.state.crop_um is None:
            return None
        ends = self.state.crop_um[2]
        return next((name for name, z in self._sections if z in ends), None)

    def _cursor_moved(self, place: Point) -> None:
        if place != self.cursor:
            self.change(cursor_um=place)

    def _window_moved(self, view: str) -> None:
        if self.data is not None:
            self._drawings[view].ask()

    def _camera_moved(self, camera: Camera, um_per_pixel: float, done: bool) -> None:
        self.state = self.state.with_(camera=camera)
        self.view.show(um_per_pixel=um_per_pixel, back=camera.back, up=camera.up)
        if done:
            self.view.show(camera=",".join(f"{v:.3f}" for v in camera.back))

    def _see_from(self, side: str) -> None:
        if self.data is not None and side in cameras.SIDES:
            box = self.state.crop_um or self.data.content
            self.stream.set_camera(cameras.look(box, side, self.stream.aspect, self.depth))

    # -- what is true now ------------------------------------------------------------------

    @property
    def cursor(self) -> Point:
        """The crosshair (x, y, z), in micrometres."""
        assert self.data is not None
        return self.state.cursor_um or self.data.middle

    @property
    def depth(self) -> float:
        """How far z is stretched in 3D."""
        assert self.data is not None
        return self.state.depth or self.data.depth

    # -- opening ---------------------------------------------------------------------------

    async def _open(self, name: str) -> None:
        self.study_bar.show(study=name, title=name, busy="Opening", error=None, facts=[])
        self.view.show(busy=f"Opening {name}", empty=None)
        try:
            data = await self.run(partial(self.house.library.open, name))
            prediction = await self.run(data.newest_prediction)
            await self._adopt(name, data, prediction)
        except VortexError as error:
            self.data = None
            self._fail(str(error))
            self.view.show(empty=str(error))
        except Exception as error:
            log.exception("The study %s could not be opened", name)
            self._fail(f"{name} cannot be shown ({type(error).__name__}: {error}).")
            raise

    async def _adopt(self, name: str, data: StudyData, prediction: str | None) -> None:
        kept = self.state
        table = await self.run(partial(facts.gene_table, data, prediction))
        content = await self.run(lambda: data.content)  # makes what is slow, once
        self.data, self.gene = data, None
        gene = facts.first_gene(table, kept.gene)
        self.state = ViewState(
            study=name,
            prediction=prediction,
            gene=gene,
            palette=kept.palette,
            spots=kept.spots,
            planes=kept.planes,
        )
        self.stream.depth, self.stream.largest_um = self.depth, max(data.frame.extent_um)
        depth = self.depth
        box = data.frame.bounds_um[::-1]

        def clear(stage: Any) -> None:
            stage.clear()
            stage.set_depth(depth)
            stage.set_crop(None)
            stage.set_box(content)

        await self.stream.change(clear)
        self.stream.set_camera(cameras.look(content, "corner", self.stream.aspect, depth))
        self._show_table(table)
        self.study_bar.show(**await self.run(partial(facts.study_facts, data, prediction)))
        choices = await self.run(partial(facts.finetune_choices, data))
        self._sections = [(name, z) for name, _, z in choices["sections"]]
        self.finetune.show(**choices, job=None, wanted=prediction is None)
        self.display.show(sections=self._sections)
        self.crop.show(bounds=box, crop=box)
        self.on_page(self._reset_slices)
        self._draw(set(ViewState.__dataclass_fields__))

    def _reset_slices(self) -> None:
        if self.data is not None:
            self.slices.set_extent(self.data.frame.bounds_um[::-1], self.data.content)
            self.slices.set_cursor(self.cursor)

    def _show_table(self, table: facts.GeneTable) -> None:
        self._table_stamp += 1
        self.gene_list.show(
            stamp=self._table_stamp,
            genes=table.columns,
            note=table.note,
            gene=self.state.gene,
            prediction=self.state.prediction,
        )

    # -- drawing ---------------------------------------------------------------------------

    def _draw(self, changed: set[str]) -> None:
        state = self.state
        if "depth" in changed and self.data is not None:
            self.stream.depth = self.depth
        self.gene_list.show(gene=state.gene, prediction=state.prediction)
        self.display.show(
            **{n: getattr(state, n) for n in ("opacity", "threshold", "morphology", "spots")},
            planes=state.planes,
            depth=self.depth,
            cut=self._cut,
        )
        extent = [] if self.data is None else [b - a for a, b in self.data.content]
        self.view.show(gene=state.gene, depth=self.depth, extent=extent)
        if changed & {"gene", "prediction"}:
            self.view.show(busy=f"Loading {state.gene}" if state.gene else "Loading")
            self._drawings["gene"].ask()
            return
        wanted: set[str] = set()
        if changed & (COLOURS | {"morphology", "depth"}):
            wanted.add("body")
        if changed & {"palette", "window", "spots", "crop_um", "depth"}:
            wanted.add("spots")
        if changed & {"cursor_um", "planes", "crop_um", "depth"}:
            wanted.add("frames")
        if changed & (COLOURS | {"spots"}):
            wanted |= set(self.slices.views)
        if "cursor_um" in changed:
            wanted |= {"xy", "xz", "yz", "readout"}
        self._show_legend()
        for name in wanted:
            self._drawings[name].ask()

    def _show_legend(self) -> None:
        gene = self.gene
        if gene is None:
            self.legend.show(gene=None, palette=self.state.palette, window=None, histogram=[])
            return
        self.legend.show(
            gene=gene.name,
            units="log1p CP10K",
            units_long=gene.units,
            range=[gene.low, gene.high],
            window=self.state.window or gene.auto,
            auto=self.state.window is None,
            histogram=gene.histogram,
            stamp=f"{self.state.prediction}/{gene.name}",
            palette=self.state.palette,
        )

    async def _load_gene(self) -> None:
        data, state = self.data, self.state
        if data is None:
            return
        if state.gene is not None and state.prediction is not None:
            self.gene = await self.run(partial(data.gene, state.prediction, state.gene))
        else:
            self.gene = None
        self._show_legend()
        for name, drawing_ in self._drawings.items():
            if name != "gene":
                drawing_.ask()

    async def _draw_body(self) -> None:
        data, state, gene = self.data, self.state, self.gene
        if data is None:
            return
        depth = self.depth
        if state.depth is not None:
            await self.stream.change(lambda stage: stage.set_depth(depth))
        if data.is_stack:
            sheets = await self.run(partial(drawing.sheets, data, state, gene))
            await self.stream.change(lambda stage: stage.set_sheets(sheets, depth))
        else:
            made = await self.run(partial(drawing.volume, data, state, gene))
            if made is not None:
                rgba, grid = made
                await self.stream.change(lambda stage: stage.set_volume(rgba, grid))
        self.view.show(busy=None, drawn=f"{state.gene}/{state.prediction}/{state.palette}")
        self.study_bar.show(busy=None)

    async def _draw_spots(self) -> None:
        data, state = self.data, self.state
        if data is None:
            return
        made = await self.run(partial(drawing.spots, data, state, self.gene))
        crop = state.crop_um

        def put(stage: Any) -> None:
            stage.set_crop(crop)
            stage.set_spots(*made)

        await self.stream.change(put)

    async def _draw_frames(self) -> None:
        data, state = self.data, self.state
        if data is None:
            return
        box, content = data.frame.bounds_um[::-1], data.content
        crop, place = state.crop_um, self.cursor if state.planes else None

        def put(stage: Any) -> None:
            stage.set_crop(crop)
            stage.set_box(content)
            stage.set_planes(crop or content, place)

        await self.stream.change(put)
        self.crop.show(crop=crop or box)
        self.view.show(crop=None if crop is None else ",".join(f"{a:.0f}-{b:.0f}" for a, b in crop))

    async def _draw_slice(self, view: str) -> None:
        data, state = self.data, self.state
        part = self.slices.views[view]
        window = part.window
        if data is None or window.pixels < 16:
            return
        picture = await self.run(
            partial(drawing.slice_picture, data, state, self.gene, view, self.cursor, window)
        )
        found = None
        if view == "xy" and state.spots and state.gene is not None:
            found = await self.run(
                partial(drawing.spots_in_plane, data, state, self.gene, self.cursor[2])
            )

        def put() -> None:
            part.show(picture)
            if view == "xy":
                part.show_spots(found)

        self.on_page(put)

    async def _read(self) -> None:
        data, state = self.data, self.state
        if data is not None:
            self.readout.show(
                **await self.run(partial(facts.reading, data, state, self.gene, self.cursor))
            )

    # -- fine-tuning -----------------------------------------------------------------------

    def _finetune(self, wish: Any) -> None:
        if self.data is not None and isinstance(wish, dict):
            self.tuning.start(self.data, wish)

    def _show_job(self, told: dict[str, Any], data: StudyData) -> None:
        if self._closed:
            return
        if data is not self.data:
            told = {**told, "message": f"{data.info.name}: {told['message']}"}
        self.finetune.show(job=told)

    def _tuned(self, prediction: str, data: StudyData) -> None:
        if not self._closed and data is self.data:
            self._opening = asyncio.ensure_future(self._take(prediction, data))

    async def _take(self, prediction: str, data: StudyData) -> None:
        """Show a prediction that has just been made."""
        table = await self.run(partial(facts.gene_table, data, prediction))
        told = await self.run(partial(facts.study_facts, data, prediction))
        if self.data is data:
            self.study_bar.show(**told)
            gene = facts.first_gene(table, self.state.gene)
            self.change(prediction=prediction, gene=gene, window=None)
            self._show_table(table)
