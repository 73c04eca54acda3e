"""Cropping by range sliders, in micrometres."""

from vortex_viewer.panels.piece import Piece, script


class Crop(Piece):
    """Cropping by range sliders, in micrometres."""

    _esm = script("crop")
