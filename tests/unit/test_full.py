"""Full fine-tuning: adapters that begin as nothing, held-out curves, features that help."""

import json
import shutil
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from made_study import make_study
from safetensors.torch import load_file, save_file

from vortex_model.encoders import create
from vortex_model.errors import Cancelled, VortexError
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.lora import LoRALinear, adapted, load_trained, trained_state
from vortex_model.networks.timm_vit import vision_transformer
from vortex_model.networks.vit3d import ViT3D
from vortex_model.networks.weights import write_weights
from vortex_model.prediction import Prediction
from vortex_model.predictors import create as predictor
from vortex_model.predictors.blocks import folds
from vortex_model.progress import CurvePoint
from vortex_model.study import Study
from vortex_model.training.blockwise import Blockwise, Settings
from vortex_model.training.finetune import finetune
from vortex_model.training.full import WEIGHTS, tune
from vortex_model.training.joined import JoinedFeatures, worth_keeping
from vortex_model.training.model import learn_basis
from vortex_model.training.reliability import reliability
from vortex_model.training.samples import gather, study_features
from vortex_model.training.trunks import make_trunk

QUICK = {"epochs": 3, "patience": 3, "last": 1, "adapter_rank": 2}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study.open(make_study(tmp_path_factory.mktemp("full") / "made.zarr"))


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    """A small 2D encoder in the hub's format."""
    place = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    arguments = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 64}
    model = vision_transformer(patch_size=16, num_classes=0, **arguments)
    save_file(model.state_dict(), place / "model.safetensors")
    config = {"architecture": "vit_tiny_patch16_224", "model_args": arguments}
    (place / "config.json").write_text(json.dumps(config))
    return create("timm:vit_tiny_patch16_224", checkpoint=place, um_per_pixel=5.0)


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """Weights of a small 3D encoder, as pretraining writes them."""
    torch.manual_seed(0)
    config = NetworkConfig(
        width=24, depth=2, heads=2, patch=(4, 4, 4), tokens=(2, 4, 4), registers=1
    )
    place = tmp_path_factory.mktemp("vit3d") / "encoder.safetensors"
    record = {"kind": "encoder", "config": config.to_json(), "voxel_um": [20.0, 10.0, 10.0]}
    return write_weights(place, ViT3D.of(config).state_dict(), record)


@pytest.fixture(scope="module")
def spots(study):
    features = study_features(study, "texture")
    sample = gather(study, ["S1", "S2"], features)
    return sample, list(sample.measured.genes), features


# -- adapters ----------------------------------------------------------------------------------


def test_adapters_change_nothing_at_first_and_only_they_are_trained():
    torch.manual_seed(0)
    vit = vision_transformer(img_size=32, patch_size=16, embed_dim=32, depth=3, num_heads=2).eval()
    tail = torch.nn.Sequential(*vit.blocks[1:], vit.norm)
    tokens = torch.randn(2, 5, 32)
    made = adapted(tail, 4)
    torch.testing.assert_close(made(tokens), tail(tokens))
    names = set(trained_state(made))
    assert names and all(n.endswith((".down", ".up")) for n in names) and len(names) == 8
    shared = {id(p) for p in tail.parameters()}
    assert shared <= {id(p) for p in made.parameters()}  # frozen weights are not copied
    before = {n: p.clone() for n, p in tail.named_parameters()}
    optimiser = torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=1.0)
    made(tokens)[:, :, 0].sum().backward()
    optimiser.step()
    assert not torch.allclose(made(tokens), tail(tokens))
    assert all(torch.equal(p, before[n]) for n, p in tail.named_parameters())
    state = {n: t.clone() for n, t in trained_state(made).items()}
    other = adapted(tail, 4)
    load_trained(other, state)
    torch.testing.assert_close(other(tokens), made(tokens))
    with pytest.raises(VortexError, match="do not fit"):
        load_trained(adapted(tail, 3), state)


