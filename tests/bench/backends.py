"""What runs an encoder's network fastest, and whether it agrees: figures of docs/encoders.md.

    .venv/bin/python tests/bench/backends.py [--threads 1] [--rounds 7] [--networks ...]

A ViT-B/16 with random weights on 8 tiles of 224 or 448 pixels (what ``timm:`` encoders run), and a
3D ViT-B on 2 windows of 128^3 voxels (``vortex:``), by torch, torch.compile, OpenVINO and, where
it is installed, ONNX Runtime. They take turns, so that what else the machine does hits all alike.
"""

# ruff: noqa: T201 -- prints what it finds

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bench_network
import numpy as np
import torch
from rows import machine
from safetensors.torch import save_file

from vortex_model.encoders import Subject, create
from vortex_model.encoders.backends import at_size
from vortex_model.grid import Grid
from vortex_model.multiscale import Channel
from vortex_model.torchvision_shim import import_torchvision

TIMM = "vit_base_patch16_224"
RGB = tuple(Channel(c, c) for c in ("red", "green", "blue"))
TWO = (Channel("nuclei", "nuclear"), Channel("cytoplasm", "cytoplasm"))
Run = Callable[[], Any]


def plane(work: Path, side: int) -> tuple[dict[str, Run], Any, torch.Tensor]:
    """A timm encoder by each backend, its network, and the tiles."""
    import_torchvision()
    import timm

    torch.manual_seed(0)
    file = work / "timm.safetensors"
    save_file(timm.create_model(TIMM, num_classes=0).state_dict(), file)
    tiles = np.random.default_rng(0).random((8, 3, side, side), dtype=np.float32)
    grid = Grid((1, 64, 64), (5.0, 0.5, 0.5))
    subject = Subject(RGB, grid.spacing_um, grid.coarsen((1, 16, 16)).spacing_um, True)

    def made(compiled: bool = False, **options: Any) -> tuple[Run, Any]:
        encoder: Any = create(f"timm:{TIMM}", checkpoint=file, tile=side, **options)
        model = encoder.weights.model
        if compiled:
            model.forward_features = torch.compile(model.forward_features)
        encoding: Any = encoder.prepare(subject)
        return lambda: encoding._run(tiles, pooled=False), encoder

    exact, encoder = made()
    weights = encoder.weights

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = at_size(weights.model, side)

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.model.forward_features(given)[:, weights.prefix :]

    mean, std = (np.reshape(v, (3, 1, 1)).astype(np.float32) for v in (weights.mean, weights.std))
    return _each(exact, made), Network().eval(), torch.from_numpy((tiles - mean) / std)


def volume(work: Path) -> tuple[dict[str, Run], Any, torch.Tensor]:
    """A 3D encoder by each backend, its network, and the windows."""
    path = f"vortex:{bench_network.weights(work, 'base', (8, 8, 8))}"
    windows = np.random.default_rng(0).random((2, 2, 128, 128, 128), dtype=np.float32)
    subject = Subject(TWO, (5.0,) * 3, (80.0,) * 3, False)

    def made(compiled: bool = False, **options: Any) -> tuple[Run, Any]:
        encoder: Any = create(path, **{"precision": "float32", **options})
        if compiled:
            encoder.seer = torch.compile(encoder.seer)
        encoding: Any = encoder.prepare(subject)
        return lambda: np.moveaxis(encoding._forward(windows), 1, -1), encoder

    exact, encoder = made()

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vit = encoder.vit

        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.vit(given).patches

    return _each(exact, made), Network().eval(), torch.from_numpy(windows)


def _each(exact: Run, made: Callable[..., tuple[Run, Any]]) -> dict[str, Run]:
    half = {"precision": "bfloat16"}
    return {
        "torch float32": exact,
        "torch bfloat16": made(**half)[0],
        "torch.compile bfloat16": made(compiled=True, **half)[0],
        "OpenVINO float32": made(backend="openvino")[0],
        "OpenVINO bfloat16": made(backend="openvino", **half)[0],
    }


def onnx(network: torch.nn.Module, given: torch.Tensor, file: Path) -> Run:
    """The network by ONNX Runtime, in float32."""
    import onnxruntime

    torch.onnx.export(network, (given,), file, dynamo=False, input_names=["given"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"given": given.numpy()})[0]


def compare(title: str, runs: dict[str, Run], rounds: int) -> None:
    """Print seconds of each, by the clock and of processor, and how its tokens agree."""
    tokens, clock, spent = {}, {n: [] for n in runs}, {n: [] for n in runs}
    for name, run in runs.items():
        start = time.perf_counter()
        tokens[name] = torch.from_numpy(np.array(run())).flatten(0, -2)
        print(f"  {name}: {time.perf_counter() - start:.0f} s to begin with", flush=True)
    for _ in range(rounds):
        for name, run in runs.items():
            began, cpu = time.perf_counter(), time.process_time()
            run()
            clock[name].append(time.perf_counter() - began)
            spent[name].append(time.process_time() - cpu)
    exact, usual = tokens["torch float32"], "torch bfloat16"
    load = os.getloadavg()[0]
    print(f"{title}, {torch.get_num_threads()} threads, {rounds} rounds, load {load:.1f}")
    for name, found in tokens.items():
        seconds, cpu = np.median(clock[name]), np.median(spent[name])
        ratio = np.median(np.divide(clock[usual], clock[name]))
        cosine = torch.nn.functional.cosine_similarity(exact, found, dim=-1)
        apart = (found - exact).norm(dim=-1) / exact.norm(dim=-1)
        print(
            f"  {name}: {seconds:.2f} s ({cpu:.2f} s of processor), {ratio:.2f} times as fast as "
            f"{usual} ({np.median(spent[usual]) / cpu:.2f} by processor); cosine at least "
            f"{cosine.min():.5f}, mean {cosine.mean():.5f}; relative error at most "
            f"{apart.max():.1e}, mean {apart.mean():.1e}"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    names = ("224", "448", "volume")
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # of tracing
    print(machine())
    for name in options.networks:
        with tempfile.TemporaryDirectory() as work:
            place = Path(work)
            runs, network, given = volume(place) if name == "volume" else plane(place, int(name))
            if find_spec("onnxruntime"):
                runs["ONNX Runtime float32"] = onnx(network, given, place / "network.onnx")
            title = "3D ViT-B, 2 windows" if name == "volume" else f"ViT-B/16, 8 tiles of {name} px"
            compare(title, runs, options.rounds)


if __name__ == "__main__":
    main()
