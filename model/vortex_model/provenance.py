"""What made a derived thing: inputs, parameters, code; the same ones give the same id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

Kind = Literal["features", "models", "predictions", "truth"]


@dataclass(frozen=True)
class Provenance:
    """What made a derived thing; the same inputs, parameters and code give the same id."""

    kind: Kind
    inputs: Mapping[str, str]
    """Name of each input -> its content hash or id."""
    parameters: Mapping[str, Any]
    code: int
    """Raised by hand whenever the same inputs would give other numbers."""

    @property
    def id(self) -> str:
        """Sixteen hex digits."""
        record = [self.kind, dict(self.inputs), dict(self.parameters), self.code]
        text = json.dumps(record, sort_keys=True, default=plain)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain types, with the versions of what computes."""
        versions = {name: version(name) for name in ("numpy", "scipy", "zarr", "anndata")}
        record = {**asdict(self), "id": self.id, "versions": versions, "created": now()}
        return cast(dict[str, Any], json.loads(json.dumps(record, default=plain)))


def now() -> str:
    """The time, UTC, as ISO 8601 to the microsecond: order of making is order of text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain(value: Any) -> Any:
    """What ``json.dumps`` cannot store by itself, as plain types."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")
