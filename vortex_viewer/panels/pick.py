"""Pick: what one place is, and all genes there, ranked; several places side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vortex_model.analysis.moments import reliable
from vortex_model.prediction import Prediction
from vortex_viewer.panels import facts
from vortex_viewer.panels.answer import Answer, column
from vortex_viewer.panels.piece import Piece, read, script
from vortex_viewer.panels.readout import PAUSE_S
from vortex_viewer.placed import Pin
from vortex_viewer.scene.data import StudyData
from vortex_viewer.state import Point

if TYPE_CHECKING:
    from vortex_viewer.session import Session

MOST_PINS = 4
WIDE = 1.96
"""Standard deviations of a 95 % interval on each side."""


class Pick(Piece):
    """Where the crosshair is, all genes there, and pins to compare with."""

    slot, tab = "pick", "Pick"
    _esm = script("pick")

    def __init__(self, on_page: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(on_page)
        self.stylesheets = [read("controls.css"), read("analysis.css")]
        self._known: dict[tuple[str, Point], npt.NDArray[np.float64]] = {}

    def connect(self, session: Session) -> None:
        """Follow the crosshair while the drawer shows what is under it."""
        self._session = session
        session.drawings.add(
            "pick", self._tell, {"cursor_um", "prediction", "checked", "pins"}, PAUSE_S
        )
        session.stream.on_click = self._clicked
        self.on("pick", lambda _: self._begin())
        self.on("pin", lambda _: self._pin())
        self.on("unpin", self._unpin)
        self.on("go", self._go)

    async def opened(self) -> None:
        """Another study has other places."""
        self._known = {}

    def follow(self, changed: set[str]) -> None:
        """The pins are the state's."""
        if "pins" in changed:
            pins = self._session.state.pins
            places = [[p.name, ", ".join(f"{v:.0f}" for v in p.place)] for p in pins]
            self.show(pins=places, full=len(pins) >= MOST_PINS)

    # -- what the visitor does -------------------------------------------------------------

    def _begin(self) -> None:
        answer = self._session.piece(Answer)
        if answer.kind != "pick":
            answer.wait("pick", "At the crosshair", "Reading every gene")
        self._session.drawings.ask("pick")

    def _clicked(self, across: float, up: float) -> None:
        """A click in 3D: the crosshair goes to the first tissue along the ray."""
        self._session.spawn(self._shoot(across, up))

    async def _shoot(self, across: float, up: float) -> None:
        session = self._session
        data, camera = session.data, session.stream.camera
        if data is None or camera is None:
            return
        crop = session.state.crop_um or data.content
        name = session.state.prediction
        work = partial(first_tissue, data, name, camera, (across, up), session.depth, crop)
        place = await session.run(work)
        if place is not None:
            session.change(cursor_um=place)
            self._begin()

    def _pin(self) -> None:
        session, pins = self._session, self._session.state.pins
        if session.data is None or session.state.prediction is None:
            return
        numbers = [int(pin.name[1:]) for pin in pins if re.fullmatch(r"P\d{1,6}", pin.name)]
        pin = Pin(f"P{1 + max(numbers, default=0)}", session.cursor)
        session.change(pins=(*pins, pin)[-MOST_PINS:])
        self._begin()

    def _unpin(self, name: Any) -> None:
        left = tuple(pin for pin in self._session.state.pins if pin.name != name)
        self._session.change(pins=left)

    def _go(self, name: Any) -> None:
        for pin in self._session.state.pins:
            if pin.name == name:
                self._session.change(cursor_um=pin.place)

    # -- what is told ----------------------------------------------------------------------

    def _values(self, place: Point) -> npt.NDArray[np.float64]:
        """Every gene at a place, nan outside tissue."""
        data, name = self._session.data, self._session.state.prediction
        assert data is not None and name is not None
        if (name, place) not in self._known:
            found = data.prediction(name).profile([place]).to_numpy()[0]
            self._known[name, place] = np.asarray(found, dtype=np.float64)
        return self._known[name, place]

    async def _tell(self) -> None:
        session, data = self._session, self._session.data
        answer = session.piece(Answer)
        if data is None or answer.kind != "pick":
            return
        place, name = session.cursor, session.state.prediction
        read_here = partial(facts.reading, data, session.state, session.gene, place)
        told = await session.run(read_here)
        where = ", ".join(f"{v:.0f}" for v in place)
        lines = [
            ["Place x, y, z", f"{where} µm", "Of the crosshair, in micrometres"],
            ["Morphology", told["morphology"] or "none", told["morphology_hint"] or ""],
            ["Nearest section", told["section"] or "none", told["section_hint"] or ""],
        ]
        if name is None:
            answer.tell("pick", "At the crosshair", facts=lines, genes=[], columns=[],
                        note="No gene has been predicted yet.")  # fmt: skip
            return
        prediction = await session.run(partial(data.prediction, name))
        value, spread = await session.run(partial(at_place, prediction, place))
        if not np.isfinite(value).any():
            answer.tell("pick", "At the crosshair", facts=lines, genes=[], columns=[],
                        note="There is no tissue here, so no gene is predicted.")  # fmt: skip
            return
        columns = [
            column("value", "Here", "Expression here, log1p CP10K", value),
            column("low", "Low", "Low end of the 95 % interval", value - WIDE * spread),
            column("high", "High", "High end of the 95 % interval", value + WIDE * spread),
        ]
        for pin in session.state.pins:
            there = await session.run(partial(self._values, pin.place))
            hint = f"Here less pin {pin.name}"
            if len(there) == len(value):  # else another prediction has come meanwhile
                columns.append(column(pin.name, f"\N{MINUS SIGN} {pin.name}", hint, value - there))
        if not session.state.pins:
            genes = prediction.genes["reliability"]
            columns.append(column("reliability", "Reliab.", "Held-out correlation", genes))
        answer.tell(
            "pick",
            "At the crosshair",
            file=f"{data.info.name} at {where.replace(', ', ' ')} um",
            facts=lines,
            note="Ranked by expression; an interval is what the prediction itself allows for.",
            genes=[str(g) for g in prediction.genes.index],
            sure=[bool(v) for v in reliable(prediction.genes)],
            columns=columns,
            sort="value",
            gene=session.state.gene,
        )  # fmt: skip


