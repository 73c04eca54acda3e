"""Any gene is one product of factors and loadings, in place, in micrometres, and cached."""

import numpy as np
import pandas as pd
import pytest

from vortex_model.errors import StudyError, UnknownNameError, VortexError
from vortex_model.expression import UNITS
from vortex_model.grid import Grid
from vortex_model.prediction import GeneCache, Prediction, PredictionRecord
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
    Prediction.write(opened, Provenance("predictions", {}, {}, 1), record)
    return opened


@pytest.fixture
def prediction(study, tmp_path):
    return Prediction.load(study, cache=GeneCache(tmp_path / "genes"))


def expected(record, column):
    volume = np.tensordot(
        record.loadings[:, column].astype(np.float32), record.factors.astype(np.float32), 1
    )
    return volume + record.genes["mean"].iloc[column]


def test_a_gene_is_a_labelled_volume(prediction, record):
    gene = prediction.gene("erbb2")
    assert gene.name == "ERBB2" and gene.dims == ("z", "y", "x")
    assert gene.attrs["units"] == UNITS and gene.attrs["reliability"] == pytest.approx(0.9)
    assert gene.x.attrs["units"] == "micrometer"
    assert gene.x.values[0] == 100.0 and gene.z.values[1] == 25.0
    inside = record.mask
    assert np.allclose(gene.values[inside], expected(record, 0)[inside], atol=1e-4)
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
    want = [expected(record, c)[inside] for c in range(3)]
    assert np.allclose(table.iloc[0], want, atol=1e-3)
    assert table.iloc[1:].isna().all().all()


def test_uncertainty_follows_the_loadings(prediction, record):
    got = prediction.uncertainty("KRT8").values
    want = np.sqrt(0.25 * (record.loadings[:, 2].astype(np.float32) ** 2).sum())
    assert np.allclose(got[record.mask], want, rtol=1e-3)
    assert np.isnan(got[~record.mask]).all()


def test_a_gene_comes_from_the_cache_the_second_time(prediction, monkeypatch):
    first = prediction.gene("VIM").values
    monkeypatch.setattr(prediction, "_product", None)  # nothing may be computed now
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
