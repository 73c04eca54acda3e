"""Alignment: morphology and expression in one space, by InfoNCE with a learned temperature."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE = 0.05
COLDEST = 0.01


class Alignment(nn.Module):
    """Two projections to unit vectors of one space.

    Parameters
    ----------
    morphology
        Width of pooled morphology.
    expression
        Width of the expression encoder.
    embedding
        Width of the common space.
    """

    def __init__(self, morphology: int, expression: int, embedding: int) -> None:
        super().__init__()
        self.morphology = nn.Linear(morphology, embedding)
        self.expression = nn.Linear(expression, embedding)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))

    @property
    def scale(self) -> Tensor:
        """1 / temperature, held below 1 / ``COLDEST``."""
        return self.log_scale.exp().clamp(max=1 / COLDEST)

    def embed_morphology(self, pooled: Tensor) -> Tensor:
        """(m, width) -> unit vectors (m, embedding)."""
        return functional.normalize(self.morphology(pooled), dim=-1)

    def embed_expression(self, encoded: Tensor) -> Tensor:
        """(m, width) -> unit vectors (m, embedding)."""
        return functional.normalize(self.expression(encoded), dim=-1)


def info_nce(left: Tensor, right: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018; both directions as in CLIP).

    Parameters
    ----------
    left, right
        Unit vectors (m, embedding); row i of one belongs to row i of the other.
    scale
        1 / temperature.
    """
    logits = scale * left @ right.T
    target = torch.arange(len(left), device=left.device)
    both = functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    return both / 2
