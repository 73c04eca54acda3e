"""Image encoders: a registry, and the encoders that it makes."""

from vortex_model.encoders.base import Block, Encoder, Encoding, Subject
from vortex_model.encoders.registry import EncoderRow, available, create
from vortex_model.encoders.settings import forget, remember

__all__ = [
    "Block",
    "Encoder",
    "Encoding",
    "EncoderRow",
    "Subject",
    "available",
    "create",
    "forget",
    "remember",
]
