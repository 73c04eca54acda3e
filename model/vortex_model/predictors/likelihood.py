"""Weights of a sum of kernels by marginal likelihood, with analytic gradients.

Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), equations 5.8 and 5.9.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

from vortex_model.predictors.base import Floats

WEAKEST = 1e-4
STRONGEST = 1e2
JITTER = 1e-6


def factorise(matrix: Floats) -> Floats:
    """Lower Cholesky factor; a little is added to the diagonal until there is one."""
    scale = float(np.mean(np.diag(matrix)))
    extra = 0.0
    for power in range(8):
        try:
            return np.asarray(
                cholesky(matrix + extra * np.eye(len(matrix)), lower=True, check_finite=False)
            )
        except np.linalg.LinAlgError:
            extra = scale * JITTER * 10.0**power
    raise np.linalg.LinAlgError("the kernel matrix has no Cholesky factor")


def learn_weights(
    gram: Floats, noise: Floats, scores: Floats, start: Floats | None = None, steps: int = 60
) -> Floats:
    """Weights of the kernels and of the noise that make one component's scores most likely.

    Parameters
    ----------
    gram
        Kernels among the spots, (kernels, n, n).
    noise
        Relative noise variance of each spot, (n,).
    scores
        One component, (n,).
    start
        Weights to begin from, (kernels + 1,).
    steps
        At most so many evaluations' worth of iterations.

    Returns
    -------
    numpy.ndarray
        (kernels + 1,); the last is the noise. In units of the scores' square.
    """
    kernels, n, _ = gram.shape
    power = float(np.mean(scores**2))
    if power <= 0:
        return np.append(np.full(kernels, WEAKEST), 1.0)
    target = scores / np.sqrt(power)

    def loss(log_weights: npt.NDArray[np.float64]) -> tuple[float, Floats]:
        weights = np.exp(log_weights)
        matrix = np.tensordot(weights[:-1], gram, axes=1)
        matrix[np.diag_indices(n)] += weights[-1] * noise
        lower = factorise(matrix)
        alpha = cho_solve((lower, True), target, check_finite=False)
        value = 0.5 * target @ alpha + np.log(np.diag(lower)).sum() + 0.5 * n * np.log(2 * np.pi)
        inverse, _ = dpotri(lower, lower=1)
        diagonal = np.diag(inverse).copy()
        # potri fills one triangle; the Gram matrices are symmetric, so twice that triangle will do
        np.fill_diagonal(inverse, 0.5 * diagonal)
        inverse = np.tril(inverse)
        flat = 2.0 * (gram.reshape(kernels, -1) @ inverse.ravel())
        fit = np.array([alpha @ (g @ alpha) for g in gram])
        slope = np.append(flat - fit, noise @ diagonal - float(noise @ alpha**2))
        return float(value), 0.5 * slope * weights

    first = np.append(np.full(kernels, 0.5 / kernels), 0.5) if start is None else start / power
    found = minimize(
        loss,
        np.log(np.clip(first, WEAKEST, STRONGEST)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(np.log(WEAKEST), np.log(STRONGEST))] * (kernels + 1),
        options={"maxiter": steps, "ftol": 1e-5, "gtol": 1e-3},
    )
    return np.asarray(np.exp(found.x) * power)
