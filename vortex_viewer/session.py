"""One visitor: a state, a study, a scene, and the parts of the page that follow them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import fields
from functools import partial
from typing import Any, TypeVar

import panel as pn

from vortex_model.errors import VortexError
from vortex_viewer import drawing
from vortex_viewer.drawings import Drawings
from vortex_viewer.history import History
from vortex_viewer.house import House
from vortex_viewer.latest import Latest
from vortex_viewer.panels import facts
from vortex_viewer.panels.marking import Marking
from vortex_viewer.panels.part import Part
from vortex_viewer.panels.piece import Piece
from vortex_viewer.panels.register import PANELS
from vortex_viewer.panels.slices import Slices
from vortex_viewer.panels.study import StudyBar
from vortex_viewer.panels.view import View
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.gene import Gene
from vortex_viewer.scene.stream import Stream
from vortex_viewer.state import Camera, Point, ViewState

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Kind = TypeVar("Kind", bound=Piece)
ALL = frozenset(f.name for f in fields(ViewState))
CURSOR = ("cursor x", "cursor y", "cursor z")
"""What changes beside ``cursor_um`` where the crosshair moves along an axis."""
GENE = frozenset({"gene", "prediction", "checked", "others", "together"})
"""What must be loaded before anything of it can be drawn."""
ADDRESS_S = 20.0
"""How long a page may take to say what stands behind # in its address."""


