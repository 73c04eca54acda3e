"""A signature where a gene's name stands: ``=mean(KRT8, KRT18) - VIM``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.analysis.signatures import quoted, signature
from vortex_model.prediction import Prediction

PLANES = 32


def is_formula(name: str) -> bool:
    """Whether this is a formula and no gene's name."""
    return name.startswith("=")


def difference(first: str, second: str) -> str:
    """The formula of one gene or formula less another."""
    return f"={_term(first)} - {_term(second)}"


def _term(name: str) -> str:
    return f"({name[1:]})" if is_formula(name) else quoted(name)


def weights_of(prediction: Prediction, name: str) -> dict[str, float]:
    """Gene -> weight of a formula.

    Raises
    ------
    VortexError
        When it cannot be read, or names a gene that was not predicted.
    """
    return signature(name[1:], [str(g) for g in prediction.genes.index]).weights


def signature_deviation(
    prediction: Prediction, weights: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """Predictive standard deviation of a signature, (z, y, x), nan outside tissue.

    The factors are independent, so their variances add with the squares of the signature's own
    loadings: genes that share a factor are counted together.
    """
    places = prediction.genes.index.get_indexer(pd.Index(list(weights)))
    own = prediction.loadings[:, places] @ np.fromiter(weights.values(), np.float32)
    depth, *plane = prediction.grid.shape
    out = np.full(prediction.grid.shape, np.nan, np.float32)
    for z in range(0, depth, PLANES):
        stop = min(z + PLANES, depth)
        variance = np.tensordot(own**2, prediction.variance_at((z, 0, 0), (stop, *plane)), axes=1)
        out[z:stop] = np.sqrt(np.maximum(variance, 0.0))
    out[~prediction.mask] = np.nan
    return out
