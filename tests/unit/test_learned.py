"""The encoder that learns from the block itself: what it keeps, and what it does not depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from vortex_model.encoders import create
from vortex_model.encoders.layout import plan
from vortex_model.errors import Cancelled, VortexError
from vortex_model.features import Features, compute_features
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.networks import neighbours
from vortex_model.study import Study, StudyInfo

RGB = tuple(Channel(c, c) for c in ("red", "green", "blue"))
LSFM = (Channel("nuclei", "nuclear"), Channel("other", "cytoplasm"))
PAIRS = 256


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry() -> Iterator[None]:
    """Few words, few fields."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vortex_model.encoders.vocabulary.ROUNDS", 2)
        patch.setattr("vortex_model.encoders.dictionary.SITES", 24)
        patch.setattr("vortex_model.encoders.learned.FIELDS", 24)
        yield


def textured(
    shape: tuple[int, ...], random: np.random.Generator, grain: float
) -> npt.NDArray[np.float64]:
    """Noise of mean 0 and deviation 1, so many pixels coarse."""
    found = ndimage.gaussian_filter(random.normal(size=shape), grain, axes=(-2, -1))
    return np.asarray(found / found.std())


def two_tissues(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float64]:
    """Left fine grain, right coarse."""
    random = np.random.default_rng(seed)
    left = np.arange(shape[-1]) < shape[-1] // 2
    return np.where(left, textured(shape, random, 1.0), textured(shape, random, 4.0))


