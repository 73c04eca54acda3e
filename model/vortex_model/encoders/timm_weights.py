"""A timm model with its weights: from a checkpoint of the user's or, if asked, from the hub."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vortex_model.encoders.access import FILES
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.torchvision_shim import import_torchvision

Pool = Callable[[Any], Any]
SPARE = ("head", "fc_norm", "mask_token", "pre_logits", "decoder", "cls_head", "dino_head")
"""Weights of a checkpoint that dense features do not need."""


@dataclass(frozen=True)
class Weights:
    """A vision transformer, ready to run.

    Attributes
    ----------
    model
        The torch module, on ``device``.
    content
        Hash of its weights.
    mean, std
        Normalisation of RGB in 0..1.
    input_size, patch, width, prefix
        Side of its input and of a patch in pixels, length of a token, tokens before the patches.
    licence
        As its configuration says; empty where it says nothing.
    arguments
        What the model was made with, as text.
    pool
        All tokens of a tile (n, prefix + patches, width) -> one vector (n, ``embedding``), as the
        model's card says.
    embedding
        Length of that vector.
    origin
        The file that the weights came in and its SHA-256, for the record.
    """

    model: Any
    device: str
    content: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: int
    patch: int
    width: int
    prefix: int
    licence: str
    arguments: dict[str, str]
    pool: Pool
    embedding: int
    origin: dict[str, str]


def load(
    name: str, checkpoint: str | Path | None, download: bool, model_args: Mapping[str, Any]
) -> Weights:
    """The model ``name`` with weights from ``checkpoint``, or from the hub if ``download``.

    Raises
    ------
    UnknownNameError
        When timm has no such model.
    VortexError
        When there are no weights, they cannot be read, or are not this model's.
    """
    if checkpoint is None and not download:
        raise VortexError(
            f"timm:{name} needs weights, and there are none: random ones would mean nothing. "
            "Give checkpoint=FILE (.safetensors or a torch file, or a folder with config.json as "
            "the Hugging Face hub has it), or download=True to fetch them from the hub (for "
            "gated models after 'hf auth login')."
        )
    import_torchvision()
    import timm

    config, file = local(Path(checkpoint).expanduser()) if checkpoint is not None else ({}, None)
    architecture = str(config.get("architecture", name))
    arguments = {**config.get("model_args", {}), **model_args}
    if file is None:
        model = _from_hub(name, arguments)
    else:
        if not timm.is_model(architecture):
            raise UnknownNameError("timm model", architecture, timm.list_models("*vit*"))
        model = make(architecture, arguments)
        fill(model, read(file), file)
    _require_vit(name, model)
    settings = {**model.pretrained_cfg, **config.get("pretrained_cfg", {})}
    return ready(
        model,
        mean=tuple(float(v) for v in settings["mean"]),
        std=tuple(float(v) for v in settings["std"]),
        input_size=int(settings["input_size"][-1]),
        licence=str(settings.get("license") or ""),
        arguments=arguments,
        origin={"hub": name} if file is None else origin_of(file),
    )


def ready(
    model: Any,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    input_size: int,
    licence: str,
    arguments: Mapping[str, Any],
    origin: dict[str, str],
    pooler: Any = None,
    with_mean: bool = False,
) -> Weights:
    """A filled model, in evaluation mode on the fastest device that is there.

    Parameters
    ----------
    pooler
        A module from all tokens to (n, embedding), where the model has one of its own.
    with_mean
        Whether the mean of the patch tokens stands beside the class token.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    patch = model.patch_embed.patch_size
    prefix, width = int(model.num_prefix_tokens), int(model.num_features)
    has_class = getattr(model, "cls_token", None) is not None

    def pool(tokens: Any) -> Any:
        if pooler is not None:
            return pooler(tokens)
        mean_token = tokens[:, prefix:].mean(dim=1)
        if not has_class:
            return mean_token
        return torch.cat([tokens[:, 0], mean_token], dim=-1) if with_mean else tokens[:, 0]

    if pooler is not None:
        pooler.eval().to(device)
        embedding = int(pooler.embedding)
    else:
        embedding = 2 * width if with_mean and has_class else width
    return Weights(
        model=model.eval().to(device),
        device=device,
        content=_content(model),
        mean=mean,
        std=std,
        input_size=input_size,
        patch=int(patch[0] if isinstance(patch, tuple) else patch),
        width=width,
        prefix=prefix,
        licence=licence,
        arguments={k: str(v) for k, v in sorted(arguments.items())},
        pool=pool,
        embedding=embedding,
        origin=origin,
    )


