"""How expression and morphology are drawn."""

from vortex_viewer.panels.piece import Piece, script


class Display(Piece):
    """How expression and morphology are drawn."""

    _esm = script("display")