def at_place(
    prediction: Prediction, place: Point
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Every gene at a point (x, y, z), and its predictive deviation; nan outside tissue."""
    value = np.asarray(prediction.profile([place]).to_numpy()[0], dtype=np.float64)
    token = prediction.grid.nearest([place])[0]
    noise = prediction.variance_at(token, token + 1)[:, 0, 0, 0].astype(np.float64)
    spread = np.sqrt(noise @ prediction.loadings.astype(np.float64) ** 2)
    return value, np.where(np.isfinite(value), spread, np.nan)


def first_tissue(
    data: StudyData,
    prediction: str | None,
    camera: Any,
    at: tuple[float, float],
    depth: float,
    crop: Any,
) -> Point | None:
    """The first place with tissue along the ray of a click in 3D; None where it meets none.

    Parameters
    ----------
    at
        Where, in parts of the picture's height from its middle: to the right, and up.
    crop
        What of x, y and z is shown; the ray starts at its face.
    """
    back, up = np.asarray(camera.back), np.asarray(camera.up)
    right = np.cross(up, back)
    stretch = np.array([1.0, 1.0, depth])
    start = np.asarray(camera.focal) * stretch
    start = start + camera.height_um * (at[0] * right + at[1] * up)
    low, high = (np.array([span[i] for span in crop]) * stretch for i in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(low - start) / -back, (high - start) / -back])
    flat = np.abs(back) < 1e-12
    if (flat & ((start < low) | (start > high))).any():
        return None
    near = np.where(flat, -np.inf, ends.min(axis=0)).max()
    far = np.where(flat, np.inf, ends.max(axis=0)).min()
    if not near < far:
        return None
    grid, mask = data.frame, None
    if prediction is not None:
        made = data.prediction(prediction)
        grid, mask = made.grid, made.mask
    step = min(s * (depth if a == 0 else 1.0) for a, s in enumerate(grid.spacing_um)) / 2
    along = np.arange(near + step / 2, far, step)
    points = (start - along[:, None] * back) / stretch
    inside = grid.contains(points)
    if mask is not None:
        inside &= mask[tuple(grid.nearest(points).T)]
    if not inside.any():
        return None
    x, y, z = (float(v) for v in points[int(inside.argmax())])
    return x, y, z
