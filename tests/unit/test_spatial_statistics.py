"""Moran's I, likeness and moments from factors are those of the dense volumes."""

import numpy as np
import pandas as pd
import pytest

from vortex_model.analysis import moments, spatial
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.prediction import GeneCache, Prediction
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study, StudyInfo

SHAPE = (9, 70, 66)  # more than one box along y and x


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    rng = np.random.default_rng(4)
    from scipy.ndimage import gaussian_filter

    factors = np.stack([gaussian_filter(rng.normal(size=SHAPE), s) for s in (0, 1, 3)])
    factors = (factors / factors.std(axis=(1, 2, 3), keepdims=True) + 30).astype(np.float32)
    mask = gaussian_filter(rng.normal(size=SHAPE), 3) > -0.03
    genes = pd.DataFrame(
        {"mean": rng.normal(size=12), "reliability": 0.5, "low": 0.1, "high": 0.9},
        index=[f"G{i}" for i in range(12)],
    )
    loadings = rng.normal(size=(3, 12))
    loadings[:, 11] = 0  # a gene that is the same everywhere
    variance = rng.uniform(0.1, 1, size=(3, *SHAPE))
    place = tmp_path_factory.mktemp("s") / "s.zarr"
    with Study.create(place, StudyInfo("s")):
        pass
    study = Study.open(place)
    grid = Grid(SHAPE, (12.0, 10.0, 10.0))
    write_prediction(
        study,
        Provenance("predictions", {}, {}, 1),
        PredictionRecord(factors * mask, variance, mask, loadings, genes, grid),
    )
    return Prediction.load(study, cache=GeneCache(tmp_path_factory.mktemp("c")))


def dense_moran(volume, axes):
    known = np.isfinite(volume)
    d = volume - volume[known].mean()
    top, weight = 0.0, 0
    for axis in axes:
        a, b = (np.take(d, range(i, d.shape[axis] - 1 + i), axis) for i in (0, 1))
        both = np.isfinite(a) & np.isfinite(b)
        top += 2 * (a[both] * b[both]).sum()
        weight += 2 * both.sum()
    return known.sum() / weight * top / (d[known] ** 2).sum()


def test_morans_i_is_that_of_the_dense_volume(prediction):
    table = spatial.spatial_table(prediction)
    for gene in ("G0", "G5"):
        volume = prediction.gene(gene).values.astype(float)
        assert table.loc[gene, "moran"] == pytest.approx(dense_moran(volume, (0, 1, 2)), abs=2e-4)
        assert table.loc[gene, "mean"] == pytest.approx(np.nanmean(volume), abs=1e-4)
        assert table.loc[gene, "deviation"] == pytest.approx(np.nanstd(volume), rel=1e-4)
    assert np.isnan(table.loc["G11", "moran"])


def test_an_axis_much_coarser_has_no_neighbours():
    assert spatial.neighbour_steps(Grid((5, 9, 9), (100.0, 10.0, 10.0))) == [(0, 1, 0), (0, 0, 1)]
    assert spatial.neighbour_steps(Grid((1, 9, 9), (3.0, 10.0, 10.0))) == [(0, 1, 0), (0, 0, 1)]


def test_likeness_is_the_correlation_of_the_volumes(prediction):
    found = spatial.likeness(prediction, "g3")
    inside = prediction.mask
    volumes = [prediction.gene(g).values[inside] for g in ("G3", "G0", "G7")]
    want = np.corrcoef(volumes)[0]
    assert np.allclose(found[["G3", "G0", "G7"]], want, atol=1e-3)
    assert np.isnan(found["G11"])


def test_moments_of_groups_are_those_of_the_tokens(prediction):
    rng = np.random.default_rng(1)
    group = rng.integers(-1, 4, size=SHAPE)
    group[group == 2] = 3  # group 2 is empty
    made = moments.grouped(prediction, group, 4)
    mean, deviation = (
        made.gene_mean(moments.columns(prediction)),
        made.gene_deviation(moments.columns(prediction)),
    )
    uncertainty = made.gene_uncertainty(moments.columns(prediction))
    for which in (0, 3):
        own = (group == which) & prediction.mask
        assert made.count[which] == own.sum()
        for column, gene in ((0, "G0"), (7, "G7")):
            values = prediction.gene(gene).values[own].astype(float)
            spread = prediction.uncertainty(gene).values[own]
            assert mean[which, column] == pytest.approx(values.mean(), abs=1e-4)
            assert deviation[which, column] == pytest.approx(values.std(), rel=1e-3)
            assert uncertainty[which, column] == pytest.approx(np.sqrt((spread**2).mean()), 1e-3)
    assert made.count[2] == 0 and np.isnan(mean[2]).all() and np.isnan(deviation[2]).all()


def test_groups_of_another_lattice_are_refused(prediction):
    with pytest.raises(VortexError, match="lattice"):
        moments.grouped(prediction, np.zeros((2, 2, 2), int), 1)


def test_autocorrelation_by_group_leaves_out_what_differs_between_groups(prediction):
    group = np.zeros(SHAPE, int)
    group[:, 35:] = 1
    centres = moments.grouped(prediction, group, 2).mean
    got = spatial.field(prediction, [(0, 0, 2)], group=group, centres=centres)
    volume = prediction.gene("G5").values.astype(float)
    for part in (volume[:, :35], volume[:, 35:]):
        part -= np.nanmean(part)
    a, b = volume[..., :-2], volume[..., 2:]
    both = np.isfinite(a) & np.isfinite(b)
    want = (a[both] * b[both]).mean() / np.nanmean(volume**2)
    assert got.correlation(prediction.loadings)[0, 5] == pytest.approx(want, abs=1e-3)
