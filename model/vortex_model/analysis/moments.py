"""Sums of the factors over groups of tokens: all that any gene's mean and deviation there need.

A gene is ``mean + factors . loadings``, so over any set of tokens its mean is the factors' mean
times its loadings, and its variance is a quadratic form of the factors' covariance. Twenty
thousand genes cost one small product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.analysis.signatures import signature
from vortex_model.errors import VortexError
from vortex_model.prediction import Prediction

BOX = 64
"""Tokens along each axis that are held at once."""

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Box = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class Columns:
    """Some genes or signatures: ``mean`` (n,) plus factors times ``loadings`` (k, n)."""

    names: tuple[str, ...]
    mean: Floats
    loadings: Floats


def columns(prediction: Prediction, names: Sequence[str] | None = None) -> Columns:
    """Genes, or formulas of genes; all genes of the panel by default.

    Raises
    ------
    UnknownNameError
        When a gene was not predicted.
    VortexError
        When a formula cannot be read.
    """
    loadings = np.asarray(prediction.loadings, dtype=np.float64)
    mean = prediction.genes["mean"].to_numpy(dtype=np.float64)
    genes = [str(g) for g in prediction.genes.index]
    if names is None:
        return Columns(tuple(genes), mean, loadings)
    mixed = np.zeros((len(genes), len(names)))
    for column, name in zip(mixed.T, names, strict=True):
        weights = signature(name, genes).weights
        column[prediction.genes.index.get_indexer(pd.Index(list(weights)))] = list(weights.values())
    return Columns(tuple(names), mean @ mixed, loadings @ mixed)


@dataclass(frozen=True)
class Moments:
    """Of groups of tissue tokens.

    Attributes
    ----------
    count
        Tokens of each group, (groups,).
    mean
        Mean of the factors, (groups, k); 0 where a group is empty.
    covariance
        Of the factors within each group, (groups, k, k).
    variance
        Mean predictive variance of the factors, (groups, k).
    """

    count: npt.NDArray[np.int64]
    mean: Floats
    covariance: Floats
    variance: Floats

    def gene_mean(self, of: Columns) -> Floats:
        """Mean of each gene in each group, (groups, genes); nan where a group is empty."""
        return np.where(self.count[:, None] > 0, of.mean + self.mean @ of.loadings, np.nan)

    def gene_deviation(self, of: Columns) -> Floats:
        """Standard deviation of each gene over the tokens of each group, (groups, genes)."""
        made = [quadratic(matrix, of.loadings) for matrix in self.covariance]
        return np.where(self.count[:, None] > 0, np.sqrt(np.stack(made)), np.nan)

    def gene_uncertainty(self, of: Columns) -> Floats:
        """Root of the mean predictive variance of each gene in each group, (groups, genes)."""
        made = np.sqrt(self.variance @ of.loadings**2)
        return np.where(self.count[:, None] > 0, made, np.nan)


def quadratic(matrix: Floats, loadings: npt.NDArray[Any]) -> Floats:
    """``l' M l`` of each column of loadings (k, genes), at least 0; (genes,)."""
    weight = np.asarray(loadings, dtype=np.float64)
    return np.asarray(np.maximum(((matrix @ weight) * weight).sum(axis=0), 0.0))


def boxes(shape: tuple[int, int, int], mask: Mask) -> Iterator[Box]:
    """Parts of a lattice, ``start`` and ``stop`` (z, y, x), that hold any of ``mask``."""
    for corner in np.ndindex(*(-(-n // BOX) for n in shape)):
        z, y, x = (int(c) * BOX for c in corner)
        start = (z, y, x)
        stop = (min(z + BOX, shape[0]), min(y + BOX, shape[1]), min(x + BOX, shape[2]))
        if mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))].any():
            yield start, stop


def grouped(
    prediction: Prediction,
    group: npt.NDArray[np.integer[Any]],
    count: int,
    *,
    spread: bool = True,
) -> Moments:
    """Moments of the factors over groups of tissue tokens.

    Parameters
    ----------
    group
        Number of each token's group, (z, y, x); below 0 is none. What lies outside tissue
        counts nowhere.
    count
        How many groups there are.
    spread
        Whether the covariance and the predictive variance are wanted; else they are 0.

    Raises
    ------
    VortexError
        When ``group`` has another shape than the lattice.
    """
    check_shape(group, prediction)
    k = prediction.loadings.shape[0]
    tokens = np.zeros(count, dtype=np.int64)
    total, variance = np.zeros((count, k)), np.zeros((count, k))
    product = np.zeros((count, k, k)) if spread else np.zeros((count, 1, 1))
    wanted = prediction.mask & (group >= 0)
    shift = _shift(prediction, wanted)
    for start, stop in boxes(prediction.grid.shape, wanted):
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        inside = wanted[box]
        number = group[box][inside]
        order = np.argsort(number, kind="stable")
        present, first = np.unique(number[order], return_index=True)
        values = prediction.factors_at(start, stop)[:, inside].T[order] - shift
        tokens[present] += np.diff(np.append(first, len(order)))
        total[present] += np.add.reduceat(values, first, axis=0, dtype=np.float64)
        if spread:
            noise = prediction.variance_at(start, stop)[:, inside].T[order]
            variance[present] += np.add.reduceat(noise, first, axis=0, dtype=np.float64)
            for which, own in zip(present, np.split(values, first[1:]), strict=True):
                wide = own.astype(np.float64)
                product[which] += wide.T @ wide
    size = np.maximum(tokens, 1)[:, None]
    mean = total / size
    covariance = np.zeros((count, k, k))
    if spread:
        covariance = product / size[..., None] - mean[:, :, None] * mean[:, None, :]
    shifted = np.where(tokens[:, None] > 0, mean + shift, 0.0)
    return Moments(tokens, shifted, covariance, variance / size)


def check_shape(array: npt.NDArray[Any], prediction: Prediction) -> None:
    """Refuse what does not lie on the prediction's lattice."""
    if array.shape != prediction.grid.shape:
        raise VortexError(
            f"It has {array.shape} tokens (z, y, x), the prediction's lattice "
            f"{prediction.grid.shape}. Use a region or labels on this prediction's lattice."
        )


def reliable(genes: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each gene can be trusted: its held-out correlation's 95 % interval is above 0."""
    return np.asarray(genes["low"].to_numpy(dtype=np.float64, na_value=np.nan) > 0)


def _shift(prediction: Prediction, wanted: Mask) -> npt.NDArray[np.float32]:
    """Some token's factors: what is summed stays small, so that no digits are lost."""
    tokens = np.argwhere(wanted)[:1]
    if not len(tokens):
        return np.zeros(prediction.loadings.shape[0], dtype=np.float32)
    return np.asarray(prediction.factors_of(tokens)[0], dtype=np.float32)
