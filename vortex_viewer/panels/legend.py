"""The colour bar: numbers, units, its range, palettes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene import palette

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class Legend(Piece):
    """The colour bar: numbers, units, its range, palettes."""

    slot = "legend"
    _esm = script("legend")

    def connect(self, session: Session) -> None:
        """Choose a range and a palette."""
        self._session = session
        self.show(palettes=palette.all_css())
        self.on("window", lambda pair: session.change(window=pair and tuple(pair)))
        self.on("palette", lambda name: session.change(palette=name))

    def follow(self, changed: set[str]) -> None:
        """Show the gene that is loaded; one that still loads has no numbers yet."""
        if changed & {"gene", "prediction"} and "loaded" not in changed:
            return
        gene, state = self._session.gene, self._session.state
        if gene is None:
            self.show(gene=None, palette=state.palette, window=None, histogram=[])
            return
        self.show(
            gene=gene.name,
            units="log1p CP10K",
            units_long=gene.units,
            range=[gene.low, gene.high],
            window=state.window or gene.auto,
            auto=state.window is None,
            histogram=gene.histogram,
            stamp=f"{state.prediction}/{gene.name}",
            palette=state.palette,
        )
