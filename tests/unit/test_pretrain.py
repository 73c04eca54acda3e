"""Pretraining: reads what the scan shows, goes on after a kill, and shares work without a trace."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vortex_model.errors import Cancelled, UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.networks.canonical import canonical
from vortex_model.networks.pretrained import load_vit, load_vortex
from vortex_model.networks.weights import read_weights
from vortex_model.progress import CurvePoint
from vortex_model.study import Study, StudyInfo
from vortex_model.training.augment import random_matrix
from vortex_model.training.data import Collate, MorphologySamples, SpotSamples, batches
from vortex_model.training.engine import rate_at
from vortex_model.training.pretrain import pretrain
from vortex_model.training.recipe import Augment, Recipe
from vortex_model.training.spots import read_spots, shared_basis
from vortex_model.training.volumes import Pose, Volume

GENES = [f"GENE{i}" for i in range(8)]
STILL = {"turn": False, "tilt_degrees": 0.0, "anisotropy": 0.0, "blur_depth": 0.0}
STILL |= {"gain": 0.0, "gamma": 0.0, "noise": 0.0}


def make_study(path, *, name, serial=False, sections=("A", "B"), genes=GENES, seed=0):
    """A block whose nuclear channel is brighter along x, and genes that follow it."""
    rng = np.random.default_rng(seed)
    shape = (6, 64, 64) if serial else (32, 48, 48)
    spacing = (40.0, 4.0, 4.0) if serial else (4.0, 4.0, 4.0)
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    nuclear = 20 + 3.0 * x + 10 * np.sin(z / 5.0) + 10 * np.cos(y / 7.0)
    nuclear[:, :, :6] = nuclear[:, :6] = 0
    volume = np.stack([nuclear, 150 - nuclear / 2 + rng.normal(0, 2, shape)]).clip(0)
    volume[1][nuclear == 0] = 0
    grid = Grid(shape, spacing, (100.0, 50.0, 20.0))
    channels = (Channel("n", "nuclear"), Channel("c", "cytoplasm"))
    modality = "serial-sections" if serial else "light-sheet"
    with Study.create(path, StudyInfo(name, modality=modality)) as study:
        study.write_morphology(ArraySource(volume.astype(np.uint16), grid, channels))
        for number, section in enumerate(sections):
            index = rng.integers(10, min(shape[1:]) - 4, size=(40, 2))
            plane = np.full(40, (number + 1) * shape[0] // 3)
            places = grid.to_points(np.column_stack([plane, index]))
            level = np.exp((index[:, 1:] - 30) / 20 * np.linspace(-1, 1, len(genes)))
            counts = rng.poisson(20 * level).astype(np.float32)
            table = anndata.AnnData(sp.csr_matrix(counts), obsm={"spatial": places})
            table.var_names = list(genes)
            study.write_section(section, table, spot_diameter_um=20.0)
    return path


def write_recipe(folder, **changes):
    record = {
        "studies": ["*.zarr"],
        "network": {"width": 16, "depth": 1, "heads": 2, "patch": [4, 4, 4], "tokens": [3, 3, 3]}
        | {"rank": 3, "embedding": 8, "expression_width": 8, "expression_depth": 1}
        | {"expression_heads": 2, "queries": 2},
        "batch": 4,
        "checkpoint_every": 2,
        "precision": "float32",
        "masked": {"steps": 3, "width": 8, "depth": 1, "heads": 2},
        "aligned": {"steps": 4, "panel": "all"},
    }
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(record.get(name), dict)
        record[name] = record[name] | value if both else value
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(record))
    return path


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    make_study(folder / "one.zarr", name="one")
    make_study(folder / "two.zarr", name="two", serial=True, genes=GENES[2:] + ["EXTRA"], seed=1)
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


# -- reading -------------------------------------------------------------------------------------


def test_a_block_holds_the_voxels_at_its_place(studies):
    volume = Volume(studies / "one.zarr", (4.0, 4.0, 4.0))
    raw = np.asarray(volume.level.array[:]).astype(np.float32)
    expected = canonical(raw, volume.channels, volume.ranges[0])[:, 8:12, 16:22, 20:30]
    centre = np.array(volume.level.grid.origin_um) + 4.0 * np.array([9.5, 18.5, 24.5])
    voxels, z_um = volume.read(Pose(centre, np.eye(3)), (4, 6, 10))
    np.testing.assert_allclose(voxels, expected, atol=1e-4)
    np.testing.assert_allclose(z_um, [-6, -2, 2, 6])
    turned, _ = volume.read(Pose(centre, np.diag([1.0, -1.0, 1.0])), (4, 6, 10))
    np.testing.assert_allclose(turned, expected[:, :, ::-1], atol=1e-4)


def test_spacing_is_physical_and_beyond_the_block_is_nothing(studies):
    volume = Volume(studies / "one.zarr", (8.0, 8.0, 8.0))
    fine = Volume(studies / "one.zarr", (4.0, 4.0, 4.0))
    centre = np.array([160.0, 150.0, 140.0])
    coarse = volume.read(Pose(centre, np.eye(3)), (4, 4, 4))[0]
    near = fine.read(Pose(centre, np.eye(3)), (8, 8, 8))[0]
    mean = near.reshape(2, 4, 2, 4, 2, 4, 2).mean(axis=(2, 4, 6))
    np.testing.assert_allclose(coarse, mean, rtol=0.1)
    assert not volume.read(Pose(centre + 1e4, np.eye(3)), (4, 4, 4))[0].any()


def test_planes_cut_one_by_one_are_never_mixed(studies):
    volume = Volume(studies / "two.zarr", (4.0, 4.0, 4.0), consecutive=True)
    raw = np.asarray(volume.level.array[:]).astype(np.float32)
    centre = np.array(volume.level.grid.origin_um) + [0.0, 4 * 31.5, 4 * 31.5]
    voxels, z_um = volume.read(Pose(centre, np.eye(3)), (4, 8, 8))
    np.testing.assert_allclose(np.diff(z_um), 40.0)
    assert not voxels[:, :2].any()  # above the first plane
    first = canonical(raw[:, :1], volume.channels, volume.ranges[0])[:, 0, 28:36, 28:36]
    np.testing.assert_allclose(voxels[:, 2], first, atol=1e-4)
    single = Volume(studies / "two.zarr", (4.0, 4.0, 4.0))
    voxels, z_um = single.read(Pose(centre, np.eye(3)), (20, 8, 8))
    np.testing.assert_allclose(np.diff(z_um), 4.0)
    np.testing.assert_allclose(voxels, np.repeat(first[:, None], 20, axis=1), atol=1e-4)


def test_where_a_section_fills_the_depth_whole_columns_are_hidden(studies, tmp_path):
    recipe = Recipe.read(write_recipe(tmp_path))
    samples = MorphologySamples(
        [Volume(studies / "two.zarr", recipe.voxel_um)], recipe, recipe.config()
    )
    hidden = samples[3]["noise"].reshape(3, 9).argsort(axis=None)[9:]
    layers = np.zeros((3, 9), dtype=bool)
    layers.ravel()[hidden] = True
    assert np.ptp(layers.sum(axis=0)) == 3 and set(layers.sum(axis=0)) == {0, 3}


def test_a_coarse_scan_is_not_blown_up(studies):
    volume = Volume(studies / "one.zarr", (1.0, 0.5, 0.5))
    np.testing.assert_allclose(volume.voxel_um, [8.0, 4.0, 4.0])


@given(seed=st.integers(0, 10_000), serial=st.booleans())
@settings(max_examples=50, deadline=None)
def test_augmented_poses_keep_right_angles_and_sizes(seed, serial):
    matrix = random_matrix(
        Augment(anisotropy=0.0),
        np.random.default_rng(seed),
        serial=serial,
        cubic=True,
        square=True,
    )
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
    if serial:
        np.testing.assert_allclose(np.abs(matrix[0]), [1, 0, 0], atol=1e-12)


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("still", [True, False], ids=["still", "turned"])
def test_a_spot_lies_in_the_token_that_is_named(studies, name, still, tmp_path):
    """The nuclear channel of a study is replaced by a bright dot at one spot."""
    source = Study.open(studies / f"{name}.zarr")
    table = source.section("A")[:1].copy()
    grid = source.morphology.grid
    z, y, x = grid.nearest(table.obsm["spatial"])[0]
    array = np.zeros((2, *grid.shape), dtype=np.uint16)
    array[:, z, y - 1 : y + 2, x - 1 : x + 2] = 1000
    with Study.create(tmp_path / "dot.zarr", source.info) as study:
        study.write_morphology(ArraySource(array, grid, source.morphology.channels))
        study.write_section("A", source.section("A").copy(), spot_diameter_um=20.0)
    augment = STILL if still else {"gain": 0.0, "gamma": 0.0, "noise": 0.0, "blur_depth": 0.0}
    recipe = Recipe.read(write_recipe(tmp_path, augment=augment))
    volume = Volume(tmp_path / "dot.zarr", recipe.voxel_um, consecutive=still)
    spots = read_spots([volume.study], "all", 3, [])
    own = int(np.abs(spots.points_um - table.obsm["spatial"][0, ::-1]).sum(axis=1).argmin())
    samples = SpotSamples([volume], recipe, recipe.config(), spots)
    samples._of_study = [np.array([own])]
    for number in range(25):
        sample = samples[number]
        seen = sample["volume"][0].reshape(3, 4, 3, 4, 3, 4).sum(axis=(1, 3, 5))
        place = np.argwhere(seen > 0.3 * seen.max())
        near = np.abs(place - sample["centre"]).max(axis=1).min()
        peak = np.unravel_index(sample["volume"][0].argmax(), sample["volume"][0].shape)
        distance = np.abs(np.array(peak) + 0.5 - 4 * (sample["centre"] + 0.5))
        if volume.serial and not volume.consecutive:
            distance[0] = 0.0  # the section fills the block's depth
        assert near == 0 and distance.max() <= 4.0


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (("nuclear", "cytoplasm"), (0, 1)),
        (("cytoplasm", "nuclear"), (1, 0)),
        (("other",), (0, 0)),
        (("other", "cytoplasm", "other"), (0, 1)),
        (("cytoplasm",), (0, 0)),
        (("other", "nuclear"), (1, 0)),
    ],
)
def test_any_channels_become_nuclear_and_cytoplasm(roles, expected):
    voxels = np.arange(1.0, len(roles) + 1, dtype=np.float32).reshape(-1, 1, 1, 1)
    channels = [Channel(str(i), role) for i, role in enumerate(roles)]
    seen = canonical(voxels, channels, [(0.0, 10.0)] * len(roles)).ravel()
    np.testing.assert_allclose(seen, [(i + 1) / 10 for i in expected], rtol=1e-6)


def test_colour_becomes_density_and_glass_is_nothing():
    channels = [Channel(c, c) for c in ("red", "green", "blue")]
    voxels = np.array([[240, 24], [240, 120], [240, 200]], dtype=np.float32)[:, None, None]
    seen = canonical(voxels, channels, [(0.0, 240.0)] * 3)[:, 0, 0]
    np.testing.assert_allclose(seen, [[0, 1], [0, np.log10(2)]], atol=1e-6)


# -- expression of many studies --------------------------------------------------------------------


def test_studies_with_other_genes_share_one_basis(studies):
    opened = [Study.open(studies / f"{n}.zarr") for n in ("one", "two")]
    spots = read_spots(opened, "all", 2, ["one/B"])
    assert len(spots) == 40 + 80 and spots.genes == (*GENES, "EXTRA")
    assert spots.measured.tolist() == [[True] * 8 + [False], [False] * 2 + [True] * 7]
    assert spots.loadings.shape == (2, 9) and spots.scores.shape == (120, 2)
    with pytest.raises(UnknownNameError, match="one/C"):
        read_spots(opened, "all", 2, ["one/C"])


def test_the_shared_basis_fills_in_what_was_not_measured():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 10))
    section = np.repeat([0, 1, 2], 100)
    for number in range(3):
        truth[section == number] -= truth[section == number].mean(axis=0)
    measured = np.ones_like(truth, dtype=bool)
    measured[:100, :3] = measured[200:, 7:] = False
    _, loadings, scores = shared_basis(truth * measured, measured, section, 2)
    assert np.corrcoef((scores @ loadings).ravel(), truth.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(loadings @ loadings.T, np.eye(2), atol=1e-9)


# -- the run ---------------------------------------------------------------------------------------

RUN = """
import os, signal, sys, torch
from vortex_model.training.pretrain import pretrain
torch.set_num_threads(1)
recipe, out, kill_at, devices = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
def progress(fraction, message):
    if kill_at in message:
        os.kill(os.getpid(), signal.SIGKILL)
