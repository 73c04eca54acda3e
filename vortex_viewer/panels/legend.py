"""The colour bar: histogram, window, opacity points, presets, palettes, the genes that share it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vortex_viewer import drawing
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene import palette
from vortex_viewer.state import COLOURS, PRESETS, TOGETHER, Layer

if TYPE_CHECKING:
    from vortex_viewer.session import Session

SOFT = 0.12
CHOOSE = "Morphology alone. Choose a gene on the left to see its expression."
NOTHING_LEARNED = (
    "Morphology alone: no gene has been predicted yet. Start Fine-tune at the lower left, with the "
    "measured sections, to see expression here."
)
NOTHING_LEARNED_HERE = "Morphology alone: no gene of this study has been predicted yet."
NOTHING_MEASURED = (
    "Morphology alone: this study has no measured section to learn expression from. Add one to "
    "its manifest and import it again."
)


class Legend(Piece):
    """The colour bar: histogram, window, opacity points, presets, palettes, genes."""

    slot = "legend"
    _esm = script("ramp", "legend")

    def connect(self, session: Session) -> None:
        """What of colours and opacity can be chosen."""
        self._session = session
        self._measured = False
        self.show(palettes=palette.all_css(), colours=COLOURS)
        self.on("window", self._set_window)
        self.on("palette", lambda name: session.change(palette=str(name)))
        self.on("preset", self._set_preset)
        self.on("hold", lambda on: session.change(hold=bool(on)))
        self.on("shared", lambda on: session.change(shared=bool(on)))
        self.on("ramp", self._set_ramp)
        self.on("together", self._set_together)
        self.on("remove", self._remove)

    async def opened(self) -> None:
        """Whether this study can have genes at all."""
        data = self._session.data
        self._measured = data is not None and bool(data.section_names)

    def follow(self, _changed: set[str]) -> None:
        """Show the genes that are loaded; one that still loads has no numbers yet."""
        state, genes = self._session.state, self._session.genes
        self.show(none=self._why_none())
        if len(genes) != len(drawing.shown(state)):
            if state.gene is None:
                self.show(genes=[], palette=state.palette)
            return
        differs = drawing.differs(state)
        inks = [state.colour, *(layer.colour for layer in state.others)]
        self.show(
            genes=[
                {
                    "name": gene.name,
                    "colour": COLOURS[ink],
                    "units": gene.units,
                    "range": [gene.low, gene.high],
                    "window": look.window,
                    "histogram": gene.histogram,
                }
                for gene, ink, look in zip(genes, inks, drawing.looks(state, genes), strict=False)
            ],
            units="log1p CP10K",
            stamp=f"{state.prediction}/{'/'.join(drawing.shown(state))}",
            palette=palette.DIVERGING if differs else state.palette,
            mixed=drawing.several(state) and not differs,
            together=state.together if state.others else None,
            preset=state.preset,
            auto=state.window is None,
            hold=state.hold,
            shared=state.shared,
            ramp=self._ramp(),
            own_ramp=state.ramp is not None,
        )

    def _why_none(self) -> str:
        """Why there is no colour bar, and what to do for one."""
        if self._session.state.prediction is not None:
            return CHOOSE
        if not self._measured:
            return NOTHING_MEASURED
        return NOTHING_LEARNED_HERE if self._session.house.fixed else NOTHING_LEARNED

    def _ramp(self) -> list[tuple[float, float]]:
        """The opacity points, those that two sliders stand for too."""
        state = self._session.state
        if state.ramp is not None:
            return list(state.ramp)
        if state.threshold <= 0:
            return [(0.0, state.opacity), (1.0, state.opacity)]
        rise = [(0.0, 0.0), (state.threshold, 0.0), (state.threshold + SOFT, state.opacity)]
        points = [p for p in rise if p[0] < 1.0]
        return [*points, (1.0, state.opacity)]

    def _set_window(self, wish: Any) -> None:
        """``[which gene, [low, high]]``; no window is the preset's."""
        session, state = self._session, self._session.state
        which, pair = wish
        window = None if pair is None else (float(pair[0]), float(pair[1]))
        if which == 0 or state.shared:
            session.change(window=window)
        elif which <= len(state.others):
            others = list(state.others)
            others[which - 1] = replace(others[which - 1], window=window)
            session.change(others=tuple(others))

    def _set_preset(self, name: Any) -> None:
        if name in PRESETS:
            others = tuple(replace(layer, window=None) for layer in self._session.state.others)
            self._session.change(preset=name, window=None, others=others)

    def _set_ramp(self, points: Any) -> None:
        ramp = points and tuple((float(a), float(b)) for a, b in points)
        self._session.change(ramp=ramp or None)

    def _set_together(self, how: Any) -> None:
        if how in TOGETHER:
            self._session.change(together=how, window=None)

    def _remove(self, which: Any) -> None:
        """Take one of several genes out of the picture; the second becomes the first."""
        state = self._session.state
        others = list(state.others)
        if which and which <= len(others):
            del others[which - 1]
            self._session.change(others=tuple(others))
        elif which == 0 and others:
            first = others.pop(0)
            self._session.change(
                gene=first.gene, colour=first.colour, window=first.window, others=tuple(others)
            )


def added(others: tuple[Layer, ...], first: str, gene: str) -> tuple[Layer, ...]:
    """The other genes with one more, in a colour that is still free."""
    taken = {first, *(layer.colour for layer in others)}
    free = [name for name in COLOURS if name not in taken]
    return (*others, Layer(gene, free[0]))