def test_an_adapter_is_a_product_of_thin_matrices():
    layer = LoRALinear(torch.nn.Linear(6, 5), rank=2, scale=3.0)
    torch.nn.init.normal_(layer.up)
    x = torch.randn(4, 6)
    expected = layer.base(x) + 3.0 * x @ layer.down.T @ layer.up.T
    torch.testing.assert_close(layer(x), expected)
    with pytest.raises(VortexError, match="at least 1"):
        adapted(torch.nn.Sequential(), 0)
    with pytest.raises(VortexError, match="no layer named"):
        adapted(torch.nn.Sequential(torch.nn.Linear(2, 2)), 2)


# -- crops -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["planes", "block"])
def test_frozen_and_trained_parts_together_are_the_encoder(kind, study, planes, block):
    encoder = planes if kind == "planes" else create(f"vortex:{block}")
    trunk = make_trunk(study, encoder, 1, 50.0)
    points = study.section("S2").obsm["spatial"][:5]
    numbers, crops = next(iter(trunk.crops(points)))
    hidden = trunk.hidden(crops)
    assert hidden.shape == (len(numbers), trunk.tokens, trunk.width)
    with torch.inference_mode():
        found = trunk.last()(hidden)
        if kind == "planes":
            mean, std = trunk._mean, trunk._std
            whole = encoder.weights.model.forward_features(torch.from_numpy((crops - mean) / std))
        else:
            said = encoder.vit(torch.from_numpy(crops))
            whole = torch.cat([said.prefix, said.patches.flatten(1, 3)], dim=1)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["planes", "block"])
def test_a_crop_has_its_place_in_the_middle(kind, study, planes, block):
    encoder = planes if kind == "planes" else create(f"vortex:{block}")
    trunk = make_trunk(study, encoder, 1, 50.0)
    points = study.section("S2").obsm["spatial"]
    image = study.morphology
    whole = np.asarray(image.levels[0].array[:]).astype(float)
    z, y, x = image.grid.nearest(points).T
    truth = whole[0, z, y, x]
    seen = np.zeros(len(points))
    for numbers, crops in trunk.crops(points):
        half = crops.shape[-1] // 2
        middle = crops[:, 0, ..., half - 1 : half + 1, half - 1 : half + 1]
        if middle.ndim == 4:  # a block: its middle planes
            depth = crops.shape[2] // 2
            middle = middle[:, depth - 1 : depth + 1]
        seen[numbers] = middle.reshape(len(numbers), -1).mean(axis=1)
    assert abs(np.corrcoef(seen, truth)[0, 1]) > 0.8
    turned = trunk.view(crops, 1)
    assert turned.shape == crops.shape and not np.array_equal(turned, crops)
    assert np.array_equal(trunk.view(crops, 0), crops)


# -- tuning ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(study, spots, planes):
    sample, genes, features = spots
    told = []
    made = tune(
        study,
        sample,
        genes,
        features,
        planes,
        rank=4,
        settings=Settings(**QUICK),
        progress=lambda f, m: told.append((f, m)),
    )
    return made, told