pretrain(recipe, out, progress, devices=devices, accelerator="cpu")
"""


def start(recipe, out, kill_at="never", devices=1, **env):
    command = [sys.executable, "-c", RUN, str(recipe), str(out), kill_at, str(devices)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | {k: str(v) for k, v in env.items()}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def shared_recipe(studies):
    return write_recipe(studies, studies=["*.zarr"], accumulate=2)


@pytest.fixture(scope="module")
def whole(studies, shared_recipe, tmp_path_factory):
    """A run that nothing stopped, in this process, and what it told."""
    torch.set_num_threads(1)
    place, told = tmp_path_factory.mktemp("whole"), []
    pretrain(shared_recipe, place, lambda f, m: told.append((f, m)), accelerator="cpu")
    return place, told


def test_a_killed_run_ends_in_the_same_bits(shared_recipe, whole, tmp_path):
    first = start(shared_recipe, tmp_path, kill_at="aligned 3 of 4")
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert not (tmp_path / "vortex.safetensors").exists()
    assert (tmp_path / "encoder.safetensors").exists()
    seen = []
    pretrain(shared_recipe, tmp_path, lambda f, m: seen.append(m), accelerator="cpu")
    assert any("aligned 3 of 4" in m for m in seen) and not any("aligned 2 of" in m for m in seen)
    for name in ("encoder.safetensors", "vortex.safetensors"):
        assert (tmp_path / name).read_bytes() == (whole[0] / name).read_bytes()
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".partial")]


def test_a_run_tells_how_far_it_is_and_what_it_made(whole):
    place, told = whole
    fractions = [f for f, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any("blocks/s" in m for _, m in told)
    assert list((place / "logs").glob("events.out.tfevents.*"))
    check_weights(place)


def check_weights(place):
    state, record = read_weights(place / "vortex")
    assert record["genes"] == [*GENES, "EXTRA"] and record["voxel_um"] == [4.0, 4.0, 4.0]
    assert set(record["studies"]) == {"one", "two"} and record["recipe"]["hash"]
    assert set(record["studies"]["one"]["sections"]) == {"A", "B"}
    assert record["versions"]["torch"] == torch.__version__
    assert state["basis.loadings"].shape == (3, 9)
    assert read_weights(place / "encoder")[1]["kind"] == "encoder"
    whole = load_vortex(place / "vortex.safetensors")
    block = torch.rand(1, 2, 12, 12, 12)
    tokens = whole.model.morphology(block)
    torch.testing.assert_close(tokens, load_vit(place / "vortex.safetensors")[0](block).patches)
    factors = whole.model.at(tokens, torch.tensor([[0, 1, 1, 1]])).factors
    assert (whole.mean + factors @ whole.loadings).shape == (1, len(whole.genes))


def test_cancelling_keeps_what_was_done(studies, tmp_path):
    recipe = write_recipe(tmp_path, studies=[str(studies / "one.zarr")])

    def cancel(fraction, message):
        if "masked 1 of" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        pretrain(recipe, tmp_path / "out", cancel, accelerator="cpu")
    seen = []
    pretrain(recipe, tmp_path / "out", lambda f, m: seen.append(m), accelerator="cpu")
    assert any("masked 2 of" in m for m in seen) and not any("masked 1 of" in m for m in seen)
    again = []
    pretrain(recipe, tmp_path / "out", lambda f, m: again.append(m), accelerator="cpu")
    assert not any(" of 4: " in m or " of 3: " in m for m in again)
    other = write_recipe(tmp_path, studies=[str(studies / "one.zarr")], seed=5)
    with pytest.raises(VortexError, match="another recipe"):
        pretrain(other, tmp_path / "out", accelerator="cpu")


def losses_of(place):
    events = EventAccumulator(str(place / "logs"))
    events.Reload()
    names = [
        n for n in events.Tags()["scalars"] if n.endswith(("masked", "regression", "alignment"))
    ]
    assert len(names) == 3
    return {n: [s.value for s in events.Scalars(n)] for n in names}


def test_two_processes_learn_what_one_does(shared_recipe, whole, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    both = [start(shared_recipe, tmp_path, devices=2, LOCAL_RANK=r, **address) for r in (0, 1)]
    for process in both:
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said
    left, right = losses_of(whole[0]), losses_of(tmp_path)
    for name in left:
        assert len(left[name]) in (3, 4)
        np.testing.assert_allclose(left[name], right[name], rtol=1e-4)
    one, two = (load_file(run / "vortex.safetensors") for run in (whole[0], tmp_path))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"path": "slices", "patch": [1, 4, 4], "tokens": [3, 3, 3], "slice_depth": 1}},
        {"network": {"likelihood": "negative-binomial"}, "workers": 1},
        {"network": {"align": False}, "precision": "bfloat16"},
    ],
    ids=["slices", "counts", "bfloat16"],
)
def test_other_networks_run_too(studies, tmp_path, changes):
    recipe = write_recipe(
        tmp_path,
        studies=[str(studies / "*.zarr")],
        masked={"steps": 1},
        aligned={"steps": 1},
        **changes,
    )
    pretrain(recipe, tmp_path / "out", accelerator="cpu")
    state, _ = read_weights(tmp_path / "out" / "vortex")
    assert all(torch.isfinite(t).all() for t in state.values())


def test_it_learns(studies, tmp_path):
    recipe = write_recipe(
        tmp_path,
        studies=[str(studies / "one.zarr")],
        batch=16,
        masked={"steps": 20, "learning_rate": 3e-3},
        aligned={"steps": 60, "learning_rate": 3e-3},
        checkpoint_every=100,
        augment=STILL,
    )
    pretrain(recipe, tmp_path / "out", accelerator="cpu")
    losses = losses_of(tmp_path / "out")
    assert np.mean(losses["masked/masked"][-5:]) < 0.65 * losses["masked/masked"][0]
    regression = losses["aligned/regression"]
    assert np.mean(regression[-10:]) < 0.6 * np.mean(regression[:5])


@pytest.mark.parametrize("path", ["volume", "slices"])
def test_the_held_out_curve_is_told_logged_and_changes_nothing(studies, tmp_path, path):
    """With and without looking at held-out sections the weights are the same bits."""
    network = {"path": path} | ({"patch": [1, 4, 4], "slice_depth": 1} if path == "slices" else {})
    recipe = write_recipe(
        tmp_path,
        studies=[str(studies / "*.zarr")],
        network=network,
        masked={"steps": 0},
        aligned={"steps": 4, "hold_out": ["one/B", "two/A"]},
    )
    told = []
    pretrain(recipe, tmp_path / "out", lambda f, m: told.append(m), accelerator="cpu")
    points = [(m.step, m.value) for m in told if isinstance(m, CurvePoint)]
    assert [step for step, _ in points] == [2, 4] and "held-out r" in told[-2]
    assert all(-1 <= value <= 1 for _, value in points)
    events = EventAccumulator(str(tmp_path / "out" / "logs"))
    events.Reload()
    logged = [e.value for e in events.Scalars("aligned/held-out r")]
    np.testing.assert_allclose(logged, [value for _, value in points], rtol=1e-5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vortex_model.training.holdout.HeldOut.score", lambda *_: 0.5)
        pretrain(recipe, tmp_path / "blind", accelerator="cpu")
    one, two = (tmp_path / run / "vortex.safetensors" for run in ("out", "blind"))
    assert one.read_bytes() == two.read_bytes()


def test_the_held_out_curve_rises_where_there_is_something_to_learn(studies, tmp_path):
    recipe = write_recipe(
        tmp_path,
        studies=[str(studies / "one.zarr")],
        batch=16,
        masked={"steps": 0},
        aligned={"steps": 60, "learning_rate": 3e-3, "hold_out": ["one/B"]},
        checkpoint_every=30,
        augment=STILL,
    )
    told = []
    pretrain(recipe, tmp_path / "out", lambda f, m: told.append(m), accelerator="cpu")
    values = [m.value for m in told if isinstance(m, CurvePoint)]
    assert values[-1] > 0.3


def test_data_do_not_depend_on_how_they_are_shared_out(studies):
    recipe = Recipe(
        "r", ("x",), batch=8, accumulate=2, network={"patch": [4, 4, 4], "tokens": [2] * 3}
    )
    samples = MorphologySamples(
        [Volume(studies / "one.zarr", recipe.voxel_um)], recipe, recipe.config()
    )
    alone = [b["volume"] for b in batches(samples, Collate(), range(1, 2))]
    shared = [[b["volume"] for b in batches(samples, Collate(), range(1, 2), r, 2)] for r in (0, 1)]
    for whole, *halves in zip(alone, *shared, strict=True):
        assert torch.equal(whole, torch.cat(halves))
    with pytest.raises(VortexError, match="does not divide"):
        list(batches(samples, Collate(), range(1), 0, 3))


# -- recipes ---------------------------------------------------------------------------------------


def test_mistakes_in_a_recipe_are_named(tmp_path, studies):
    with pytest.raises(VortexError, match="cannot be read"):
        Recipe.read(tmp_path / "none.yaml")
    with pytest.raises(UnknownNameError, match=r"hiden.*hidden"):
        Recipe.read(write_recipe(tmp_path, masked={"hiden": 0.5}))
    with pytest.raises(VortexError, match="batch is 'many'"):
        Recipe.read(write_recipe(tmp_path, batch="many"))
    with pytest.raises(VortexError, match=r"batch: 4 is no multiple.*"):
        Recipe.read(write_recipe(tmp_path, accumulate=3))
    with pytest.raises(UnknownNameError, match="wdth"):
        Recipe.read(write_recipe(tmp_path, network={"wdth": 3}))
    with pytest.raises(VortexError, match="no study is at"):
        pretrain(write_recipe(tmp_path), tmp_path / "out", accelerator="cpu")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(VortexError, match="no YAML"):
        Recipe.read(tmp_path / "bad.yaml")


def test_every_recipe_of_the_repository_reads():
    recipes = sorted((Path(__file__).parents[2] / "model" / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        assert json.dumps(Recipe.read(path).config().to_json())


def test_the_rate_rises_then_falls():
    rates = [rate_at(step, 100, 1.0, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and rates[-1] < 0.01
    assert np.argmax(rates) in (9, 10) and (np.diff(rates[10:]) < 0).all()
