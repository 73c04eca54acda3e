"""A pretrained 3D encoder as an encoder of features: dense, in place, and of its own weights."""

import numpy as np
import pytest
import torch

from vortex_model.encoders import available, create
from vortex_model.encoders.base import Block, Subject
from vortex_model.encoders.vortex3d import VortexEncoder
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.features import Features, compute_features
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.decoders import CountDecoder
from vortex_model.networks.model import VortexModel
from vortex_model.networks.pretrained import load_vit, load_vortex
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.vocabulary import Vocabulary
from vortex_model.networks.weights import write_weights
from vortex_model.study import Study, StudyInfo

CHANNELS = (Channel("n", "nuclear"), Channel("c", "cytoplasm"))
CONFIG = NetworkConfig(
    width=16, depth=1, heads=2, patch=(4, 4, 4), tokens=(4, 4, 4), rank=3, expression_width=8,
    expression_depth=1, expression_heads=2, embedding=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    vit = ViT3D.of(CONFIG)
    record = {"kind": "encoder", "config": CONFIG.to_json(), "voxel_um": [4.0, 4.0, 4.0]}
    path = tmp_path_factory.mktemp("weights") / "encoder"
    return write_weights(path, vit.state_dict(), record)


def block_of(volume, origin=(0.0, 0.0, 0.0)):
    grid = Grid(volume.shape[1:], (4.0, 4.0, 4.0), origin)
    inside = np.ones(grid.shape, dtype=bool)
    return Block(volume, grid, inside, CHANNELS, ((0.0, 1.0), (0.0, 1.0)))


def test_tokens_are_the_networks_own_where_they_lie(weights):
    """A lattice of the network's own tokens, two windows along x."""
    encoder = VortexEncoder(weights, context_um=[], overlap=0.5, precision="float32")
    encoding = encoder.prepare(Subject(CHANNELS, (4.0,) * 3, (16.0,) * 3, planar=False))
    volume = np.random.default_rng(0).random((2, 24, 24, 40), dtype=np.float32)
    block = block_of(volume)
    lattice = Grid((2, 2, 4), (16.0,) * 3, (22.0, 22.0, 38.0))  # starts at voxel 4, 4, 8
    tokens = encoding.encode(block, lattice)
    assert tokens.shape == (16, 2, 2, 4)
    for x in (0, 2):
        window = torch.from_numpy(volume[None, :, :16, :16, 4 + 4 * x : 20 + 4 * x])
        with torch.inference_mode():
            own = encoder.vit(window).patches[0, 1:3, 1:3, 1:3].numpy()
        np.testing.assert_allclose(np.moveaxis(tokens[..., x : x + 2], 0, -1), own, atol=1e-4)


def test_every_voxel_is_encoded_once(weights, monkeypatch):
    """No more windows than the block fills; neighbours lie side by side."""
    encoder = VortexEncoder(weights, context_um=[], precision="float32")
    encoding = encoder.prepare(Subject(CHANNELS, (4.0,) * 3, (16.0,) * 3, planar=False))
    volume = np.random.default_rng(0).random((2, 16, 32, 48), dtype=np.float32)
    windows = []
    forward = encoding._forward

    def counted(batch):
        windows.append(len(batch))
        return forward(batch)

    monkeypatch.setattr(encoding, "_forward", counted)
    tokens = encoding.encode(block_of(volume), Grid((4, 8, 12), (16.0,) * 3, (6.0, 6.0, 6.0)))
    assert sum(windows) == 1 * 2 * 3
    window = torch.from_numpy(volume[None, :, :, 16:, 32:])
    with torch.inference_mode():
        own = encoder.vit(window).patches[0].numpy()
    np.testing.assert_allclose(np.moveaxis(tokens[:, :, 4:, 8:], 0, -1), own, atol=1e-4)


def test_bfloat16_agrees_with_float32(weights):
    volume = np.random.default_rng(0).random((2, 32, 32, 32), dtype=np.float32)
    found = {}
    for precision in ("float32", "bfloat16"):
        encoder = VortexEncoder(weights, context_um=[], precision=precision)
        assert encoder.parameters["precision"] == precision
        encoding = encoder.prepare(Subject(CHANNELS, (4.0,) * 3, (16.0,) * 3, planar=False))
        lattice = Grid((8, 8, 8), (16.0,) * 3, (6.0, 6.0, 6.0))
        found[precision] = encoding.encode(block_of(volume), lattice).reshape(16, -1)
    one, other = found.values()
    cosine = (one * other).sum(0) / np.linalg.norm(one, axis=0) / np.linalg.norm(other, axis=0)
    assert cosine.min() > 0.999
    assert not np.array_equal(one, other)
    assert VortexEncoder(weights).parameters["precision"] in ("float32", "bfloat16")


def test_a_single_section_fills_the_depth(weights):
    encoder = VortexEncoder(weights, overlap=0.5, precision="float32")
    encoding = encoder.prepare(Subject(CHANNELS, (90.0, 4.0, 4.0), (90.0, 16.0, 16.0), True))
    plane = np.random.default_rng(0).random((2, 1, 40, 40), dtype=np.float32)
    lattice = Grid((1, 6, 6), (90.0, 16.0, 16.0), (0.0, 22.0, 22.0))
    tokens = encoding.encode(block_of(plane), lattice)
    window = torch.from_numpy(np.repeat(plane[None, :, :, :16, :16], 16, axis=2))
    with torch.inference_mode():
        own = encoder.vit(window).patches[0].mean(dim=0)[1:3, 1:3].numpy()
    np.testing.assert_allclose(np.moveaxis(tokens[:, 0, :2, :2], 0, -1), own, atol=1e-4)


@pytest.mark.parametrize("modality", ["light-sheet", "serial-sections"])
def test_features_of_a_study(weights, tmp_path, modality):
    rng = np.random.default_rng(0)
    spacing = (4.0, 4.0, 4.0) if modality == "light-sheet" else (50.0, 4.0, 4.0)
    volume = rng.normal(200, 20, (2, 12, 64, 64)).clip(0)
    volume[:, :, :, :12] = 5
    with Study.create(tmp_path / "s.zarr", StudyInfo("s", modality=modality)) as study:
        grid = Grid(volume.shape[1:], spacing)
        study.write_morphology(ArraySource(volume.astype(np.uint16), grid, CHANNELS))
    study = Study.open(tmp_path / "s.zarr")
    encoder = VortexEncoder(weights)
    name = compute_features(study, encoder, spacing_um=16.0)
    features = Features.load(study, name)
    assert sum(n.endswith("in 200 um") for n in features.channel_names) == 16
    assert features.mask.any() and np.isfinite(features.array[:]).all()
    assert np.asarray(features.array[:16])[:, features.mask].std() > 0.01
    assert compute_features(study, f"vortex:{weights}", spacing_um=16.0) == name
    assert compute_features(study, VortexEncoder(weights, context_um=[]), spacing_um=16.0) != name


def test_both_kinds_of_weights_load_and_others_are_refused(weights, tmp_path):
    counts = CountDecoder(torch.ones(5), torch.eye(5)[:3].contiguous())
    config = CONFIG.but(likelihood="negative-binomial")
    model = VortexModel(config, vocabulary=Vocabulary.of(list("ABCDE")), counts=counts)
    tokeniser = model.expression.tokeniser
    record = {"kind": "vortex", "config": config.to_json(), "voxel_um": [4.0] * 3}
    record |= {"genes": list("ABCDE"), "expression": model.expression.shape}
    record["tokeniser"] = {"vocabulary": dict(tokeniser.vocabulary.tokens), "style": "binned"}
    record["tokeniser"] |= {"bins": 51, "cls_value": 0.0}
    basis = {"basis.mean": torch.ones(5), "basis.loadings": torch.eye(5)[:3].contiguous()}
    path = write_weights(tmp_path / "vortex", {**model.state_dict(), **basis}, record)
    volume = torch.rand(1, 2, 16, 16, 16)
    model.eval()
    whole = load_vortex(path)
    assert whole.genes == tuple("ABCDE")
    torch.testing.assert_close(whole.model.morphology(volume), model.morphology(volume))
    torch.testing.assert_close(load_vit(path)[0](volume).patches, model.morphology(volume))
    with pytest.raises(VortexError, match="an encoder only"):
        load_vortex(weights)
    with pytest.raises(VortexError, match="no weights file of vortex-viewer"):
        load_vit(write_weights(tmp_path / "other", {}, {}))
    flat = CONFIG.but(path="slices", patch=(1, 4, 4))
    other = write_weights(tmp_path / "flat", {}, {"config": flat.to_json()})
    with pytest.raises(VortexError, match="slice path"):
        load_vit(other)
    with pytest.raises(VortexError, match="above 0"):
        VortexEncoder(weights, context_um=[0.0])
    with pytest.raises(VortexError, match="overlap"):
        VortexEncoder(weights, overlap=1.0)
    with pytest.raises(UnknownNameError, match="float64"):
        VortexEncoder(weights, precision="float64")


def test_the_registry_makes_it_and_names_mistakes(weights, tmp_path):
    assert create(f"vortex:{weights}", context_um=[300.0]).windows_um == (300.0,)
    assert "vortex:PATH" in [row.name for row in available()]
    with pytest.raises(UnknownNameError, match="context_um"):
        create(f"vortex:{weights}", context=3)
    with pytest.raises(VortexError, match="is not there"):
        create(f"vortex:{tmp_path / 'none'}")
