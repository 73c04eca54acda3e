"""A made-up tissue block whose true 3D expression is known.

Glands, stroma, vessels and a tumour (:mod:`.anatomy`) are drawn as a light-sheet volume
(:mod:`.drawing`); genes (:mod:`.genes`) follow them, are counted at spots of chosen planes, and
are kept beside the study as they truly are.
"""

from vortex_model.phantom.make import make_phantom, true_expression, true_genes
from vortex_model.phantom.spec import PhantomSpec
from vortex_model.phantom.style import STYLES, Style, style_named

__all__ = [
    "STYLES",
    "PhantomSpec",
    "Style",
    "make_phantom",
    "style_named",
    "true_expression",
    "true_genes",
]