def local(place: Path) -> tuple[dict[str, Any], Path]:
    """The configuration beside a checkpoint, if any, and the file of weights."""
    if place.is_dir():
        file = next((place / f for f in FILES if (place / f).is_file()), None)
        if file is None:
            raise VortexError(f"The folder {place} holds no weights: none of {', '.join(FILES)}.")
    elif place.is_file():
        file = place
    else:
        raise VortexError(f"There is no checkpoint at {place}. Give the path of its weights.")
    beside = file.parent / "config.json"
    if not beside.is_file():
        return {}, file
    try:
        config = json.loads(beside.read_text())
    except ValueError as error:
        raise VortexError(f"{beside} is no JSON ({error}). Fetch it again.") from error
    return (config if isinstance(config, dict) and "architecture" in config else {}), file


def make(architecture: str, arguments: Mapping[str, Any], **more: Any) -> Any:
    """A model of timm's, for images of any size, not filled yet."""
    import timm

    try:
        return timm.create_model(
            architecture, **{"num_classes": 0, "dynamic_img_size": True, **arguments, **more}
        )
    except TypeError as error:
        raise VortexError(
            f"timm cannot make {architecture} for images of any size ({error}). Choose a vision "
            "transformer, such as vit_base_patch16_224."
        ) from error


def _from_hub(name: str, arguments: Mapping[str, Any]) -> Any:
    import timm

    if not name.startswith(("hf-hub:", "hf_hub:")) and not timm.is_model(name):
        raise UnknownNameError("timm model", name, timm.list_models("*vit*"))
    try:
        return make(name, arguments, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise VortexError(
            f"The weights of timm:{name} could not be fetched: {first} "
            "Check the network and, for a gated model, that you were granted access and did "
            "'hf auth login'; or give checkpoint=FILE."
        ) from error


def read(file: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name; nothing but tensors is ever unpickled.

    Raises
    ------
    VortexError
        When it cannot be read.
    """
    from safetensors import SafetensorError
    from timm.models import load_state_dict

    try:
        state: dict[str, Any] = load_state_dict(str(file), weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        AttributeError,
        TypeError,
    ) as error:
        raise VortexError(
            f"{file} cannot be read as weights ({str(error).splitlines()[0][:200]}). It has to be "
            "a .safetensors file or a torch file of plain tensors."
        ) from error
    return state


def fill(model: Any, state: Mapping[str, Any], file: Path, hint: str = "") -> None:
    """Load ``state`` into ``model``, all of it that dense features need.

    Parameters
    ----------
    file
        What the errors name.
    hint
        What to do where it does not fit.

    Raises
    ------
    VortexError
        When a weight is missing, unknown, or of another size; says which.
    """
    hint = hint or (
        "Give the name of the model that it was saved from, and model_args if it needs any."
    )
    adapt = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        ready = dict(adapt(dict(state), model) if adapt else state)
    except (RuntimeError, KeyError, AttributeError, IndexError) as error:
        raise VortexError(
            f"{file} does not fit this model ({str(error).splitlines()[-1].strip()[:200]}). {hint}"
        ) from error
    own = model.state_dict()
    surplus = [k for k in ready if k not in own and not k.startswith(SPARE)]
    sizes = [
        f"{k} {tuple(ready[k].shape)} for {tuple(v.shape)}"
        for k, v in own.items()
        if k in ready and ready[k].shape != v.shape
    ]
    problems = (
        ("it lacks", [k for k in own if k not in ready]),
        ("it has unknown", surplus),
        ("of another size are", sizes),
    )
    parts = [
        f"{word} {len(keys)} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for word, keys in problems
        if keys
    ]
    if parts:
        raise VortexError(f"{file} does not fit this model: {'; '.join(parts)}. {hint}")
    model.load_state_dict({k: ready[k] for k in own})


def origin_of(file: Path) -> dict[str, str]:
    """Name of a file of weights and its SHA-256, as the hub lists it."""
    with file.open("rb") as stream:
        return {"file": file.name, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _require_vit(name: str, model: Any) -> None:
    needed = ("patch_embed", "num_prefix_tokens", "forward_features", "num_features")
    if any(not hasattr(model, part) for part in needed):
        raise VortexError(
            f"{name} is a {type(model).__name__}, no vision transformer with patch tokens. "
            "Choose one such as vit_base_patch16_224."
        )


def _content(model: Any) -> str:
    """Hash of all weights, whatever file they came in."""
    import torch

    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        plain = value.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
