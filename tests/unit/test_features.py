"""Features on the token lattice: tiling, resuming, normalising, reading at spots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from vortex_model import crew
from vortex_model.encoders import create, tiling
from vortex_model.encoders.layout import plan
from vortex_model.errors import Cancelled, StudyError, UnknownNameError, VortexError
from vortex_model.features import Features, Normaliser, compute_features
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import Study, StudyInfo

RGB = (Channel("red", "red"), Channel("green", "green"), Channel("blue", "blue"))
LSFM = (Channel("nuclei", "nuclear"), Channel("eosin", "cytoplasm"))


def smooth(shape: tuple[int, ...], seed: int, sigma: float = 2.0) -> npt.NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=shape)
    field = ndimage.gaussian_filter(noise, sigma)
    return field / field.std()


def sections_image(planes: int = 2, size: int = 240) -> npt.NDArray[np.uint8]:
    """Tissue-like H&E on white glass: left part nuclear, a rim of glass all round."""
    image = np.full((3, planes, size, size), 240.0)
    stain = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    for z in range(planes):
        nuclei = (smooth((size, size), z) > 1.0) * 0.6
        nuclei[:, size // 2 :] *= 0.3
        eosin = 0.25 + 0.05 * smooth((size, size), 10 + z, 5.0)
        density = nuclei[None] * stain[0][:, None, None] + eosin[None] * stain[1][:, None, None]
        rim = size // 10
        inner = slice(rim, size - rim)
        image[:, z, inner, inner] *= 10 ** -density[:, inner, inner]
    return np.clip(image, 0, 255).astype(np.uint8)


def volume_image(shape: tuple[int, int, int] = (30, 72, 72)) -> npt.NDArray[np.uint16]:
    field = smooth(shape, 1, 1.5)
    nuclei = 200 + 3000 * (field > 1.2)
    soft = 300 + 500 * np.clip(1 + smooth(shape, 2, 4.0), 0, None)
    image = np.stack([nuclei, soft])
    image[:, :, :, :12] = 100
    noise = np.random.default_rng(3).normal(size=image.shape) * 20
    return np.clip(image + noise, 0, 65535).astype(np.uint16)


def make(
    path: Path,
    image: npt.NDArray[Any],
    spacing_um: tuple[float, float, float],
    channels: tuple[Channel, ...],
    serial: bool,
    spots: dict[str, tuple[npt.NDArray[np.float64], float]] | None = None,
) -> Study:
    modality = "serial-sections" if serial else "light-sheet"
    with Study.create(path, StudyInfo("block", modality)) as study:  # type: ignore[arg-type]
        study.write_morphology(ArraySource(image, Grid(image.shape[1:], spacing_um), channels))
        for name, (points, diameter) in (spots or {}).items():
            counts = anndata.AnnData(X=np.ones((len(points), 2), np.float32))
            counts.obsm["spatial"] = points
            study.write_section(name, counts, spot_diameter_um=diameter)
    return Study.open(path)


@pytest.fixture(scope="module", autouse=True)
def few_rounds() -> Iterator[None]:
    """Words that are learned in a hurry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vortex_model.encoders.vocabulary.ROUNDS", 2)
        patch.setattr("vortex_model.encoders.dictionary.SITES", 24)
        yield


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("serial")
    return make(folder / "s.zarr", sections_image(), (50.0, 2.0, 2.0), RGB, serial=True)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("volume")
    return make(folder / "v.zarr", volume_image(), (6.0, 5.0, 5.0), LSFM, serial=False)


@pytest.fixture(scope="module")
def serial_features(serial: Study) -> Features:
    return Features.load(serial, compute_features(serial))


def small_blocks(monkeypatch: pytest.MonkeyPatch, voxels: int) -> None:
    """Make the encoder ask for blocks of another size."""
    from vortex_model.encoders.texture import TextureEncoding

    before = TextureEncoding.__init__

    def init(self: TextureEncoding, subject: Any) -> None:
        before(self, subject)
        self.block_voxels = (1 if subject.planar else voxels, voxels, voxels)

    monkeypatch.setattr(TextureEncoding, "__init__", init)


