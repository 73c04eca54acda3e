"""VortexModel: morphology tokens -> pooled around a spot -> expression factors, and alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vortex_model.errors import VortexError
from vortex_model.networks import decoders, poolers
from vortex_model.networks.alignment import Alignment, info_nce
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.expression_encoder import ExpressionEncoder
from vortex_model.networks.sentences import Sentences, Tokeniser
from vortex_model.networks.slices import SlicePath, ViTPlanes
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.vocabulary import Vocabulary

Gather = Callable[[Tensor], Tensor]
"""Joins a tensor's rows over all processes; must pass gradients back."""


def alone(rows: Tensor) -> Tensor:
    """The gathering of a single process."""
    return rows


@dataclass(frozen=True)
class Targets:
    """What was measured at some spots.

    Attributes
    ----------
    scores
        Factors of the low-rank basis, (m, rank).
    variance
        Variance of each factor over the training spots, (rank,).
    sentences
        The spots as gene tokens, for alignment.
    counts, totals, measured
        Raw counts (m, genes), all counts (m,), which genes were measured (m, genes) bool; for
        the count likelihood.
    """

    scores: Tensor
    variance: Tensor
    sentences: Sentences | None = None
    counts: Tensor | None = None
    totals: Tensor | None = None
    measured: Tensor | None = None


@dataclass(frozen=True)
class Output:
    """What the network says of some places.

    Attributes
    ----------
    factors
        (m, rank).
    embedding
        Unit vectors (m, embedding); None without alignment.
    """

    factors: Tensor
    embedding: Tensor | None


