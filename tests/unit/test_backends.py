"""OpenVINO as what runs an encoder's network: torch's tokens, a choice that is recorded."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vortex_model.encoders import create
from vortex_model.encoders.backends import Compiled
from vortex_model.encoders.base import Block, Subject
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Channel
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.weights import write_weights
from vortex_model.torchvision_shim import import_torchvision

NUCLEI = (Channel("n", "nuclear"), Channel("c", "cytoplasm"))
RGB = (Channel("red", "red"), Channel("green", "green"), Channel("blue", "blue"))
CONFIG = NetworkConfig(
    width=24, depth=2, heads=2, patch=(4, 4, 4), tokens=(4, 4, 4), rank=3, expression_width=8,
    expression_depth=1, expression_heads=2, embedding=8,
)  # fmt: skip

needs_openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="the extra openvino is not installed"
)


@pytest.fixture(scope="module")
def volume_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    record = {"kind": "encoder", "config": CONFIG.to_json(), "voxel_um": [4.0] * 3}
    path = tmp_path_factory.mktemp("volume") / "encoder"
    return f"vortex:{write_weights(path, ViT3D.of(CONFIG).state_dict(), record)}"


@pytest.fixture(scope="module")
def plane_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small vision transformer of timm's, as the hub has it."""
    import_torchvision()
    import timm

    torch.manual_seed(0)
    arguments = {"depth": 2, "embed_dim": 48, "num_heads": 3}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **arguments)
    folder = tmp_path_factory.mktemp("plane")
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": "vit_tiny_patch16_224", "model_args": arguments}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def volume_tokens(encoder: Any) -> Any:
    """Tokens (token, place) of a block of three by two by two windows, some partly outside."""
    encoding = encoder.prepare(Subject(NUCLEI, (4.0,) * 3, (16.0,) * 3, planar=False))
    voxels = np.random.default_rng(0).random((2, 40, 32, 32), dtype=np.float32)
    grid = Grid(voxels.shape[1:], (4.0,) * 3)
    block = Block(voxels, grid, np.ones(grid.shape, bool), NUCLEI, ((0.0, 1.0),) * 2)
    return encoding.encode(block, grid.coarsen((4, 4, 4))).reshape(encoding.token_count, -1)


def plane_tokens(encoder: Any) -> Any:
    """Tokens (token, place) of a section of several tiles."""
    pixels = np.random.default_rng(1).uniform(0, 240, (3, 1, 160, 160)).astype(np.float32)
    grid = Grid((1, 160, 160), (10.0, 0.5, 0.5))
    lattice = grid.coarsen((1, 32, 32))
    encoding = encoder.prepare(Subject(RGB, grid.spacing_um, lattice.spacing_um, True))
    block = Block(pixels, grid, np.ones(grid.shape, bool), RGB, ((0.0, 240.0),) * 3)
    return encoding.encode(block, lattice).reshape(encoding.token_count, -1)


def cosine(one: Any, other: Any) -> Any:
    return (one * other).sum(0) / np.linalg.norm(one, axis=0) / np.linalg.norm(other, axis=0)


@needs_openvino
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_volumes_tokens_are_torchs(volume_weights: str, precision: str) -> None:
    chosen = create(volume_weights, precision=precision, backend="openvino")
    expected = volume_tokens(create(volume_weights, precision="float32"))
    found = volume_tokens(chosen)
    if precision == "float32":
        np.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        assert cosine(found, expected).min() > 0.999
        assert np.abs(found - expected).max() > 1e-4  # it did multiply in bfloat16


