"""Texture, and beside it a small network that comes with the program, taught on many blocks.

The network is that of :mod:`~vortex_model.encoders.learned`; it sees a nuclear and a cytoplasmic
channel, so that it takes any morphology. What it saw, and how it does, is in model/MODEL_CARD.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vortex_model.encoders.base import Floats, Subject
from vortex_model.encoders.learned import BRIGHTEST, LearnedEncoding, coarser
from vortex_model.encoders.sites import Ranges
from vortex_model.encoders.texture import TextureEncoder
from vortex_model.shipped import shipped

FILE = "morphology.safetensors"


def weights_file() -> Path:
    """The weights: in the wheel beside this package, in a checkout under assets/weights.

    Raises
    ------
    VortexError
        When they are in neither place.
    """
    return shipped(
        Path(__file__).parents[1] / "weights" / FILE,
        f"weights/{FILE}",
        what="The network of the encoder pretrained",
        remedy="Install it again, or use the encoder texture.",
    )


class PretrainedEncoder:
    """The texture encoder with the features of a network that was taught on many blocks.

    Parameters
    ----------
    weights
        A file of ``model/recipes/box.py``; the one that comes with the program when None.

    Raises
    ------
    VortexError
        When there are no weights.
    """

    name = "pretrained"
    code = 1
    spacing_um = TextureEncoder.spacing_um
    brightfield_um = TextureEncoder.brightfield_um

    def __init__(self, *, weights: Path | None = None) -> None:
        from vortex_model.networks.weights import read_weights

        state, record = read_weights(weights or weights_file())
        self._weights = {name: value.float().numpy() for name, value in state.items()}
        self.parameters: Mapping[str, Any] = {
            "weights": record["weights"],
            "texture": TextureEncoder.code,
        }

    def prepare(self, subject: Subject) -> PretrainedEncoding:
        """Choose the scale that the subject's voxels show."""
        return PretrainedEncoding(subject, self._weights)


class PretrainedEncoding(LearnedEncoding):
    """The encoder set up for one subject; what it learns is which of its channels vary there."""

    def __init__(self, subject: Subject, weights: Mapping[str, Floats] | None = None) -> None:
        super().__init__(subject, pairs=0, seed=0, label="pretrained")
        self._weights = weights or {}

    def _taught(self, *_: Any) -> Mapping[str, Floats]:
        return self._weights

    def _pixels(self, voxels: Floats, ranges: Ranges) -> Floats:
        """Nuclear and cytoplasmic stain (2, y, x) of 0 to 3 in the network's pixels."""
        from vortex_model.networks.canonical import canonical

        seen = canonical(voxels[:, None], self._subject.channels, ranges)[:, 0]
        return np.clip(coarser(seen, self._factor), 0.0, BRIGHTEST).astype(np.float32)