def test_the_curve_is_told_as_it_grows_and_kept_with_the_weights(study, tuned):
    made, told = tuned
    curve = [(m.step, m.value) for _, m in told if isinstance(m, CurvePoint)]
    record = study.derived("models", made.id).attrs["model"]
    assert [list(p) for p in curve] == record["curve"] and len(curve) == 3
    assert record["best"] == 1 + int(np.argmax([v for _, v in curve]))
    fractions = [f for f, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    weights = load_file(study.file("models", made.id, WEIGHTS))
    assert {n.split("/")[0] for n in weights} == {f"block {i}" for i in range(5)}
    assert any(n.endswith("attn.qkv.up") for n in weights)
    assert not any(n.endswith("attn.qkv.base.weight") for n in weights)


def test_tuned_features_stand_beside_the_others(study, spots, tuned):
    sample, _, features = spots
    made = replace(tuned[0], kept=(0, 2))
    assert made.spots.shape == (len(sample.places), 4)
    joined = JoinedFeatures(study, features.id, made)
    for plain, both in zip(features.blocks(), joined.blocks(), strict=True):
        count = plain.values.shape[1]
        assert both.values.shape[1] == count + 2 == len(joined.groups)
        np.testing.assert_array_equal(both.values[:, :count], plain.values)
        z, y, x = both.tokens[0]
        np.testing.assert_allclose(both.values[0, count:], made.lattice[[0, 2], z, y, x])
    assert np.isfinite(made.lattice).all() and made.lattice.std() > 0.1
    assert not made.lattice[:, ~features.mask].any()
    places = made.places(sample.places)
    assert places.groups == joined.groups and places.features.shape[1] == len(joined.groups)
    alone = replace(made, kept=())
    assert alone.places(sample.places).groups == features.groups


def test_what_does_not_foretell_held_out_spots_is_left_out():
    random = np.random.default_rng(0)
    scores = random.normal(size=(200, 4))
    held = random.normal(size=(200, 4))
    held[:, 1] += scores[:, 1]
    held[:, 3] -= scores[:, 3]
    assert worth_keeping(held, scores) == (1,)


def test_the_same_seed_gives_the_same_numbers_and_is_not_run_twice(
    study, spots, planes, tuned, monkeypatch, tmp_path
):
    sample, genes, features = spots
    copy = Study.open(shutil.copytree(study.path, tmp_path / "copy.zarr"))
    copy.remove_derived("models", tuned[0].id)
    again = tune(copy, sample, genes, features, planes, rank=4, settings=Settings(**QUICK))
    assert again.id == tuned[0].id
    np.testing.assert_array_equal(again.spots, tuned[0].spots)
    np.testing.assert_array_equal(again.lattice, tuned[0].lattice)
    monkeypatch.setattr("vortex_model.training.full.Blockwise", None)
    found = tune(study, sample, genes, features, planes, rank=4, settings=Settings(**QUICK))
    np.testing.assert_array_equal(found.lattice, tuned[0].lattice)


def test_what_is_said_of_a_spot_does_not_depend_on_its_own_block(study, spots, planes):
    """Counts are shuffled within one block: what is said there stays the same, elsewhere not."""
    sample, genes, _ = spots
    _, own = next(iter(folds(sample.places.points_um)))
    order = np.arange(len(sample.places))
    order[own] = np.random.default_rng(0).permutation(own)
    mixed = replace(sample.measured, counts=sample.measured.counts[order])
    basis, _ = learn_basis(sample.measured, genes, 4)
    said = []
    for measured in (sample.measured, mixed):
        trunk = make_trunk(study, planes, 1, 50.0)
        settings = Settings(**{**QUICK, "epochs": 1})
        run = Blockwise(trunk, replace(sample, measured=measured), genes, basis, settings)
        run.train(lambda *_: None, time.monotonic())
        said.append(run.held)
    np.testing.assert_allclose(said[0][own], said[1][own], atol=1e-6)
    rest = np.setdiff1d(order, own)
    assert np.abs(said[0][rest] - said[1][rest]).max() > 1e-4


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves on."""

    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

        def slow(self, seconds):
            """A progress by which each step takes so long: seconds by a message's first word."""

            def told(fraction, message):
                self.now += seconds.get(str(message).split()[0], 0.0)

            return told

    made = Clock()
    for module in ("full", "blockwise"):
        monkeypatch.setattr(f"vortex_model.training.{module}.time", made)
    monkeypatch.setattr("vortex_model.training.blockwise.BATCH", 8)
    return made


def test_time_that_runs_out_ends_training_and_is_recorded(study, spots, planes, tuned, clock):
    sample, genes, features = spots
    settings = Settings(**{**QUICK, "seed": 5})
    slow = clock.slow({"reading": 2.0, "epoch": 30.0, "tuned": 4.0})
    tune_it = partial(tune, study, sample, genes, features, planes, rank=4, settings=settings)
    record = study.derived("models", tune_it(progress=slow).id).attrs["model"]
    assert record["stopped"] == "budget" and len(record["curve"]) == 1
    free = study.derived("models", tuned[0].id).attrs["model"]
    assert record["views"] < free["views"] and record["places"] < free["places"]


def test_an_encoder_that_is_too_slow_is_refused_at_once_with_the_time_it_needs(
    study, spots, planes, clock
):
    sample, genes, features = spots
    settings = Settings(**{**QUICK, "seed": 6})
    told = clock.slow({"reading": 60.0})
    with pytest.raises(VortexError, match=r"about \d+ minutes here .* Allow it \d+"):
        tune(study, sample, genes, features, planes, rank=4, settings=settings, progress=told)
    assert clock.now < 200


def test_cancel_keeps_nothing(study, spots, planes):
    sample, genes, features = spots
    before = study.derived_ids("models")

    def stop(fraction, message):
        if isinstance(message, CurvePoint):
            raise Cancelled

    with pytest.raises(Cancelled):
        settings = Settings(**{**QUICK, "seed": 9})
        tune(study, sample, genes, features, planes, settings=settings, progress=stop)
    assert study.derived_ids("models") == before
    assert not list(study.path.glob(".partial*"))


def test_alignment_is_an_option(study, spots, block):
    sample, genes, features = spots
    settings = Settings(**{**QUICK, "align": 0.2, "epochs": 2})
    made = tune(study, sample, genes, features, f"vortex:{block}", rank=4, settings=settings)
    weights = load_file(study.file("models", made.id, WEIGHTS))
    assert "block 0/alignment.morphology.weight" in weights


def test_full_learns_what_the_tissue_shows(study, block):
    """Genes that follow the nuclear channel are found on a section that was not measured."""
    sample = gather(study, ["S1", "S2"], study_features(study, "texture"))
    genes = list(sample.measured.genes)
    features = study_features(study, "texture")
    settings = Settings(epochs=12, last=2, adapter_rank=4)
    made = tune(study, sample, genes, features, f"vortex:{block}", rank=4, settings=settings)
    curve = [v for _, v in study.derived("models", made.id).attrs["model"]["curve"]]
    assert max(curve) > 0.08


def test_a_prediction_of_full_fine_tuning_lands_in_the_study(study, block):
    told = []
    name = finetune(
        study,
        sections=["S1"],
        panel="all",
        encoder=f"vortex:{block}",
        mode="full",
        minutes=0.5,
        progress=lambda f, m: told.append(f),
    )
    made = Prediction.load(study, name)
    parameters = made.provenance["parameters"]
    assert parameters["mode"] == "full" and parameters["weights"]
    assert told == sorted(told)
    plain = Prediction.load(study, finetune(study, sections=["S1"], panel="all"))
    assert plain.id != name
    kinds = [
        p.genes["reliability"].groupby(p.genes.index.str.rstrip("0123456789")).mean()
        for p in (made, plain)
    ]
    assert kinds[0]["BRIGHT"] > kinds[0]["FLAT"] + 0.1
    # an encoder with random weights, tuned for some seconds: the others still carry the fit
    assert (kinds[0] - kinds[1]).abs().max() < 0.1


def test_shuffled_spots_have_no_reliability_after_tuning_either(study, spots, block):
    """Were the tuned features to know the held-out spots, this would be far above 0."""
    sample, genes, features = spots
    order = np.random.default_rng(0).permutation(len(sample.places))
    mixed = type(sample)(sample.measured.spots(order), sample.places)
    settings = Settings(epochs=6, last=2, adapter_rank=8, seed=3)
    made = tune(study, mixed, genes, features, f"vortex:{block}", rank=4, settings=settings)
    seen = type(sample)(mixed.measured, made.places(mixed.places))
    rows = reliability(seen, genes, lambda: predictor("gp"), 4)
    assert rows["reliability"].mean() < 0.12


def test_without_weights_it_says_what_to_get(study, spots, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # no weights are remembered here
    with pytest.raises(VortexError, match=r"texture has no network.*uni --checkpoint"):
        finetune(study, mode="full")
    with pytest.raises(VortexError, match="needs weights"):
        finetune(study, mode="full", encoder="uni")
    with pytest.raises(VortexError, match="mode of fine-tuning"):
        finetune(study, mode="fulll")
    sample, genes, features = spots
    with pytest.raises(VortexError, match="at least 20"):
        few = sample.spots(np.arange(10))
        tune(study, few, genes, features, "texture")
    with pytest.raises(VortexError, match="epochs must be above 0"):
        Settings(epochs=0)