def bytes_of(study: Study, name: str) -> dict[str, bytes]:
    """Every file of the features, but for the record that holds the time of day."""
    folder = study.path / "features" / name
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p != folder / "zarr.json"
    }


def compute_once(study: Study, **options: Any) -> tuple[Features, dict[str, bytes]]:
    """Features that are made anew and forgotten; kept in memory for comparing."""
    name = compute_features(study, **options)
    features, stored = Features.load(study, name), bytes_of(study, name)
    features.array = np.asarray(features.array[:], dtype=np.float32)  # type: ignore[assignment]
    study.remove_derived("features", name)
    return features, stored


@pytest.mark.parametrize("kind", ["serial", "volume"])
def test_features_do_not_depend_on_the_tiling(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    study: Study = request.getfixturevalue(kind)
    found = []
    for voxels, memory in ((4000, 1 << 40), (64, 1 << 16)):
        with monkeypatch.context() as patch:
            small_blocks(patch, voxels)
            patch.setattr("vortex_model.encoders.layout.WIDE_BYTES", memory)
            found.append(compute_once(study, spacing_um=16.0)[0])
    whole, tiled = found
    assert (whole.mask == tiled.mask).all() and whole.mask.sum() > 300
    one, many = (np.asarray(f.array)[:, f.mask] for f in found)
    spread = np.maximum(one.std(axis=1, keepdims=True), 2e-3 * np.abs(one).max(axis=1)[:, None])
    assert (np.abs(one - many) / np.maximum(spread, 1e-4)).max() < 0.02


def test_the_number_of_threads_does_not_matter(
    serial: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch, 96)
    stored = []
    for workers in (1, 3):
        monkeypatch.setattr(tiling, "THREADS", workers)
        monkeypatch.setattr(crew.os, "cpu_count", lambda: 8)
        stored.append(compute_once(serial, spacing_um=24.0)[1])
    assert stored[0] == stored[1] and len(stored[0]) > 4


@pytest.mark.parametrize("stop_at", [0.01, 0.3, 0.84, 0.96, 0.975])
def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(
    serial: Study, monkeypatch: pytest.MonkeyPatch, stop_at: float
) -> None:
    small_blocks(monkeypatch, 96)
    _, expected = compute_once(serial, spacing_um=24.0)
    encoded: list[int] = []
    before = tiling.Job.encode_unit

    def count(self: Any, *arguments: Any) -> Any:
        encoded.append(1)
        return before(self, *arguments)

    monkeypatch.setattr(tiling.Job, "encode_unit", count)

    def stop(fraction: float, message: str) -> None:
        if fraction >= stop_at:
            raise Cancelled

    with pytest.raises(Cancelled):
        compute_features(serial, spacing_um=24.0, progress=stop)
    first = len(encoded)
    seen: list[float] = []
    name = compute_features(serial, spacing_um=24.0, progress=lambda f, m: seen.append(f))
    assert bytes_of(serial, name) == expected
    assert seen == sorted(seen) and seen[-1] == 1.0
    if stop_at > 0.8:
        assert len(encoded) == first  # nothing was encoded twice
    serial.remove_derived("features", name)


def test_words_are_learned_once_and_alike_whatever_the_threads(serial: Study) -> None:
    """The same block, the same words: also where the linear algebra has more threads."""
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            features, stored = compute_once(serial, spacing_um=24.0)
        found.append(stored)
    assert found[0] == found[1]
    words = [i for i, g in enumerate(features.groups) if g.startswith("words")]
    values = np.asarray(features.array)[words][:, features.mask]
    assert len(words) > 100 and np.median(values.std(axis=1)) > 0.01


def test_words_tell_tissues_apart(serial: Study, serial_features: Features) -> None:
    """Nuclei are thrice as many on the left: so differ its patterns."""
    words = [i for i, g in enumerate(serial_features.groups) if g.startswith("words")]
    points = np.array([[x, y, 0.0] for x in (130.0, 350.0) for y in (130.0, 240.0, 350.0)])
    values = serial_features.at_points(points, 80.0)[:, words]
    between = np.linalg.norm(values[:3].mean(axis=0) - values[3:].mean(axis=0))
    within = np.mean([np.linalg.norm(v - v.mean(axis=0)) for v in (values[:3], values[3:])])
    assert between > within


@pytest.mark.parametrize("um", [0.5, 1.5, 8.0, 30.0, 60.0])
def test_words_follow_the_voxel(tmp_path: Path, um: float) -> None:
    """Fine voxels give patches in micrometres, coarse ones in voxels; too coarse, none."""
    image = sections_image(1, 120)
    study = make(tmp_path / "w.zarr", image, (50.0, um, um), RGB, serial=True)
    features = Features.load(study, compute_features(study))
    values = np.asarray(features.array[:], dtype=np.float32)
    assert np.isfinite(values).all()
    groups = {g for g in features.groups if g.startswith("words")}
    widths = {float(g.split()[1]) for g in groups}
    if um == 60.0:
        assert not widths
    else:
        assert min(widths) == pytest.approx({0.5: 6.0, 1.5: 18.0, 8.0: 96.0, 30.0: 360.0}[um])
        assert max(widths) <= 500
        first = next(g for g in features.groups if g.startswith("words"))
        words = [i for i, g in enumerate(features.groups) if g == first]
        tissue = values[words][:, features.mask]
        assert (tissue.std(axis=1) > 0).all() and np.abs(tissue).max() < 1000


def test_a_second_call_returns_at_once(serial: Study, serial_features: Features) -> None:
    seen: list[str] = []
    name = compute_features(serial, progress=lambda f, m: seen.append(m))
    assert name == serial_features.id and len(seen) == 1
    assert name in serial.derived_ids("features")
    assert compute_features(serial, create("texture")) == name


def test_what_only_the_passes_needed_is_gone(serial: Study, serial_features: Features) -> None:
    group = serial.derived("features", serial_features.id)
    assert sorted(group.keys()) == ["array", "deviation", "mask", "mean"]


def test_features_are_described(serial_features: Features) -> None:
    features = serial_features
    assert features.array.dtype == np.float16 and features.encoder == "texture"
    assert features.array.shape == (len(features.channel_names), *features.grid.shape)
    assert len(features.groups) == len(features.channel_names) == len(set(features.channel_names))
    assert features.planar and features.mask.shape == features.grid.shape
    # A rim of glass all round is no tissue, the middle is.
    assert not features.mask[:, 0].any() and features.mask[0, 8, 8]
    assert (np.asarray(features.array[:])[:, ~features.mask] == 0).all()


def test_sections_are_normalised_one_by_one_and_volumes_as_one(
    serial_features: Features, volume: Study
) -> None:
    tokens = list(serial_features.blocks())
    for plane in range(2):
        values = np.concatenate([b.values[b.tokens[:, 0] == plane] for b in tokens])
        lively = serial_features.normaliser().deviation[plane] > 0
        inner = np.abs(values) < 5.9  # all but what was clipped
        assert np.abs(values.mean(axis=0, where=inner))[lively].max() < 0.15
        assert np.median(values.std(axis=0)[lively]) == pytest.approx(1, abs=0.05)
    features = Features.load(volume, compute_features(volume, spacing_um=20.0))
    assert features.normaliser().mean.shape == (1, len(features.channel_names))
    values = np.concatenate([b.values for b in features.blocks()])
    assert np.median(np.abs(values.mean(axis=0))) < 0.02
    per_plane = [
        values[np.concatenate([b.tokens for b in features.blocks()])[:, 0] == z] for z in (0, 5)
    ]
    assert np.abs(per_plane[0].mean(axis=0) - per_plane[1].mean(axis=0)).max() > 0.05


def test_one_section_does_not_see_the_other(tmp_path: Path, serial_features: Features) -> None:
    image = sections_image()
    image[:, 1] = image[:, 1, ::-1]
    study = make(tmp_path / "other.zarr", image, (50.0, 2.0, 2.0), RGB, serial=True)
    features = Features.load(study, compute_features(study))
    assert features.id != serial_features.id
    same, other = (np.asarray(f.array[:]) for f in (features, serial_features))
    # Words are learned on the whole block; all else of a section is its own.
    own = np.array([not g.startswith("words") for g in features.groups])
    assert own.any() and not own.all()
    assert (same[own, 0] == other[own, 0]).all() and not (same[own, 1] == other[own, 1]).all()


def test_each_section_is_measured_against_its_own_glass(tmp_path: Path) -> None:
    image = sections_image()
    image[:, 1] = np.rint(0.8 * image[:, 0])  # the same section under a dimmer lamp
    study = make(tmp_path / "dim.zarr", image, (50.0, 2.0, 2.0), RGB, serial=True)
    features = Features.load(study, compute_features(study))
    bright, dim = (np.asarray(features.array[:, z], dtype=np.float32) for z in (0, 1))
    both = features.mask[0] & features.mask[1]
    assert both.sum() > 0.9 * features.mask[0].sum()
    for name in ("od red mean", "haematoxylin mean", "nuclear area"):
        channel = next(i for i, n in enumerate(features.channel_names) if n.startswith(name))
        assert dim[channel][both] == pytest.approx(bright[channel][both], rel=0.05, abs=0.01)


def test_blocks_hold_every_tissue_token_once(serial_features: Features) -> None:
    seen = np.zeros(serial_features.grid.shape, dtype=int)
    for block in serial_features.blocks():
        assert block.values.shape == (len(block.tokens), len(serial_features.channel_names))
        assert (block.tokens >= block.start).all() and (block.tokens < block.stop).all()
        np.add.at(seen, tuple(block.tokens.T), 1)
    assert (seen == serial_features.mask).all()


def test_a_tiny_spot_is_its_token_and_a_large_one_the_mean(serial_features: Features) -> None:
    features = serial_features
    stored = np.asarray(features.array[:], dtype=np.float32)
    index = np.array([[0, 8, 7], [1, 9, 8]])
    points = features.grid.to_points(index)
    tiny = features.at_points(points, 0.1)
    exact = features.normaliser()(stored[:, index[:, 0], index[:, 1], index[:, 2]].T, index[:, 0])
    assert np.abs(tiny - exact).max() < 0.05
    large = features.at_points(points[:1], 200.0)
    distance = np.hypot(*(features.grid.points()[:, :2] - points[0, :2]).T).reshape(
        features.grid.shape
    )
    inside = (distance[0] < 100) & features.mask[0]
    mean = features.normaliser()(stored[:, 0, inside].mean(axis=1)[None], np.array([0]))
    assert np.abs(large - mean).mean() < 0.1


def test_spots_between_tokens_are_interpolated(volume: Study) -> None:
    features = Features.load(volume, compute_features(volume, spacing_um=20.0))
    index = np.array([[2.0, 4, 5], [2.5, 4.5, 5.5], [3, 5, 6]])
    ends = features.at_points(features.grid.to_points(index), 0.1)
    corners = np.array(list(np.ndindex(2, 2, 2))) + [2, 4, 5]
    mean = features.at_points(features.grid.to_points(corners), 0.1).mean(axis=0)
    assert np.abs(ends[1] - mean).max() < 0.05


def test_a_spot_off_the_tissue_gets_its_nearest_token(serial_features: Features) -> None:
    features = serial_features
    outside = np.array([[2.0, 300.0, 50.0], [-500.0, 300.0, 50.0]])
    found = features.at_points(outside, 20.0)
    plane = np.argwhere(features.mask[1])
    place = features.grid.points().reshape(*features.grid.shape, 3)[1][tuple(plane.T)]
    near = place[np.argmin(np.hypot(*(place[:, :2] - outside[0, :2]).T))]
    expected = features.at_points(near[None], 0.1)[0]
    assert np.isfinite(found).all() and np.abs(found).max() > 0
    assert np.abs(found[0] - expected).max() < 0.3


def test_no_spot_is_no_row(serial_features: Features) -> None:
    assert serial_features.at_points(np.empty((0, 3)), 50.0).shape == (
        0,
        len(serial_features.channel_names),
    )


def test_a_constant_channel_says_nothing() -> None:
    normaliser = Normaliser(np.array([[5.0, 1.0]], np.float32), np.array([[0.0, 2.0]], np.float32))
    values = normaliser(np.array([[5.1, 5.0], [4.9, 1e6]]), np.array([0, 3]))
    assert values.tolist() == [[0.0, 2.0], [0.0, 6.0]]


def test_the_lattice_follows_spots_and_voxels(tmp_path: Path, serial: Study) -> None:
    image = serial.morphology
    texture = create("texture")
    assert plan(image, texture, True, None, [100.0]).lattice.spacing_um == (50.0, 34.0, 34.0)
    assert plan(image, texture, True, None, [55.0, 100.0]).lattice.spacing_um[1] == 18.0
    assert plan(image, texture, True, None, [2.0]).lattice.spacing_um[1] == 12.0
    assert plan(image, texture, True, None, []).lattice.spacing_um[1] == 40.0
    assert plan(image, texture, True, 25.0, []).lattice.spacing_um[1] in (24.0, 26.0)
    block = make(
        tmp_path / "b.zarr", np.zeros((1, 30, 40, 50), np.uint8), (50, 40, 40), LSFM[:1], False
    )
    coarse = plan(block.morphology, texture, False, None, [55.0]).lattice
    assert coarse.spacing_um == (100.0, 120.0, 120.0)  # three voxels, as near to cubes as they get


def test_stained_sections_are_read_in_finer_pixels(tmp_path: Path) -> None:
    """Where nuclei's inner texture is to be seen; all else as finely as its maps need."""
    image, step = sections_image(1, 200), (50.0, 0.7, 0.7)
    stained = make(tmp_path / "s.zarr", image, step, RGB, serial=True)
    glowing = make(tmp_path / "g.zarr", image[:1], step, LSFM[:1], True)

    def pixel(study: Study, name: str) -> float:
        return plan(study.morphology, create(name), True, None, []).level.grid.spacing_um[1]

    assert pixel(stained, "texture") == pytest.approx(0.7)
    assert pixel(glowing, "texture") == pytest.approx(1.4)
    assert pixel(stained, "coarse") == pytest.approx(1.4)  # the coarsest there is


def test_a_huge_block_gets_coarser_tokens(serial: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vortex_model.encoders.layout.MOST_TOKENS", 500)
    lattice = plan(serial.morphology, create("texture"), True, None, [20.0]).lattice
    assert 250 < np.prod(lattice.shape) <= 500 and lattice.shape[0] == 2


@pytest.mark.parametrize("spacing", [0.0, -5.0, float("nan"), 1.0])
def test_a_spacing_that_makes_no_sense_is_said(serial: Study, spacing: float) -> None:
    with pytest.raises(VortexError, match="um"):
        compute_features(serial, spacing_um=spacing)


def test_what_is_not_there_is_said(tmp_path: Path, serial: Study) -> None:
    with Study.create(tmp_path / "e.zarr", StudyInfo("e")):
        pass
    with pytest.raises(StudyError, match="morphology"):
        compute_features(Study.open(tmp_path / "e.zarr"))
    with pytest.raises(UnknownNameError, match="encoder"):
        compute_features(serial, "texure")
    with pytest.raises(UnknownNameError):
        Features.load(serial, "0123")


def test_spots_of_tissue_types_differ(serial: Study, serial_features: Features) -> None:
    """The left half has three times the nuclei of the right one."""
    name = next(n for n in serial_features.channel_names if n.startswith("haematoxylin mean"))
    channel = serial_features.channel_names.index(name)
    left = serial_features.at_points([[130.0, 240.0, 0.0]], 80.0)[0, channel]
    right = serial_features.at_points([[350.0, 240.0, 0.0]], 80.0)[0, channel]
    assert left > 0.5 > -0.5 > right
