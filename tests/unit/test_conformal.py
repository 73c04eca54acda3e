"""Intervals cover what they claim, also away from the section; strange morphology is told."""

import shutil
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_study import GRID, make_study

from vortex_model import Study as Opened
from vortex_model.errors import VortexError
from vortex_model.features import Features, compute_features
from vortex_model.multiscale import ArraySource
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.predictors import create
from vortex_model.study import Study
from vortex_model.training.assess import assess, trust_of
from vortex_model.training.conformal import calibrate
from vortex_model.training.heldout import HeldOut
from vortex_model.training.levels import expression_at
from vortex_model.training.model import fit_model
from vortex_model.training.samples import gather, study_features
from vortex_model.trust import Calibration, SpotPlaces


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Opened.open(make_study(tmp_path_factory.mktemp("made") / "made.zarr"))


@pytest.fixture(scope="module")
def made(study):
    return study.finetune(["S2"], panel="all")


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """A phantom with sections at five depths."""
    spec = PhantomSpec(
        shape=(48, 200, 200), voxel_um=(5.0, 6.0, 6.0), seed=4, sections=(0.1, 0.3, 0.5, 0.7, 0.9)
    )
    path = make_phantom(tmp_path_factory.mktemp("block") / "block.zarr", spec)
    study = Study.open(path)
    return study, Features.load(study, compute_features(study))


def coverage(block, train, held, predictor="gp", level=0.9):
    """Share of the held-out sections' values within their intervals, (spots, genes)."""
    study, features = block
    sample = gather(study, train, features)
    genes = list(sample.measured.genes[:150])
    make = partial(create, predictor)
    model = fit_model(sample, genes, make, 8)
    found = assess(sample, genes, make, 8)
    there = gather(study, held, features)
    mean = expression_at(model, sample.measured, there.places)
    variance = model.predictor.variance(there.places) @ model.basis.loadings**2
    distance = found.spots.distance_um(there.places.points_um)
    low, high = found.calibration.bounds(mean, variance, distance, level)
    truth = there.measured.expression(genes)
    return ((truth >= low) & (truth <= high)), distance


def test_intervals_cover_on_other_sections_near_and_far(block):
    inside, distance = coverage(block, ["S3"], ["S1", "S2", "S4", "S5"])
    assert 0.86 < inside.mean() < 0.94
    for near in (distance < 60, distance >= 60):
        assert near.sum() > 100
        assert 0.85 < inside[near].mean() < 0.95
    half, _ = coverage(block, ["S3"], ["S2", "S4"], level=0.5)
    assert 0.44 < half.mean() < 0.58


def test_intervals_cover_with_several_sections_and_with_a_baseline(block):
    several, _ = coverage(block, ["S1", "S3", "S5"], ["S2", "S4"])
    copied, _ = coverage(block, ["S3"], ["S2", "S4"], "knn")
    assert 0.86 < several.mean() < 0.95
    assert 0.86 < copied.mean() < 0.97


def held(error, distance, genes=3):
    rows = np.repeat(error[:, None], genes, axis=1).astype(np.float32)
    return HeldOut(-rows, np.full(rows.shape, 1e-3, np.float32), distance)


class Nothing:
    """Measured expression that is 0 at every spot."""

    def __init__(self, count):
        self.count = count

    def spots(self, keep):
        return Nothing(len(keep))

    def expression(self, genes):
        return np.zeros((self.count, len(genes)))


def test_errors_that_grow_with_distance_widen_intervals_there():
    random = np.random.default_rng(0)
    distance = random.uniform(0, 500, 4000)
    error = random.normal(0, np.where(distance > 300, 3.0, 1.0))
    found = calibrate(held(error, distance), Nothing(4000), list("ABC"), 100.0)
    near, far = found.widen(np.array([200.0, 400.0]))
    assert far > 1.3 * near
    assert (np.diff(found.widening) >= 0).all()
    low, high = found.bounds(np.zeros((4000, 3)) + 9, np.full((4000, 3), 1e-3), distance)
    width = (high - low)[:, 0]
    inside = np.abs(error) <= width / 2
    assert inside[distance > 300].mean() == pytest.approx(0.9, abs=0.03)


def test_nothing_is_said_from_too_few_spots():
    few = held(np.ones(19), np.ones(19))
    assert calibrate(few, Nothing(19), list("ABC"), 100.0) is None


@settings(max_examples=40, deadline=None)
@given(
    level=st.floats(0.5, 0.95),
    mean=st.floats(-2, 8),
    variance=st.floats(0, 4),
    distance=st.floats(0, 1e5),
)
def test_bounds_hold_the_mean_never_fall_below_nought_and_nest(level, mean, variance, distance):
    found = Calibration(
        noise=np.array([0.4]),
        below=np.array([0.6]),
        above=np.array([1.3]),
        levels=np.array([0.5, 0.9, 0.95]),
        quantiles=np.array([[0.6], [1.6], [2.0]]),
        edges_um=np.array([50.0, 150.0]),
        widening=np.array([1.0, 1.1, 1.4]),
        reach_um=400.0,
    )
    args = np.array([[mean]]), np.array([[variance]]), np.array([distance])
    low, high = found.bounds(*args, level)
    assert 0 <= low <= max(mean, 0) <= high
    widest = found.bounds(*args, 0.95)
    assert widest[0] <= low + 1e-12 and high <= widest[1] + 1e-12


