"""Weights on disk: NAME.safetensors and, beside it, NAME.json with what they are."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from vortex_model.errors import VortexError


def write_weights(path: Path, state: Mapping[str, Tensor], record: Mapping[str, Any]) -> Path:
    """Write ``state`` to ``path`` (``.safetensors``) and ``record`` beside it (``.json``).

    Each file lands whole or not at all; the record names the hash of the weights, and is written
    last, so that a kill between the two is found on reading.
    """
    path = path.with_suffix(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    data = save({n: t.detach().cpu().contiguous() for n, t in state.items()})
    write_whole(path, data)
    text = json.dumps({**record, "weights": digest(data)}, indent=1, sort_keys=True)
    write_whole(path.with_suffix(".json"), text.encode())
    return path


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the record that :func:`write_weights` wrote.

    Raises
    ------
    VortexError
        When a file is absent or damaged, or the two do not belong together.
    """
    path = path.with_suffix(".safetensors")
    try:
        data = path.read_bytes()
        record: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        state = load(data)
    except FileNotFoundError as error:
        raise VortexError(
            f"{error.filename} is not there. Weights are two files, NAME.safetensors and NAME.json."
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise VortexError(f"The weights {path} cannot be read: {error}") from error
    if record.get("weights") != digest(data):
        raise VortexError(
            f"{path} and its {path.stem}.json do not belong together: the hash of the weights is "
            f"{digest(data)}, the record says {record.get('weights')}. Copy both files again."
        )
    return state, record


def load_into(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Fill a module, names and shapes exactly.

    Raises
    ------
    VortexError
        When they do not fit.
    """
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        first = [line.strip() for line in str(error).splitlines()[1:3]]
        raise VortexError(f"The weights of {source} do not fit: {' '.join(first)}") from error


def digest(data: bytes) -> str:
    """Content hash, 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    draft = path.with_name(f".partial-{uuid.uuid4().hex[:8]}-{path.name}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def fast_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 faster than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())
