"""Intervals that cover what they claim: residuals of held-out spots, scaled, and their quantiles.

Conformal prediction on cross-validated residuals (Barber, Candes, Ramdas & Tibshirani, Annals of
Statistics 49:486, 2021) with studentised scores (Lei et al., JASA 113:1094, 2018). Spots are held
out by spatial blocks, as neighbours are not exchangeable with places farther away. The
predictor's variance carries most of what distance from the measured sections does to errors; what
is left is learned by class of distance. Residuals of whole sections held out, beside or instead,
made no difference (docs/accuracy.md). What no residual of one section can show is how another
section differs as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from vortex_model.expression import Measured
from vortex_model.training.heldout import HeldOut
from vortex_model.trust import Calibration

Floats = npt.NDArray[np.float64]
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PITCHES = (0.5, 1.5, 3.0)
"""Bounds between classes of distance, in spot pitches."""
FEWEST = 20
"""Held-out spots without which nothing is said: of all, and of a class of distance."""
LEAST_NOISE = 0.05
"""Share of the mean squared error that is the spots' own noise, at least."""
SKEW = (0.3, 3.0)


def calibrate(
    held: HeldOut, measured: Measured, genes: Sequence[str], pitch_um: float
) -> Calibration | None:
    """Widths of intervals; None where fewer than ``FEWEST`` spots could be held out.

    Parameters
    ----------
    held
        The measured spots, held out, with variance.
    pitch_um
        Distance from spot to spot.
    """
    rows = np.flatnonzero(np.isfinite(held.variance[:, 0]))
    if len(rows) < FEWEST:
        return None
    variance, distance = held.variance[rows], held.distance_um[rows]
    residual = measured.spots(rows).expression(genes) - held.mean[rows]
    error = (residual**2).mean(axis=0)
    noise = np.maximum(error - variance.mean(axis=0), LEAST_NOISE * error)
    noise = np.maximum(noise, 1e-12)
    score = residual / np.sqrt(variance + noise)
    below, above = (_reach(side) for side in (np.minimum(score, 0), np.maximum(score, 0)))
    score = np.where(score < 0, -score / below, score / above)
    edges = np.array(PITCHES) * pitch_um
    group = np.searchsorted(edges, distance, side="right")
    widening = _widening(score, group, len(edges) + 1)
    return Calibration(
        noise=noise,
        below=below,
        above=above,
        levels=np.array(LEVELS),
        quantiles=_quantiles(score / widening[group][:, None]),
        edges_um=edges,
        widening=widening,
        reach_um=float(np.sort(distance)[-FEWEST]),
    )


def _reach(side: Floats) -> Floats:
    """Root mean square of one side's scores, (genes,), held within bounds."""
    count = np.maximum((side != 0).sum(axis=0), 1)
    return np.asarray(np.clip(np.sqrt((side**2).sum(axis=0) / count), *SKEW))


def _quantiles(score: Floats) -> Floats:
    """(levels, genes), a little above the plain quantiles as finite samples need."""
    count = len(score)
    raised = [min(1.0, np.ceil((count + 1) * level) / count) for level in LEVELS]
    return np.asarray(np.quantile(score, raised, axis=0))


def _widening(score: Floats, group: npt.NDArray[np.int64], classes: int) -> Floats:
    """How much larger scores are, by class of distance; 1 at the nearest, never falling.

    One number for all genes, as a single gene's scores in one class are too few. Classes with
    too few spots are as the one before; isotonic regression weighs the others by their spots.
    """
    usual = np.maximum(np.quantile(score, 0.9, axis=0), 1e-12)
    count = np.bincount(group, minlength=classes)
    known = np.flatnonzero(count >= FEWEST)
    if not len(known):
        return np.ones(classes)
    ratio = [np.median(np.quantile(score[group == n], 0.9, axis=0) / usual) for n in known]
    rising = isotonic_regression(ratio, weights=count[known]).x
    before = np.clip(np.searchsorted(known, np.arange(classes), side="right") - 1, 0, None)
    return np.asarray(rising[before] / rising[0])
