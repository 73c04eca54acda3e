"""What a user of a predictor relies on: every one of them, then each one's own promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.predictors import Places, Training, available, create, likelihood
from vortex_model.predictors.base import relative_noise
from vortex_model.predictors.blocks import folds, spatial_blocks
from vortex_model.predictors.gp import GaussianProcess
from vortex_model.predictors.kernels import Kernels, pitch_um, scales

GROUPS = ("small", "small", "small", "large")


def scene(n: int, seed: int = 0, noise: float = 0.3, sections: int = 1) -> Training:
    """Component 0 follows a feature, component 1 the place, component 2 nothing."""
    random = np.random.default_rng(seed)
    section = np.arange(n) % sections
    points = np.column_stack([random.uniform(0, 2000, (n, 2)), 50.0 * section])
    features = random.normal(size=(n, 4))
    smooth = np.sin(points[:, 0] / 300) + np.cos(points[:, 1] / 400)
    scores = np.column_stack([features[:, 3] + 0.5 * features[:, 0] ** 2, smooth, np.zeros(n)])
    scores += noise * random.normal(size=scores.shape)
    for number in range(sections):
        scores[section == number] -= scores[section == number].mean(axis=0)
    places = Places(points, features, GROUPS)
    return Training(places, section, scores, np.full(n, 1000.0))


def agreement(predicted, truth) -> list[float]:
    return [np.corrcoef(p, t)[0, 1] for p, t in zip(predicted.T, truth.T, strict=True)]


@pytest.mark.parametrize("name", sorted(available()))
def test_every_predictor_gives_finite_means_and_positive_variances(name):
    training = scene(60, sections=2)
    predictor = create(name)
    predictor.fit(training)
    places = scene(33, seed=1).places
    mean, variance = predictor.predict(places), predictor.variance(places)
    assert mean.shape == variance.shape == (33, 3)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()


@pytest.mark.parametrize("name", sorted(available()))
def test_every_predictor_is_the_same_in_any_order_of_places(name):
    predictor = create(name)
    predictor.fit(scene(60))
    places = scene(20, seed=1).places
    back = np.arange(20)[::-1]
    np.testing.assert_allclose(
        predictor.predict(places)[back], predictor.predict(places[back]), atol=1e-5
    )


@pytest.mark.parametrize("name", sorted(available()))
def test_prediction_before_a_fit_is_an_error_in_words(name):
    with pytest.raises(VortexError, match="before it was fitted"):
        create(name).predict(scene(5).places)


@pytest.mark.parametrize("name", sorted(available()))
def test_two_spots_are_too_few_and_broken_numbers_are_named(name):
    with pytest.raises(VortexError, match="at least 3"):
        create(name).fit(scene(40)[np.arange(2)])
    training = scene(40)
    training.places.features[7, 1] = np.nan
    with pytest.raises(VortexError, match="features of 1 of 40"):
        create(name).fit(training)


def test_an_unknown_predictor_or_option_is_named():
    with pytest.raises(UnknownNameError, match="Did you mean ridge"):
        create("rigde")
    with pytest.raises(VortexError, match="depth"):
        create("gp", depth=3)


def test_gp_uses_features_and_place_and_shrinks_noise():
    training, fresh = scene(250), scene(200, seed=5, noise=0.0)
    predictor = create("gp")
    predictor.fit(training)
    found = predictor.predict(fresh.places)
    by_feature, by_place, _ = agreement(found, fresh.scores + 1e-9 * np.arange(200)[:, None])
    assert by_feature > 0.9
    assert by_place > 0.9
    assert found[:, 2].std() < 0.1


def test_gp_works_with_place_alone_and_with_features_alone():
    training, fresh = scene(200), scene(100, seed=5, noise=0.0)
    bare = Training(
        Places(training.places.points_um, np.zeros((200, 0)), ()),
        training.section,
        training.scores,
        training.totals,
    )
    by_place = create("gp")
    by_place.fit(bare)
    found = by_place.predict(Places(fresh.places.points_um, np.zeros((100, 0)), ()))
    assert agreement(found[:, 1:2], fresh.scores[:, 1:2])[0] > 0.9
    unplaced = create("gp-features")
    unplaced.fit(training)
    moved = Places(fresh.places.points_um + 1e5, fresh.places.features, GROUPS)
    assert agreement(unplaced.predict(moved)[:, :1], fresh.scores[:, :1])[0] > 0.9
    with pytest.raises(VortexError, match="needs morphology"):
        create("gp-features").fit(bare)
    with pytest.raises(VortexError, match="needs morphology"):
        create("ridge").fit(bare)


def test_gp_does_not_mind_the_unit_of_place_nor_the_scale_of_scores():
    training, places = scene(120), scene(40, seed=2).places
    predictor, other = create("gp"), create("gp")
    predictor.fit(training)
    shift = np.array([5e4, -3e4, 100.0])
    points = training.places.points_um * 7 + shift
    other.fit(
        Training(
            Places(points, training.places.features, GROUPS),
            training.section,
            training.scores * 1e3,
            training.totals,
        )
    )
    moved = Places(places.points_um * 7 + shift, places.features, GROUPS)
    np.testing.assert_allclose(
        other.predict(moved)[:, :2] / 1e3, predictor.predict(places)[:, :2], atol=0.05
    )


def test_gp_is_surer_near_measured_spots_than_far_away():
    training = scene(150)
    predictor = create("gp-place")
    predictor.fit(training)
    near = training.places[np.arange(20)]
    far = Places(near.points_um + np.array([0, 0, 1e5]), near.features, GROUPS)
    assert (predictor.variance(near)[:, 1] < 0.5 * predictor.variance(far)[:, 1]).all()


def test_gp_variance_covers_what_it_should():
    training, fresh = scene(300, noise=0.5), scene(300, seed=9, noise=0.0)
    predictor = create("gp")
    predictor.fit(training)
    error = predictor.predict(fresh.places)[:, 1] - fresh.scores[:, 1]
    error -= error.mean()
    inside = np.abs(error) < 1.96 * np.sqrt(predictor.variance(fresh.places)[:, 1])
    assert 0.8 < inside.mean() <= 1.0


def stacked_scene(own: float, n: int = 110) -> tuple[Training, np.ndarray, np.ndarray]:
    """Three sections of one pattern; each has one of its own beside it, so much as large."""
    random = np.random.default_rng(2)
    section = np.repeat(np.arange(3), n)
    points = np.column_stack([random.uniform(0, 2000, (3 * n, 2)), 40.0 * section])
    places = Places(points, np.zeros((3 * n, 0)), ())
    turn = random.uniform(0, 6, 3)[section]
    pattern = np.sin(points[:, 0] / 300) + np.cos(points[:, 1] / 300)
    apart = np.sin(points[:, 1] / 350 + turn) + np.cos(points[:, 0] / 350 + 2 * turn)
    scores = pattern + own * apart + 0.3 * random.normal(size=3 * n)
    for number in range(3):
        scores[section == number] -= scores[section == number].mean()
    training = Training(places, section, scores[:, None], np.full(3 * n, 1e3))
    at = np.column_stack([random.uniform(0, 2000, (300, 2)), np.full(300, 120.0)])
    return training, at, np.sin(at[:, 0] / 300) + np.cos(at[:, 1] / 300)


def test_what_a_section_shows_of_its_own_is_not_carried_to_the_next():
    training, at, truth = stacked_scene(own=1.0)
    places = Places(at, np.zeros((300, 0)), ())
    predictor, blind = GaussianProcess(features=False), GaussianProcess(features=False)
    predictor.fit(training)
    blind.fit(Training(training.places, np.zeros(330, int), training.scores, training.totals))
    assert "within a section" in predictor.kernel_names
    assert "within a section" not in blind.kernel_names
    apart, none = (agreement(p.predict(places), truth[:, None])[0] for p in (predictor, blind))
    assert apart > none + 0.02
    # sections that agree are told apart by nothing
    agreeing, _, _ = stacked_scene(own=0.0)
    together = GaussianProcess(features=False)
    together.fit(agreeing)
    share = [p.weights[0, -2] / p.weights[0, :-1].sum() for p in (predictor, together)]
    assert share[0] > 0.05 > 10 * share[1]


@pytest.mark.parametrize("limits", [{"max_exact": 300, "inducing": 200}, {"max_exact": 300}])
def test_many_spots_of_several_sections_are_told_apart_too(limits):
    """By inducing spots where there are features, by the spots around where there are none."""
    training, at, _ = stacked_scene(own=1.0)
    if "inducing" in limits:
        features = np.random.default_rng(0).normal(size=(630, 2))
        places, there = (
            Places(p, f, ("a", "a"))
            for p, f in ((training.places.points_um, features[:330]), (at, features[330:]))
        )
        training = Training(places, training.section, training.scores, training.totals)
    else:
        there = Places(at, np.zeros((300, 0)), ())
    exact = GaussianProcess(features="inducing" in limits)
    many = GaussianProcess(features="inducing" in limits, **limits)
    for predictor in (exact, many):
        predictor.fit(training)
    told, expected = many.predict(there)[:, 0], exact.predict(there)[:, 0]
    assert np.corrcoef(told, expected)[0, 1] > 0.98
    ratio = many.variance(there) / exact.variance(there)
    assert 0.8 < np.median(ratio) < 1.25


def test_spots_with_few_counts_weigh_less():
    training = scene(100, noise=0.0)
    shallow = training.totals.copy()
    shallow[:50] = 10.0
    wrong = training.scores.copy()
    wrong[:50] = np.random.default_rng(0).normal(size=(50, 3)) * wrong.std(axis=0)
    deep, equal = create("gp"), create("gp")
    deep.fit(Training(training.places, training.section, wrong, shallow))
    equal.fit(Training(training.places, training.section, wrong, training.totals))
    fresh = scene(200, seed=4, noise=0.0)
    better = agreement(deep.predict(fresh.places)[:, :2], fresh.scores[:, :2])
    worse = agreement(equal.predict(fresh.places)[:, :2], fresh.scores[:, :2])
    assert np.mean(better) > np.mean(worse)
    noise = relative_noise(np.array([0.0, 100.0, 1000.0, 1e6]))
    assert (np.diff(noise) <= 0).all()
    assert noise.max() <= 4.0
    assert noise.min() >= 0.3


def test_many_spots_go_through_inducing_ones_and_agree_with_the_exact_fit():
    training, fresh = scene(700), scene(150, seed=3, noise=0.0)
    exact = GaussianProcess(max_learn=200)
    sparse = GaussianProcess(max_learn=200, max_exact=500, inducing=350)
    exact.fit(training)
    sparse.fit(training)
    for c in (0, 1):
        a, b = (p.predict(fresh.places)[:, c] for p in (exact, sparse))
        assert np.corrcoef(a, b)[0, 1] > 0.97
    ratio = sparse.variance(fresh.places)[:, :2] / exact.variance(fresh.places)[:, :2]
    assert 0.5 < np.median(ratio) < 2.0
    assert sparse.weights.shape == (3, len(sparse.kernel_names))
    assert (exact.anchors, sparse.anchors) == (700, 350)


def test_many_places_are_kriged_from_the_spots_around_them_as_well_as_from_all():
    random = np.random.default_rng(5)
    points = np.column_stack(
        [random.uniform(0, 6000, (2500, 2)), random.choice([0.0, 150.0], 2500)]
    )

    def truth(at):
        return np.column_stack([np.sin(at[:, 0] / 250) + np.cos(at[:, 1] / 350), at[:, 0] / 2000])

    scores = truth(points) + random.normal(size=(2500, 2)) * (0.5, 2.0)
    training = Training(
        Places(points, np.zeros((2500, 0)), ()),
        (points[:, 2] > 0).astype(np.int64),
        scores,
        random.lognormal(7, 0.4, 2500),
    )
    at = np.column_stack([random.uniform(0, 6000, (600, 2)), random.uniform(0, 150, 600)])
    fresh = Places(at, np.zeros((600, 0)), ())
    exact, near = (GaussianProcess(features=False, max_exact=n) for n in (5000, 100))
    found = []
    for predictor in (exact, near):
        predictor.fit(training)
        found.append(np.sqrt(((predictor.predict(fresh) - truth(at)) ** 2).mean(axis=0)))
    # the second is a trend wider than any spot says, beneath much noise: the hardest of all
    assert (found[1] < np.array([1.01, 1.03]) * found[0]).all()
    ratio = near.variance(fresh) / exact.variance(fresh)
    assert (ratio > 0.99).all() and np.median(ratio) < 1.05  # fewer spots never know more
    # one place, and places far from each other, are answered from what is around each
    alone = near.predict(fresh[:1])
    np.testing.assert_allclose(alone, exact.predict(fresh[:1]), atol=0.1)


def test_the_likelihood_has_the_gradient_it_claims():
    training = scene(40)
    kernels = Kernels.between(training.places, training.section, features=True, place=True)
    noise = relative_noise(training.totals)
    objective = likelihood.Objective(kernels.gram(), noise, training.scores[:, 0])
    for seed in range(3):
        point = np.random.default_rng(seed).normal(size=len(kernels.names) + 1)
        wrong = check_grad(lambda p: objective(p)[0], lambda p: objective(p)[1], point)
        assert wrong < 1e-4 * max(1.0, float(np.abs(objective(point)[1]).max()))


def test_families_of_features_have_the_same_say_however_many_groups_and_channels_they_have():
    random = np.random.default_rng(0)
    features = random.normal(size=(80, 36)) * random.uniform(0.1, 9, 36)
    features -= features.mean(axis=0)
    groups = ("25 um",) * 20 + ("50 um",) * 10 + ("words: 16 um",) * 5 + ("learned: 130 um",)
    out = features * scales(features, groups)
    said = [
        (out[:, a:b] ** 2).sum(axis=1).mean() for a, b in ((0, 20), (20, 30), (30, 35), (35, 36))
    ]
    assert np.allclose(said, [1 / 6, 1 / 6, 1 / 3, 1 / 3])
    assert not scales(np.zeros((5, 3)), ("a", "a", "b")).any()


def test_the_lengths_of_place_come_from_the_spots():
    side = np.arange(12) * 55.0
    x, y = np.meshgrid(side, side)
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(144)])
    assert np.isclose(pitch_um(points, np.zeros(144, dtype=int)), 55.0)
    places = Places(points, np.zeros((144, 0)), ())
    kernels = Kernels.between(places, np.zeros(144, dtype=int), features=True, place=True)
    assert kernels.lengths_um[0] == pytest.approx(55.0)
    assert kernels.lengths_um[-1] <= 605 / 2
    one = Kernels.between(places[:1], np.zeros(1, dtype=int), features=True, place=True)
    assert np.isfinite(one.gram()).all()


def test_ridge_finds_what_is_linear_and_knn_what_is_smooth():
    training, fresh = scene(200), scene(150, seed=8, noise=0.0)
    ridge, knn = create("ridge"), create("knn")
    ridge.fit(training)
    knn.fit(training)
    assert agreement(ridge.predict(fresh.places)[:, :1], fresh.scores[:, :1])[0] > 0.7
    assert agreement(knn.predict(fresh.places)[:, 1:2], fresh.scores[:, 1:2])[0] > 0.8
    assert 1 <= knn.k < 200


def test_nearest_copies_from_the_nearest_section_and_the_mean_is_constant():
    training = scene(40, sections=2)
    nearest, mean = create("nearest"), create("mean")
    nearest.fit(training)
    mean.fit(training)
    first = np.flatnonzero(training.section == 0)
    above = Places(
        training.places.points_um[first] - np.array([0, 0, 20.0]), np.zeros((len(first), 0)), ()
    )
    np.testing.assert_array_equal(nearest.predict(above), training.scores[first])
    assert np.ptp(mean.predict(above), axis=0).max() == 0


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 20), n=st.integers(1, 120), seed=st.integers(0, 99))
def test_blocks_are_even_compact_and_cover_everything(count, n, seed):
    points = np.random.default_rng(seed).uniform(0, 1000, (n, 3))
    sizes = np.bincount(spatial_blocks(points, count))
    assert len(sizes) == min(count, n)
    assert sizes.max() - sizes.min() <= 1 + n // 10
    held = np.concatenate([h for _, h in folds(points, count)])
    assert sorted(held) == list(range(n))
    for keep, out in folds(points, count):
        assert not set(keep) & set(out)


def test_blocks_hold_out_neighbours_together():
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0))
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(400)])
    inner = []
    for keep, held in folds(points):
        gap = np.linalg.norm(points[held][:, None] - points[keep][None], axis=2).min(axis=1)
        inner.append(gap.mean())
    assert np.mean(inner) > 2.0
