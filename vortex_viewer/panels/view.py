"""What lies over the 3D picture: camera buttons, scale bar, what it is doing."""

from vortex_viewer.panels.piece import Piece, script


class View(Piece):
    """What lies over the 3D picture: camera buttons, scale bar, what it is doing."""

    _esm = script("view")
