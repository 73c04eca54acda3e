"""Fine-tune: sections, gene panel, predictor; progress, cancel, error."""

from vortex_viewer.panels.piece import Piece, script


class FineTune(Piece):
    """Fine-tune: sections, gene panel, predictor; progress, cancel, error."""

    _esm = script("finetune")
