"""A pathology encoder by its own name: timm's model as its card says, filled and checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vortex_model.encoders.access import find
from vortex_model.encoders.catalogue import KNOWN, Known
from vortex_model.encoders.timm_vit import TimmEncoder
from vortex_model.encoders.timm_weights import (
    Weights,
    fill,
    local,
    make,
    origin_of,
    read,
    ready,
)
from vortex_model.torchvision_shim import import_torchvision


class KnownEncoder(TimmEncoder):
    """One of :data:`~vortex_model.encoders.catalogue.KNOWN`.

    Parameters
    ----------
    row
        Which.
    checkpoint
        Its weights: a ``.safetensors`` or torch file, or a folder as the hub has it, whose
        ``config.json`` may change the model's arguments. Without, those that were remembered
        (:func:`vortex_model.encoders.remember`) or fetched before.
    download
        Whether to fetch them from the hub where there are none.
    um_per_pixel
        By default what the model was trained on.
    tile, planes, context_um, precision, pooling, backend, model_args
        As :class:`~vortex_model.encoders.timm_vit.TimmEncoder`.

    Raises
    ------
    VortexError
        When there are no weights, or they are not this model's; says what is missing.
    """

    def __init__(
        self,
        row: Known,
        *,
        checkpoint: str | Path | None = None,
        download: bool = False,
        um_per_pixel: float | None = None,
        tile: int | None = None,
        planes: int = 1,
        context_um: Sequence[float] = (200.0,),
        precision: str = "float32",
        pooling: str = "patches",
        backend: str = "torch",
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        place = find(row, checkpoint, download)
        um = row.um_per_pixel if um_per_pixel is None else um_per_pixel
        weights = load_known(row, place, dict(model_args or {}))
        self._set_up(row.name, weights, um, tile, planes, context_um, precision, pooling, backend)


OPTIONS = tuple(n for n in inspect.signature(KnownEncoder).parameters if n != "row")
"""Names of the options of an encoder of the catalogue."""


def load_known(row: Known, place: Path, model_args: Mapping[str, Any]) -> Weights:
    """The model of a row, filled from ``place``.

    Parameters
    ----------
    model_args
        Change the row's arguments; so does a ``config.json`` beside the weights.

    Raises
    ------
    VortexError
        When the weights cannot be read, or are another model's.
    """
    import_torchvision()
    config, file = local(place)
    arguments = {**row.arguments, **config.get("model_args", {}), **model_args}
    state = read(file)
    model = make(row.architecture, _with_layers(arguments))
    tower, rest = _split(row, state)
    fill(model, tower, file, _hint(row, tower))
    pooler = None
    if row.pooling == "attention":
        from vortex_model.encoders.conch import load_pooler

        pooler = load_pooler(rest, int(model.num_features), file)
    return ready(
        model,
        mean=row.mean,
        std=row.std,
        input_size=row.input_size,
        licence=row.licence,
        arguments=arguments,
        origin=origin_of(file),
        pooler=pooler,
        with_mean=row.pooling == "class and mean",
    )


def _with_layers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with timm's layers in the place of their names."""
    import timm

    ready = dict(arguments)
    if isinstance(ready.get("mlp_layer"), str):
        ready["mlp_layer"] = getattr(timm.layers, ready["mlp_layer"])
    return ready


def _split(row: Known, state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The vision transformer's weights by timm's names, and the others of the image tower."""
    for prefix in row.tower:
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if own and prefix:
            outer = prefix.removesuffix("trunk.")
            rest = {
                k.removeprefix(outer): v
                for k, v in state.items()
                if k.startswith(outer) and not k.startswith(prefix)
            }
            return own, rest
    return dict(state), {}


def _hint(row: Known, state: Mapping[str, Any]) -> str:
    """What to do where the weights are another model's: which they look like."""
    token, embed = state.get("cls_token"), state.get("patch_embed.proj.weight")
    if token is None or embed is None:
        return f"These are no weights of {row.title}: give its checkpoint, from {row.page}."
    depth = len({k.split(".")[1] for k in state if k.startswith("blocks.")})
    like = [
        other.name
        for other in KNOWN.values()
        if other.width == token.shape[-1]
        and other.name != row.name
        and int(embed.shape[-1]) == _patch(other)
        and depth == _depth(other)
    ]
    if like:
        return f"They look like those of {' or '.join(like)}: choose that encoder."
    return f"Give the checkpoint of {row.title}, from {row.page}."


def _patch(row: Known) -> int:
    named = int(row.architecture.split("patch")[1].split("_")[0])
    return int(row.arguments.get("patch_size", named))


def _depth(row: Known) -> int:
    kind = row.architecture.split("_")[1]
    known = {"small": 12, "base": 12, "large": 24, "huge": 32, "giant": 40}
    return int(row.arguments.get("depth", known[kind]))
