"""NetworkConfig: everything that a network's shape depends on, as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from vortex_model.errors import UnknownNameError, VortexError

Size = Literal["tiny", "small", "base"]
Path = Literal["volume", "slices"]
Likelihood = Literal["gaussian", "negative-binomial"]

_SIZES: dict[str, dict[str, int]] = {
    "tiny": {"width": 192, "depth": 12, "heads": 3},
    "small": {"width": 384, "depth": 12, "heads": 6},
    "base": {"width": 768, "depth": 12, "heads": 12},
}


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a :class:`~vortex_model.networks.model.VortexModel`.

    Attributes
    ----------
    path
        ``volume``: one 3D ViT over the block. ``slices``: a 2D ViT on each plane, then a
        transformer over depth.
    channels
        Image channels.
    width, depth, heads
        Of the ViT; ViT-Ti/16, ViT-S/16 and ViT-B/16 by :meth:`of`.
    patch
        Voxels of a token along (z, y, x); the slice path has 1 along z.
    tokens
        Token grid (z, y, x) that the position embedding is made for; others are interpolated.
    registers
        Extra tokens that belong to no place.
    slice_depth
        Transformer layers over depth, slice path only.
    window
        Tokens (z, y, x), all odd, around a spot that the poolers read.
    queries
        Learned queries of the expression pooler; the alignment pooler has one.
    rank
        Expression components that are predicted.
    embedding
        Width of the space in which morphology and expression are aligned.
    expression_width, expression_depth, expression_heads
        Of the expression encoder.
    align
        Whether there is an expression encoder and an alignment loss.
    likelihood
        ``negative-binomial`` adds a count likelihood to the regression.
    weights
        Weight of each loss by name; 1 where it is not named.

    Raises
    ------
    VortexError
        When sizes do not fit each other.
    """

    path: Path = "volume"
    channels: int = 2
    width: int = 192
    depth: int = 12
    heads: int = 3
    patch: tuple[int, int, int] = (16, 16, 16)
    tokens: tuple[int, int, int] = (4, 4, 4)
    registers: int = 0
    slice_depth: int = 2
    window: tuple[int, int, int] = (3, 3, 3)
    queries: int = 4
    rank: int = 32
    embedding: int = 128
    expression_width: int = 128
    expression_depth: int = 4
    expression_heads: int = 4
    align: bool = True
    likelihood: Likelihood = "gaussian"
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("patch", "tokens", "window"):
            value = tuple(int(n) for n in getattr(self, name))
            if len(value) != 3 or min(value) < 1:
                raise VortexError(
                    f"{name} needs three whole numbers (z, y, x) of at least 1, not {value}."
                )
            object.__setattr__(self, name, value)
        for width, heads in (("width", "heads"), ("expression_width", "expression_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise VortexError(
                    f"{width} {getattr(self, width)} is no multiple of {heads} "
                    f"{getattr(self, heads)}. Change one of them."
                )
        if any(n % 2 == 0 for n in self.window):
            raise VortexError(
                f"window {self.window} needs odd numbers, so that a spot lies in its middle."
            )
        if self.path not in ("volume", "slices"):
            raise UnknownNameError("path", str(self.path), ["volume", "slices"])
        if self.likelihood not in ("gaussian", "negative-binomial"):
            raise UnknownNameError(
                "likelihood", str(self.likelihood), ["gaussian", "negative-binomial"]
            )
        if self.path == "slices" and self.patch[0] != 1:
            raise VortexError(
                f"The slice path encodes plane by plane: patch is (1, y, x), not {self.patch}."
            )
        for name in ("channels", "depth", "queries", "rank", "embedding", "slice_depth"):
            if int(getattr(self, name)) < 1:
                raise VortexError(f"{name} must be at least 1, not {getattr(self, name)}.")

    @classmethod
    def of(cls, size: Size, **changes: Any) -> NetworkConfig:
        """A named size (``tiny``, ``small``, ``base``: ViT-Ti, -S, -B) with some changes.

        Raises
        ------
        UnknownNameError
            When there is no such size or setting.
        """
        if size not in _SIZES:
            raise UnknownNameError("network size", str(size), list(_SIZES))
        return cls.from_json({**_SIZES[size], **changes})

    @property
    def voxels(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) of a block with ``tokens`` tokens."""
        z, y, x = (t * p for t, p in zip(self.tokens, self.patch, strict=True))
        return z, y, x

    @property
    def window_size(self) -> int:
        """Number of tokens in a window."""
        return math.prod(self.window)

    def weight(self, loss: str) -> float:
        """Weight of a loss in the total."""
        return float((self.weights or {}).get(loss, 1.0))

    def but(self, **changes: Any) -> NetworkConfig:
        """The same with some changes."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        record = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in record.items()}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> NetworkConfig:
        """The configuration that :meth:`to_json` wrote.

        Raises
        ------
        UnknownNameError
            When a setting is not known.
        """
        known = [f.name for f in fields(cls)]
        for name in record:
            if name not in known:
                raise UnknownNameError("network setting", name, known)
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in record.items()
        }
        return cls(**plain)
