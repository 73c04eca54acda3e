"""Agreement between prediction and measurement, as reported to users."""

import numpy as np
import scipy.sparse as sp

from vortex_model.metrics import (
    interval,
    morans_i,
    nearest_neighbours,
    noise_ceiling,
    pearson,
    resampled_pearson,
)


def test_pearson_is_numpys_by_gene():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(50, 4)), random.normal(size=(50, 4))
    expected = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(4)]
    np.testing.assert_allclose(pearson(a, b), expected, atol=1e-10)
    np.testing.assert_allclose(pearson(1e6 + 1e-3 * a, b), expected, atol=1e-4)


def test_a_constant_counts_as_nought():
    values = np.random.default_rng(0).normal(size=(20, 2))
    assert (pearson(np.full((20, 2), 3.3), values) == 0).all()
    assert (pearson(values, np.zeros((20, 2))) == 0).all()


def test_the_interval_holds_the_truth_and_narrows_with_spots():
    random = np.random.default_rng(1)
    widths = []
    for n in (50, 800):
        a = random.normal(size=(n, 1))
        b = 0.6 * a + 0.8 * random.normal(size=(n, 1))
        low, high = interval(resampled_pearson(a, b, 500))
        assert low[0] < 0.6 < high[0]
        widths.append(high[0] - low[0])
    assert widths[1] < widths[0] / 2


def test_drawing_whole_patches_widens_the_interval_of_alike_neighbours():
    random = np.random.default_rng(2)
    a = np.repeat(random.normal(size=(30, 1)), 10, axis=0)
    b = np.repeat(random.normal(size=(30, 1)), 10, axis=0)
    patch = np.repeat(np.arange(30), 10)
    alone = np.ptp(interval(resampled_pearson(a, b, 400)))
    together = np.ptp(interval(resampled_pearson(a, b, 400, patch)))
    assert together > 2 * alone


def test_the_ceiling_is_high_for_deep_counts_and_low_for_noise():
    random = np.random.default_rng(3)
    rate = np.exp(random.normal(0, 0.7, (300, 5)))
    background = random.poisson(200.0, (300, 20))

    def ceiling(depth: float) -> float:
        counts = np.hstack([random.poisson(depth * rate), background])
        totals = counts.sum(axis=1).astype(float)
        return float(noise_ceiling(sp.csr_matrix(counts), totals, np.arange(5)).mean())

    flat = np.hstack([random.poisson(5.0, (300, 5)), background])
    nothing = noise_ceiling(sp.csr_matrix(flat), flat.sum(axis=1).astype(float), np.arange(5))
    assert ceiling(50) > 0.95
    assert 0.4 < ceiling(1) < 0.85
    assert nothing.mean() < 0.35


def test_morans_i_is_high_for_a_slope_and_nought_for_noise():
    x, y = (a.ravel() for a in np.meshgrid(np.arange(20.0), np.arange(20.0)))
    near = nearest_neighbours(np.column_stack([x, y, 0 * x]))
    assert near.shape == (400, 6)
    assert (near != np.arange(400)[:, None]).all()
    noise = np.random.default_rng(0).normal(size=400)
    slope, none, flat = morans_i(np.column_stack([x, noise, 0 * x + 7.3]), near)
    assert slope > 0.9
    assert abs(none) < 0.1
    assert flat == 0


def test_spots_at_one_place_are_neighbours_of_each_other():
    near = nearest_neighbours(np.zeros((5, 3)), 3)
    assert near.shape == (5, 3)
    assert all(len(set(row)) == 3 for row in near)
    assert nearest_neighbours(np.zeros((1, 3))).shape == (1, 0)
