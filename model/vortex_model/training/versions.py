"""Versions: every prediction of a study, listed, compared, restored, deleted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.prediction import Prediction
from vortex_model.study import Study


@dataclass(frozen=True)
class Version:
    """One prediction that a study keeps.

    Attributes
    ----------
    id
        Of the prediction.
    made
        When, UTC, ISO 8601.
    current
        Whether it is what is shown where none is named.
    mode, encoder, predictor, sections, panel
        What it was made with.
    others
        Other studies that were learned from too.
    genes
        How many it has.
    reliability
        Mean held-out Pearson correlation of its genes; none where it could not be said.
    """

    id: str
    made: str
    current: bool
    mode: str
    encoder: str
    predictor: str
    sections: tuple[str, ...]
    panel: str
    genes: int
    reliability: float | None
    others: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {**asdict(self), "sections": list(self.sections), "others": list(self.others)}


def versions(study: Study) -> list[Version]:
    """All predictions of a study, oldest first."""
    current = study.current_prediction
    return [_version(study, name, current) for name in study.derived_ids("predictions")]


def find(study: Study, text: str) -> str:
    """The id that begins so.

    Raises
    ------
    UnknownNameError
        When none does.
    VortexError
        When several do.
    """
    known = study.derived_ids("predictions")
    found = [name for name in known if text and name.startswith(text)]
    if not found:
        raise UnknownNameError("version", text, known)
    if len(found) > 1:
        raise VortexError(f"{text!r} begins {len(found)} versions: {', '.join(found)}. Write more.")
    return found[0]


def compare(study: Study, first: str, second: str) -> pd.DataFrame:
    """Reliability by gene of two versions.

    Returns
    -------
    pandas.DataFrame
        Index: the genes that both have; columns ``first``, ``second`` and ``difference`` (second
        less first); the most gained first, genes without a number last.

    Raises
    ------
    VortexError
        When they share no gene.
    """
    one, two = (
        Prediction.load(study, find(study, name)).genes["reliability"].astype(float)
        for name in (first, second)
    )
    table = pd.concat({"first": one, "second": two}, axis=1, join="inner")
    if table.empty:
        raise VortexError(f"The versions {first} and {second} share no gene.")
    table["difference"] = table["second"] - table["first"]
    return table.sort_values("difference", ascending=False, kind="stable")


def summary(table: pd.DataFrame, count: int = 3) -> dict[str, Any]:
    """What :func:`compare` found, in a few numbers: plain types.

    ``first`` and ``second`` are means over the genes that both know, ``gained`` and ``lost`` the
    genes that changed most, each with its difference.
    """
    known = table.dropna()
    changes = known["difference"]
    return {
        "genes": len(known),
        "first": _mean(known["first"]),
        "second": _mean(known["second"]),
        "difference": _mean(changes),
        "gained": [[str(g), float(v)] for g, v in changes.head(count).items() if v > 0],
        "lost": [[str(g), float(v)] for g, v in changes.tail(count)[::-1].items() if v < 0],
    }


def restore(study: Study, text: str) -> str:
    """Make a version the current one; returns its id."""
    name = find(study, text)
    study.make_current(name)
    return name


def delete(study: Study, text: str) -> str:
    """Delete a version; returns its id. Where it was current, the newest that is left is."""
    name = find(study, text)
    study.remove_derived("predictions", name)
    return name


def _version(study: Study, name: str, current: str | None) -> Version:
    made = study.provenance("predictions", name)
    told = made["parameters"]
    genes = Prediction.load(study, name).genes
    return Version(
        id=name,
        made=str(made["created"]),
        current=name == current,
        mode=str(told.get("mode", "fast")),
        encoder=str(told.get("encoder", "")),
        predictor=str(told.get("predictor", "")),
        sections=tuple(str(s) for s in told.get("sections", ())),
        others=tuple(str(s) for s in told.get("others", ())),
        panel=str(told.get("panel", "")),
        genes=len(genes),
        reliability=_mean(genes["reliability"].astype(float).dropna()),
    )


def _mean(values: pd.Series[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
