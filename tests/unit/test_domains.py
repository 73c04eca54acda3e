"""Planted domains come back, with their genes, a number that the data bear, and stable labels."""

import numpy as np
import pytest
from made_prediction import make_prediction, smooth_fields

from vortex_model.analysis.domains import adjusted_rand, find_domains, marker_genes, matched
from vortex_model.errors import VortexError

SHAPE = (8, 70, 66)
GENES = 40


def planted():
    field = smooth_fields(SHAPE, 6, 1, 4)[0]
    return np.digitize(field, [-0.6, 0.7])  # three parts; the middle is the largest


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    """Genes 0-4 mark part 0, genes 5-9 part 2; the rest is noise; gene 39 cannot be trusted."""
    parts = planted()
    noise = smooth_fields(SHAPE, 1, 5, 3)
    factors = np.concatenate([np.stack([parts == 0, parts == 2]) * 3.0, noise])
    rng = np.random.default_rng(0)
    loadings = np.zeros((7, GENES))
    loadings[0, :5], loadings[1, 5:10] = 1, 1
    loadings[2:] = 0.1 * rng.normal(size=(5, GENES))
    loadings[6, 39] = 50  # would drown all others
    loadings[6, :39] = 0
    low = np.full(GENES, 0.2)
    low[39] = -0.1
    mask = smooth_fields(SHAPE, 3, 1, 11)[0] > -1.5
    place = tmp_path_factory.mktemp("d") / "d.zarr"
    return make_prediction(place, factors * mask, loadings, mask=mask, low=low)


@pytest.fixture(scope="module")
def found(prediction):
    return find_domains(prediction)


def test_planted_domains_and_their_number_come_back(prediction, found):
    assert found.count == 3 and found.names == ("Domain 1", "Domain 2", "Domain 3")
    inside = prediction.mask
    assert (found.labels[~inside] == 0).all() and (found.labels[inside] > 0).all()
    assert adjusted_rand(found.labels[inside], planted()[inside]) > 0.9
    size = np.bincount(found.labels[inside])[1:]
    assert (np.diff(size) <= 0).all()  # the largest first
    assert found.stability.loc[3, "stability"] > 0.9


def test_marker_genes_are_the_planted_ones(prediction, found):
    markers = marker_genes(prediction, found.labels, 5)
    of_part_0 = found.labels[(planted() == 0) & prediction.mask]
    label = np.bincount(of_part_0).argmax()
    own = markers[markers["label"] == label]
    assert set(own["gene"]) == {f"G{i}" for i in range(5)}
    row = own[own["gene"] == "G2"].iloc[0]
    volume = prediction.gene("G2").values
    inside = found.labels == label
    assert row["mean"] == pytest.approx(volume[inside].mean(), abs=1e-3)
    assert row["rest"] == pytest.approx(np.nanmean(volume[~inside]), abs=1e-3)
    assert row["reliable"]


def test_the_same_seed_gives_the_same_domains(prediction, found):
    assert np.array_equal(find_domains(prediction).labels, found.labels)


def test_labels_keep_their_numbers_from_one_run_to_the_next(prediction, found):
    shuffled = np.array([0, 3, 1, 2], np.uint8)[found.labels]
    again = find_domains(prediction, 3, like=shuffled, seed=99)
    agree = again.labels == shuffled
    assert agree[prediction.mask].mean() > 0.95
    four = find_domains(prediction, 4, like=shuffled)
    assert set(np.unique(four.labels)) == {0, 1, 2, 3, 4}


def test_matching_is_one_to_one():
    labels = np.array([1, 1, 2, 2, 3, 0], np.uint8)
    assert matched(labels, np.array([2, 2, 2, 2, 1, 0]), 3).tolist() in (
        [2, 2, 3, 3, 1, 0],
        [3, 3, 2, 2, 1, 0],
    )


def test_smoothing_joins_what_is_small(prediction):
    rough = find_domains(prediction, 6, smooth_um=0).labels
    smooth = find_domains(prediction, 6, smooth_um=25).labels

    def borders(labels):
        inside = prediction.mask[..., 1:] & prediction.mask[..., :-1]
        return (labels[..., 1:] != labels[..., :-1])[inside].mean()

    assert borders(smooth) < 0.7 * borders(rough)


def test_the_adjusted_rand_index_is_one_for_the_same_and_near_nought_for_chance():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 4, 4000)
    assert adjusted_rand(one, 10 - one) == 1
    assert abs(adjusted_rand(one, rng.integers(0, 3, 4000))) < 0.01
    assert adjusted_rand([0, 0, 1, 1], [0, 0, 1, 2]) == pytest.approx(0.5714, abs=1e-4)


def test_mistakes_are_told(prediction):
    with pytest.raises(VortexError, match="2 to 12"):
        find_domains(prediction, 1)
    with pytest.raises(VortexError, match="Smoothing"):
        find_domains(prediction, 3, smooth_um=-1)
    with pytest.raises(VortexError, match="divide no tissue"):
        marker_genes(prediction, np.ones(SHAPE, np.uint8))
    with pytest.raises(VortexError, match="lattice"):
        marker_genes(prediction, np.ones((2, 2, 2), np.uint8))
