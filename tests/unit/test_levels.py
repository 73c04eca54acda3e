"""A gene that differs between sections as a whole follows depth in the predicted volume."""

import numpy as np
import pytest
import scipy.sparse as sp

from vortex_model import Study
from vortex_model.expression import Measured
from vortex_model.phantom import true_expression
from vortex_model.training.levels import level_factors

GENES = ["DEEP", "EVEN"]


def measured(depths, slanted=False):
    rng = np.random.default_rng(0)
    counts, points, section = [], [], []
    for number, z in enumerate(depths):
        xy = np.stack(np.meshgrid(np.arange(6), np.arange(6)), -1).reshape(-1, 2) * 100.0
        deep = rng.poisson(5 + z / 4, len(xy))
        counts.append(np.column_stack([deep, np.full(len(xy), 50), 1000 - deep]))
        points.append(np.column_stack([xy, z + (xy[:, 0] if slanted else 0 * xy[:, 0])]))
        section += [number] * len(xy)
    matrix = sp.csr_matrix(np.vstack(counts))
    spots = matrix.shape[0]
    names = tuple(f"S{n}" for n in range(len(depths)))
    totals = np.asarray(matrix.sum(axis=1), dtype=float).ravel()
    return Measured(
        ("DEEP", "EVEN", "REST"),
        matrix,
        np.vstack(points),
        np.array(section),
        names,
        np.full(spots, 55.0),
        totals,
    )


def profile(found, depth_um):
    """Expression by depth, above the mean, of each gene."""
    factors, loadings = level_factors(
        found, GENES, np.zeros(2), depth_um, np.ones((len(depth_um), 1, 1), bool)
    )
    return np.tensordot(loadings.T, factors[:, :, 0, 0], 1)


def test_each_section_has_its_own_mean_and_the_way_between_is_straight():
    found = measured([100.0, 300.0, 200.0])
    deep, even = profile(found, np.array([0.0, 100.0, 150.0, 200.0, 300.0, 400.0]))
    levels = [found.only([n]).expression(GENES).mean(axis=0) for n in ("S0", "S2", "S1")]
    assert deep[[1, 3, 4]] == pytest.approx([level[0] for level in levels], rel=1e-5)
    assert deep[2] == pytest.approx((deep[1] + deep[3]) / 2, rel=1e-5)
    assert deep[0] == deep[1] and deep[5] == deep[4]  # beyond: the nearest section's level
    assert np.ptp(even) < 0.1 < np.ptp(deep)


@pytest.mark.parametrize(
    "found", [measured([100.0]), measured([100.0, 100.0]), measured([0.0, 900.0], True)]
)
def test_without_depths_to_tell_apart_nothing_is_added(found):
    factors, loadings = level_factors(
        found, GENES, np.zeros(2), np.arange(3.0), np.ones((3, 2, 2), bool)
    )
    assert factors.shape == (0, 3, 2, 2) and loadings.shape == (0, 2)


def test_a_depth_gene_of_the_phantom_is_found(phantom_copy):
    study = Study.open(phantom_copy)
    prediction = study.finetune(panel="GREM1,KRT8,VIM,COL1A1,EPCAM,ERBB2,PECAM1,CD3E")
    truth = true_expression(study, "GREM1").interp_like(prediction.gene("GREM1"))
    predicted = prediction.gene("GREM1")
    both = np.isfinite(truth.values) & np.isfinite(predicted.values)
    assert np.corrcoef(truth.values[both], predicted.values[both])[0, 1] > 0.5
