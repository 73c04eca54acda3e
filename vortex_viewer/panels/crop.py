"""Cropping by range sliders, in micrometres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vortex_viewer.panels.piece import Piece, script

if TYPE_CHECKING:
    from vortex_viewer.session import Session

NEAR_UM = 1e-6


class Crop(Piece):
    """Cropping by range sliders, in micrometres."""

    slot, tab = "crop", "Crop"
    _esm = script("crop")

    def connect(self, session: Session) -> None:
        """Crop, or show the whole block."""
        self._session = session
        self.on("crop", self._crop_to)

    def follow(self, _changed: set[str]) -> None:
        """Show the ranges that are kept."""
        data, crop = self._session.data, self._session.state.crop_um
        if data is not None:
            box = data.frame.bounds_um[::-1]
            self.show(bounds=box, crop=crop or box)

    def _crop_to(self, box: Any) -> None:
        data = self._session.data
        if data is None:
            return
        bounds = data.frame.bounds_um[::-1]
        crop = None if box is None else tuple((float(a), float(b)) for a, b in box)
        if crop is not None and all(
            abs(a - c) < NEAR_UM and abs(b - d) < NEAR_UM
            for (a, b), (c, d) in zip(crop, bounds, strict=True)
        ):
            crop = None
        self._session.change(crop_um=crop)
