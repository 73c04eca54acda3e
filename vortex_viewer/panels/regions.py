"""Regions: drawn in slices, kept with the study, measured, compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vortex_model.analysis import profiles
from vortex_model.analysis import regions as kept
from vortex_model.analysis.regions import Region
from vortex_model.analysis.shapes import Shape
from vortex_model.errors import VortexError
from vortex_model.prediction import Prediction
from vortex_viewer import drawing
from vortex_viewer.link_text import settled
from vortex_viewer.panels import region_answers as answers
from vortex_viewer.panels import region_list
from vortex_viewer.panels.answer import Answer
from vortex_viewer.panels.guard import changing
from vortex_viewer.panels.marking import Pen
from vortex_viewer.panels.piece import Piece, read, script
from vortex_viewer.panels.region_list import Row, Saved, Shown, free_ink, free_name
from vortex_viewer.panels.region_shapes import (
    VIEW_AXES,
    Corners,
    extended,
    from_choice,
    from_stroke,
    labels_zip,
    sources_of,
    tokens_csv,
)
from vortex_viewer.placed import Drawn
from vortex_viewer.scene import marks

if TYPE_CHECKING:
    from vortex_viewer.session import Session

TOOLS = ("box", "ellipsoid", "lasso", "line")


class Regions(Piece):
    """Draw, list, measure and compare regions."""

    slot, tab = "regions", "Regions"
    _esm = script("regions")

    def __init__(self, on_page: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("analysis.css")]
        self._saved: Saved = {}
        self._rows: dict[str, Row] = {}
        self._made: dict[tuple[str, str, Shape], Region] = {}
        self._wish: dict[str, Any] = {}
        self._lock = asyncio.Lock()
        self._stamp = 0

    def connect(self, session: Session) -> None:
        """Hear what is drawn and asked."""
        self._session = session
        self._marking = session.marking
        self.show(fixed=session.house.fixed)
        self.on("draw", self._want)
        self.on("made", lambda wish: session.spawn(self._made_of(wish)))
        self.on("remove", lambda name: session.spawn(self._remove(str(name))))
        self.on(
            "rename",
            lambda pair: session.spawn(self._name_anew(str(pair["old"]), str(pair["new"]))),
        )
        self.on("keep", changing(session, lambda name: session.spawn(self._keep(str(name)))))
        self.on("visible", self._toggle)
        self.on("compare", lambda sides: session.spawn(self._compare(sides)))
        self.on("measure", lambda name: session.spawn(self._measure(str(name))))
        self.on("profile", lambda wish: session.spawn(self._profile(wish)))
        self.on("save", lambda kind: session.spawn(self._save(str(kind))))
        session.drawings.add("regions", self._refresh, {"prediction", "checked", "regions"})

    async def opened(self) -> None:
        """The regions that the study keeps."""
        self._rows, self._made, self._wish = {}, {}, {}
        self.show(drawing=None)
        await self.sources()
        await self._read()

    async def sources(self) -> None:
        """Tell the page what a region can be made of."""
        data = self._session.data
        if data is not None:
            self.show(sources=await self._session.run(partial(sources_of, data)))

    def follow(self, changed: set[str]) -> None:
        """Regions lie on the lattice of the prediction that is shown."""
        if changed & {"prediction", "gene", "loaded"}:
            state, gene = self._session.state, self._session.gene
            level = None if gene is None else sum(gene.windows[state.preset]) / 2
            self.show(
                gene=None if gene is None else gene.name,
                level=level,
                ready=state.prediction is not None,
            )

    # -- drawing ---------------------------------------------------------------------------

    def _want(self, wish: Any) -> None:
        """The next stroke is this shape; None is none."""
        self._wish = wish if isinstance(wish, dict) and wish.get("shape") in TOOLS else {}
        self.show(drawing=self._wish.get("shape"))
        if self._wish:
            self._marking.take(Pen("regions", self._stroke, partial(self._want, None)))
        else:
            self._marking.leave("regions")

    def _stroke(self, view: str, corners: Corners) -> None:
        wish = self._wish
        self._want(None)
        if wish.get("shape") == "line":
            self._session.spawn(self._line(view, corners))
        elif wish:
            self._session.spawn(
                self._add(partial(self._shape, wish, view, corners), wish.get("into"))
            )

    def _shape(
        self, wish: dict[str, Any], view: str, corners: Corners, prediction: Prediction
    ) -> Shape:
        data, at = self._session.data, self._session.cursor
        assert data is not None
        return from_stroke(data, wish, view, corners, at, min(prediction.grid.spacing_um))

    async def _made_of(self, wish: Any) -> None:
        """A region from a threshold on the gene or a channel, or a class of a label image."""
        shape, name = from_choice(wish, self._session.state.gene)
        await self._add(lambda _: shape, wish.get("into"), free_name(name, self._rows))

    async def _add(
        self, shape: Callable[[Prediction], Shape], into: Any, name: str | None = None
    ) -> None:
        """One more region in the view, or one with more to it; the study keeps it where it may.

        Parameters
        ----------
        into
            ``name`` of a region, and ``how``: ``add`` to it or ``cut`` from it; None for a new one.
        """
        session, data = self._session, self._session.data
        if data is None or session.state.prediction is None:
            raise VortexError("Regions lie on a prediction's lattice. Fine-tune one first.")
        prediction = await self._prediction()
        async with self._lock:
            old = self._rows.get(str(into["name"])) if isinstance(into, dict) else None
            if old is not None and old.saved and not self._may():
                return

            def make() -> Shape:
                made = shape(prediction)
                return settled(made if old is None else extended(old.drawn.shape, made, how))

            how = str(into["how"]) if old is not None else "add"
            number = next(n for n in range(1, 10_000) if f"Region {n}" not in self._rows)
            own = old.drawn.name if old is not None else name or f"Region {number}"
            drawn = await session.run(make)
            work = partial(kept.make_region, own, drawn, prediction, data.study)
            region = await session.run(work)
            seen = self._noted()
            if session.house.changes and (old is None or old.saved):
                await session.run(partial(kept.save, data.study, region))
                await self._read()
            self._made[prediction.id, own, drawn] = region
            others = tuple(d for d in seen if d.name != own)
            ink = old.drawn.ink if old is not None else free_ink(d.ink for d in seen)
            session.change(regions=(*others, Drawn(own, ink, drawn)))
            await self._refresh()

    def _noted(self) -> Shown:
        """What is shown, from now on whatever else the study keeps: undo comes back to it."""
        session = self._session
        seen = region_list.shown(session.state.regions, self._saved)
        if session.state.regions is None:
            session.go(session.state.with_(regions=seen), noted=False)
        return seen

    # -- the list --------------------------------------------------------------------------

    async def _read(self) -> None:
        data = self._session.data
        if data is not None:
            self._saved = await self._session.run(partial(kept.saved, data.study))
            self._made = {}

    async def _refresh(self) -> None:
        """Lay the regions over the pictures, and list them."""
        session, data = self._session, self._session.data
        name, wanted = session.state.prediction, session.state.regions
        if data is None or name is None:
            self._rows = {}
            self._marking.set("regions", None)
            self.show(regions=[])
            return
        prediction = await session.run(partial(data.prediction, name))
        rows = region_list.rows(wanted, self._saved)
        found, missing = await session.run(partial(self._drawn, rows, prediction))
        table = await session.run(partial(profiles.region_summary, prediction, found))
        if (session.data, session.state.prediction) != (data, name):
            return
        self._rows = {n: row for row in rows if (n := row.drawn.name) in found}
        sizes = [float(v) for v in table["tissue_mm3"].to_numpy()]
        told, inks = [], {}
        over = np.zeros(prediction.grid.shape, np.uint16)
        for number, (row, size) in enumerate(zip(self._rows.values(), sizes, strict=True)):
            ink = marks.ink(row.drawn.ink)
            if row.seen:
                over[found[row.drawn.name]] = number + 1
                inks[number + 1] = ink
            more = row.extendable(session.house.changes)
            told.append([row.drawn.name, ink, size, row.seen, row.saved, more])
        self._marking.set(
            "regions", marks.Marks(prediction.grid, over, inks, 0.18) if inks else None
        )
        self.show(regions=told)
        if missing:
            session.warn(f"Not all regions of this view can be drawn here: {missing}")

    def _drawn(self, rows: list[Row], prediction: Prediction) -> tuple[dict[str, Any], str]:
        """Masks on the lattice by name, and why one has none."""
        data, found, missing = self._session.data, {}, []
        assert data is not None
        for row in rows:
            drawn = row.drawn
            key = (prediction.id, drawn.name, drawn.shape)
            try:
                if key not in self._made:
                    self._made[key] = region_list.on_lattice(
                        drawn, self._saved, prediction, data.study
                    )
                found[drawn.name] = self._made[key].mask
            except VortexError as error:
                missing.append(str(error))
        return found, " ".join(missing)

    def _toggle(self, name: Any) -> None:
        """Show a region, or hide it."""
        row = self._rows.get(str(name))
        if row is None:
            return
        others = tuple(d for d in self._noted() if d.name != name)
        self._session.change(regions=others if row.seen else (*others, row.drawn))

    async def _remove(self, name: str) -> None:
        """Forget a region; undo shows it again, to be kept anew."""
        session, data, row = self._session, self._session.data, self._rows.get(name)
        if data is None or row is None:
            return
        if row.saved and not self._may():
            return
        others = tuple(d for d in self._noted() if d.name != name)
        if row.saved:
            await session.run(partial(kept.remove, data.study, name))
            await self._read()
        session.change(regions=others)
        session.drawings.ask("regions")

    async def _name_anew(self, old: str, new: str) -> None:
        session, data, row = self._session, self._session.data, self._rows.get(old)
        new = " ".join(new.split())
        if data is None or row is None or (row.saved and not self._may()):
            return
        if new in self._rows:
            raise VortexError(f"There is a region {new!r} already; choose another name.")
        if row.saved:
            await session.run(partial(kept.rename, data.study, old, new))
            await self._read()
        if session.state.regions is not None:
            names = {old: new}
            changed = tuple(
                replace(d, name=names.get(d.name, d.name)) for d in session.state.regions
            )
            session.change(regions=changed)
        session.drawings.ask("regions")

    async def _keep(self, name: str) -> None:
        """Keep with the study what is in this view alone."""
        session, data, row = self._session, self._session.data, self._rows.get(name)
        if data is None or row is None or row.saved:
            return
        own = free_name(name, self._saved)
        prediction = await self._prediction()
        work = partial(kept.make_region, own, row.drawn.shape, prediction, data.study)
        await session.run(lambda: kept.save(data.study, work()))
        await self._read()
        shown = session.state.regions or ()
        changed = tuple(replace(d, name=own) if d.name == name else d for d in shown)
        session.change(regions=changed)
        session.drawings.ask("regions")

    def _may(self) -> bool:
        """Whether visitors may change the study; they are told where not."""
        why = self._session.house.fixed
        if why:
            self._session.fail(why)
        return why is None

    # -- the answers -----------------------------------------------------------------------

    async def _prediction(self) -> Prediction:
        session, data = self._session, self._session.data
        name = session.state.prediction
        if data is None or name is None:
            raise VortexError("This is asked of a prediction. Fine-tune one first.")
        return await session.run(partial(data.prediction, name))

    async def _told(self, kind: str, title: str, message: str, work: Callable[[], Any]) -> None:
        """Say that it is being worked out, then what came out."""
        session, answer = self._session, self._session.piece(Answer)
        answer.wait(kind, title, message)
        try:
            made = await session.run(work)
        except VortexError:
            answer.hide()
            raise
        title = made.pop("title", title)
        study = "" if session.data is None else session.data.info.name
        answer.tell(kind, title, file=f"{study} {title}", gene=session.state.gene, **made)

    def _mask(self, names: list[str], prediction: Prediction) -> Any:
        rows = [self._rows[n] for n in names if n in self._rows]
        masks, missing = self._drawn(rows, prediction)
        if not masks:
            raise VortexError(missing or "There is no such region any more.")
        return np.logical_or.reduce(list(masks.values()))

    async def _measure(self, name: str) -> None:
        """Every gene in a region."""
        prediction = await self._prediction()
        mask = self._mask([name], prediction)
        work = partial(answers.measured, prediction, name, mask)
        await self._told("region", name, "Reading every gene", work)

    async def _compare(self, sides: Any) -> None:
        """What differs between two regions, or one and the rest."""
        first = [n for n in sides.get("a", []) if n in self._rows]
        second = [n for n in sides.get("b", []) if n in self._rows]
        if not first:
            raise VortexError("Mark at least one region with A; without B it is the rest.")
        prediction = await self._prediction()
        one = self._mask(first, prediction)
        two = self._mask(second, prediction) if second else None
        names = " + ".join(first), " + ".join(second) or "the rest"
        work = partial(answers.compared, prediction, one, two, names)
        await self._told("compare", " against ".join(names), "Comparing every gene", work)

    def _genes(self) -> list[str]:
        genes = [name.removeprefix("=") for name in drawing.shown(self._session.state)]
        if not genes:
            raise VortexError("Choose a gene first: its profile is shown.")
        return genes

    async def _line(self, view: str, corners: Corners) -> None:
        """The gene along a line drawn in a slice."""
        across, down, cut = VIEW_AXES[view]
        ends = []
        for u, v in (corners[0], corners[-1]):
            place = {across: u, down: v, cut: self._session.cursor["xyz".index(cut)]}
            ends.append([place[a] for a in "xyz"])
        genes, prediction = self._genes(), await self._prediction()
        title = f"{', '.join(genes)} along a line"
        work = partial(answers.along, prediction, genes, ends)
        await self._told("profile", title, "Reading the line", work)

    async def _profile(self, wish: Any) -> None:
        """The gene with depth, or by distance from the regions of side A."""
        names = [n for n in wish.get("a", []) if n in self._rows]
        genes, prediction = self._genes(), await self._prediction()
        mask = self._mask(names, prediction) if names else None
        where = " + ".join(names) or "all tissue"
        if wish.get("kind") == "depth":
            title = f"{', '.join(genes)} with depth"
            work = partial(answers.with_depth, prediction, genes, mask, where)
        elif mask is None:
            raise VortexError("Mark a region with A: the distance is from its surface.")
        else:
            title = f"{', '.join(genes)} around {where}"
            work = partial(answers.from_surface, prediction, genes, mask, where)
        await self._told("profile", title, "Averaging", work)

    async def _save(self, kind: str) -> None:
        """Hand the regions to the page as a file."""
        prediction = await self._prediction()
        masks, _ = self._drawn(list(self._rows.values()), prediction)
        shapes = {n: self._rows[n].drawn.shape for n in masks}
        regions = [Region(n, shapes[n], prediction.grid, mask) for n, mask in masks.items()]
        study = "" if self._session.data is None else self._session.data.info.name
        make = labels_zip if kind == "labels" else tokens_csv
        name, content = await self._session.run(partial(make, regions, f"{study} regions"))
        self._stamp += 1
        self.show_bulk(file={"name": name, "data": content, "stamp": self._stamp})