class Session:
    """One visitor's everything.

    Attributes
    ----------
    state
        What the visitor sees; changed by :meth:`change` alone.
    data, genes
        The study that is open, and the genes that are loaded; :attr:`gene` is the first.
    drawings
        What is drawn again when a field of the state changes.
    pieces
        The panels, as ``panels/register.py`` lists them.
    """

    def __init__(self, house: House, document: Any) -> None:
        self.house, self.document = house, document
        self.state = ViewState()
        self.data: StudyData | None = None
        self.genes: list[Gene] = []
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._opening: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._address: asyncio.Future[str] = self._loop.create_future()
        self.history = History()
        self.drawings = Drawings(self.fail)
        self._waiting: set[str] = set()
        self._loading = Latest(self._load_gene, self.fail)
        self.stream = Stream(house.renderer, self._camera_moved)
        house.relays.add(self.stream)
        self.pieces = [panel(self.on_page) for panel in PANELS]
        self.slices, self.marking = Slices(), Marking()
        self.parts: list[Part] = [self.marking, *self.pieces, self.slices]
        self.study_bar, self.view = self.piece(StudyBar), self.piece(View)
        for part in self.parts:
            part.connect(self)

    def piece(self, kind: type[Kind]) -> Kind:
        """The panel of a kind."""
        return next(p for p in self.pieces if isinstance(p, kind))

    # -- life ------------------------------------------------------------------------------

    def page(self) -> pn.Template:
        """The page, at once and empty; the study follows."""
        from vortex_viewer.panels.page import template

        self._opening = asyncio.ensure_future(self._begin())
        return template(self)

    async def _begin(self) -> None:
        await self.stream.start()
        names = self.house.library.names
        self.study_bar.show(studies=names)
        if not names:
            self.fail("There is no study to show. Start with: vortex-viewer serve STUDY.zarr")
            return
        self.house.workers.submit(self.house.open_first)  # while the page loads
        first = await self._wanted()
        await self._open(first.study or names[0], first)

    async def _wanted(self) -> ViewState:
        """The view that the page's address asks for, else the server's first one."""
        text = ""
        with contextlib.suppress(TimeoutError):
            text = await asyncio.wait_for(self._address, ADDRESS_S)
        if not text:
            return self.house.first
        try:
            state = await self.run(partial(self.house.shelf.open, text))
        except VortexError as error:
            self.warn(f"This link cannot be opened: {error}")
            return self.house.first
        if state.study and state.study not in self.house.library.names:
            self.warn(f"This link shows the study {state.study!r}, which is not served here.")
            return self.house.first
        return state

    async def close(self) -> None:
        """The visitor is gone: free what was theirs."""
        self._closed = True
        for task in (self._opening, *self._tasks):
            if task is not None:
                task.cancel()
        self._address.cancel()
        self._loading.stop()
        self.drawings.stop()
        self.house.relays.remove(self.stream)
        for part in self.parts:
            part.close()
        await self.stream.close()
        self.data, self.genes = None, []

    async def run(self, work: Callable[[], Result]) -> Result:
        """Slow work in a worker thread."""
        return await self._loop.run_in_executor(self.house.workers, work)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside what goes on; it ends with the visitor, and its errors are told."""
        if self._closed:
            work.close()
            return
        task = asyncio.ensure_future(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except VortexError as error:
            self.fail(str(error))
        except Exception as error:  # told to the visitor, and logged whole
            log.exception("Something asked for in the page failed")
            self.fail(f"That failed ({type(error).__name__}: {error}).")

    def on_page(self, change: Callable[[], None]) -> None:
        """Change Bokeh models, under the document's lock; from any thread."""
        if not self._closed:
            self.document.add_next_tick_callback(change)

    def fail(self, text: str) -> None:
        """Tell the visitor what went wrong."""
        self.study_bar.show(error=text, busy=None)
        self.view.show(busy=None)

    def warn(self, text: str) -> None:
        """Tell the visitor something that stands until they go on."""
        self.study_bar.show(error=text)

    def ready(self) -> None:
        """What was asked for is drawn."""
        self.study_bar.show(busy=None)

    # -- the state -------------------------------------------------------------------------

    def change(self, **changes: Any) -> None:
        """Go to a new state, and draw what it changes."""
        if self.data is None:
            return
        self.study_bar.show(error=None)
        try:
            self.go(self.state.with_(**changes))
        except VortexError as error:
            self.fail(str(error))

    def go(self, new: ViewState, *, noted: bool = True) -> None:
        """Go to a state of any kind, another study's too; ``noted`` lets undo come back."""
        if self.data is None or new.study != self.state.study:
            self.open_study(new.study, new)
            return
        place = self.cursor
        old, self.state = self.state, new
        if noted:
            self.history.note(old, new)
        changed = {name for name in ALL if getattr(old, name) != getattr(new, name)}
        changed |= {c for c, a, b in zip(CURSOR, place, self.cursor, strict=True) if a != b}
        if "camera" in changed:
            self.view.aim(new.camera)
        if changed:
            self._follow(changed)

    def address(self, text: str) -> None:
        """The page says what stands behind # in its address: at first, and when it is edited."""
        if not self._address.done():
            self._address.set_result(text)
        elif text:
            self.spawn(self._go_to(text))

    async def _go_to(self, text: str) -> None:
        state = await self.run(partial(self.house.shelf.open, text))
        await self.show_state(state)

    async def show_state(self, state: ViewState) -> None:
        """Show a state from elsewhere, a link or a kept view: as far as the study has it."""
        if self.data is None or state.study not in ("", self.state.study):
            self.go(state)
            return
        self.go(await self._fitted(self.state.study, self.data, state))

    def step(self, state: ViewState | None) -> None:
        """Go to a state that :attr:`history` gave."""
        if state is not None:
            self.study_bar.show(error=None)
            self.go(state, noted=False)

    def _follow(self, changed: set[str]) -> None:
        for part in self.parts:
            part.follow(changed)
        if changed & GENE:
            self._waiting |= changed
            self._loading.ask()
        else:
            self.drawings.follow(changed)

    async def _load_gene(self) -> None:
        data, state = self.data, self.state
        if data is None:
            return
        genes = []
        if state.prediction is not None:
            for name in drawing.shown(state):
                genes.append(await self.run(partial(data.gene, state.prediction, name)))
        self.genes = genes
        changed, self._waiting = self._waiting | {"loaded"}, set()
        for part in self.parts:
            part.follow({"loaded"})
        self.drawings.follow(changed)

    def _camera_moved(self, camera: Camera, um_per_pixel: float, done: bool) -> None:
        old = self.state
        self.state = old.with_(camera=None if self.stream.at_home else camera)
        self.view.camera_moved(camera, um_per_pixel, done)
        if self.data is not None and old != self.state and not self.state.turning:
            self.history.note(old, self.state)
        if done:
            self.drawings.follow({"camera"})

    @property
    def gene(self) -> Gene | None:
        """The gene that is loaded, or the difference of two; None is morphology alone."""
        return self.genes[0] if self.genes else None

    @property
    def mixed(self) -> list[Gene]:
        """The other genes that share its picture."""
        return [] if self.state.together == "beside" else self.genes[1:]

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

    def open_study(self, name: str, wanted: ViewState | None = None) -> None:
        """Show another study: as ``wanted``, or as much as now as makes sense there."""
        if wanted is None:
            self.study_bar.show(error=None)
            kept = self.state
            wanted = ViewState(
                gene=kept.gene, palette=kept.palette, spots=kept.spots, planes=kept.planes,
                layout=kept.layout, bar=kept.bar,
            )  # fmt: skip
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        self._opening = asyncio.ensure_future(self._open(name, wanted))

    async def _open(self, name: str, wanted: ViewState) -> None:
        self.study_bar.show(study=name, title=name, busy="Opening", facts=[])
        self.view.show(busy=f"Opening {name}", empty=None)
        try:
            data = await self.run(partial(self.house.library.open, name))
            state = await self._fitted(name, data, wanted)
            await self.run(lambda: data.content)  # makes what is slow, once
            self.data, self.genes, self.state = data, [], state
            for part in self.parts:
                await part.opened()
            self._follow({*ALL, *CURSOR})
        except VortexError as error:
            self.data = None
            self.fail(str(error))
            self.view.show(empty=str(error))
        except Exception as error:
            log.exception("The study %s could not be opened", name)
            self.fail(f"{name} cannot be shown ({type(error).__name__}: {error}).")
            raise

    async def _fitted(self, name: str, data: StudyData, wanted: ViewState) -> ViewState:
        """A state with what this study has; the visitor is told what of it is not there."""
        state, missing = await self.run(partial(facts.fitted, data, wanted))
        if missing:
            self.warn(missing)
        return state.with_(study=name)

    async def take(self, prediction: str) -> None:
        """Show a prediction that has just been made, or what is new of the one that is shown."""
        data = self.data
        if data is None:
            return
        if prediction == self.state.prediction:
            self._follow({"checked"})
            return
        first = self.state.prediction is None
        wanted = self.state.with_(prediction=prediction, window=None)
        state, _ = await self.run(partial(facts.fitted, data, wanted))
        if first:  # until now there was no gene to choose
            table = await self.run(partial(facts.gene_table, data, prediction))
            state = state.with_(gene=facts.first_gene(table, None))
        if self.data is data:
            self.go(state.with_(study=self.state.study))
