"""Regions: drawn in slices, kept with the study, measured, compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vortex_model.analysis import profiles, shapes
from vortex_model.analysis import regions as kept
from vortex_model.analysis.differential import compare
from vortex_model.analysis.regions import Region
from vortex_model.analysis.shapes import Axis, Shape
from vortex_model.errors import VortexError
from vortex_viewer.panels.answer import Answer, column, numbers
from vortex_viewer.panels.marking import Marking
from vortex_viewer.panels.piece import Piece, read, script
from vortex_viewer.scene import marks

if TYPE_CHECKING:
    from vortex_viewer.session import Session

RATE, LEAST = 0.05, 0.2
"""Genes are called at this false discovery rate and difference (natural log)."""
VIEW_AXES: dict[str, tuple[str, str, Axis]] = {
    "xy": ("x", "y", "z"),
    "xz": ("x", "z", "y"),
    "yz": ("y", "z", "x"),
}
"""Axes across and down each slice, and the one that it cuts."""
MOST_CORNERS = 400


class Regions(Piece):
    """Draw, list, measure and compare regions."""

    slot, tab = "regions", "Regions"
    _esm = script("regions")

    def __init__(self, on_page: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("analysis.css")]
        self.marking = Marking()
        self._regions: dict[str, Region] = {}
        self._hidden: set[str] = set()
        self._wish: dict[str, Any] = {}
        self._lock = asyncio.Lock()

    def connect(self, session: Session) -> None:
        """Hear what is drawn and asked."""
        self._session = session
        self.marking.connect(session)
        self.marking.on_stroke(self._stroke)
        self.on("draw", self._want)
        self.on("threshold", lambda value: session.spawn(self._threshold(float(value))))
        self.on("remove", lambda name: session.spawn(self._remove(str(name))))
        self.on("rename", lambda pair: session.spawn(self._name_anew(pair["old"], pair["new"])))
        self.on("visible", self._toggle)
        self.on("compare", lambda sides: session.spawn(self._compare(sides)))
        self.on("measure", lambda name: session.spawn(self._measure(str(name))))

    async def opened(self) -> None:
        """The regions that the study keeps."""
        await self.marking.opened()
        self._hidden, self._wish = set(), {}
        self.show(message="", drawing=None)
        await self._reload()

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
        self._wish = wish if isinstance(wish, dict) else {}
        self.show(drawing=self._wish.get("shape"), message="")

    def _stroke(self, view: str, corners: list[tuple[float, float]]) -> None:
        wish, self._wish = self._wish, {}
        self.show(drawing=None)
        if wish.get("shape") in ("box", "ellipsoid", "lasso"):
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

    async def _threshold(self, level: float) -> None:
        state = self._session.state
        if state.gene is None or not np.isfinite(level):
            raise VortexError("Choose a gene first: a threshold is on the gene that is shown.")
        name = state.gene.removeprefix("=")
        shape = shapes.Threshold("gene", name, above=level)
        await self._add(lambda: shape, f"{name} above {level:.3g}"[: kept.MAX_NAME])

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
            self.marking.set("regions", None)
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
        self.marking.set("regions", found)
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

    async def _measure(self, name: str) -> None:
        """Every gene in a region."""
        session, data = self._session, self._session.data
        assert data is not None and session.state.prediction is not None
        answer = session.piece(Answer)
        prediction = await session.run(partial(data.prediction, session.state.prediction))
        mask = self._regions[name].on(prediction.grid).mask
        size = profiles.region_summary(prediction, {name: mask}).iloc[0]
        table = await session.run(partial(profiles.region_genes, prediction, mask))
        answer.tell(
            "region",
            name,
            file=f"{data.info.name} {name}",
            facts=[
                ["Tissue", f"{size.tissue_mm3:.4g} mm³", "Volume of the region that is tissue"],
                ["Places", f"{int(size.tissue_tokens):,}", "Tokens of the lattice, in tissue"],
                ["Centre x, y, z", f"{size.x_um:.0f}, {size.y_um:.0f}, {size.z_um:.0f} µm"],
            ],
            genes=[str(g) for g in table.index],
            sure=[bool(v) for v in table["reliable"]],
            columns=[
                column("mean", "Mean", "Mean expression, log1p CP10K", table["mean"]),
                column("deviation", "Spread", "Standard deviation within", table["deviation"]),
                column("uncertainty", "± of it", "The prediction's own", table["uncertainty"]),
                column("reliability", "Reliab.", "Held-out correlation", table["reliability"]),
            ],
            sort="mean",
            gene=session.state.gene,
        )

    async def _compare(self, sides: Any) -> None:
        """What differs between two regions, or one and the rest."""
        session, data = self._session, self._session.data
        assert data is not None and session.state.prediction is not None
        first = [n for n in sides.get("a", []) if n in self._regions]
        second = [n for n in sides.get("b", []) if n in self._regions]
        if not first:
            raise VortexError("Mark at least one region with A; without B it is the rest.")
        answer = session.piece(Answer)
        title = f"{' + '.join(first)} against {' + '.join(second) or 'the rest'}"
        answer.wait("compare", title, "Comparing every gene")
        prediction = await session.run(partial(data.prediction, session.state.prediction))
        masks = self._masks(prediction.grid)
        one = np.logical_or.reduce([masks[n] for n in first])
        two = np.logical_or.reduce([masks[n] for n in second]) if second else None
        try:
            made = await session.run(partial(compare, prediction, one, two))
        except VortexError:
            answer.hide()
            raise
        table = made.table
        called = (table["q"] <= RATE) & (table["difference"].abs() >= LEAST)
        differ = f"{int(called.sum()):,} of {len(table):,} genes"
        answer.tell(
            "compare",
            title,
            note=made.note,
            file=f"{data.info.name} {title}",
            facts=[
                ["Differ", differ, f"False discovery rate {RATE}, difference {LEAST} or more"],
                ["of them reliable", f"{int((called & table['reliable']).sum()):,}"],
                ["Places A, B", f"{made.tokens[0]:,}, {made.tokens[1]:,}"],
                ["Blocks A, B", f"{made.blocks[0]}, {made.blocks[1]}", "Independent pieces"],
            ],
            legend=[
                [marks.INKS[5], "higher in A", ""],
                [marks.INKS[1], "higher in B" if second else "lower in A", ""],
                ["var(--faint)", "no call", ""],
                ["none; border: 1px solid currentColor", "hollow, ?: unreliable", ""],
            ],
            genes=[str(g) for g in table.index],
            sure=[bool(v) for v in table["reliable"]],
            columns=[
                column("difference", "A \N{MINUS SIGN} B", "Difference", table["difference"]),
                column("standardised", "Effect", "Over the spread", table["standardised"]),
                {**column("q", "FDR", "False discovery rate", table["q"]), "small": True},
                column("reliability", "Reliab.", "Held-out correlation", table["reliability"]),
            ],
            plot={
                "x": numbers(table["difference"]),
                "q": numbers(table["q"]),
                "rate": RATE,
                "least": LEAST,
                "label": "difference of means (natural log)",
                "inks": [marks.INKS[5], marks.INKS[1]],
            },
            sort="standardised",
            gene=session.state.gene,
        )
