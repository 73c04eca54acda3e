"""Lets timm import torchvision where torch is a CPU build and torchvision a CUDA one.

There, ``import torchvision`` ends in "operator torchvision::nms does not exist": its compiled
operators cannot load, and its Python part registers a stand-in for one of them. The stand-in only
needs the operator's schema, so it is given. The compiled operators stay unavailable; none is
needed to run an encoder.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

SCHEMAS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def import_torchvision() -> None:
    """Import torchvision, or mend what keeps it from being imported; call it before timm.

    Raises
    ------
    RuntimeError
        When torchvision fails for another reason.
    """
    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    torch = importlib.import_module("torch")
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    for name, schema in SCHEMAS.items():
        torch.library.define(name, schema)
    importlib.import_module("torchvision")


class WithTimm:
    """Something of timm's modules: a worker that unpickles it imports torchvision first."""

    def __reduce__(self) -> tuple[Any, ...]:
        """What is made first, then its state, which may name timm."""
        return _ready, (type(self),), self.__dict__


def _ready(kind: type[WithTimm]) -> WithTimm:
    import_torchvision()
    return kind.__new__(kind)
