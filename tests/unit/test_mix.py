"""Several genes in one picture, surfaces, signatures where a gene stands: the numbers."""

from pathlib import Path

import numpy as np
import pytest

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_viewer import drawing
from vortex_viewer.scene import compose, mix, palette
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.formula import difference
from vortex_viewer.scene.surfaces import surface
from vortex_viewer.state import Layer, ViewState

LOOK = compose.Look("magma", (0.0, 1.0), 1.0, 0.0, 0.5)
COLOURS = np.stack([palette.rgb("orange"), palette.rgb("blue")])


def test_each_gene_shows_in_its_own_colour_and_both_where_both_are() -> None:
    tissue = np.full((1, 4), 255, np.uint8)
    one = np.array([[1.0, 0.0, 1.0, np.nan]], np.float32)
    two = np.array([[0.0, 1.0, 1.0, np.nan]], np.float32)
    shown = mix.picture_mixed(tissue, [one, two], COLOURS, [LOOK, LOOK])[0, :, :3].astype(int)
    assert np.allclose(shown[0], COLOURS[0] * 255, atol=1)
    assert np.allclose(shown[1], COLOURS[1] * 255, atol=1)
    assert np.allclose(shown[2], COLOURS.mean(axis=0) * 255, atol=1)
    assert np.allclose(shown[3], compose.TINT * 255, atol=1)  # no tissue: the morphology


def test_the_volume_mixes_as_the_slice_does() -> None:
    gray = np.full((1, 1, 3), 255, np.uint8)
    base = compose.base_index(gray, np.full_like(gray, 255))
    genes = [
        compose.Coded.of(np.array([[[1.0, 0.0, np.nan]]]), 0.0, 1.0),
        compose.Coded.of(np.array([[[0.0, 1.0, np.nan]]]), 0.0, 1.0),
    ]
    words = mix.volume_mixed(base, genes, COLOURS, [LOOK, LOOK])
    rgba = words.view(np.uint8).reshape(3, 4).astype(int)
    assert np.allclose(rgba[0, :3], COLOURS[0] * 255, atol=2)
    assert np.allclose(rgba[1, :3], COLOURS[1] * 255, atol=2)
    assert rgba[2, 3] < rgba[0, 3]
    alone = compose.volume_rgba(base, None, LOOK).view(np.uint8).reshape(3, 4)
    assert np.array_equal(rgba[2], alone[2])


def test_opacity_points_are_followed_and_a_difference_is_strong_at_both_ends() -> None:
    part = np.array([0.0, 0.25, 0.5, 1.0])
    ramp = compose.Look("magma", (0, 1), 1.0, 0.0, 0.5, ramp=((0.0, 0.0), (0.5, 1.0), (1.0, 0.2)))
    assert np.allclose(ramp.cover(part), [0.0, 0.5, 1.0, 0.2])
    both = compose.Look("difference", (-1, 1), 0.8, 0.1, 0.5, diverging=True)
    assert np.allclose(both.cover(both.part(np.array([-1.0, 0.0, 1.0]))), [0.8, 0.0, 0.8])


def test_a_surface_lies_where_the_gene_reaches_the_value() -> None:
    grid = Grid((6, 7, 9), (20.0, 10.0, 5.0), (100.0, 50.0, 25.0))
    x = np.broadcast_to(grid.axis_um(2), grid.shape).astype(np.float32)
    found = surface(x.copy(), grid, 43.0, np.ones(3, np.float32))
    assert found is not None
    inner = np.abs(found.points_um[:, 0] - 43.0) < 1e-3
    # the rest closes it at the block's edge, half a token beyond the outermost centres
    assert inner.mean() > 0.15
    assert found.points_um[:, 0].min() >= 43.0 - 1e-3
    assert surface(x.copy(), grid, 1000.0, np.ones(3, np.float32)) is None
    assert surface(np.full(grid.shape, np.nan, np.float32), grid, 1.0, np.ones(3)) is None


@pytest.fixture(scope="module")
def data(phantom: Path) -> StudyData:
    return StudyData(phantom, 2_000_000)


def test_a_formula_stands_where_a_gene_does(data: StudyData) -> None:
    name = data.newest_prediction()
    made = Prediction.load(Study.open(data.path), name)
    a, b, c = made.genes.index[:3]
    gene = data.gene(name, f"=mean({a}, {b}) - {c}")
    wanted = (made.gene(a).values + made.gene(b).values) / 2 - made.gene(c).values
    assert np.nanmax(np.abs(gene.values() - wanted)) < 1e-4
    assert np.array_equal(np.isfinite(gene.values()), made.mask)
    own = made.loadings[:, 0] / 2 + made.loadings[:, 1] / 2 - made.loadings[:, 2]
    z, y, x = (int(v) for v in np.argwhere(made.mask)[7])
    variance = own**2 @ made.variance_at((z, y, x), (z + 1, y + 1, x + 1)).ravel()
    there = made.grid.to_points([[z, y, x]])
    assert gene.deviation_at(there) == pytest.approx(np.sqrt(variance), rel=1e-3)
    whole = made.uncertainty(gene.weights).values
    assert whole[z, y, x] == pytest.approx(np.sqrt(variance), rel=1e-3)
    assert gene.at(there) == pytest.approx(wanted[z, y, x], abs=1e-4)
    with pytest.raises(VortexError, match="NOSUCH"):
        data.gene(name, "=NOSUCH - 1")


def test_a_difference_spans_as_far_below_zero_as_above(data: StudyData) -> None:
    name = data.newest_prediction()
    a, b = data.prediction(name).genes.index[:2]
    state = ViewState(gene=a, others=(Layer(b),), together="difference", prediction=name)
    assert drawing.shown(state) == [difference(a, b)]
    gene = data.gene(name, drawing.shown(state)[0])
    low, high = drawing.look(state, gene).window
    assert low == -high < 0
    assert high == max(abs(v) for v in gene.windows["2-98"])


def test_windows_are_percentiles_in_tissue(data: StudyData) -> None:
    name = data.newest_prediction()
    gene = data.gene(name, str(data.prediction(name).genes.index[0]))
    known = gene.values()[np.isfinite(gene.values())]
    for preset, ends in (("2-98", (2, 98)), ("50-98", (50, 98)), ("full", (0, 100))):
        state = ViewState(gene=gene.name, preset=preset)
        assert drawing.look(state, gene).window == pytest.approx(np.percentile(known, ends))
    assert drawing.look(ViewState(window=(1.0, 2.0)), gene).window == (1.0, 2.0)


def test_what_is_in_doubt_is_left_gray(data: StudyData) -> None:
    name = data.newest_prediction()
    gene = data.gene(name, str(data.prediction(name).genes.index[0]))
    mask = data.prediction(name).mask
    share = data.prediction(name).uncertainty(gene.name).values[mask] / gene.span
    limit = float(np.median(share))
    kept = data.certain(name, gene.key, limit)
    assert kept[mask].mean() == pytest.approx((share <= limit).mean())
    assert not kept[~mask].any()
    whole, part = data.coded(name, gene.key), data.coded(name, gene.key, limit)
    assert 0.2 < (part.codes > 0).sum() / (whole.codes > 0).sum() < 0.8
