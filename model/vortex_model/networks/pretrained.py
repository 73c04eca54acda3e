"""Load what pretraining wrote: the 3D encoder, or the whole network with its basis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vortex_model.errors import VortexError
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.decoders import CountDecoder
from vortex_model.networks.expression_encoder import ExpressionEncoder
from vortex_model.networks.model import VortexModel
from vortex_model.networks.sentences import Tokeniser
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.vocabulary import Vocabulary
from vortex_model.networks.weights import load_into, read_weights

_VIT = "encoder."


@dataclass(frozen=True)
class Pretrained:
    """The whole network as pretraining left it.

    Attributes
    ----------
    model
        In evaluation mode.
    genes
        Names, in the order of the basis.
    mean, loadings
        Of the basis, in log1p(counts per 10,000): (genes,), (rank, genes).
    record
        What the weights say of themselves.
    """

    model: VortexModel
    genes: tuple[str, ...]
    mean: Tensor
    loadings: Tensor
    record: dict[str, Any]


def load_vit(path: Path) -> tuple[ViT3D, dict[str, Any]]:
    """The 3D encoder, in evaluation mode, and its record; from either kind of weights.

    Raises
    ------
    VortexError
        When the weights cannot be read, or are of the slice path.
    """
    state, record = read_weights(path)
    config = _config(record, path)
    if config.path != "volume":
        raise VortexError(
            f"{path} holds a network of the slice path, which has no 3D encoder. Use weights of a "
            "recipe with path: volume."
        )
    if record.get("kind") == "vortex":
        state = {n.removeprefix(_VIT): t for n, t in state.items() if n.startswith(_VIT)}
    vit = ViT3D.of(config)
    load_into(vit, state, str(path))
    return vit.eval(), record


def load_vortex(path: Path) -> Pretrained:
    """The whole network.

    Raises
    ------
    VortexError
        When the weights cannot be read, or hold an encoder only.
    """
    state, record = read_weights(path)
    config = _config(record, path)
    if record.get("kind") != "vortex":
        raise VortexError(
            f"{path} holds an encoder only. Give the vortex.safetensors that a recipe with "
            "aligned steps writes."
        )
    mean, loadings = state.pop("basis.mean"), state.pop("basis.loadings")
    counts = CountDecoder(mean, loadings) if "counts.mean" in state else None
    model = VortexModel(config, expression=_expression(config, record), counts=counts)
    load_into(model, state, str(path))
    return Pretrained(model.eval(), tuple(record["genes"]), mean, loadings, record)


def _config(record: dict[str, Any], path: Path) -> NetworkConfig:
    if "config" not in record:
        raise VortexError(f"{path} is no weights file of vortex-viewer: it names no network.")
    return NetworkConfig.from_json(record["config"])


def _expression(config: NetworkConfig, record: dict[str, Any]) -> ExpressionEncoder | None:
    """An encoder of the shape that was trained, which scGPT's may have decided."""
    if not config.align:
        return None
    said = record["tokeniser"]
    tokeniser = Tokeniser(
        Vocabulary(said["vocabulary"]), said["style"], said["bins"], said["cls_value"]
    )
    return ExpressionEncoder(tokeniser, **record["expression"])
