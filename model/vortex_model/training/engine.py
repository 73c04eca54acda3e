"""The engine of a run: Lightning Fabric on one device or many, and TensorBoard-readable logs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, distributed, nn

from vortex_model.errors import VortexError
from vortex_model.training.recipe import Recipe


class Log(Protocol):
    """Where numbers of a run go."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Keep named numbers of one step."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class SilentLog:
    """The log of a process that is not the first."""

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class BoardLog:
    """Event files that TensorBoard reads."""

    def __init__(self, folder: Path, first_step: int) -> None:
        writer: Any
        try:
            from torch.utils.tensorboard import SummaryWriter as writer  # noqa: N813
        except ImportError as error:
            raise missing("tensorboard") from error
        self._writer = writer(str(folder), purge_step=first_step or None)

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Keep named numbers of one step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class _GatherRows(torch.autograd.Function):
    """Rows of all processes, one after the other; gradients are summed over processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.count = len(rows)
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        first = distributed.get_rank() * ctx.count
        return total[first : first + ctx.count]


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes in order of rank; each process has equally many.

    Gradients flow back to where a row came from, so that a loss over all rows, averaged over
    processes as data-parallel training does, has the gradient that a single process would see.
    """
    gathered: Tensor = cast(Any, _GatherRows.apply)(rows)
    return gathered


def missing(package: str) -> VortexError:
    """The error of a machine without what pretraining needs."""
    return VortexError(
        f"Pretraining needs the package {package}. Install it: pip install 'vortex-viewer[train]'."
    )


def make_fabric(recipe: Recipe, devices: int, accelerator: str) -> Any:
    """A launched Fabric.

    Raises
    ------
    VortexError
        When Fabric is not installed, or there are too few devices.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise missing("lightning-fabric") from error
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and torch.cuda.device_count() < devices:
        raise VortexError(
            f"{devices} GPUs were asked for; this machine has {torch.cuda.device_count()}."
        )
    gpu_bf16 = accelerator == "cuda" and torch.cuda.is_bf16_supported()
    bf16 = recipe.precision == "bfloat16" or (recipe.precision == "auto" and gpu_bf16)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
    )
    fabric.launch()
    return fabric


def make_optimiser(module: nn.Module, rate: float, decay: float) -> torch.optim.AdamW:
    """AdamW; biases, norms, embeddings of places and the temperature do not decay."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))


def rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """Learning rate: a linear rise over the first part, then half a cosine to 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return peak * (step + 1) / rise
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
