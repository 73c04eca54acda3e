"""Signatures: a formula of genes, or a gene set of a GMT file, as one weight a gene.

A formula is linear: ``mean(KRT8, KRT18) - VIM``, ``2*ERBB2 + 0.5*GRB7``,
``-(CD3E + CD8A) / 2``. There are numbers, names, ``+ - * /``, parentheses, ``mean(...)`` and
``sum(...)``. What it gives are weights for :meth:`vortex_model.prediction.Prediction.expression`.

A name may hold letters, digits, ``. _ @ : # |`` and ``-``. A ``-`` between two names without
spaces belongs to the name wherever there is such a gene (``HLA-DRA``), the longest first; else it
is a minus, as it is between spaces. Quotes (``"..."``, ``'...'`` or backticks) say that it is one
name, whatever it holds.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from vortex_model.errors import UnknownNameError, VortexError

MAX_FORMULA = 20_000
MAX_DEPTH = 50
MAX_GMT_BYTES = 64 << 20
EXAMPLE = "Write it such as mean(KRT8, KRT18) - VIM."
FUNCTIONS = ("mean", "sum")
_QUOTES = "\"'`"
_RUN = re.compile(r"[^\W_](?:[\w.@:#|-]*[\w@#|])?|_[\w.@:#|-]*", re.UNICODE)
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SAME = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00d7": "*", "\u00b7": "*"})


@dataclass(frozen=True)
class Signature:
    """A weighted sum of genes.

    Attributes
    ----------
    name
        The formula as typed, or the gene set's name.
    weights
        Gene, as the panel spells it -> weight; none is 0.
    missing
        Genes of a gene set that the panel lacks.
    """

    name: str
    weights: dict[str, float]
    missing: tuple[str, ...] = ()


def parse(formula: str, genes: Sequence[str]) -> Signature:
    """Read a formula.

    Parameters
    ----------
    formula
        Such as ``mean(KRT8, KRT18) - VIM``.
    genes
        The names of the panel; case does not matter.

    Raises
    ------
    UnknownNameError
        When a name is no gene of the panel; near names are suggested.
    VortexError
        When the formula cannot be read, is not linear, or adds up to nothing.
    """
    if len(formula) > MAX_FORMULA:
        raise VortexError(
            f"The formula has {len(formula)} characters; at most {MAX_FORMULA} are read. "
            "Load long gene sets from a GMT file."
        )
    if not formula.strip():
        raise VortexError(f"The formula is empty. {EXAMPLE}")
    weights = _Parser(formula, genes).read()
    return Signature(formula.strip(), weights)


def signature(text: str, genes: Sequence[str]) -> Signature:
    """One gene by its name, whatever that holds, or a formula.

    Raises
    ------
    UnknownNameError, VortexError
        As :func:`parse`.
    """
    found = _Names(genes).find(text.strip())
    return parse(text, genes) if found is None else Signature(found, {found: 1.0})


def is_formula(text: str, genes: Iterable[str]) -> bool:
    """Whether a text means more than one gene's name."""
    name = text.strip().casefold()
    return bool(name) and all(name != gene.casefold() for gene in genes)


def quoted(gene: str) -> str:
    """The gene's name as it can always be typed into a formula."""
    if _RUN.fullmatch(gene) and "-" not in gene and not gene[0].isdigit():
        return gene
    mark = next((q for q in _QUOTES if q not in gene), None)
    if mark is None:
        raise VortexError(f"The gene {gene!r} holds every kind of quote: no formula can name it.")
    return f"{mark}{gene}{mark}"


