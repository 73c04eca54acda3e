"""What runs an encoder's network: torch, or on a processor OpenVINO, faster and the same."""

from __future__ import annotations

import copy
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vortex_model.encoders.base import Floats
from vortex_model.errors import UnknownNameError, VortexError

BACKENDS = ("torch", "openvino")
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Difference to torch's tokens, over their length, above which OpenVINO has misread a network."""


def check(backend: str, precision: str) -> None:
    """Whether this backend is known, installed, and multiplies in this precision here.

    Raises
    ------
    UnknownNameError
        When there is no such backend.
    VortexError
        When OpenVINO is absent, or the processor has no bfloat16.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, BACKENDS)
    if backend == "openvino" and not has_bfloat16() and precision == "bfloat16":
        raise VortexError(
            "precision 'bfloat16': OpenVINO has no bfloat16 on this processor. Choose float32."
        )


def has_bfloat16() -> bool:
    """Whether OpenVINO multiplies in bfloat16 on this processor.

    Raises
    ------
    VortexError
        When OpenVINO is absent.
    """
    return "BF16" in _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def at_size(model: Any, side: int) -> Any:
    """A timm model for squares of ``side`` pixels: its position embedding resampled by torch.

    All other weights are shared with ``model``. One that cannot be set to a size stays as it is.
    """
    if not hasattr(model, "set_input_size"):
        return model
    shared = {id(p): p for n, p in model.named_parameters() if n != "pos_embed"}
    sized = copy.deepcopy(model, shared)
    sized.set_input_size(img_size=(side, side))
    return sized


class Compiled:
    """A network as OpenVINO runs it on the processor.

    It is compiled for the shape of what it is first given. Inputs are run one by one, so that
    what comes of one does not depend on those beside it. Several threads may call it.

    Parameters
    ----------
    network
        In evaluation mode, in float32.
    tokens
        What is wanted of it: (network, (1, ...)) -> (1, ...). A function of a module, so that
        it can be sent to workers.
    precision
        ``float32`` or ``bfloat16``, in which matrices are multiplied.
    """

    def __init__(
        self, network: nn.Module, tokens: Callable[[Any, Tensor], Tensor], precision: str
    ) -> None:
        self._made_of = (network, tokens, precision)
        self._by_shape: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers compile it for themselves."""
        return Compiled, self._made_of

    def __call__(self, inputs: Floats) -> Floats:
        """What ``tokens`` makes of each input (n, ...), in float32.

        Raises
        ------
        VortexError
            When OpenVINO cannot run this network, or its tokens are not torch's.
        """
        inputs = np.ascontiguousarray(inputs, dtype=np.float32)
        request = self._compiled(inputs[:1]).create_infer_request()
        return np.concatenate([request.infer([one[None]])[0] for one in inputs], dtype=np.float32)

    # -- inner -----------------------------------------------------------------------------

    def _compiled(self, example: Floats) -> Any:
        with self._lock:
            if example.shape not in self._by_shape:
                self._by_shape[example.shape] = self._compile(example)
            return self._by_shape[example.shape]

    def _compile(self, example: Floats) -> Any:
        network, tokens, precision = self._made_of
        if any(p.device.type != "cpu" for p in network.parameters()):
            network = copy.deepcopy(network).cpu()
        openvino, traced = _openvino(), _Traced(network, tokens).eval()
        from openvino.frontend import OpConversionFailure

        given = torch.from_numpy(example)
        try:
            with warnings.catch_warnings():  # of torch's tracing: the shape is meant to be fixed
                warnings.simplefilter("ignore")
                graph: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
                    traced, given, check_trace=False
                )
                model = openvino.convert_model(graph, example_input=given)
            model.reshape(list(example.shape))
            compiled = openvino.Core().compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                    "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                    "PERFORMANCE_HINT": "LATENCY",
                    # a core is not its own where workers or other programs share the machine
                    "ENABLE_CPU_PINNING": False,
                },
            )
        except (RuntimeError, ValueError, TypeError, OpConversionFailure) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise VortexError(
                f"OpenVINO cannot run this network ({lines[-1].strip()[:200]}). Choose "
                "backend='torch'."
            ) from error
        if any(op.get_type_name() == "Interpolate" for op in model.get_ops()):
            raise VortexError(
                "OpenVINO cannot run this network: it resamples its position embedding, which "
                "OpenVINO does otherwise than torch. Choose backend='torch'."
            )
        found = np.array(compiled.create_infer_request().infer([example])[0], np.float32)
        _agree(torch.from_numpy(found), traced, given, TOLERANCE[precision])
        return compiled


class _Traced(nn.Module):
    """A network with one tensor in and one out."""

    def __init__(self, network: nn.Module, tokens: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self._tokens = network, tokens

    def forward(self, given: Tensor) -> Tensor:
        return self._tokens(self.network, given)


def _agree(found: Tensor, traced: nn.Module, given: Tensor, tolerance: float) -> None:
    """Compare one input's tokens with torch's in float32: a wrong network would pass unseen."""
    with torch.inference_mode():
        expected = traced(given)
    if found.shape == expected.shape:
        apart = float((found - expected).norm() / expected.norm().clamp(min=1e-9))
        if apart <= tolerance:
            return
        said = f"{apart:.2g} of their length away, more than {tolerance:g}"
    else:
        said = f"of shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    raise VortexError(
        f"OpenVINO gives other tokens than torch for this network: {said}. Choose backend='torch'."
    )


def _openvino() -> Any:
    """The package, kept from reporting its use over the network, which it does when imported."""
    modules: dict[str, Any] = sys.modules
    modules.setdefault("openvino_telemetry", None)
    try:
        import openvino
    except ImportError as error:
        raise VortexError(
            f"backend 'openvino' needs an extra that cannot be imported here ({error}): "
            "pip install 'vortex-viewer[openvino]'."
        ) from error
    return openvino
