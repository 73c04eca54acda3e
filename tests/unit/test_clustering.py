"""Domains that a view names are found again, numbered as they were."""

from pathlib import Path

import numpy as np
import pytest

from vortex_model import Study
from vortex_model.prediction import Prediction
from vortex_viewer.links import decode, encode
from vortex_viewer.panels.clustering import find_again, find_new
from vortex_viewer.state import ViewState


@pytest.fixture(scope="module")
def prediction(phantom: Path) -> Prediction:
    return Study.open(phantom).prediction()


def test_domains_keep_the_numbers_of_earlier_ones_and_a_link_finds_both_again(
    prediction: Prediction,
) -> None:
    first = find_new(prediction, 3, None)
    assert first.clusters.numbers == ()
    turned = np.asarray([0, 2, 3, 1], dtype=first.labels.dtype)[first.labels]
    second = find_new(prediction, 3, turned)
    assert np.array_equal(second.labels, turned)
    assert second.clusters.numbers == (2, 3, 1)
    more = find_new(prediction, 4, turned)
    assert sorted(np.unique(more.labels)) == [0, 1, 2, 3, 4]
    for found in (first, second, more):
        link = encode(ViewState(domains=found.clusters))
        wanted = decode(link).domains
        assert wanted == found.clusters
        assert np.array_equal(find_again(prediction, wanted).labels, found.labels)


def test_a_suggested_number_is_in_the_view_so_that_nothing_is_suggested_anew(
    prediction: Prediction,
) -> None:
    found = find_new(prediction, None, None)
    assert found.clusters.count == len(np.unique(found.labels)) - 1
    assert "two halves of the tissue agree" in found.note
    assert np.array_equal(find_again(prediction, found.clusters).labels, found.labels)
