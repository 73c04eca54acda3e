"""Notebook plots show the numbers that they claim to."""

import holoviews as hv
import numpy as np
import pytest

from vortex_model import Study, VortexError
from vortex_viewer import plots


@pytest.fixture(scope="module")
def study(phantom):
    return Study.open(phantom)


def test_a_plane_holds_the_volume_and_the_measured_spots(study):
    prediction = study.prediction()
    gene = prediction.gene(prediction.genes["reliability"].idxmax())
    section = study.section("S1")
    shown = plots.plane(gene, section.obsm["spatial"][0, 2], section=section)
    image, points = shown
    want = gene.sel(z=section.obsm["spatial"][0, 2], method="nearest").values
    assert np.allclose(image.dimension_values(2, flat=False), want, equal_nan=True)
    assert len(points) == section.n_obs
    # measured and predicted are in the same units: they agree at the spots
    predicted = prediction.profile(section.obsm["spatial"])[gene.name].to_numpy()
    known = np.isfinite(predicted)
    assert np.corrcoef(points.dimension_values(2)[known], predicted[known])[0, 1] > 0.3
    hv.render(shown, backend="bokeh")


def test_a_depth_outside_the_block_is_told(study):
    gene = study.prediction().gene(study.prediction().genes.index[0])
    with pytest.raises(VortexError, match="outside the block"):
        plots.plane(gene, 1e6)


def test_reliability_lists_the_best_genes(study):
    prediction = study.prediction()
    shown = plots.reliability(prediction, count=5)
    best = prediction.genes["reliability"].nlargest(5)
    assert sorted(shown.Scatter.I.dimension_values(1)) == pytest.approx(sorted(best))
    hv.render(shown, backend="bokeh")
