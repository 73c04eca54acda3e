"""Any gene is one product of factors and loadings, in place, in micrometres, and cached."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from vortex_model.errors import StudyError, UnknownNameError, VortexError
from vortex_model.expression import UNITS
from vortex_model.grid import Grid
from vortex_model.prediction import GeneCache, Prediction
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo

SHAPE = (40, 35, 33)  # more than one chunk along each axis
GRID = Grid(SHAPE, (20.0, 10.0, 10.0), (5.0, 0.0, 100.0))


@pytest.fixture(scope="module")
def record():
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(
        {
            "mean": [1.0, 2.0, 0.5],
            "reliability": [0.9, np.nan, 0.1],
            "low": [0.8, np.nan, 0.0],
            "high": [0.95, np.nan, 0.2],
        },
        index=["ERBB2", "VIM", "KRT8"],
    )
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:, :20] = True
    factors = rng.normal(size=(4, *SHAPE)).astype(np.float16) * mask
    variance = np.full((4, *SHAPE), 0.25, dtype=np.float16)
    return PredictionRecord(factors, variance, mask, rng.normal(size=(4, 3)), genes, GRID)


@pytest.fixture(scope="module")
def study(record, tmp_path_factory):
    place = tmp_path_factory.mktemp("p") / "p.zarr"
    with Study.create(place, StudyInfo("p")):
        pass
    opened = Study.open(place)
    write_prediction(opened, Provenance("predictions", {}, {}, 1), record)
    return opened


@pytest.fixture
def prediction(study, tmp_path):
    return Prediction.load(study, cache=GeneCache(tmp_path / "genes"))


def expected(record, column):
    volume = np.tensordot(
        record.loadings[:, column].astype(np.float32), record.factors.astype(np.float32), 1
    )
    return volume + record.genes["mean"].iloc[column]


def loss(got, want, inside):
    """Root mean square difference over the deviation of what is wanted."""
    return np.sqrt(np.mean((got[inside] - want[inside]) ** 2)) / want[inside].std()


@contextmanager
def counted_chunks(monkeypatch):
    """The chunks that zarr fetches from disk inside the block, by array."""
    from zarr.storage import LocalStore

    fetched, get = [], LocalStore.get

    async def counting(self, key, *args, **kwargs):
        if "/c/" in key:
            fetched.append(key)
        return await get(self, key, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "get", counting)
        yield fetched


def test_a_gene_is_a_labelled_volume(prediction, record):
    gene = prediction.gene("erbb2")
    assert gene.name == "ERBB2" and gene.dims == ("z", "y", "x")
    assert gene.attrs["units"] == UNITS and gene.attrs["reliability"] == pytest.approx(0.9)
    assert gene.x.attrs["units"] == "micrometer"
    assert gene.x.values[0] == 100.0 and gene.z.values[1] == 25.0
    inside = record.mask
    assert loss(gene.values, expected(record, 0), inside) < 0.01
    assert np.isnan(gene.values[~inside]).all()


def test_an_unknown_reliability_is_none_not_a_number(prediction):
    assert prediction.gene("VIM").attrs["reliability"] is None


def test_a_score_is_the_weighted_sum_of_its_genes(prediction):
    score = prediction.expression({"KRT8": 1, "vim": -2})
    want = prediction.gene("KRT8").values - 2 * prediction.gene("VIM").values
    assert np.allclose(score.values, want, atol=1e-4, equal_nan=True)


def test_mistakes_are_told(prediction):
    with pytest.raises(UnknownNameError, match="Did you mean ERBB2"):
        prediction.gene("ERBB")
    with pytest.raises(VortexError, match="at least one gene"):
        prediction.expression({})
    with pytest.raises(VortexError, match="finite"):
        prediction.expression({"VIM": float("nan")})


def test_a_study_without_prediction_says_what_to_do(tmp_path):
    with Study.create(tmp_path / "n.zarr", StudyInfo("n")):
        pass
    with pytest.raises(StudyError, match="vortex-viewer finetune"):
        Prediction.load(Study.open(tmp_path / "n.zarr"))


def test_a_profile_is_every_gene_at_a_place(prediction, record):
    inside, outside = (10, 7, 3), (0, 0, 0)
    points = GRID.to_points([inside, outside, (999, 0, 0)])
    table = prediction.profile(points)
    want = [prediction.gene(g).values[inside] for g in ("ERBB2", "VIM", "KRT8")]
    assert np.allclose(table.iloc[0], want, atol=1e-5)
    assert table.iloc[1:].isna().all().all()


def test_uncertainty_follows_the_loadings(prediction, record):
    got = prediction.uncertainty("KRT8").values
    want = np.sqrt(0.25 * (record.loadings[:, 2].astype(np.float32) ** 2).sum())
    assert np.allclose(got[record.mask], want, rtol=1e-3)
    assert np.isnan(got[~record.mask]).all()


def test_a_gene_comes_from_the_cache_the_second_time(prediction, monkeypatch):
    first = prediction.gene("VIM").values.copy()
    monkeypatch.setattr(prediction, "_levels", None)  # nothing may be computed now
    assert np.array_equal(prediction.gene("VIM").values, first, equal_nan=True)


def test_the_cache_stays_within_its_size_and_drops_the_least_used(tmp_path):
    cache = GeneCache(tmp_path, max_bytes=3 * 4200)
    made = []

    def volume(name):
        return cache.get(name, lambda: made.append(name) or np.zeros(1000, np.float32))

    for name in "abc":
        volume(name)
        # files' times may be coarse: age them by hand, oldest first
    for age, place in enumerate(sorted(tmp_path.glob("*.npy"), key=lambda p: p.stat().st_mtime_ns)):
        import os

        os.utime(place, (age, age))
    volume("a")  # used again: now the youngest
    volume("d")
    assert sum(p.stat().st_size for p in tmp_path.glob("*.npy")) <= cache.max_bytes
    made.clear()
    volume("a")
    volume("b")
    assert made == ["b"]


def test_a_damaged_cache_file_is_made_anew(tmp_path):
    cache = GeneCache(tmp_path)
    cache.get("a", lambda: np.ones(3, np.float32))
    (place,) = tmp_path.glob("*.npy")
    place.write_bytes(b"half a fi")
    assert cache.get("a", lambda: np.ones(3, np.float32)).tolist() == [1, 1, 1]


def test_the_cache_may_be_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    cache = GeneCache(tmp_path / "file" / "genes")
    assert cache.get("a", lambda: np.ones(3, np.float32)).tolist() == [1, 1, 1]


def test_rounding_is_as_small_as_was_said(prediction, record):
    assert 0 < prediction.rounding <= 0.01
    worst = 0.0
    for column, name in enumerate(record.genes.index):
        own = loss(prediction.gene(name).values, expected(record, column), record.mask)
        worst = max(worst, own)
    assert worst == pytest.approx(prediction.rounding, rel=0.1)


def test_genes_that_one_byte_would_spoil_get_two(record, study, tmp_path):
    # two components nearly cancel: what is left is small beside their rounding
    factors = record.factors.astype(np.float32)
    factors[1] = -factors[0] + 0.02 * factors[2]
    loadings = np.array([[1.0], [1.0], [0.0], [0.0]])
    genes = record.genes.iloc[:1]
    made = PredictionRecord(factors, record.variance, record.mask, loadings, genes, GRID)
    name = write_prediction(study, Provenance("predictions", {}, {"small": 1}, 1), made)
    small = Prediction.load(study, name, GeneCache(tmp_path / "small"))
    got = small.gene("ERBB2").values
    study.remove_derived("predictions", name)
    want = factors[0] + factors[1] + record.genes["mean"].iloc[0]
    assert loss(got, want, record.mask) < 0.01


def test_a_part_is_the_same_part_of_the_whole(prediction):
    whole = prediction.gene("KRT8").values
    for start, stop in (((0, 0, 0), SHAPE), ((7, 3, 30), (8, 35, 33)), ((31, 0, 0), (40, 20, 1))):
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        part = prediction.part("krt8", start, stop)
        assert np.allclose(part, whole[box], atol=1e-5, equal_nan=True)
    with pytest.raises(VortexError, match="not within the lattice"):
        prediction.part("KRT8", (0, 0, 0), (41, 1, 1))
    with pytest.raises(VortexError, match="no level 5"):
        prediction.part("KRT8", (0, 0, 0), (1, 1, 1), level=5)


def test_each_question_reads_only_what_it_needs(study, record, monkeypatch, tmp_path):
    """The lattice is 2 x 2 x 2 chunks, of which those with y from 32 on hold no tissue."""

    def fresh():
        made = Prediction.load(study, cache=GeneCache(tmp_path / "none", max_bytes=0))
        assert made.mask.any()  # masks are read once, beside the factors
        return made

    region = np.zeros(SHAPE, bool)
    region[6:9, 1:4, 2:5] = True
    cases = {
        "volume": (lambda p: p.gene("VIM"), 4),
        "signature": (lambda p: p.expression({"VIM": 1, "KRT8": -1, "ERBB2": 2}), 4),
        "slice": (lambda p: p.part("VIM", (10, 0, 0), (11, 35, 33)), 2),
        "tile": (lambda p: p.part("VIM", (10, 0, 0), (11, 8, 8)), 1),
        "region": (lambda p: p.region_mean(region), 1),
        "profile": (lambda p: p.profile(GRID.to_points([(10, 7, 3), (12, 7, 3)])), 1),
    }
    for name, (ask, chunks) in cases.items():
        prediction = fresh()
        with counted_chunks(monkeypatch) as fetched:
            ask(prediction)
            ask(prediction)  # the second time everything is held already
        factors = [key for key in fetched if key.startswith("factors/")]
        assert len(factors) == chunks, name
        assert len(fetched) == len(factors), name


def test_a_region_mean_is_the_mean_of_the_region(prediction, record):
    region = np.zeros(SHAPE, bool)
    region[:20, 10:30, 25:] = True
    want = [np.nanmean(prediction.gene(g).values[region]) for g in record.genes.index]
    assert np.allclose(prediction.region_mean(region), want, atol=1e-4)
    with pytest.raises(VortexError, match="no tissue"):
        prediction.region_mean(~record.mask)
    with pytest.raises(VortexError, match="the lattice"):
        prediction.region_mean(np.ones((1, 1, 1), bool))


def test_coarser_levels_are_means_over_tissue(tmp_path):
    shape = (80, 90, 70)
    grid = Grid(shape, (10.0, 10.0, 10.0))
    rng = np.random.default_rng(2)
    mask = rng.random(shape) < 0.3
    factors = rng.normal(size=(3, *shape)).astype(np.float32) * mask
    genes = pd.DataFrame({"mean": [3.0], "reliability": [0.5]}, index=["G"])
    made = PredictionRecord(factors, np.ones_like(factors), mask, np.ones((3, 1)), genes, grid)
    with Study.create(tmp_path / "l.zarr", StudyInfo("l")):
        pass
    study = Study.open(tmp_path / "l.zarr")
    write_prediction(study, Provenance("predictions", {}, {}, 1), made)
    prediction = Prediction.load(study, cache=GeneCache(tmp_path / "genes"))
    assert [g.shape for g in prediction.grids] == [shape, (40, 45, 35)]
    fine = np.where(mask, factors.sum(axis=0) + 3.0, np.nan)
    blocks = fine.reshape(40, 2, 45, 2, 35, 2).transpose(0, 2, 4, 1, 3, 5).reshape(40, 45, 35, 8)
    known = np.isfinite(blocks).any(axis=-1)
    want = np.full(known.shape, np.nan)
    want[known] = np.nanmean(blocks[known], axis=-1)
    coarse = prediction.part("G", (0, 0, 0), (40, 45, 35), level=1)
    assert np.array_equal(np.isfinite(coarse), known)
    assert loss(coarse, want, known) < 0.02  # noise averages out, the range of codes less so


def test_predictions_of_before_open(record, tmp_path):
    """The layout of the first version: float16, no scale, variances, one level."""
    with Study.create(tmp_path / "old.zarr", StudyInfo("old")):
        pass
    study = Study.open(tmp_path / "old.zarr")

    def fill(group):
        for name, data in (("factors", record.factors), ("variance", record.variance)):
            group.create_array(name, data=np.asarray(data, np.float16), chunks=(4, 32, 32, 32))
        group.create_array("mask", data=record.mask, chunks=(32, 32, 32))
        group.create_array("loadings", data=record.loadings.astype(np.float32))
        genes = record.genes.rename_axis("gene").reset_index()
        group.attrs["prediction"] = {
            "grid": GRID.to_json(),
            "units": UNITS,
            "genes": {c: [v if v == v else None for v in genes[c]] for c in genes},
        }

    study.write_derived(Provenance("predictions", {}, {"old": 1}, 1), fill)
    old = Prediction.load(study, cache=GeneCache(tmp_path / "genes"))
    inside = record.mask
    assert np.allclose(old.gene("VIM").values[inside], expected(record, 1)[inside], atol=1e-4)
    want = np.sqrt(0.25 * (record.loadings[:, 2].astype(np.float32) ** 2).sum())
    assert np.allclose(old.uncertainty("KRT8").values[inside], want, rtol=1e-3)
    point = GRID.to_points([(10, 7, 3)])
    assert old.profile(point)["VIM"][0] == pytest.approx(expected(record, 1)[10, 7, 3], abs=1e-3)