def read_gmt(path: str | os.PathLike[str], genes: Sequence[str]) -> list[Signature]:
    """Gene sets of a GMT file, each as the mean of its genes.

    A line is a set: its name, a description, its genes, with tabs between (the Broad
    Institute's format).

    Returns
    -------
    One signature a line. ``missing`` are genes that the panel lacks; a set of which the panel
    has none comes back without weights.

    Raises
    ------
    VortexError
        When the file cannot be read, or is no GMT.
    """
    place = Path(path).expanduser()
    try:
        size = place.stat().st_size
        if size > MAX_GMT_BYTES:
            raise VortexError(f"{place} has {size} bytes; a GMT file of at most 64 MiB is read.")
        text = place.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise VortexError(f"{place} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise VortexError(f"{place} is no text in UTF-8; save the gene sets as GMT.") from error
    return gene_sets(text, genes, str(place))


def gene_sets(text: str, genes: Sequence[str], source: str = "The text") -> list[Signature]:
    """What :func:`read_gmt` reads, from the text itself."""
    known = _Names(genes)
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t")]
        members = list(dict.fromkeys(field for field in fields[2:] if field))
        if not fields[0] or not members:
            raise VortexError(
                f"{source}, line {number}: a gene set is a name, a description and genes with "
                f"tabs between, not {line[:60]!r}."
            )
        present = list(dict.fromkeys(n for m in members if (n := known.find(m)) is not None))
        missing = tuple(m for m in members if known.find(m) is None)
        share = {name: 1.0 / len(present) for name in present}
        found.append(Signature(fields[0], share, missing))
    if not found:
        raise VortexError(f"{source} holds no gene set: each line is a name, a text and genes.")
    return found


# -- inner workings -------------------------------------------------------------------------


class _Names:
    """The panel's names; spelled exactly first, else without regard to case."""

    def __init__(self, genes: Sequence[str]) -> None:
        self.all = genes
        self._exact = set(genes)
        self._folded = {gene.casefold(): gene for gene in reversed(genes)}

    def find(self, name: str) -> str | None:
        return name if name in self._exact else self._folded.get(name.casefold())


@dataclass(frozen=True)
class _Sum:
    """A part of a formula: a constant, and a weight a gene."""

    constant: float
    weights: dict[str, float]

    def plus(self, other: _Sum, sign: float = 1.0) -> _Sum:
        weights = dict(self.weights)
        for gene, weight in other.weights.items():
            weights[gene] = weights.get(gene, 0.0) + sign * weight
        return _Sum(self.constant + sign * other.constant, weights)

    def times(self, factor: float) -> _Sum:
        return _Sum(self.constant * factor, {g: w * factor for g, w in self.weights.items()})


class _Parser:
    """Recursive descent over the text; positions are told from 1."""

    def __init__(self, formula: str, genes: Sequence[str]) -> None:
        self._original = formula
        self._text = formula.translate(_SAME)  # as long as the original
        self._names = _Names(genes)
        self._at = 0
        self._depth = 0

    def read(self) -> dict[str, float]:
        total = self._sum()
        self._skip()
        if self._at < len(self._text):
            self._fail(f"{self._text[self._at]!r} is not expected here")
        for gene, weight in {"the formula": total.constant, **total.weights}.items():
            if not math.isfinite(weight):
                raise VortexError(f"A number of {gene} is too large to be worked out: {weight}.")
        if total.constant and total.weights:
            raise VortexError(
                f"The formula adds {total.constant:g} to every place; leave the number out: "
                "only genes with their weights make a picture."
            )
        weights = {gene: weight for gene, weight in total.weights.items() if weight}
        if not weights:
            raise VortexError(f"The formula {self._text.strip()!r} adds up to no gene. {EXAMPLE}")
        return weights

    def _sum(self) -> _Sum:
        total = self._product()
        while (sign := self._next("+-")) is not None:
            total = total.plus(self._product(), 1.0 if sign == "+" else -1.0)
        return total

    def _product(self) -> _Sum:
        total = self._factor()
        while (sign := self._next("*/")) is not None:
            start = self._at
            right = self._factor()
            if sign == "/":
                if right.weights:
                    self._fail("a signature cannot divide by a gene; subtract it instead", start)
                if not right.constant:
                    self._fail("this divides by 0", start)
                total = total.times(1.0 / right.constant)
            elif not right.weights:
                total = total.times(right.constant)
            elif not total.weights:
                total = right.times(total.constant)
            else:
                self._fail("two genes cannot be multiplied; add or subtract them", start)
        return total

    def _factor(self) -> _Sum:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"parentheses and signs are nested more than {MAX_DEPTH} deep")
        try:
            return self._signed()
        finally:
            self._depth -= 1

    def _signed(self) -> _Sum:
        if (sign := self._next("+-")) is not None:
            return self._factor().times(1.0 if sign == "+" else -1.0)
        if self._next("(") is not None:
            inside = self._sum()
            self._close()
            return inside
        return self._atom()

    def _atom(self) -> _Sum:
        self._skip()
        start = self._at
        if start >= len(self._text):
            self._fail("it ends where a gene or a number should follow")
        if self._text[start] in _QUOTES:
            return self._gene(self._quoted())
        run = _RUN.match(self._text, start)
        word = run.group() if run else ""
        name = self._longest(word)
        number = _NUMBER.match(self._text, start)
        if number is not None and len(number.group()) > len(name or ""):
            self._at = number.end()
            if not self._text[self._at : self._at + 1].isalnum():
                return _Sum(float(number.group()), {})
        if not word:
            self._fail(f"{self._text[start]!r} is not expected here", start)
        function = word.casefold()
        if function in FUNCTIONS and self._text[start + len(word) :].lstrip().startswith("("):
            self._at = start + len(word)
            return self._call(function)
        if name is None:
            parts = word.split("-")
            known = any(self._names.find(part) for part in parts)
            raise UnknownNameError("gene", parts[0] if known else word, self._names.all)
        self._at = start + len(name)
        return self._gene(name)

    def _call(self, function: str) -> _Sum:
        """``mean(...)`` or ``sum(...)``; the name has been read."""
        self._next("(")
        parts = [self._sum()]
        while self._next(",") is not None:
            parts.append(self._sum())
        self._close()
        total = parts[0]
        for part in parts[1:]:
            total = total.plus(part)
        return total.times(1.0 / len(parts)) if function == "mean" else total

    def _longest(self, word: str) -> str | None:
        """The longest start of the word that is a gene and ends where the word does or at a -."""
        while word:
            if self._names.find(word) is not None:
                return word
            word = word.rpartition("-")[0]
        return None

    def _gene(self, name: str) -> _Sum:
        found = self._names.find(name)
        if found is None:
            raise UnknownNameError("gene", name, self._names.all)
        return _Sum(0.0, {found: 1.0})

    def _quoted(self) -> str:
        mark, start = self._text[self._at], self._at + 1
        end = self._text.find(mark, start)
        if end < 0:
            self._fail(f"the quote {mark} is not closed", start - 1)
        self._at = end + 1
        return self._original[start:end]

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _next(self, wanted: str) -> str | None:
        """The next character, taken, where it is one of those wanted."""
        self._skip()
        found = self._text[self._at : self._at + 1]
        if not found or found not in wanted:
            return None
        self._at += 1
        return found

    def _close(self) -> None:
        if self._next(")") is None:
            self._fail("a ')' is missing")

    def _fail(self, what: str, at: int | None = None) -> NoReturn:
        where = (self._at if at is None else at) + 1
        shown = self._original.strip()
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise VortexError(f"Formula {shown!r}, character {where}: {what}. {EXAMPLE}")