def test_a_level_that_was_not_calibrated_is_refused(made):
    with pytest.raises(VortexError, match=r"0\.99 was not calibrated"):
        made.interval("BRIGHT1", 0.99)


def test_a_predictions_intervals_hold_its_genes(made):
    low, high = made.interval("bright3")
    middle = np.maximum(made.gene("BRIGHT3").to_numpy(), 0)
    inside = made.mask
    assert low.dims == ("z", "y", "x") and low.attrs["level"] == 0.9
    assert (low.to_numpy()[inside] <= middle[inside]).all()
    assert (high.to_numpy()[inside] >= middle[inside]).all()
    assert np.isnan(low.to_numpy()[~inside]).all()
    wide = made.interval("bright3", 0.95)[1]
    assert (wide.to_numpy()[inside] >= high.to_numpy()[inside]).all()


def test_the_profile_of_a_point_is_the_interval_there(made):
    index = np.argwhere(made.mask)[[7, 400]]
    low, high = made.profile_interval(made.grid.to_points(index), 0.8)
    volumes = made.interval("SLOPE2", 0.8)
    for side, volume in zip((low, high), volumes, strict=True):
        np.testing.assert_allclose(
            side["SLOPE2"], volume.to_numpy()[tuple(index.T)], rtol=1e-4, atol=1e-4
        )
    outside = made.profile_interval([[-900.0, 0.0, 0.0]])[0]
    assert outside.isna().all().all()


def test_distance_is_nought_in_the_section_and_straight_off_it(made):
    distance = made.distance()
    z = distance.z.to_numpy()
    for plane in range(len(z)):
        own = distance.to_numpy()[plane][made.mask[plane]]
        assert own.min() == pytest.approx(abs(z[plane] - GRID.axis_um(0)[4]), abs=0.5)


@settings(max_examples=30, deadline=None)
@given(tilt=st.floats(0, 1.2), off=st.floats(0, 500), u=st.floats(0, 900), v=st.floats(0, 900))
def test_distance_from_a_tilted_section_is_along_its_normal(tilt, off, u, v):
    side = np.arange(0.0, 1000.0, 100.0)
    x, y = (a.ravel() for a in np.meshgrid(side, side))
    along = np.array([np.cos(tilt), 0.0, np.sin(tilt)])
    normal = np.array([-np.sin(tilt), 0.0, np.cos(tilt)])
    spots = x[:, None] * along + y[:, None] * np.array([0.0, 1.0, 0.0])
    places = SpotPlaces(spots, np.zeros(len(spots), dtype=np.int64))
    point = u * along + v * np.array([0.0, 1.0, 0.0]) + off * normal
    assert places.distance_um(point)[0] == pytest.approx(off, abs=1e-3)
    beyond = point + (900.0 + 100.0 - u) * along
    assert np.hypot(off, 29.0) - 0.1 < places.distance_um(beyond)[0] < np.hypot(off, 41.0)


def test_a_prediction_of_before_opens_and_says_what_it_lacks(study, made, tmp_path):
    place = tmp_path / "old.zarr"
    shutil.copytree(study.path, place)
    shutil.rmtree(place / "predictions" / made.id / "trust")
    old = Opened.open(place).prediction(made.id)
    assert not old.has_intervals and old.warnings == () and old.unlike() is None
    assert made.has_intervals
    np.testing.assert_array_equal(old.gene("BRIGHT1"), made.gene("BRIGHT1"))
    point = [[0.0, 0.0, 0.0]]
    asked = [lambda: old.interval("BRIGHT1"), old.distance, lambda: old.profile_interval(point)]
    for ask in asked:
        with pytest.raises(VortexError, match="Fine-tune again"):
            ask()


def test_tissue_like_the_measured_is_not_called_unlike(made):
    share = (made.unlike().to_numpy()[made.mask] > 1).mean()
    assert share < 0.03
    assert made.warnings == ()


def test_strange_tissue_is_marked_where_it_is_and_warned_of(block, tmp_path):
    """A quarter of the deep half has lost its structure; the measured section is shallow."""
    place = tmp_path / "strange.zarr"
    shutil.copytree(block[0].path, place)
    changed = Study.open(place)
    image = changed.morphology
    grid = image.levels[0].grid
    voxels = np.asarray(image.levels[0].array[:])
    strange = np.zeros(grid.shape, dtype=bool)
    strange[24:, 90:, 90:] = True
    for channel in voxels:
        channel[strange] = channel[strange].mean()
    changed.write_morphology(ArraySource(voxels, grid, image.channels))
    made = Opened.open(place).finetune(["S1"], panel="hvg:10")
    points = made.grid.to_points(np.argwhere(made.mask))
    there = strange[tuple(grid.nearest(points).T)]
    marked = made.unlike().to_numpy()[made.mask] > 1
    assert marked[there].mean() > 0.7
    assert marked[~there].mean() < 0.02
    assert any("looks unlike the measured spots" in w for w in made.warnings)


def test_tissue_beyond_what_was_checked_is_warned_of(study):
    features = study_features(study, "texture")
    sample = gather(study, ["S1"], features)
    found = assess(sample, list(sample.measured.genes), partial(create, "gp"), 4)
    far = GRID.crop((0, 0, 0), (1, 40, 40))
    grid = type(far)(far.shape, far.spacing_um, (5e4, 0.0, 0.0))
    said = trust_of(found, sample, None, grid, np.ones(grid.shape, dtype=bool)).warnings
    assert any("farther from the measured sections" in w for w in said)
