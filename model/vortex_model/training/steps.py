"""One training step of each stage: a batch of plain tensors in, losses by name out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.masked import MaskedAutoencoder
from vortex_model.networks.model import Gather, Targets, VortexModel, alone
from vortex_model.networks.sentences import Sentences


class MaskedStep(nn.Module):
    """Masked autoencoding; planes one by one on the slice path."""

    def __init__(self, autoencoder: MaskedAutoencoder, config: NetworkConfig) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.planes = config.path == "slices"

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """``volume`` and ``noise`` -> ``masked`` and ``total``."""
        volume, noise = batch["volume"], batch["noise"].flatten(0, 1)
        if self.planes:
            volume = volume.transpose(1, 2).flatten(0, 1).unsqueeze(2)
        loss = self.autoencoder(volume, noise)
        return {"masked": loss, "total": loss}


class AlignedStep(nn.Module):
    """Regression and alignment at measured spots."""

    variance: Tensor

    def __init__(self, model: VortexModel, variance: Tensor, gather: Gather = alone) -> None:
        super().__init__()
        self.model = model
        self.gather = gather
        self.register_buffer("variance", variance)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses by name, as :meth:`VortexModel.losses`."""
        said = None
        if "genes" in batch:
            said = Sentences(batch["genes"], batch["values"], batch["padding"])
        targets = Targets(
            scores=batch["scores"],
            variance=self.variance,
            sentences=said,
            counts=batch.get("counts"),
            totals=batch.get("totals"),
            measured=batch.get("measured"),
        )
        _, losses = self.model(
            batch["volume"], batch["centres"], targets, batch["z_um"], self.gather
        )
        return {name: torch.as_tensor(loss) for name, loss in losses.items()}
