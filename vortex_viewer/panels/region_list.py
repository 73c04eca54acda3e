"""Which regions there are for a page: those that the view shows, and the others of the study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vortex_model.analysis import regions as kept
from vortex_model.analysis import shapes
from vortex_model.analysis.regions import Region
from vortex_model.errors import VortexError
from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_viewer.link_text import same, settled
from vortex_viewer.placed import Drawn

Saved = Mapping[str, Region]
Shown = tuple[Drawn, ...]


@dataclass(frozen=True)
class Row:
    """A region of the list: whether it is seen, and whether the study keeps it as it is drawn."""

    drawn: Drawn
    seen: bool
    saved: bool

    def extendable(self, changes: bool) -> bool:
        """Whether a visitor can add to it, where they may change the study or may not."""
        return (changes or not self.saved) and not isinstance(self.drawn.shape, shapes.Members)


def shown(wanted: Shown | None, saved: Saved) -> Shown:
    """What a view shows: what it says, or all that the study keeps."""
    if wanted is not None:
        return wanted
    return tuple(Drawn(r.name, i, settled(r.shape)) for i, r in enumerate(saved.values()))


def rows(wanted: Shown | None, saved: Saved) -> list[Row]:
    """What is shown, and what else the study keeps, by name."""
    seen = shown(wanted, saved)
    names = {drawn.name for drawn in seen}
    made = [Row(d, True, is_saved(d, saved)) for d in seen]
    inks = [d.ink for d in seen]
    for region in saved.values():
        if region.name not in names:
            inks.append(free_ink(inks))
            made.append(Row(Drawn(region.name, inks[-1], settled(region.shape)), False, True))
    return sorted(made, key=lambda row: row.drawn.name.casefold())


def is_saved(drawn: Drawn, saved: Saved) -> bool:
    """Whether the study keeps this very region."""
    found = saved.get(drawn.name)
    return found is not None and (
        isinstance(drawn.shape, shapes.Members) or same(found.shape, drawn.shape)
    )


def on_lattice(drawn: Drawn, saved: Saved, prediction: Prediction, study: Study) -> Region:
    """A region on a prediction's lattice.

    Raises
    ------
    VortexError
        When the study has not what it is made of.
    """
    if is_saved(drawn, saved):
        return saved[drawn.name].on(prediction.grid)
    if isinstance(drawn.shape, shapes.Members):
        raise VortexError(f"The study keeps no region {drawn.name!r} any more.")
    return kept.make_region(drawn.name, drawn.shape, prediction, study)


def free_ink(inks: Iterable[int]) -> int:
    """The first colour that is not taken."""
    taken = set(inks)
    return next(i for i in range(len(taken) + 1) if i not in taken)


def free_name(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where there is one of this name already."""
    known, number, own = set(taken), 1, name[: kept.MAX_NAME].strip()
    while own in known:
        number += 1
        own = f"{name[: kept.MAX_NAME - 5].strip()} {number}"
    return own
