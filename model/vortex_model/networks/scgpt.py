"""Load an scGPT checkpoint that the user has: args.json, vocab.json, best_model.pt in a folder."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.networks.expression_encoder import ExpressionEncoder
from vortex_model.networks.sentences import Tokeniser
from vortex_model.networks.vocabulary import CLS, PAD, Style, Vocabulary

_PARTS = ("encoder.", "value_encoder.", "transformer_encoder.")
"""The parts that encode; scGPT's decoders are not needed."""


def load_scgpt(folder: str | Path, weights: str = "best_model.pt") -> ExpressionEncoder:
    """An expression encoder with scGPT's weights.

    Parameters
    ----------
    folder
        Holds ``args.json``, ``vocab.json`` and ``weights``, as scGPT's model zoo packs them.
    weights
        The checkpoint, ``.pt`` (read with ``weights_only=True``) or ``.safetensors``.

    Raises
    ------
    VortexError
        When a file is absent or damaged, values are not continuous, or names and shapes are not
        those of the architecture in ``args.json``.
    """
    place = Path(folder).expanduser()
    settings = _json(place / "args.json")
    vocabulary = _vocabulary(_json(place / "vocab.json"))
    emb_style = settings.get("input_emb_style", "continuous")
    if emb_style != "continuous":
        raise VortexError(
            f"{place / 'args.json'}: input_emb_style is {emb_style!r}; only 'continuous' can be "
            "loaded. Use a checkpoint such as scGPT's whole-human one."
        )
    if settings.get("pre_norm", False):
        raise VortexError(
            f"{place / 'args.json'}: pre_norm is true; only scGPT's usual post-norm can be loaded."
        )
    state = _state(place / weights)
    try:
        encoder = ExpressionEncoder(
            Tokeniser(
                vocabulary,
                style=_style(str(settings.get("input_style", "binned"))),
                bins=int(settings.get("n_bins") or 51),
                cls_value=float(settings.get("pad_value", -2)),
            ),
            width=int(settings["embsize"]),
            depth=int(settings["nlayers"]),
            heads=int(settings["nheads"] if "nheads" in settings else settings["nhead"]),
            hidden=int(settings["d_hid"]),
            dropout=float(settings.get("dropout", 0.0)),
        )
    except KeyError as error:
        raise VortexError(
            f"{place / 'args.json'} has no {error.args[0]!r}. Give the args.json that came with "
            "the checkpoint."
        ) from error
    _fill(encoder, state, place / weights)
    return encoder


def _fill(encoder: ExpressionEncoder, state: dict[str, Tensor], source: Path) -> None:
    own = encoder.state_dict()
    ready = {}
    for name, value in state.items():
        name = name.removeprefix("module.").replace("self_attn.Wqkv.", "self_attn.in_proj_")
        if name.startswith(_PARTS):
            ready[name] = value
    missing = sorted(set(own) - set(ready))
    unknown = sorted(set(ready) - set(own))
    wrong = sorted(n for n in set(own) & set(ready) if own[n].shape != ready[n].shape)
    if missing or unknown or wrong:
        said = [f"{len(missing)} missing ({missing[0]}, ...)"] if missing else []
        said += [f"{len(unknown)} not known ({unknown[0]}, ...)"] if unknown else []
        said += [
            f"{n} is {tuple(ready[n].shape)}, args.json and vocab.json say {tuple(own[n].shape)}"
            for n in wrong[:2]
        ]
        raise VortexError(
            f"{source} does not match its args.json and vocab.json: {'; '.join(said)}. "
            "Take the three files from the same scGPT model."
        )
    encoder.load_state_dict(ready)


def _vocabulary(record: dict[str, Any]) -> Vocabulary:
    tokens = {str(k): v for k, v in record.items()}
    for special in (PAD, CLS):  # scGPT appends those that a vocabulary lacks
        tokens.setdefault(special, max(tokens.values(), default=-1) + 1)
    return Vocabulary(tokens)


def _style(name: str) -> Style:
    known = ("binned", "log1p", "normed_raw")
    if name not in known:
        raise UnknownNameError("scGPT input_style", name, known)
    return cast(Style, name)


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise VortexError(
            f"{path} is not there. An scGPT folder holds args.json, vocab.json and best_model.pt."
        ) from error
    except (OSError, ValueError) as error:
        raise VortexError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise VortexError(f"{path} holds a {type(record).__name__}, not names and values.")
    return record


def _state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise VortexError(f"{path} is not there. Give the name of the checkpoint in that folder.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise VortexError(
            f"{path} cannot be loaded safely: {str(error).splitlines()[0]}. Give a checkpoint that "
            "holds tensors only."
        ) from error
    for key in ("model_state_dict", "state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise VortexError(f"{path} holds no state dict of tensors.")
    return loaded
