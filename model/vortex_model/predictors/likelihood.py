"""Weights of a sum of kernels by marginal likelihood, with analytic gradients.

Value and gradient: Rasmussen & Williams, Gaussian Processes for Machine Learning (2006),
equations 5.8 and 5.9. Curvature: the average information of Gilmour, Thompson & Cullis
(Biometrics 51:1440, 1995), which costs next to nothing once the gradient is known, so that a
fit takes about ten factorisations.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri

from vortex_model.predictors.base import Floats

WEAKEST = np.log(1e-4)
STRONGEST = np.log(1e2)
LONGEST_STEP = 2.0
JITTER = 1e-6
ENOUGH = 0.01
"""A step that adds less to the log likelihood is the last: data cannot tell such weights apart."""


def factorise(matrix: Floats) -> Floats:
    """Lower Cholesky factor; a little is added to the diagonal until there is one."""
    scale = float(np.mean(np.diag(matrix)))
    extra = 0.0
    for power in range(8):
        try:
            return np.asarray(
                cholesky(matrix + extra * np.eye(len(matrix)), lower=True, check_finite=False)
                if extra
                else cholesky(matrix, lower=True, check_finite=False)
            )
        except np.linalg.LinAlgError:
            extra = scale * JITTER * 10.0**power
    raise np.linalg.LinAlgError("the kernel matrix has no Cholesky factor")


class Objective:
    """Negative log marginal likelihood of one component as a function of log weights.

    Parameters
    ----------
    gram
        Kernels among the spots, (kernels, n, n).
    noise
        Relative noise variance of each spot, (n,).
    target
        The component's scores, (n,).
    """

    def __init__(self, gram: Floats, noise: Floats, target: Floats) -> None:
        self._gram, self._noise, self._target = gram, noise, target

    def __call__(self, log_weights: Floats) -> tuple[float, Floats, Floats]:
        """Value, gradient (kernels + 1,) and average information, at log weights."""
        gram, noise, n = self._gram, self._noise, len(self._target)
        weights = np.exp(log_weights)
        matrix = np.tensordot(weights[:-1], gram, axes=1)
        matrix[np.diag_indices(n)] += weights[-1] * noise
        lower = factorise(matrix)
        alpha = cho_solve((lower, True), self._target, check_finite=False)
        value = 0.5 * float(self._target @ alpha) + float(np.log(np.diag(lower)).sum())
        pulls = np.column_stack([*(gram @ alpha), noise * alpha])
        fit = pulls.T @ alpha
        # potri fills one triangle, and the factor's other one is 0; the Gram matrices are
        # symmetric, so twice that triangle does
        half = dpotri(lower, lower=1)[0].T
        diagonal = np.diag(half).copy()
        np.fill_diagonal(half, 0.5 * diagonal)
        spread = 2.0 * (gram.reshape(len(gram), -1) @ half.ravel())
        slope = 0.5 * (np.append(spread, noise @ diagonal) - fit) * weights
        # not by cho_solve, which keeps other threads waiting
        bend = 0.5 * pulls.T @ (half @ pulls + half.T @ pulls)
        return value, slope, bend * np.outer(weights, weights)


def learn_weights(gram: Floats, noise: Floats, scores: Floats, steps: int = 30) -> Floats:
    """Weights of the kernels and of the noise that make one component's scores most likely.

    Damped Newton steps (Levenberg-Marquardt) on the log weights; each lowers the objective, or
    is not taken.

    Parameters
    ----------
    gram, noise
        As for :class:`Objective`.
    scores
        One component, (n,).
    steps
        At most so many factorisations.

    Returns
    -------
    numpy.ndarray
        (kernels + 1,); the last is the noise. In units of the scores' square.
    """
    kernels = len(gram)
    power = float(np.mean(scores**2))
    if power <= 0:
        return np.append(np.full(kernels, np.exp(WEAKEST)), 1.0)
    objective = Objective(gram, noise, scores / np.sqrt(power))
    here = np.log(np.append(np.full(kernels, 0.5 / kernels), 0.5))
    value, slope, bend = objective(here)
    damping = 1.0
    for _ in range(steps - 1):
        # a weight at its bound that wants to go beyond stays there
        free = ~(((here <= WEAKEST) & (slope > 0)) | ((here >= STRONGEST) & (slope < 0)))
        if not free.any() or np.abs(slope[free]).max() < 1e-2:
            break
        system = bend[np.ix_(free, free)].copy()
        curvature = np.diag(system) + np.abs(slope[free])
        system[np.diag_indices(len(system))] += damping * curvature + 1e-8
        move = np.zeros_like(here)
        move[free] = -np.linalg.solve(system, slope[free])
        there = np.clip(here + np.clip(move, -LONGEST_STEP, LONGEST_STEP), WEAKEST, STRONGEST)
        trial = objective(there)
        gain = value - trial[0]
        if gain > 0:
            here, (value, slope, bend) = there, trial
            damping = max(damping / 5, 1e-3)
            if gain < ENOUGH:
                break
        else:
            damping *= 6
            if damping > 1e4:
                break
    return np.asarray(np.exp(here) * power)
