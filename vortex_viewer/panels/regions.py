"""Regions: drawn in slices, kept with the study, measured, compared."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vortex_model.analysis import profiles, shapes
from vortex_model.analysis import regions as kept
from vortex_model.analysis.regions import Region
from vortex_model.analysis.shapes import Axis, Shape
from vortex_model.errors import VortexError
from vortex_model.prediction import Prediction
from vortex_viewer import drawing
from vortex_viewer.panels import region_answers as answers
from vortex_viewer.panels.answer import Answer
from vortex_viewer.panels.guard import changing
from vortex_viewer.panels.marking import Pen
from vortex_viewer.panels.piece import Piece, read, script
from vortex_viewer.scene import marks
from vortex_viewer.scene.data import StudyData

if TYPE_CHECKING:
    from vortex_viewer.session import Session

VIEW_AXES: dict[str, tuple[str, str, Axis]] = {
    "xy": ("x", "y", "z"),
    "xz": ("x", "z", "y"),
    "yz": ("y", "z", "x"),
}
"""Axes across and down each slice, and the one that it cuts."""
MOST_CORNERS = 400
TOOLS = ("box", "ellipsoid", "lasso", "line")
Corners = list[tuple[float, float]]


class Regions(Piece):
    """Draw, list, measure and compare regions."""

    slot, tab = "regions", "Regions"
    _esm = script("regions")

    def __init__(self, on_page: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("analysis.css")]
        self._regions: dict[str, Region] = {}
        self._hidden: set[str] = set()
        self._wish: dict[str, Any] = {}
        self._lock = asyncio.Lock()
        self._saved = 0

    def connect(self, session: Session) -> None:
        """Hear what is drawn and asked."""
        self._session = session
        self._marking = session.marking
        self.show(fixed=session.house.fixed)
        self.on("draw", self._want)
        made = changing(session, lambda wish: session.spawn(self._made_of(wish)))
        self.on("made", made)
        self.on("remove", changing(session, lambda name: session.spawn(self._remove(str(name)))))
        rename = changing(
            session, lambda pair: session.spawn(self._name_anew(pair["old"], pair["new"]))
        )
        self.on("rename", rename)
        self.on("visible", self._toggle)
        self.on("compare", lambda sides: session.spawn(self._compare(sides)))
        self.on("measure", lambda name: session.spawn(self._measure(str(name))))
        self.on("profile", lambda wish: session.spawn(self._profile(wish)))
        self.on("save", lambda kind: session.spawn(self._save(str(kind))))

    async def opened(self) -> None:
        """The regions that the study keeps."""
        self._hidden, self._wish = set(), {}
        self.show(drawing=None)
        await self.sources()
        await self._reload()

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
        if "prediction" in changed:
            self._session.spawn(self._refresh())

    # -- drawing ---------------------------------------------------------------------------

    def _want(self, wish: Any) -> None:
        """The next stroke is this shape; None is none."""
        self._wish = wish if isinstance(wish, dict) and wish.get("shape") in TOOLS else {}
        if self._session.house.fixed and self._wish.get("shape") != "line":
            self._wish = {}
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
            self._session.spawn(self._add(partial(self._shape, wish, view, corners)))

    def _shape(self, wish: dict[str, Any], view: str, corners: list[tuple[float, float]]) -> Shape:
        """The stroke as a shape: what it encloses in its slice, carried through the third axis."""
        data, at = self._session.data, self._session.cursor
        assert data is not None
        across, down, cut = VIEW_AXES[view]
        block = dict(zip("xyz", data.frame.bounds_um[::-1], strict=True))
        middle = at["xyz".index(cut)]
        places = np.asarray(corners)
        low, high = places.min(axis=0), places.max(axis=0)
        if min(high - low) <= 0:
            raise VortexError("That is a line, no area. Drag from one corner to the other.")
        through = wish.get("through")
        half = None if through in (None, "") else float(through) / 2
        if wish["shape"] == "ellipsoid":
            radii = {across: (high - low)[0] / 2, down: (high - low)[1] / 2}
            radii[cut] = float(np.mean(list(radii.values()))) if half is None else half
            centre = dict(zip((across, down), (low + high) / 2, strict=True)) | {cut: middle}
            return shapes.Ellipsoid(
                tuple(float(centre[a]) for a in "xyz"),  # type: ignore[arg-type]
                tuple(float(radii[a]) for a in "xyz"),  # type: ignore[arg-type]
            )
        span = block[cut] if half is None else (middle - half, middle + half)
        if wish["shape"] == "box":
            sides = {across: (low[0], high[0]), down: (low[1], high[1]), cut: span}
            return shapes.Box(**{a: (float(s[0]), float(s[1])) for a, s in sides.items()})
        step = max(1, len(corners) // MOST_CORNERS)
        outline = shapes.Outline(middle, tuple(corners[::step]))
        return shapes.Lasso(cut, (outline,), (float(span[0]), float(span[1])))

    async def _made_of(self, wish: Any) -> None:
        """A region from a threshold on the gene or a channel, or a class of a label image."""
        kind, name = str(wish.get("kind")), str(wish.get("name"))
        if kind == "label":
            value = int(wish["value"])
            shape: Shape = shapes.LabelOf(name, (value,))
            own = str(wish.get("title") or f"{name} {value}")
        else:
            state = self._session.state
            if kind == "gene":
                if state.gene is None:
                    raise VortexError("Choose a gene first: its threshold makes the region.")
                name = state.gene.removeprefix("=")
            try:
                level = float(wish["level"])
            except (TypeError, ValueError) as error:
                raise VortexError("Give the value that the region lies above.") from error
            if not np.isfinite(level):
                raise VortexError("Give the value that the region lies above.")
            shape = shapes.Threshold(kind, name, above=level)  # type: ignore[arg-type]
            own = f"{name} above {level:.4g}"
        await self._add(lambda: shape, self._free(own))

    def _free(self, name: str) -> str:
        """A name that no region has yet."""
        number, own = 1, name[: kept.MAX_NAME]
        while own in self._regions:
            number += 1
            own = f"{name[: kept.MAX_NAME - 5]} {number}"
        return own

    async def _add(self, shape: Callable[[], Shape], name: str | None = None) -> None:
        session, data = self._session, self._session.data
        prediction = session.state.prediction
        if data is None or prediction is None:
            raise VortexError("Regions lie on a prediction's lattice. Fine-tune one first.")
        async with self._lock:
            number = next(n for n in range(1, 10_000) if f"Region {n}" not in self._regions)
            own = name or f"Region {number}"
            work = partial(kept.make_region, own, shape(), data.prediction(prediction), data.study)
            region = await session.run(work)
            await session.run(partial(kept.save, data.study, region))
        await self._reload()

    # -- the list --------------------------------------------------------------------------

    async def _reload(self) -> None:
        data = self._session.data
        if data is None:
            return
        self._regions = await self._session.run(partial(kept.saved, data.study))
        await self._refresh()

    async def _refresh(self) -> None:
        """Lay the regions over the pictures, and list them."""
        session, data = self._session, self._session.data
        name = session.state.prediction
        if data is None or name is None:
            self._marking.set("regions", None)
            self.show(regions=[])
            return
        prediction = await session.run(partial(data.prediction, name))
        masks = await session.run(partial(self._masks, prediction.grid))
        table = await session.run(partial(profiles.region_summary, prediction, masks))
        sizes = [float(v) for v in table["tissue_mm3"].to_numpy()]
        rows, inks = [], {}
        over = np.zeros(prediction.grid.shape, np.uint16)
        for number, (region, mask) in enumerate(masks.items()):
            seen = region not in self._hidden
            if seen:
                over[mask] = number + 1
                inks[number + 1] = marks.ink(number)
            rows.append([region, marks.ink(number), sizes[number], seen])
        found = marks.Marks(prediction.grid, over, inks, 0.18) if inks else None
        self._marking.set("regions", found)
        self.show(regions=rows)

    def _masks(self, grid: Any) -> dict[str, Any]:
        return {name: region.on(grid).mask for name, region in self._regions.items()}

    def _toggle(self, name: Any) -> None:
        self._hidden ^= {str(name)}
        self._session.spawn(self._refresh())

    async def _remove(self, name: str) -> None:
        data = self._session.data
        assert data is not None
        await self._session.run(partial(kept.remove, data.study, name))
        await self._reload()

    async def _name_anew(self, old: str, new: str) -> None:
        data = self._session.data
        assert data is not None
        await self._session.run(partial(kept.rename, data.study, str(old), str(new)))
        await self._reload()

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
        masks = self._masks(prediction.grid)
        return np.logical_or.reduce([masks[n] for n in names])

    async def _measure(self, name: str) -> None:
        """Every gene in a region."""
        prediction = await self._prediction()
        mask = self._mask([name], prediction)
        work = partial(answers.measured, prediction, name, mask)
        await self._told("region", name, "Reading every gene", work)

    async def _compare(self, sides: Any) -> None:
        """What differs between two regions, or one and the rest."""
        first = [n for n in sides.get("a", []) if n in self._regions]
        second = [n for n in sides.get("b", []) if n in self._regions]
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
        names = [n for n in wish.get("a", []) if n in self._regions]
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
        regions = [region.on(prediction.grid) for region in self._regions.values()]
        study = "" if self._session.data is None else self._session.data.info.name
        make = labels_zip if kind == "labels" else tokens_csv
        name, content = await self._session.run(partial(make, regions, f"{study} regions"))
        self._saved += 1
        self.show_bulk(file={"name": name, "data": content, "stamp": self._saved})


def sources_of(data: StudyData) -> list[list[Any]]:
    """What a region can be made of besides a drawing: kind, name, value, words."""
    found: list[list[Any]] = []
    channels = [] if data.image is None else [c.name for c in data.image.channels]
    found += [["morphology", name, None, f"{name} above"] for name in channels]
    for label in data.study.label_names:
        for value, name in data.study.label_classes(label).items():
            found.append(["label", label, value, f"{name} ({label})"])
    return found


def tokens_csv(regions: list[Region], name: str) -> tuple[str, str]:
    """A file's name, and base64 of every token of the regions as CSV."""
    table = kept.token_table(regions).to_csv(index=False, float_format="%.6g")
    return f"{name}.csv", base64.b64encode(table.encode()).decode()


def labels_zip(regions: list[Region], name: str) -> tuple[str, str]:
    """A file's name, and base64 of the regions as an OME-Zarr label image, zipped."""
    with tempfile.TemporaryDirectory() as folder:
        place = kept.export_labels(regions, Path(folder) / f"{name}.ome.zarr")
        packed = shutil.make_archive(str(place), "zip", folder, place.name)
        return Path(packed).name, base64.b64encode(Path(packed).read_bytes()).decode()
