"""Planted differences between regions are found, and what is alike is not called different."""

import numpy as np
import pytest
from made_prediction import make_prediction, smooth_fields

from vortex_model.analysis.autocorrelation import correlogram
from vortex_model.analysis.differential import compare, false_discovery
from vortex_model.analysis.moments import columns, grouped
from vortex_model.errors import VortexError

SHAPE = (12, 60, 60)
GENES, PLANTED = 200, 40


def two_regions():
    first, second = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    first[:, 3:55, 2:28] = True
    second[:, 5:57, 32:58] = True
    return first, second


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """The first 40 genes are higher by 2 in the first region; a factor of their own says so."""
    rng = np.random.default_rng(5)
    fields = smooth_fields(SHAPE, 1.5, 9, 5)
    fields[8] = 2.0 * two_regions()[0]
    loadings = 0.4 * rng.normal(size=(9, GENES))
    loadings[8] = np.arange(GENES) < PLANTED
    place = tmp_path_factory.mktemp("d") / "d.zarr"
    low = np.where(np.arange(GENES) % 2, 0.1, -0.1)
    return make_prediction(place, fields, loadings, low=low)


def test_planted_genes_are_found_with_their_size(planted):
    first, second = two_regions()
    made = compare(planted, first, second, permutations=999)
    table = made.table
    called = table["q"] <= 0.05
    truth = np.arange(GENES) < PLANTED
    assert (called & truth).sum() >= 38 and (called & ~truth).sum() <= 6
    for gene in ("G3", "G90"):
        volume = planted.gene(gene).values.astype(float)
        a, b = volume[first], volume[second]
        assert table.loc[gene, "difference"] == pytest.approx(a.mean() - b.mean(), abs=1e-3)
        noise = (planted.loadings[:, planted.genes.index.get_loc(gene)] ** 2).sum() * 0.1
        spread = np.sqrt((a.var() + b.var()) / 2 + noise)
        want = (a.mean() - b.mean()) / spread
        assert table.loc[gene, "standardised"] == pytest.approx(want, rel=0.02, abs=0.01)
    assert made.tokens == (first.sum(), second.sum()) and made.note == ""
    assert table["reliable"].tolist() == [bool(i % 2) for i in range(GENES)]


def test_what_is_alike_is_seldom_called(tmp_path):
    """Over smooth fields that know nothing of the regions, p < .05 in about 5 % of genes.

    Taking tokens for independent calls nearly all of them.
    """
    first, second = two_regions()
    rates, naive = [], []
    for seed in range(8):
        fields = smooth_fields(SHAPE, 1.5, 10, 100 + seed)
        loadings = np.random.default_rng(seed).normal(size=(10, 100))
        made = make_prediction(tmp_path / f"{seed}.zarr", fields, loadings)
        table = compare(made, first, second, permutations=299).table
        rates.append((table["p"] < 0.05).mean())
        moments = grouped(made, np.where(first, 0, np.where(second, 1, -1)), 2)
        error = np.sqrt(
            ((moments.gene_deviation(columns(made)) ** 2) / moments.count[:, None]).sum(axis=0)
        )
        naive.append((np.abs(table["difference"]) > 1.96 * error).mean())
    assert np.mean(rates) < 0.1
    assert np.mean(naive) > 0.5


def test_the_correlation_length_is_that_of_the_field(tmp_path):
    """White noise under a Gaussian of deviation s falls to 1/e at 2 s."""
    fields = smooth_fields((24, 64, 64), 2.0, 6, 1)
    made = make_prediction(tmp_path / "c.zarr", fields, np.eye(6), spacing=(10.0, 10.0, 10.0))
    group = np.zeros((24, 64, 64), np.int8)
    curve = correlogram(made, group, grouped(made, group, 1).mean)
    assert np.median(curve.length_um) == pytest.approx(40, rel=0.2)


def test_the_variance_of_a_mean_counts_pairs_that_are_alike(tmp_path):
    box = np.zeros((16, 64, 64), bool)
    box[4:12, 10:30, 10:30] = True
    fields = smooth_fields(box.shape, 1.5, 300, 3)
    made = make_prediction(tmp_path / "v.zarr", fields[:8], np.eye(8))
    group = np.zeros(box.shape, np.int8)
    curve = correlogram(made, group, grouped(made, group, 1).mean)
    got = curve.variance_of(box / box.sum(), made.grid)
    want = fields[:, box].mean(axis=1).var()
    assert np.median(got) == pytest.approx(want, rel=0.35)
    assert np.median(got) > 5 / box.sum()  # what independent tokens would say is far less


def test_small_regions_are_told(planted):
    first, second = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    first[2:4, 3:6, 3:6] = True
    second[2:4, 40:43, 40:43] = True
    made = compare(planted, first, second, permutations=99)
    assert "too few" in made.note
    assert made.table["p"].min() > 0.05


def test_without_a_second_region_it_is_the_rest_of_the_tissue(planted):
    first, _ = two_regions()
    rest = compare(planted, first, permutations=9).table
    assert rest.equals(compare(planted, first, ~first, permutations=9).table)


def test_tokens_of_both_regions_count_in_neither(planted):
    first, second = two_regions()
    edge = second.copy()
    edge[..., 40:] = False
    made = compare(planted, first | edge, second, permutations=9)
    assert made.shared == edge.sum() and "left out" in made.note
    assert made.tokens == (first.sum(), (second & ~edge).sum())
    with pytest.raises(VortexError, match="second region holds no tissue of its own"):
        compare(planted, first | second, second, permutations=9)
    with pytest.raises(VortexError, match="lattice"):
        compare(planted, first[:3], second[:3])
    with pytest.raises(VortexError, match="permutation"):
        compare(planted, first, second, permutations=0)


def test_the_same_seed_gives_the_same_p(planted):
    first, second = two_regions()
    one, two = (compare(planted, first, second, permutations=99).table["p"] for _ in range(2))
    assert one.equals(two)


def test_false_discovery_is_that_of_benjamini_and_hochberg():
    got = false_discovery(np.array([0.01, 0.04, 0.03, 0.005, 1.0]))
    assert np.allclose(got, [0.025, 0.05, 0.05, 0.025, 1.0])
