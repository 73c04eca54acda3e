"""Numbers of regions and along paths are those of the dense volumes."""

import numpy as np
import pytest
from made_prediction import make_prediction, smooth_fields

from vortex_model.analysis import profiles
from vortex_model.errors import UnknownNameError, VortexError

SHAPE = (8, 24, 30)
SPACING = (20.0, 10.0, 10.0)
NAMES = ["G2", "mean(G0, G1) - 2*G3"]


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    rng = np.random.default_rng(2)
    mask = smooth_fields(SHAPE, 2, 1, 9)[0] > -0.7
    fields = smooth_fields(SHAPE, 1, 4, 8)
    place = tmp_path_factory.mktemp("p") / "p.zarr"
    return make_prediction(
        place, fields * mask, rng.normal(size=(4, 9)), mask=mask, spacing=SPACING
    )


def dense(prediction):
    g = [prediction.gene(f"G{i}").values.astype(float) for i in range(4)]
    return {NAMES[0]: g[2], NAMES[1]: (g[0] + g[1]) / 2 - 2 * g[3]}


def box():
    mask = np.zeros(SHAPE, bool)
    mask[2:6, 5:18, 4:22] = True
    return mask


def test_a_region_s_genes_are_those_of_its_tokens(prediction):
    table = profiles.region_genes(prediction, box(), NAMES)
    quantiles = profiles.region_quantiles(prediction, box(), NAMES, (0.1, 0.5))
    for name, volume in dense(prediction).items():
        values = volume[box() & prediction.mask]
        assert table.loc[name, "mean"] == pytest.approx(values.mean(), abs=1e-3)
        assert table.loc[name, "deviation"] == pytest.approx(values.std(), rel=1e-3)
        assert np.allclose(quantiles.loc[name], np.quantile(values, (0.1, 0.5)), atol=1e-3)
    weight = prediction.loadings[:, 2]
    assert table.loc["G2", "uncertainty"] == pytest.approx(np.sqrt(0.1 * (weight**2).sum()), 0.02)
    every = profiles.region_genes(prediction, box())
    assert len(every) == 9 and every["reliable"].all()
    assert every.loc["G2", "mean"] == pytest.approx(table.loc["G2", "mean"])


def test_a_region_s_size_and_place(prediction):
    table = profiles.region_summary(prediction, {"a": box(), "none": np.zeros(SHAPE, bool)})
    inside = np.argwhere(box() & prediction.mask)
    assert table.loc["a", "tokens"] == box().sum()
    assert table.loc["a", "tissue_mm3"] == pytest.approx(len(inside) * 2000e-9)
    assert table.loc["a", "x_um"] == pytest.approx(inside[:, 2].mean() * 10)
    assert table.loc["a", "z_um"] == pytest.approx(inside[:, 0].mean() * 20)
    assert np.isnan(table.loc["none", "x_um"])


def test_a_line_reads_the_tokens_under_it(prediction):
    corners = [(20.0, 50.0, 40.0), (220.0, 50.0, 40.0), (220.0, 110.0, 40.0)]
    table = profiles.along_line(prediction, NAMES, corners)
    one = table[table["gene"] == NAMES[1]]
    assert one["distance_um"].iloc[-1] == 260 and len(one) == 27
    volume = dense(prediction)[NAMES[1]]
    want = [volume[2, 5, x] for x in range(2, 23)] + [volume[2, y, 22] for y in range(6, 12)]
    assert np.allclose(one["mean"], want, atol=1e-3, equal_nan=True)
    assert (one["uncertainty"].notna() == one["mean"].notna()).all()
    outside = profiles.along_line(prediction, NAMES, [(-500, 0, 0), (-400, 0, 0)])
    assert outside["mean"].isna().all()
    with pytest.raises(VortexError, match="two different points"):
        profiles.along_line(prediction, NAMES, [(0, 0, 0), (0, 0, 0)])


def test_with_depth_is_the_mean_of_each_plane(prediction):
    table = profiles.with_depth(prediction, NAMES, box())
    one = table[table["gene"] == "G2"].set_index("z_um")
    assert one.index.tolist() == [40, 60, 80, 100]
    volume = dense(prediction)["G2"]
    plane = volume[3][box()[3] & prediction.mask[3]]
    assert one.loc[60, "mean"] == pytest.approx(plane.mean(), abs=1e-3)
    assert one.loc[60, "deviation"] == pytest.approx(plane.std(), rel=1e-3)
    assert one.loc[60, "tokens"] == len(plane)


def test_by_distance_is_the_mean_of_each_shell(prediction):
    distance = profiles.signed_distance(box(), prediction.grid)
    assert distance[3, 10, 3] == 5 and distance[3, 10, 4] == -5  # either side of a face
    assert distance[3, 10, 1] == 25 and distance[1, 10, 10] == 15  # z is coarser
    table = profiles.by_distance(prediction, NAMES, box(), step_um=10, reach_um=60)
    one = table[table["gene"] == NAMES[1]].set_index("distance_um")
    assert one.index.min() < 0 and one.index.max() <= 65
    shell = (distance >= 10) & (distance < 20) & prediction.mask
    values = dense(prediction)[NAMES[1]][shell]
    assert one.loc[15, "mean"] == pytest.approx(values.mean(), abs=1e-3)
    assert one.loc[15, "tokens"] == shell.sum()


def test_mistakes_are_told(prediction):
    with pytest.raises(VortexError, match="no surface"):
        profiles.by_distance(prediction, NAMES, np.ones(SHAPE, bool))
    with pytest.raises(VortexError, match="wider"):
        profiles.by_distance(prediction, NAMES, box(), step_um=0.01)
    with pytest.raises(VortexError, match="no tissue"):
        profiles.region_genes(prediction, np.zeros(SHAPE, bool))
    with pytest.raises(UnknownNameError):
        profiles.with_depth(prediction, ["NOPE"])