class VortexModel(nn.Module):
    """The network.

    Parameters
    ----------
    config
        Its shape.
    expression
        The expression encoder, needed where ``config.align``; made from ``vocabulary`` where it
        is left out.
    vocabulary
        Genes of a new expression encoder.
    counts
        Decoder to counts, needed for the likelihood ``negative-binomial``.

    Raises
    ------
    VortexError
        When a part that ``config`` needs is not given.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        expression: ExpressionEncoder | None = None,
        vocabulary: Vocabulary | None = None,
        counts: decoders.CountDecoder | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        vit = ViT3D.of(config)
        self.encoder: ViT3D | SlicePath = (
            SlicePath(
                ViTPlanes(vit),
                config.width,
                width=config.width,
                depth=config.slice_depth,
                heads=config.heads,
            )
            if config.path == "slices"
            else vit
        )
        self.expression_pooler = poolers.AttentionPooler(
            config.width, config.queries, config.heads, config.window_size
        )
        self.factors = decoders.FactorDecoder(config.queries * config.width, config.rank)
        self.counts = counts
        if config.likelihood == "negative-binomial" and counts is None:
            raise VortexError("The negative-binomial likelihood needs a basis to decode counts by.")
        self.alignment_pooler: poolers.AttentionPooler | None = None
        self.alignment: Alignment | None = None
        self.reconstruction: decoders.FactorDecoder | None = None
        self.expression: ExpressionEncoder | None = None
        if config.align:
            if expression is None:
                if vocabulary is None:
                    raise VortexError(
                        "Alignment needs an expression encoder, or genes to make one."
                    )
                expression = ExpressionEncoder(
                    Tokeniser(vocabulary),
                    width=config.expression_width,
                    depth=config.expression_depth,
                    heads=config.expression_heads,
                    hidden=4 * config.expression_width,
                )
            self.expression = expression
            self.alignment_pooler = poolers.AttentionPooler(
                config.width, 1, config.heads, config.window_size
            )
            self.alignment = Alignment(config.width, self.expression.width, config.embedding)
            self.reconstruction = decoders.FactorDecoder(config.embedding, config.rank)

    @property
    def vit(self) -> ViT3D:
        """The vision transformer, of the volume or of each plane."""
        if isinstance(self.encoder, ViT3D):
            return self.encoder
        planes = self.encoder.encoder
        assert isinstance(planes, ViTPlanes)
        return planes.vit

    def morphology(self, volume: Tensor, z_um: Tensor | None = None) -> Tensor:
        """Dense tokens of blocks.

        Parameters
        ----------
        volume
            (n, channel, z, y, x).
        z_um
            Depth of each plane, (n, z) micrometres; the slice path needs it.

        Returns
        -------
        (n, token z, token y, token x, width).
        """
        if isinstance(self.encoder, ViT3D):
            return torch.as_tensor(self.encoder(volume).patches)
        if z_um is None:
            raise VortexError("The slice path needs the depth of each plane in micrometres.")
        return torch.as_tensor(self.encoder(volume, z_um))

    def at(self, tokens: Tensor, centres: Tensor) -> Output:
        """What the network says of some places of the token grids.

        Parameters
        ----------
        tokens
            From :meth:`morphology`.
        centres
            (m, 4) whole numbers: block, token z, token y, token x;
            :func:`~vortex_model.networks.poolers.everywhere` for all.
        """
        window, inside = poolers.windows(tokens, centres, self.config.window)
        factors = self.factors(self.expression_pooler(window, inside).flatten(1))
        if self.alignment is None or self.alignment_pooler is None:
            return Output(factors, None)
        pooled = self.alignment_pooler(window, inside)[:, 0]
        return Output(factors, self.alignment.embed_morphology(pooled))

    def embed_expression(self, sentences: Sentences) -> Tensor:
        """Unit vectors (m, embedding) of measured spots: the bank for retrieval."""
        if self.alignment is None or self.expression is None:
            raise VortexError("This network was made without alignment: nothing to retrieve by.")
        return self.alignment.embed_expression(self.expression(sentences))

    def decode_embedding(self, embedding: Tensor) -> Tensor:
        """Factors (m, rank) from the common space: the alignment variant's decoder."""
        if self.reconstruction is None:
            raise VortexError("This network was made without alignment: it has no such decoder.")
        return torch.as_tensor(self.reconstruction(embedding))

    def losses(self, output: Output, targets: Targets, gather: Gather = alone) -> dict[str, Tensor]:
        """Each loss by name, and their weighted sum as ``total``.

        ``regression`` (standardised squared error of the factors), ``counts`` (negative binomial),
        ``alignment`` (InfoNCE) and ``reconstruction`` (factors decoded from the embedded
        expression), as far as the network has them. Weights are 1 unless ``config`` says else.
        """
        embedded = None
        if self.alignment is not None:
            if targets.sentences is None:
                raise VortexError("Alignment needs the spots' genes and counts.")
            embedded = self.embed_expression(targets.sentences)
        with torch.autocast(output.factors.device.type, enabled=False):
            found = self._losses(output, targets, embedded, gather)
        total = torch.stack([self.config.weight(n) * loss for n, loss in found.items()]).sum()
        return {**found, "total": total}

    def _losses(
        self, output: Output, targets: Targets, embedded: Tensor | None, gather: Gather
    ) -> dict[str, Tensor]:
        factors = output.factors.float()
        found = {"regression": decoders.factor_loss(factors, targets.scores, targets.variance)}
        if self.counts is not None:
            counts, totals, measured = targets.counts, targets.totals, targets.measured
            if counts is None or totals is None or measured is None:
                raise VortexError("The negative-binomial likelihood needs raw counts.")
            found["counts"] = self.counts.loss(factors, counts, totals, measured)
        if self.alignment is not None and output.embedding is not None and embedded is not None:
            embedded = embedded.float()
            found["alignment"] = info_nce(
                gather(output.embedding.float()), gather(embedded), self.alignment.scale
            )
            found["reconstruction"] = decoders.factor_loss(
                self.decode_embedding(embedded), targets.scores, targets.variance
            )
        return found

    def forward(
        self,
        volume: Tensor,
        centres: Tensor,
        targets: Targets,
        z_um: Tensor | None = None,
        gather: Gather = alone,
    ) -> tuple[Output, dict[str, Tensor]]:
        """Encode blocks, read spots, and compare: one training step's forward pass."""
        output = self.at(self.morphology(volume, z_um), centres)
        return output, self.losses(output, targets, gather)