@pytest.fixture(scope="module")
def sections(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three stained sections, 450 um wide, of two tissues side by side."""
    grain = two_tissues((3, 224, 224), 0)
    image = np.clip(150 + 35 * np.stack([grain, 0.7 * grain, 0.3 * grain]), 10, 235)
    image[:, :, :12] = 245
    path = tmp_path_factory.mktemp("sections") / "s.zarr"
    with Study.create(path, StudyInfo("sections", "serial-sections")) as study:
        grid = Grid((3, 224, 224), (50.0, 2.0, 2.0))
        study.write_morphology(ArraySource(image.astype(np.uint8), grid, RGB))
    return Study.open(path)


@pytest.fixture(scope="module")
def features(sections: Study) -> Features:
    return Features.load(sections, compute_features(sections, create("learned", pairs=PAIRS)))


def learned_channels(features: Features) -> npt.NDArray[np.int64]:
    return np.flatnonzero([g.startswith("learned:") for g in features.groups])


def test_it_stands_beside_texture_in_a_family_of_its_own(features: Features) -> None:
    own = learned_channels(features)
    assert 0 < len(own) < len(features.groups)
    assert {g.partition(":")[0] for g in features.groups} >= {"learned", "words"}
    values = np.concatenate([b.values[:, own] for b in features.blocks()])
    spread = values.std(axis=0)
    # a Hadamard mixture: no component is nearly constant, none drowns the others
    assert spread.min() > 0.5
    assert np.isfinite(values).all()


def test_two_tissues_of_equal_mean_come_apart(features: Features) -> None:
    own = learned_channels(features)
    planes: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    for block in features.blocks():
        for token, values in zip(block.tokens, block.values[:, own], strict=True):
            planes[int(token[0])].append((features.grid.to_points(token[None])[0, 0], values))
    x = np.array([p for p, _ in planes[0]])
    training = np.array([v for _, v in planes[0]])
    middle = np.median([p for p, _ in planes[2]])
    slope = training[x > middle].mean(axis=0) - training[x < middle].mean(axis=0)
    held = [(p - middle, v @ slope) for p, v in planes[2] if abs(p - middle) > 80]
    assert np.corrcoef(np.sign([p for p, _ in held]), [s for _, s in held])[0, 1] > 0.8


def test_practice_makes_the_same_place_alike_in_the_next_plane() -> None:
    random = np.random.default_rng(5)
    grains = np.geomspace(0.6, 4.8, 64)
    fields = np.stack([[textured((209, 209), random, g) for _ in range(2)] for g in grains])
    stored = np.clip(85 * (1.2 + 0.3 * fields), 0, 255).astype(np.uint8)[:, :, None]
    lesson = neighbours.Lesson(stored, 5.0, 32 * 32, batch=32)
    mean, deviation = np.array([1.2], np.float32), np.array([0.3], np.float32)
    views = neighbours._pair(
        replace(lesson, batch=64), np.random.default_rng(9), mean, deviation
    ).numpy()

    def told(weights: Any) -> float:
        """How often a view is more like its own partner than like another place's."""
        seer = neighbours.Seer({**weights, "input.mean": mean * 0, "input.deviation": mean**0})
        padded = np.pad(views, [(0, 0), (0, 0), (4, 4), (4, 4)], mode="reflect")
        seen = np.stack([seer(v).mean(axis=(1, 2)) for v in padded])
        seen -= seen.mean(axis=0)
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        left, right = np.split(seen, 2)
        alike = left @ right.T
        return float((alike.diagonal()[:, None] >= alike).mean())

    begin = neighbours.learn(replace(lesson, pairs=1))
    assert told(neighbours.learn(lesson)) > told(begin) + 0.1


def test_the_same_lesson_gives_the_same_weights() -> None:
    random = np.random.default_rng(2)
    fields = random.integers(0, 255, (6, 2, 2, 209, 209)).astype(np.uint8)
    lesson = neighbours.Lesson(fields, 9.0, 16, batch=8)
    once, again = neighbours.learn(lesson), neighbours.learn(lesson)
    assert all(np.array_equal(once[n], again[n]) for n in once)
    other = neighbours.learn(neighbours.Lesson(fields, 9.0, 16, batch=8, seed=1))
    assert any(not np.array_equal(once[n], other[n]) for n in once)


def test_a_turned_section_has_turned_features() -> None:
    random = np.random.default_rng(2)
    fields = random.integers(0, 255, (6, 2, 1, 209, 209)).astype(np.uint8)
    seer = neighbours.Seer(neighbours.learn(neighbours.Lesson(fields, 9.0, 8, batch=8)))
    image = random.uniform(0, 3, (1, 96, 128)).astype(np.float32)
    turned = seer(np.ascontiguousarray(np.rot90(image, axes=(1, 2))))
    assert np.allclose(np.rot90(turned, -1, axes=(1, 2)), seer(image), atol=1e-4)


def test_what_was_learned_is_kept_and_blocks_do_not_show(
    sections: Study, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded in one block, or part by part with halos: the same features."""
    kept = np.asarray(sections.derived("features", features.id)["learned"][:]).tobytes()  # type: ignore[index]
    encoder = create("learned", pairs=PAIRS)
    layout = plan(sections.morphology, encoder, True, None, [])
    encoding: Any = layout.encoding
    encoding.know(kept)
    voxels = np.asarray(layout.level.array[:, :1]).astype(np.float32)
    from vortex_model.encoders.base import Block

    scales = ((0.0, 245.0),) * 3
    whole = layout.level.grid.crop((0, 0, 0), (1, 224, 224))
    tissue = np.ones(whole.shape, dtype=bool)
    lattice = layout.lattice.crop((0, 0, 0), (1, *layout.lattice.shape[1:]))
    seen = encoding._seen(Block(voxels, whole, tissue, RGB, scales), lattice)
    factor = layout.factor[1]
    first = 2
    low = max(0, first * factor - 72) // 8 * 8
    part = layout.level.grid.crop((0, 0, low), (1, 224, 224))
    block = Block(voxels[..., low:], part, tissue[..., low:], RGB, scales)
    right = layout.lattice.crop((0, 0, first), (1, *layout.lattice.shape[1:]))
    again = encoding._seen(block, right)
    assert np.allclose(again, seen[..., first:], atol=0.02 * np.abs(seen).max())


def test_a_cancelled_run_leaves_nothing_and_a_stopped_one_does_not_learn_twice(
    sections: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = create("learned", pairs=PAIRS, seed=3)
    learned = []
    taught = neighbours.learn

    def count(*a: Any, **k: Any) -> Any:
        learned.append(1)
        return taught(*a, **k)

    monkeypatch.setattr(neighbours, "learn", count)

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.72:
            raise Cancelled

    with pytest.raises(Cancelled):
        compute_features(sections, encoder, progress=stop)
    compute_features(sections, encoder)
    assert len(learned) == 1


def test_a_volume_is_learned_from_its_planes(tmp_path: Path) -> None:
    image = np.stack([two_tissues((24, 96, 96), 1)] * 2) * 150 + 700
    image[:, :, :, :8] = 90
    with Study.create(tmp_path / "v.zarr", StudyInfo("volume", "light-sheet")) as study:
        grid = Grid((24, 96, 96), (6.0, 5.0, 5.0))
        study.write_morphology(ArraySource(image.astype(np.uint16), grid, LSFM))
    study = Study.open(tmp_path / "v.zarr")
    found = Features.load(study, compute_features(study, create("learned", pairs=PAIRS)))
    own = learned_channels(found)
    values = np.concatenate([b.values[:, own] for b in found.blocks()])
    assert len(own) and values.std(axis=0).min() > 0.3


def test_too_small_an_image_has_texture_alone(tmp_path: Path) -> None:
    image = two_tissues((1, 40, 40), 1)[None] * 150 + 700
    with Study.create(tmp_path / "v.zarr", StudyInfo("volume", "light-sheet")) as study:
        grid = Grid((1, 40, 40), (6.0, 5.0, 5.0))
        study.write_morphology(ArraySource(image.astype(np.uint16), grid, LSFM[:1]))
    found = Features.load(
        Study.open(tmp_path / "v.zarr"),
        compute_features(Study.open(tmp_path / "v.zarr"), create("learned", pairs=PAIRS)),
    )
    assert len(learned_channels(found)) == 0 < len(found.groups)


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(VortexError, match="pairs of views"):
        create("learned", pairs=0)
    with pytest.raises(VortexError, match="option"):
        create("learned", pears=3)
