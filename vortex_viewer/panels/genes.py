"""The gene search list with reliability."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_model.analysis.signatures import gene_sets, quoted
from vortex_model.errors import VortexError
from vortex_viewer import gene_names
from vortex_viewer.panels import facts, ranks
from vortex_viewer.panels.legend import added
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene.formula import weights_of
from vortex_viewer.state import COLOURS, MOST_GENES

if TYPE_CHECKING:
    from vortex_viewer.session import Session

LONGEST_FILE = 4_000_000
NOT_HERE = (
    "No gene of this study has been predicted yet.\n\nThe morphology is shown alone. This "
    "server is for looking: nothing is learned here."
)


class GeneList(Piece):
    """The gene search list with reliability."""

    slot = "genes"
    _esm = script("genes")
    _stamp = 0

    def connect(self, session: Session) -> None:
        """Choose a gene."""
        self._session = session
        self._listed: object = None
        self._sets: dict[str, str] = {}
        self.on("gene", self._choose)
        self.on("add", self._add)
        self.on("order", lambda order: session.spawn(self._sort(str(order))))
        self.on("formula", lambda text: session.spawn(self._show_formula(str(text))))
        self.on("sets", lambda text: session.spawn(self._load_sets(str(text)[:LONGEST_FILE])))
        self.on("set", self._choose_set)
        self.on("trusted", lambda value: session.change(trusted=float(value)))

    def _choose(self, name: Any) -> None:
        """Another gene in place of the first; its own window, unless the window is held."""
        state = self._session.state
        window = state.window if state.hold else None
        others = tuple(layer for layer in state.others if layer.gene != name and name is not None)
        self._session.change(gene=name, window=window, others=others)

    def _add(self, name: Any) -> None:
        """One more gene, or one less where it is shown already."""
        session, state = self._session, self._session.state
        if state.gene is None or state.gene == name:
            self._choose(name)
            return
        others = tuple(layer for layer in state.others if layer.gene != name)
        if len(others) == len(state.others):
            if len(others) >= MOST_GENES - 1:
                session.warn(f"At most {MOST_GENES} genes share a picture. Take one out first.")
                return
            others = added(others, state.colour, str(name))
        session.change(others=others)

    async def opened(self) -> None:
        """The study's genes."""
        await self._list()

    def follow(self, changed: set[str]) -> None:
        """Mark what is shown; another prediction has other genes."""
        session = self._session
        self.show(
            gene=session.state.gene,
            prediction=session.state.prediction,
            others=[[layer.gene, COLOURS[layer.colour]] for layer in session.state.others],
            colour=COLOURS[session.state.colour],
            trusted=session.state.trusted,
        )
        if "checked" in changed:
            session.spawn(self._checked())
        if "prediction" in changed and self._listed != (session.data, session.state.prediction):
            session.spawn(self._list())

    async def _list(self) -> None:
        session = self._session
        data, prediction = session.data, session.state.prediction
        if data is None:
            return
        self._listed = data, prediction
        table = await session.run(partial(facts.gene_table, data, prediction))
        note = table.note
        if note and data.section_names and session.house.fixed:
            note = NOT_HERE
        self._stamp += 1
        self.show_bulk(stamp=self._stamp, genes=table.columns, order=None, scores=None)
        self.show(
            note=note,
            gene=session.state.gene,
            prediction=session.state.prediction,
            told=None,
            warnings=table.warnings,
        )
        self._sets = {}
        self.show(sets=[])
        names = table.columns["name"]
        work = partial(gene_names.about, names, data.info.species)
        self.show_bulk(about={"of": self._stamp, **await session.run(work)})

    async def _checked(self) -> None:
        """How far the prediction can be trusted is known now; the list stays where it is."""
        session = self._session
        data, prediction = session.data, session.state.prediction
        if data is not None:
            table = await session.run(partial(facts.gene_table, data, prediction))
            self.show_bulk(genes=table.columns)
            self.show(warnings=table.warnings)

    async def _sort(self, order: str) -> None:
        """Scores that the page sorts by: found when first asked for."""
        session = self._session
        data, state, gene = session.data, session.state, session.gene
        if data is None or state.prediction is None:
            return
        if order == "like" and (gene is None or gene.key.startswith("=")):
            self.show(told="Choose a gene first: the others are sorted by their likeness to it.")
            return
        self.show(told="Comparing genes")
        scores = await session.run(
            partial(ranks.scores, data, state.prediction, order, None if gene is None else gene.key)
        )
        if session.data is data:
            to = gene.name if gene is not None and order == "like" else None
            self.show_bulk(order=order, scores=scores, to=to)
            self.show(told=None)

    async def _show_formula(self, text: str) -> None:
        """A signature, typed; what is wrong with it stands under the field."""
        session, data = self._session, self._session.data
        prediction = session.state.prediction
        if data is None or prediction is None:
            return
        formula = "=" + text.strip().removeprefix("=").strip()
        try:
            await session.run(partial(weights_of, data.prediction(prediction), formula))
        except VortexError as error:
            self.show(told=str(error), wrong=True)
            return
        self.show(told=None, wrong=False)
        self._choose(formula)

    async def _load_sets(self, text: str) -> None:
        """Gene sets of a GMT file; each becomes the mean of its genes that were predicted."""
        session, data = self._session, self._session.data
        if data is None or session.state.prediction is None:
            return
        genes = [str(g) for g in data.prediction(session.state.prediction).genes.index]
        try:
            found = await session.run(partial(gene_sets, text, genes, "The file"))
        except VortexError as error:
            self.show(told=str(error), wrong=True)
            return
        self._sets = {s.name: f"=mean({', '.join(map(quoted, s.weights))})" for s in found}
        rows = [[s.name, len(s.weights), len(s.weights) + len(s.missing)] for s in found]
        self.show(sets=rows, told=f"{len(rows)} gene sets are in the list below.", wrong=False)

    def _choose_set(self, name: Any) -> None:
        if name in self._sets:
            self._choose(self._sets[name])

    def close(self) -> None:
        """Let go of the study."""
        super().close()
        self._listed = None
