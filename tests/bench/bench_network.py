"""The 3D ViT: arithmetic against the machine's own, and against the usual sliding windows."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import BENCH, Row, median_s
from torch.utils.flop_counter import FlopCounterMode

from vortex_model.api import Study
from vortex_model.encoders import create
from vortex_model.encoders.vortex3d import VortexEncoding
from vortex_model.expression import select_genes
from vortex_model.features import Features, compute_features
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.weights import write_weights
from vortex_model.predictors import create as predictor
from vortex_model.training.lattice import predict_lattice
from vortex_model.training.model import fit_model
from vortex_model.training.samples import gather
from vortex_viewer.demo import make_demo

SIZE, VOXEL = "256,256,256", 5.0
WINDOW, OVERLAP, GENES = 128, 0.75, 1000
PATCH = 16
PART = 6
"""Windows of the usual procedure that are measured; the rest is extrapolated."""
LARGE = (1024, 1024, 1024)
"""A block deep enough that its border does not count, to which both are extrapolated."""


def weights(folder: Path, size: str, tokens: tuple[int, int, int]) -> Path:
    """A network of this size with random weights, on disk."""
    torch.manual_seed(0)
    config = NetworkConfig.of(size, tokens=tokens)  # type: ignore[arg-type]
    vit = ViT3D.of(config)
    record = {"kind": "encoder", "config": config.to_json(), "voxel_um": [VOXEL] * 3}
    return write_weights(folder / f"{size}.safetensors", vit.state_dict(), record)


def matmul_rate(dtype: torch.dtype) -> float:
    """FLOP/s of the shapes that a ViT-B multiplies."""
    a, b = torch.randn(1024, 768, dtype=dtype), torch.randn(768, 3072, dtype=dtype)
    return 2 * 1024 * 768 * 3072 / median_s(lambda: a @ b, 15)


def forward_flops(vit: Any, batch: torch.Tensor) -> float:
    """Floating-point operations of one window."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        vit(batch)
    return counter.get_total_flops() / len(batch)


def rows(work: Path) -> list[Row]:
    """Measure."""
    place = work / "network.zarr"
    make_demo(place, size=SIZE, voxel=f"{VOXEL:g}," * 2 + f"{VOXEL:g}", sections="0.5", seed=7,
              predict=False)  # fmt: skip
    study = Study.open(place)
    tokens = (WINDOW // PATCH,) * 3
    path = f"vortex:{weights(work, 'base', tokens)}"
    encoder = create(path, precision="float32")
    vit = encoder.vit
    window = torch.randn(1, vit.channels, WINDOW, WINDOW, WINDOW)
    flops = forward_flops(vit, window)

    _, seconds, windows = encoded(study, encoder)
    name, once, few = encoded(study, create(path))
    full, half = matmul_rate(torch.float32), matmul_rate(torch.bfloat16)
    rate = windows * flops / seconds
    with torch.inference_mode():
        exact = vit(window).patches
        alone = flops / median_s(lambda: vit(window), 3)
        with torch.autocast("cpu", torch.bfloat16):
            near = vit(window).patches.float()
            faster = flops / median_s(lambda: vit(window), 3)
    agree = float(torch.nn.functional.cosine_similarity(exact, near, dim=-1).min())

    # afterwards everything is one product; the usual procedure runs the network again and again
    fitted = fit(study, name)
    many = int(np.prod([-(-n // WINDOW) for n in LARGE]))
    ours = once / few * many + fitted
    theirs, count = usual(study, vit)
    command = f"{BENCH} network"
    shape = f"{SIZE} voxels, ViT-B, random weights"
    return [
        Row("3D ViT-B features, reading and writing included: FLOP/s over fp32 matmul rate",
            rate / full, 0.55, "at least", "", command,
            f"{shape}; {rate / 1e9:.0f} of {full / 1e9:.0f} GFLOP/s, {windows} windows"),
        Row("3D ViT-B forward alone in bf16: FLOP/s over bf16 matmul rate", faster / half, 0.55,
            "at least", "", command,
            f"{faster / 1e9:.0f} of {half / 1e9:.0f} GFLOP/s; fp32 {alone / 1e9:.0f}; tokens agree "
            f"to a cosine of {agree:.4f} at least"),
        Row("1,000 genes in the whole volume, times as fast as the usual procedure",
            theirs / ours, 40.0, "at least", "", command,
            f"{shape}, both extrapolated to 1024^3: ours {ours:.0f} s, from features of {few} "
            f"windows in {once:.0f} s here ({create(path).parameters['precision']}) of {many:,}, "
            f"and {fitted:.0f} s to fit; usual {theirs:.0f} s, from {PART} of {count:,} windows "
            f"of {WINDOW} (float32), 75 % overlap, averaged at token resolution"),
    ]  # fmt: skip


def encoded(study: Study, encoder: Any) -> tuple[str, float, int]:
    """Features at the network's own resolution: their id, seconds, and windows that it saw."""
    windows = 0
    before = VortexEncoding._forward

    def counted(self: Any, batch: Any) -> Any:
        nonlocal windows
        windows += len(batch)
        return before(self, batch)

    VortexEncoding._forward = counted  # type: ignore[method-assign]
    try:
        start = time.perf_counter()
        name = compute_features(study, encoder, spacing_um=PATCH * VOXEL)
        return name, time.perf_counter() - start, windows
    finally:
        VortexEncoding._forward = before  # type: ignore[method-assign]


def fit(study: Study, name: str) -> float:
    """Seconds to fit these features to 1,000 genes and to predict the whole lattice."""
    start = time.perf_counter()
    features = Features.load(study, name)
    sample = gather(study, study.section_names, features)
    genes = select_genes(sample.measured, f"hvg:{GENES}")
    model = fit_model(sample, genes, partial(predictor, "gp"))
    predict_lattice(model.predictor, model.basis.rank, features, sample.measured)
    return time.perf_counter() - start


def usual(study: Study, vit: Any) -> tuple[float, int]:
    """Seconds of sliding windows over a large block, from some here, and their number.

    Every window is encoded, decoded to 1,000 genes once, and averaged with those that overlap it.
    """
    level = study.morphology.levels[0]
    stride = int(WINDOW * (1 - OVERLAP))
    starts, large = (
        [sorted({min(a, max(n - WINDOW, 0)) for a in range(0, n, stride)}) for n in shape]
        for shape in (level.grid.shape, LARGE)
    )
    corners = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]
    count = int(np.prod([len(places) for places in large]))
    decode = torch.randn(vit.width, GENES)
    cells = [-(-n // 16) for n in level.grid.shape]
    total = np.zeros((GENES, *cells), dtype=np.float32)
    times = []
    for z, y, x in [corners[len(corners) * i // PART] for i in range(PART)]:
        start = time.perf_counter()
        box = np.asarray(level.array[:, z : z + WINDOW, y : y + WINDOW, x : x + WINDOW])
        voxels = np.zeros((vit.channels, WINDOW, WINDOW, WINDOW), dtype=np.float32)
        part = box[: vit.channels].astype(np.float32) / 65535
        voxels[: len(part), : part.shape[1], : part.shape[2], : part.shape[3]] = part
        with torch.inference_mode():
            said = vit(torch.from_numpy(voxels)[None]).patches.mean(dim=(1, 2, 3)) @ decode
        own = np.s_[:, z // 16 : z // 16 + 8, y // 16 : y // 16 + 8, x // 16 : x // 16 + 8]
        total[own] += said.numpy()[0][:, None, None, None]
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * count, count
