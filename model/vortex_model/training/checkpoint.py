"""Checkpoints of a run: weights, optimiser and step in one safetensors file, written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vortex_model.errors import VortexError
from vortex_model.networks.weights import load_into, write_whole


def write_checkpoint(
    path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, record: dict[str, Any]
) -> None:
    """Write all that a run needs to go on; ``record`` holds plain JSON types."""
    tensors = {f"module/{n}": t for n, t in module.state_dict().items()}
    names = {id(p): n for n, p in module.named_parameters()}
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            tensors[f"optimiser/{names[id(parameter)]}/{key}"] = torch.as_tensor(value)
    data = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    write_whole(path, save(data, metadata={"vortex": json.dumps(record, sort_keys=True)}))


def read_record(path: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None where there is none.

    Raises
    ------
    VortexError
        When it cannot be read.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads((file.metadata() or {})["vortex"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise VortexError(
            f"The checkpoint {path} cannot be read ({error}). Remove it to start again."
        ) from error
    return record


def read_checkpoint(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Fill a module and its optimiser from :func:`write_checkpoint`.

    Raises
    ------
    VortexError
        When they are of another shape.
    """
    weights: dict[str, Tensor] = {}
    states: dict[str, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no dict
            kind, _, rest = name.partition("/")
            if kind == "module":
                weights[rest] = file.get_tensor(name)
            else:
                parameter, _, key = rest.rpartition("/")
                states.setdefault(parameter, {})[key] = file.get_tensor(name)
    load_into(module, weights, str(path))
    for name, parameter in module.named_parameters():
        if name in states:
            optimiser.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device)
                for key, value in states[name].items()
            }
