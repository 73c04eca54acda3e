"""The encoders by name: what there is, what works here, and what it takes."""

from __future__ import annotations

from vortex_model.encoders.base import Encoder
from vortex_model.encoders.texture import TextureEncoder
from vortex_model.errors import UnknownNameError


def create(name: str) -> Encoder:
    """The encoder of this name."""
    if name == "texture":
        return TextureEncoder()
    raise UnknownNameError("encoder", name, ["texture"])
