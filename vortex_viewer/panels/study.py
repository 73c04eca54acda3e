"""The study picker, and what the study is."""

from vortex_viewer.panels.piece import Piece, script


class StudyBar(Piece):
    """The study picker, and what the study is."""

    _esm = script("study")
