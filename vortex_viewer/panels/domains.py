"""Domains, label images and painted classes: laid over the pictures, with what each expresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vortex_model.analysis.domains import MOST, marker_genes
from vortex_model.analysis.moments import reliable
from vortex_model.analysis.segmentation import (
    Learner,
    Segmentation,
    Stroke,
    class_expression,
    class_summary,
    keep_labels,
)
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Level
from vortex_model.prediction import Prediction
from vortex_viewer.panels.answer import Answer, column
from vortex_viewer.panels.clustering import Found, find_again, find_new
from vortex_viewer.panels.guard import changing
from vortex_viewer.panels.marking import Pen
from vortex_viewer.panels.piece import Piece, read, script
from vortex_viewer.panels.region_shapes import VIEW_AXES
from vortex_viewer.panels.regions import Regions
from vortex_viewer.scene import marks
from vortex_viewer.scene.data import StudyData

if TYPE_CHECKING:
    from vortex_viewer.session import Session

FILL = 0.55
MARKERS = 12
SHOWN = 4
"""Classes that have a column of the table; all are in its CSV."""
LABEL_VOXELS = 3_000_000
MOST_CLASSES = 48
MOST_STROKES = 200
Labels = npt.NDArray[np.integer[Any]]


class DomainsPanel(Piece):
    """Find domains, show label images, paint classes."""

    slot, tab = "domains", "Domains"
    _esm = script("domains")

    def __init__(self, on_page: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("analysis.css")]
        self._forget()

    def _forget(self) -> None:
        self._strokes: list[Stroke] = []
        self._brush: dict[str, Any] | None = None
        self._learner: Learner | None = None
        self._found: tuple[Labels, Grid, dict[int, str], str] | None = None
        self._named = False
        self._clusters: Found | None = None

    def connect(self, session: Session) -> None:
        """Hear what is asked and painted."""
        self._session = session
        self._marking = session.marking
        self.on("find", lambda count: session.spawn(self._find(count)))
        self.on("label", self._choose)
        self.on("hide", lambda _: self._choose(None))
        self.on("how", lambda how: session.change(label_as=str(how)))
        self.show(fixed=session.house.fixed)
        self.on("paint", changing(session, self._paint))
        self.on("learn", changing(session, lambda _: session.spawn(self._learn())))
        self.on("clear", lambda _: self._clear())
        self.on("keep", changing(session, lambda name: session.spawn(self._keep(str(name)))))

    async def opened(self) -> None:
        """Another study."""
        self._forget()
        data = self._session.data
        names = [] if data is None else data.study.label_names
        self.show(labels=names, shown=None, key=[], strokes=[], painting=None, keepable=False)

    def follow(self, changed: set[str]) -> None:
        """Domains belong to a prediction, a label image to the state."""
        state = self._session.state
        if "prediction" in changed:
            self.show(ready=state.prediction is not None, most=MOST)
        if "label_as" in changed:
            self.show(how=state.label_as)
        if "domains" in changed or ("prediction" in changed and state.domains is not None):
            self._session.spawn(self._show_domains())
        if "label" in changed and not state.domains and (state.label or self._named):
            self._session.spawn(self._label(state.label))

    # -- domains ---------------------------------------------------------------------------

    async def _find(self, count: Any) -> None:
        """Find domains, numbered like those that are shown; the view then says which."""
        _, prediction = await self._prediction()
        answer = self._session.piece(Answer)
        answer.wait("domains", "Domains", "Clustering what the tissue expresses")
        like = self._found[0] if self._found and self._found[3] == "domains" else None
        number = None if count in (None, "") else int(count)
        try:
            work = partial(find_new, prediction, number, like)
            self._clusters = await self._session.run(work)
        except VortexError:
            answer.hide()
            raise
        self._hide()
        self._session.change(domains=self._clusters.clusters, label=None)
        await self._show_domains()

    async def _show_domains(self) -> None:
        """Lay the domains of the view over the pictures, and tell their genes."""
        session, wanted = self._session, self._session.state.domains
        if wanted is None:
            if self._found is not None and self._found[3] == "domains":
                self._hide()
            return
        if session.state.prediction is None:
            session.warn("This view shows domains, which follow a prediction. Fine-tune one first.")
            return
        data, prediction = await self._prediction()
        found = self._clusters
        if found is None or not found.answers(prediction, wanted):
            found = await session.run(partial(find_again, prediction, wanted))
        elif self._found is not None and self._found[0] is found.labels:
            return  # they lie there already
        if (session.state.domains, session.state.prediction) != (wanted, prediction.id):
            return  # something else is wanted by now
        self._clusters = found
        names = {i: f"Domain {i}" for i in range(1, wanted.count + 1)}
        self._lay(found.labels, prediction.grid, names, "domains")
        table = await session.run(partial(marker_genes, prediction, found.labels, MARKERS))
        summary = await session.run(partial(class_summary, prediction, found.labels, names))
        session.piece(Answer).tell(
            "domains",
            f"{wanted.count} domains",
            note=f"{found.note} Below, the genes that mark each against the rest.",
            file=f"{data.info.name} domains",
            legend=_legend(names, summary["fraction"]),
            genes=[str(g) for g in table["gene"]],
            sure=[bool(v) for v in table["reliable"]],
            columns=[
                {**column("label", "Domain", "Number of the domain", table["label"]), "digits": 0},
                column("difference", "Higher by", "Against the rest", table["difference"]),
                column("standardised", "Effect", "Over the spread", table["standardised"]),
                column("reliability", "Reliab.", "Held-out correlation", table["reliability"]),
            ],
            gene=session.state.gene,
        )

    # -- label images ----------------------------------------------------------------------

    def _choose(self, name: Any) -> None:
        """Show a label image, or none."""
        label = str(name) if name else None
        if label is None and not self._named:
            self._hide()
        self._session.change(label=label, domains=None)

    async def _label(self, name: str | None) -> None:
        data = self._session.data
        if data is None:
            return
        if name is None:
            self._hide()
            return
        if self._found is not None and self._found[3] == name:
            return
        level = await self._session.run(partial(_level, data, name))
        numbers = np.asarray(await self._session.run(lambda: level.array[0]))
        names = await self._session.run(partial(class_names, data, name, numbers))
        if self._session.state.label != name:
            return
        self._lay(numbers, level.grid, names, name)
        self._named = True
        if self._session.state.prediction is not None:
            _, prediction = await self._prediction()
            own = await self._session.run(partial(on_tokens, numbers, level.grid, prediction.grid))
            await self._classes(name, prediction, own, names)

    async def _classes(
        self, title: str, prediction: Prediction, labels: Labels, names: Mapping[int, str]
    ) -> None:
        """Volume fractions, and every gene by class."""
        run = self._session.run
        summary = await run(partial(class_summary, prediction, labels, names))
        some = {v: n for v, n in names.items() if summary.loc[n, "tokens"] != 0}
        table = await run(partial(class_expression, prediction, labels, some))
        told = [column(n, n, f"Mean in {n}", table[n]) for n in table.columns]
        more = "" if len(told) <= SHOWN else f" The CSV has all {len(told)} classes."
        self._session.piece(Answer).tell(
            "classes",
            title,
            note=f"Share of the labelled tissue, and mean expression in each class.{more}",
            legend=_legend(names, summary["fraction"]),
            genes=[str(g) for g in table.index],
            sure=[bool(v) for v in reliable(prediction.genes)],
            columns=told[:SHOWN],
            extra=told[SHOWN:],
            sort=str(table.columns[0]),
            gene=self._session.state.gene,
        )

    # -- painting --------------------------------------------------------------------------

    def _paint(self, brush: Any) -> None:
        """The next strokes are of this class; None ends it."""
        self._brush = (
            brush if isinstance(brush, dict) and str(brush.get("name", "")).strip() else None
        )
        self.show(painting=None if self._brush is None else self._brush["name"])
        if self._brush is None:
            self._marking.leave("painting")
        else:
            self._marking.take(Pen("painting", self._painted, partial(self._paint, None)))

    def _painted(self, view: str, corners: list[tuple[float, float]]) -> None:
        brush, session = self._brush, self._session
        if brush is None or session.data is None:
            return
        across, down, cut = VIEW_AXES[view]
        at = session.cursor["xyz".index(cut)]
        step = max(1, len(corners) // 300)
        points = []
        for u, v in corners[::step]:
            place = {across: u, down: v, cut: at}
            points.append((place["x"], place["y"], place["z"]))
        stroke = Stroke(str(brush["name"]).strip(), tuple(points), float(brush["radius"]))
        self._strokes = [*self._strokes, stroke][-MOST_STROKES:]
        self._show_strokes()

    def _show_strokes(self) -> None:
        names = list(dict.fromkeys(s.label for s in self._strokes))
        told = [
            [n, marks.ink(i), sum(s.label == n for s in self._strokes)] for i, n in enumerate(names)
        ]
        self.show(strokes=told)
        data, name = self._session.data, self._session.state.prediction
        if data is None or name is None or not names:
            return
        grid = data.prediction(name).grid
        numbers = np.zeros(grid.shape, np.uint8)
        for stroke in self._strokes:
            numbers[tuple(stroke.tokens(grid).T)] = names.index(stroke.label) + 1
        inks = {i + 1: marks.ink(i) for i in range(len(names))}
        self._marking.set("labels", marks.Marks(grid, numbers, inks, 0.8))

    async def _learn(self) -> None:
        data = self._session.data
        if data is None:
            return
        strokes = list(self._strokes)
        answer = self._session.piece(Answer)
        answer.wait("classes", "Painted classes", "Learning from the strokes")
        try:
            if self._learner is None:
                self._learner = await self._session.run(partial(learner_of, data))
            made: Segmentation = await self._session.run(partial(self._learner.learn, strokes))
        except VortexError:
            answer.hide()
            raise
        names = dict(enumerate(made.names, start=1))
        self._lay(made.labels, made.grid, names, "painted")
        self._session.change(label=None, domains=None)  # these are in no address until kept
        if self._session.state.prediction is None:
            answer.hide()
            return
        _, prediction = await self._prediction()
        own = on_tokens(made.labels, made.grid, prediction.grid)
        await self._classes("Painted classes", prediction, own, names)

    def _clear(self) -> None:
        self._strokes = []
        self._hide()
        self.show(strokes=[])

    # -- inner -----------------------------------------------------------------------------

    async def _prediction(self) -> tuple[StudyData, Prediction]:
        data, name = self._session.data, self._session.state.prediction
        if data is None or name is None:
            raise VortexError("Domains follow a prediction. Fine-tune one first.")
        return data, await self._session.run(partial(data.prediction, name))

    def _lay(self, labels: Labels, grid: Grid, names: dict[int, str], title: str) -> None:
        inks = {value: marks.ink(i) for i, value in enumerate(names)}
        self._found, self._named = (labels, grid, names, title), False
        self._marking.set("labels", marks.Marks(grid, labels, inks, FILL))
        key = [[inks[v], n] for v, n in names.items()]
        self.show(shown=title, key=key, keepable=title in ("domains", "painted"))

    def _hide(self) -> None:
        self._found, self._named = None, False
        self._marking.set("labels", None)
        self.show(shown=None, key=[], keepable=False)

    async def _keep(self, name: str) -> None:
        data = self._session.data
        if data is None or self._found is None:
            return
        clean = "".join(c if c.isalnum() or c in "-_" else "-" for c in name.strip())[:64]
        if not clean.strip("-"):
            raise VortexError("Give the label image a name of letters and digits.")
        if clean in data.study.label_names:
            raise VortexError(
                f"The study has a label image {clean!r} already; choose another name."
            )
        labels, grid, names, _ = self._found
        await self._session.run(partial(keep_labels, data.study, clean, labels, grid, names))
        self._found, self._named = (labels, grid, names, clean), True
        self.show(labels=data.study.label_names, shown=clean, keepable=False)
        self._session.change(label=clean, domains=None)
        await self._session.piece(Regions).sources()


def class_names(data: StudyData, label: str, numbers: Labels) -> dict[int, str]:
    """The classes of a label image that occur, with their names where it has some."""
    values = [int(v) for v in np.unique(numbers) if v > 0][:MOST_CLASSES]
    known = data.study.label_classes(label)
    return {v: known.get(v, f"{label} {v}") for v in values}


def on_tokens(numbers: Labels, grid: Grid, lattice: Grid) -> Labels:
    """Labels at the centres of a lattice's tokens; 0 where they do not reach."""
    if grid == lattice:
        return numbers
    points = lattice.points()
    found = numbers[tuple(grid.nearest(points).T)]
    return np.asarray(np.where(grid.contains(points), found, 0).reshape(lattice.shape))


def learner_of(data: StudyData) -> Learner:
    """A learner on the study's newest features.

    Raises
    ------
    VortexError
        When it has none.
    """
    from vortex_model.features import Features

    made = data.study.derived_ids("features")
    if not made:
        raise VortexError(
            "Painting needs features of the morphology. Fine-tune once, or run "
            f"'vortex-viewer features {data.path}'."
        )
    return Learner(Features.load(data.study, made[-1]))


def _level(data: StudyData, name: str) -> Level:
    return data.study.label(name).level_within(LABEL_VOXELS)


def _legend(names: Mapping[int, str], share: Any) -> list[list[str]]:
    return [
        [marks.ink(i), n, f"{100 * float(share[n]):.0f} %"] for i, n in enumerate(names.values())
    ]
