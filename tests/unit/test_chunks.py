"""Decoded chunks that are kept, and genes that are made of the parts that are looked at."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from made_prediction import make_prediction, smooth_fields

from vortex_model import prediction as predictions
from vortex_model.chunks import ChunkCache
from vortex_viewer.scene.gene import Gene
from vortex_viewer.scene.shelf import Shelf

SHAPE = (2, 13, 22, 17)
ARRAY = zarr.create_array(zarr.storage.MemoryStore(), shape=SHAPE, chunks=(1, 4, 5, 6), dtype="u2")
VALUES = np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)
ARRAY[:] = VALUES

spans = st.tuples(
    *(st.tuples(st.integers(0, n - 1), st.integers(1, n)).map(sorted) for n in SHAPE[1:])
).map(lambda pairs: ([a for a, b in pairs], [max(b, a + 1) for a, b in pairs]))


@settings(max_examples=60, deadline=None)
@given(st.lists(spans, min_size=1, max_size=5), st.sampled_from([0, 2000, 1 << 20]))
def test_any_box_is_what_the_array_holds_whatever_was_read_before(boxes, most) -> None:
    cache = ChunkCache(most)
    for start, stop in boxes:
        found = cache.read(ARRAY, start, stop)
        assert np.array_equal(found, VALUES[(slice(None), *map(slice, start, stop))])
        found[:] = 0  # a fresh array: whoever writes to it spoils nothing


class Counted:
    """An array that counts how often it is read."""

    def __init__(self, array) -> None:
        self.array, self.reads = array, 0

    def __getattr__(self, name):
        return getattr(self.array, name)

    def __getitem__(self, box):
        self.reads += 1
        return self.array[box]


def test_a_slice_beside_another_is_not_read_again() -> None:
    array, cache = Counted(ARRAY), ChunkCache()
    for x in range(6):
        cache.read(array, (0, 0, x), (13, 22, x + 1))
    assert array.reads == 1
    cache.read(array, (0, 0, 6), (13, 22, 7))
    assert array.reads == 2


def test_what_is_kept_has_a_limit() -> None:
    array, cache = Counted(ARRAY), ChunkCache(3 * 2 * 4 * 5 * 6 * 2)
    for number in ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 1), (0, 1, 0), (0, 0, 1)):
        cache.get(array, number)
    assert array.reads == 4  # the first was dropped, the second looked at and kept
    cache.get(array, (0, 0, 0))
    assert array.reads == 5


def test_a_shelf_drops_what_weighs_too_much() -> None:
    shelf = Shelf(10, 100, len)
    for name, size in (("a", 60), ("b", 30), ("c", 50)):
        shelf.get(name, lambda size=size: "x" * size)
    assert "a" not in shelf
    assert "b" in shelf
    shelf.get("d", lambda: "x" * 1000)
    assert "d" in shelf
    assert "c" not in shelf


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("chunks") / "large.zarr"
    loadings = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
    return make_prediction(place, smooth_fields((70, 72, 75), 4.0, 3, 1), loadings)


def test_a_genes_range_is_that_of_its_tissue(made, monkeypatch) -> None:
    values = made.gene("G1").values[made.mask]
    monkeypatch.setattr(predictions, "SAMPLE", 20_000)
    made._sampled = None
    found = made.sample("G1")
    assert found.shape == (20_000,)
    some, all_ = (np.percentile(v, [2, 50, 98]) for v in (found, values))
    assert np.allclose(some, all_, atol=0.03 * np.ptp(values))
    monkeypatch.setattr(predictions, "SAMPLE", values.size)
    made._sampled = None
    assert np.allclose(made.sample("G1"), values, atol=1e-4)  # no more than that: every token
    made._sampled = None


def test_a_coarse_picture_takes_a_coarse_level_and_a_fine_one_the_finest(made) -> None:
    gene = Gene.of(made, str(made.genes.index[0]))
    assert len(made.grids) > 1
    fine, coarse = (g.spacing_um for g in made.grids[:2])
    assert gene.level_for(fine) == 0
    assert gene.level_for([s / 5 for s in fine]) == 0
    assert gene.level_for(coarse) == 1
    assert gene.level_for([np.inf, fine[1], np.inf]) == 0
    assert gene.level_within(10**9) == 0
    assert gene.level_within(1) == len(made.grids) - 1
    box = ((3, 4, 5), (9, 30, 31))
    whole = gene.values(1)
    part = gene.part(*box, 1)
    assert np.allclose(part, whole[tuple(map(slice, *box))], atol=1e-4, equal_nan=True)
    assert np.isfinite(whole).any()
