"""The colour bar: numbers, units, its range, palettes."""

from vortex_viewer.panels.piece import Piece, script


class Legend(Piece):
    """The colour bar: numbers, units, its range, palettes."""

    _esm = script("legend")