@needs_openvino
@pytest.mark.parametrize("pooling", ["patches", "tile"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_sections_tokens_are_torchs(plane_weights: Path, pooling: str, precision: str) -> None:
    options = {"checkpoint": plane_weights, "tile": 96, "context_um": (), "pooling": pooling}
    name = "timm:vit_tiny_patch16_224"
    expected = plane_tokens(create(name, **options))
    found = plane_tokens(create(name, **options, precision=precision, backend="openvino"))
    if precision == "float32":
        np.testing.assert_allclose(found, expected, atol=1e-4)
    else:
        assert cosine(found, expected).min() > 0.999
        assert np.abs(found - expected).max() > 1e-4


@needs_openvino
def test_the_choice_is_part_of_what_features_are_made_of(
    volume_weights: str, plane_weights: Path
) -> None:
    for name, options in (
        (volume_weights, {"precision": "float32"}),
        ("timm:vit_tiny_patch16_224", {"checkpoint": plane_weights}),
    ):
        before = dict(create(name, **options).parameters)
        assert before == create(name, **options, backend="torch").parameters
        assert "backend" not in before  # features made before the choice are found again
        chosen = create(name, **options, backend="openvino")
        assert chosen.parameters == {**before, "backend": "openvino"}


@needs_openvino
def test_workers_and_torch_find_the_network_as_it_was(volume_weights: str) -> None:
    """It is sent to workers by pickle, and full fine-tuning takes torch's further."""
    encoder = create(volume_weights, precision="float32", backend="openvino")
    found = volume_tokens(encoder)
    assert np.array_equal(found, volume_tokens(pickle.loads(pickle.dumps(encoder))))
    kept, fresh = encoder.vit.state_dict(), create(volume_weights).vit.state_dict()
    assert all(torch.equal(kept[name], fresh[name]) for name in fresh)
    window = torch.rand(1, 2, 16, 16, 16, requires_grad=True)
    encoder.vit(window).patches.sum().backward()
    assert window.grad is not None


@pytest.mark.parametrize("backend", ["torch", pytest.param("openvino", marks=needs_openvino)])
def test_a_worker_that_has_imported_nothing_can_read_it(
    volume_weights: str, tmp_path: Path, backend: str
) -> None:
    encoder = create(volume_weights, precision="float32", backend=backend)
    (tmp_path / "encoder").write_bytes(pickle.dumps(encoder))
    script = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    run = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "encoder")]
    subprocess.run(run, check=True)


@needs_openvino
def test_inputs_of_a_batch_do_not_touch_each_other(volume_weights: str) -> None:
    run = create(volume_weights, precision="bfloat16", backend="openvino").compiled
    windows = np.random.default_rng(0).random((3, 2, 16, 16, 16), dtype=np.float32)
    together = run(windows)
    assert np.array_equal(together, np.concatenate([run(one[None]) for one in windows]))
    assert not np.array_equal(together[0], together[1])


def other_each_time(network: Any, given: torch.Tensor) -> torch.Tensor:
    return torch.randn(1, 500) + 0 * network(given).sum()


def not_in_openvino(network: Any, given: torch.Tensor) -> torch.Tensor:
    return torch.linalg.eigvalsh(network(given)[:, :, :4, :4])


@needs_openvino
@pytest.mark.parametrize(
    ("tokens", "says"), [(other_each_time, "other tokens"), (not_in_openvino, "cannot run")]
)
def test_a_network_that_it_misreads_is_an_error(tokens: Any, says: str) -> None:
    network = torch.nn.Conv2d(2, 2, 1).eval()
    with pytest.raises(VortexError, match=f"{says}.*backend='torch'"):
        Compiled(network, tokens, "float32")(np.ones((1, 2, 8, 8), np.float32))


@needs_openvino
def test_nothing_is_reported_of_its_use() -> None:
    script = (
        "import sys; from vortex_model.encoders.backends import has_bfloat16; has_bfloat16();"
        "assert 'openvino' in sys.modules;"
        "assert not [n for n, m in sys.modules.items() if m and 'openvino_telemetry' in n]"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)


def test_the_extra_is_named_where_it_is_absent(
    volume_weights: str, plane_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    for precision in ("float32", "bfloat16", "auto"):
        with pytest.raises(VortexError, match=r"vortex-viewer\[openvino\]"):
            create(volume_weights, precision=precision, backend="openvino")
    with pytest.raises(VortexError, match=r"vortex-viewer\[openvino\]"):
        create("timm:vit_tiny_patch16_224", checkpoint=plane_weights, backend="openvino")


def test_an_unknown_backend_is_suggested(volume_weights: str) -> None:
    with pytest.raises(UnknownNameError, match="openvino"):
        create(volume_weights, backend="openvin")
