"""The network that comes with the program: any morphology, no teaching, weights that are whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vortex_model.encoders import available, create
from vortex_model.encoders import pretrained as box
from vortex_model.encoders.pretrained import PretrainedEncoder, weights_file
from vortex_model.errors import VortexError
from vortex_model.features import Features, compute_features
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.networks import neighbours
from vortex_model.networks.weights import write_weights
from vortex_model.study import Study, StudyInfo

RGB = tuple(Channel(c, c) for c in ("red", "green", "blue"))
MOST_BYTES = 25_000_000


def grains(shape: tuple[int, ...], seed: int) -> Any:
    """Tissue of two grains: fine on the left, coarse on the right; 0 to 1."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=shape)
    fine, coarse = (ndimage.gaussian_filter(noise, s, axes=(-2, -1)) for s in (1.0, 4.0))
    left = np.arange(shape[-1]) < shape[-1] // 2
    mixed = np.where(left, fine / fine.std(), coarse / coarse.std())
    return np.clip(0.5 + 0.15 * mixed, 0.02, 1.0)


def study_of(path: Path, modality: str, values: Any, channels: Any, um: float) -> Study:
    with Study.create(path, StudyInfo(modality, modality)) as study:
        grid = Grid(values.shape[1:], (50.0 if modality == "serial-sections" else um, um, um))
        study.write_morphology(ArraySource(values, grid, channels))
    return Study.open(path)


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vortex_model.encoders.vocabulary.ROUNDS", 2)
        patch.setattr("vortex_model.encoders.dictionary.SITES", 24)
        patch.setattr("vortex_model.encoders.learned.FIELDS", 24)
        yield


@pytest.mark.parametrize("modality", ["serial-sections", "light-sheet", "one channel"])
def test_it_takes_any_morphology_and_tells_tissues_apart(tmp_path: Path, modality: str) -> None:
    one = grains((2, 224, 224), 3)
    if modality == "serial-sections":
        image = np.clip(230 - 160 * np.stack([one, 0.8 * one, 0.4 * one]), 5, 245)
        study = study_of(tmp_path / "s.zarr", modality, image.astype(np.uint8), RGB, 2.0)
    else:
        thick = np.repeat(one[:1], 24, axis=0)
        count = 2 if modality == "light-sheet" else 1
        both = np.stack([thick, grains(thick.shape, 4)][:count])
        names = (Channel("a", "nuclear"), Channel("b", "cytoplasm"))[:count]
        values = (40_000 * both).astype(np.uint16)
        study = study_of(tmp_path / "s.zarr", "light-sheet", values, names, 4.0)
    features = Features.load(study, compute_features(study, "pretrained"))
    own = np.flatnonzero([g.startswith("pretrained:") for g in features.groups])
    assert 0 < len(own) < len(features.groups)
    blocks = list(features.blocks())
    values = np.concatenate([b.values[:, own] for b in blocks])
    x = features.grid.to_points(np.concatenate([b.tokens for b in blocks]))[:, 0]
    middle = features.grid.centre_um[0]
    edge = 0.15 * np.ptp(x)
    away = np.abs(x - middle) > edge
    train = away & (np.arange(len(x)) % 2 == 0)
    slope = values[train & (x > middle)].mean(axis=0) - values[train & (x < middle)].mean(axis=0)
    held = away & ~train
    assert np.corrcoef(np.sign(x[held] - middle), values[held] @ slope)[0, 1] > 0.7


def test_its_weights_ship_and_say_what_they_are() -> None:
    file = weights_file()
    assert file.stat().st_size < MOST_BYTES
    rows = {row.name: row for row in available()}
    assert rows["pretrained"].usable
    assert create("pretrained").parameters["weights"]
    card = (Path(__file__).parents[2] / "model" / "MODEL_CARD.md").read_text()
    assert create("pretrained").parameters["weights"] in card


def test_other_weights_are_other_features_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    fields = np.random.default_rng(0).integers(0, 255, (4, 2, 2, 160, 160)).astype(np.uint8)
    made = neighbours.learn(neighbours.Lesson(fields, 9.0, 8, batch=4))
    state = {n: torch.from_numpy(np.asarray(v)) for n, v in made.items()}
    own = write_weights(tmp_path / "own", state, {"kind": "neighbours"})
    encoder = PretrainedEncoder(weights=own)
    assert encoder.parameters["weights"] != create("pretrained").parameters["weights"]
    own.write_bytes(own.read_bytes()[:-8])
    with pytest.raises(VortexError, match="own"):
        PretrainedEncoder(weights=own)
    with pytest.raises(VortexError, match="no options"):
        create("pretrained", pairs=3)


def test_missing_weights_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "FILE", "absent.safetensors")
    with pytest.raises(VortexError, match="Install it again"):
        create("pretrained")
