"""Decoders: from pooled morphology to expression factors, to counts, and by retrieval."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vortex_model.errors import VortexError
from vortex_model.expression import TARGET_SUM


class FactorDecoder(nn.Module):
    """Direct regression: pooled vectors (m, inputs) -> factors of the low-rank basis (m, rank)."""

    def __init__(self, inputs: int, rank: int) -> None:
        super().__init__()
        hidden = max(inputs // 2, rank)
        self.layers = nn.Sequential(
            nn.LayerNorm(inputs), nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, rank)
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """Factors, (m, rank)."""
        return torch.as_tensor(self.layers(pooled))


def factor_loss(predicted: Tensor, scores: Tensor, variance: Tensor) -> Tensor:
    """Standardised squared error: 1 for a prediction of the mean, 0 for a perfect one.

    As loadings are orthonormal, it is the squared error of expression within the basis, divided
    by its variance; components weigh as much as they vary.

    Parameters
    ----------
    predicted, scores
        Factors, (m, rank).
    variance
        Variance of each component over the training spots, (rank,).
    """
    total = variance.sum().clamp_min(1e-12)
    return ((predicted - scores) ** 2).sum(dim=1).mean() / total


class CountDecoder(nn.Module):
    """Factors -> negative-binomial counts, over the low-rank basis of log1p(counts per 10,000).

    Parameters
    ----------
    mean
        Mean normalised expression, (genes,); trained along.
    loadings
        (rank, genes), fixed.
    """

    loadings: Tensor

    def __init__(self, mean: Tensor, loadings: Tensor) -> None:
        super().__init__()
        self.mean = nn.Parameter(mean.clone())
        self.log_dispersion = nn.Parameter(torch.zeros_like(mean))
        self.register_buffer("loadings", loadings.clone())

    def rate(self, factors: Tensor, totals: Tensor) -> Tensor:
        """Expected counts (m, genes) at ``totals`` counts a spot."""
        expression = self.mean + factors @ self.loadings
        positive = functional.softplus(expression, beta=10.0).clamp(max=9.21)  # log(10,000)
        return torch.expm1(positive) * (totals[:, None] / TARGET_SUM)

    def loss(self, factors: Tensor, counts: Tensor, totals: Tensor, measured: Tensor) -> Tensor:
        """Negative log-likelihood a measured gene, averaged over spots.

        Parameters
        ----------
        factors
            (m, rank).
        counts
            Raw counts, (m, genes).
        totals
            Counts over all genes, (m,).
        measured
            (m, genes) bool.
        """
        rate = self.rate(factors, totals)
        likelihood = nb_log_likelihood(counts, rate, self.log_dispersion.exp())
        per_spot = (likelihood * measured).sum(dim=1) / measured.sum(dim=1).clamp_min(1)
        return -per_spot.mean()


def nb_log_likelihood(counts: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Log-probability of counts under a negative binomial of this mean.

    ``dispersion`` is r in variance = mean + mean**2 / r; many r make it Poisson.
    """
    mean = mean.clamp_min(1e-8)
    r = dispersion.clamp(1e-4, 1e6)
    log_total = torch.log(r + mean)
    return (
        torch.lgamma(counts + r)
        - torch.lgamma(r)
        - torch.lgamma(counts + 1)
        + r * (torch.log(r) - log_total)
        + counts * (torch.log(mean) - log_total)
    )


def retrieve(queries: Tensor, bank: Tensor, values: Tensor, k: int, temperature: float) -> Tensor:
    """Expression by retrieval: a weighted mean of the ``k`` nearest measured spots.

    Parameters
    ----------
    queries
        Embeddings of morphology, (m, embedding), of unit length.
    bank
        Embeddings of measured expression, (n, embedding), of unit length.
    values
        What was measured there, (n, anything).
    k
        How many; at most n are taken.
    temperature
        Of the softmax over cosine similarities.

    Raises
    ------
    VortexError
        When the bank is empty, or ``k`` is below 1.
    """
    if len(bank) == 0 or k < 1:
        raise VortexError(
            f"Retrieval of {k} from {len(bank)} measured spots is not possible; both need 1."
        )
    similarity, index = (queries @ bank.T).topk(min(k, len(bank)), dim=1)
    weight = torch.softmax(similarity / temperature, dim=1)
    return torch.einsum("mk,mkv->mv", weight, values[index])
