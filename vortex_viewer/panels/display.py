"""How expression and morphology are drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from vortex_viewer.panels import facts
from vortex_viewer.panels.piece import Piece, script
from vortex_viewer.scene.drawer import WISHES, Graphics
from vortex_viewer.state import MODES

if TYPE_CHECKING:
    from vortex_viewer.session import Session


class Display(Piece):
    """How expression and morphology are drawn."""

    slot, tab = "display", "Display"
    _esm = script("display")

    def connect(self, session: Session) -> None:
        """Sliders, switches, and the cut at a measured section."""
        self._session = session
        self._sections: list[tuple[str, float]] = []
        for name in ("opacity", "threshold", "morphology", "depth"):
            self.on(name, partial(self._set, name, float))
        for name in ("spots", "planes"):
            self.on(name, partial(self._set, name, bool))
        self.on("cut", self._cut_at)
        session.drawings.add("greyed", self._count_doubt, {"loaded", "doubt"})
        self.on("mode", self._set_mode)
        self.on("level", partial(self._set, "level", float))
        self.on("stained", partial(self._set, "stained", bool))
        self.on("zoom", lambda _: session.slices.switch_zoom())
        self.on("oblique", lambda _: session.slices.oblique.switch())
        self.on("tilt", self._tilt)
        self.on("drawer", self._drawer)
        self.on("doubt", lambda part: session.change(doubt=None if part is None else float(part)))

    def _set_mode(self, name: Any) -> None:
        if name in MODES:
            self._session.change(mode=name)

    def _drawer(self, said: Any) -> None:
        """What the browser draws with, and who the visitor wants to draw."""
        wish = said.get("wish") if isinstance(said, dict) else None
        self._session.view.drawn_by(wish if wish in WISHES else WISHES[0], Graphics.of(said))

    def _tilt(self, wish: Any) -> None:
        """``[x, y]``: the oblique slice's turn about each, in degrees."""
        if self._session.state.oblique is not None:
            self._session.change(oblique=(float(wish[0]), float(wish[1])))

    def _set(self, name: str, kind: Callable[[Any], Any], value: Any) -> None:
        self._session.change(**{name: kind(value)})

    async def opened(self) -> None:
        """The sections that the block can be opened at."""
        session = self._session
        assert session.data is not None
        self._sections = await session.run(partial(facts.section_places, session.data))
        self.show(sections=self._sections)

    def follow(self, _changed: set[str]) -> None:
        """Show what is chosen."""
        session, state = self._session, self._session.state
        if session.data is not None:
            self.show(
                **{n: getattr(state, n) for n in ("opacity", "threshold", "morphology")},
                spots=state.spots,
                planes=state.planes,
                depth=session.depth,
                cut=self._cut,
                mode=state.mode,
                level=state.level,
                flat=session.data.is_stack,
                doubt=state.doubt,
                stained=state.stained,
                stainable=session.data.can_stain,
                zoom=None if state.zoom is None else state.zoom.um_per_pixel,
                oblique=state.oblique,
                gene=state.gene,
            )

    async def _count_doubt(self) -> None:
        """How much of the tissue is greyed."""
        session, state = self._session, self._session.state
        data, gene, prediction = session.data, session.gene, state.prediction
        if data is None or gene is None or prediction is None or state.doubt is None:
            self.show(greyed=None)
            return
        find = partial(data.certain, prediction, gene.key, state.doubt)
        kept, all_ = await session.run(find), data.prediction(prediction).mask
        self.show(greyed=1.0 - float(kept.sum()) / max(1, int(all_.sum())))

    def _cut_at(self, section: Any) -> None:
        """Open the block at a measured section, on the side that the visitor sees."""
        session, state = self._session, self._session.state
        if session.data is None:
            return
        if section is None:
            session.change(crop_um=None)
            return
        where = dict(self._sections).get(section)
        if where is None:
            return
        x, y, _ = state.crop_um or session.data.frame.bounds_um[::-1]
        low, high = session.data.frame.bounds_um[0]
        front = state.camera is None or state.camera.back[2] <= 0
        kept = (where, high) if front else (low, where)
        place = (*session.cursor[:2], where)
        if kept[0] < kept[1]:
            session.change(crop_um=(x, y, kept), cursor_um=place)

    @property
    def _cut(self) -> str | None:
        """The section that the block is open at."""
        crop = self._session.state.crop_um
        return None if crop is None else next((n for n, z in self._sections if z in crop[2]), None)
