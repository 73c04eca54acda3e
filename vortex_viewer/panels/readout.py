"""What is under the crosshair."""

from vortex_viewer.panels.piece import Piece, script


class Readout(Piece):
    """What is under the crosshair."""

    _esm = script("readout")
