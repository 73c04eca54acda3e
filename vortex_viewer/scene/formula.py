"""A signature where a gene's name stands: ``=mean(KRT8, KRT18) - VIM``."""

from __future__ import annotations

from vortex_model.analysis.signatures import quoted, signature
from vortex_model.prediction import Prediction


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
