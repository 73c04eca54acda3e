"""The gene search list with reliability."""

from vortex_viewer.panels.piece import Piece, script


class GeneList(Piece):
    """The gene search list with reliability."""

    _esm = script("genes")
