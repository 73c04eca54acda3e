"""A few strokes become a segmentation of the whole block, at once; its classes are measured."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from made_prediction import make_prediction, smooth_fields

from vortex_model import Study
from vortex_model.analysis.segmentation import Learner, Stroke, class_expression, class_summary
from vortex_model.errors import VortexError
from vortex_model.features import Features
from vortex_model.grid import Grid

SHAPE = (6, 40, 50)
GRID = Grid(SHAPE, (20.0, 10.0, 10.0), (10.0, 5.0, 5.0))


class MadeFeatures:
    """Two classes that two of 30 channels tell apart, in two parts of the lattice."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.grid = GRID
        self.truth = (smooth_fields(SHAPE, 4, 1, 2)[0] > 0).astype(int) + 1
        self.mask = np.ones(SHAPE, bool)
        self.mask[:, :3] = False
        values = rng.normal(size=(*SHAPE, 30)).astype(np.float32)
        values[..., 4] += 3 * (self.truth == 1)
        values[..., 9] += 3 * (self.truth == 2)
        self._values = values

    def blocks(self):
        for planes in (range(3), range(3, 6)):
            tokens = np.argwhere(self.mask)
            tokens = tokens[np.isin(tokens[:, 0], planes)]
            yield SimpleNamespace(values=self._values[tuple(tokens.T)], tokens=tokens)


@pytest.fixture(scope="module")
def features():
    return MadeFeatures()


def strokes(features, plane=2):
    made = []
    for value, name in ((1, "gland"), (2, "stroma")):
        rows = np.argwhere((features.truth[plane] == value) & features.mask[plane])
        for row in rows[:: len(rows) // 3][:3]:
            point = GRID.to_points([[plane, *row]])[0]
            made.append(Stroke(name, (tuple(point), tuple(point + (20, 0, 0))), 12.0))
    return made


def test_a_stroke_paints_a_disc_along_its_path():
    stroke = Stroke("a", ((105.0, 105.0, 50.0), (205.0, 105.0, 50.0)), 15.0)
    tokens = stroke.tokens(GRID)
    assert set(tokens[:, 0]) == {2}  # planes are 20 um apart
    assert tokens[:, 2].min() == 9 and tokens[:, 2].max() == 21
    assert set(tokens[:, 1]) == {9, 10, 11}
    tiny = Stroke("a", ((105.0, 105.0, 50.0),), 0.1)
    assert tiny.tokens(GRID).tolist() == [[2, 10, 10]]


def test_strokes_in_one_plane_segment_the_block(features):
    learner = Learner(features)
    made = learner.learn(strokes(features))
    assert made.names == ("gland", "stroma")
    inside = features.mask
    assert (made.labels[~inside] == 0).all()
    assert (made.labels == features.truth)[inside].mean() > 0.9
    assert made.confidence[inside].min() >= 0.5 and (made.confidence[~inside] == 0).all()


def test_a_later_stroke_paints_over_an_earlier(features):
    learner = Learner(features)
    right = strokes(features)
    other = {"gland": "stroma", "stroma": "gland"}
    turned = [Stroke(other[s.label], s.points_um, 12.0) for s in right]
    one, two = learner.learn(right), learner.learn(turned + right)
    same = np.array(["", *one.names])[one.labels] == np.array(["", *two.names])[two.labels]
    assert same[features.mask].mean() > 0.99


def test_each_new_stroke_is_learned_at_once(phantom):
    study = Study.open(phantom)
    learner = Learner(Features.load(study, study.derived_ids("features")[-1]))
    x, y, z = learner.grid.centre_um
    drawn = [Stroke("a", ((x, y, z),), 30.0), Stroke("b", ((x / 2, y / 2, z),), 30.0)]
    start = time.perf_counter()
    made = learner.learn(drawn)
    assert time.perf_counter() - start < 3.0
    assert set(np.unique(made.labels[learner.mask])) == {1, 2}


def test_mistakes_are_told(features):
    learner = Learner(features)
    both = strokes(features)
    with pytest.raises(VortexError, match="at least two classes"):
        learner.learn(both[:2])
    with pytest.raises(VortexError, match="glass meet no tissue"):
        learner.learn([*both, Stroke("glass", ((100.0, 5.0, 50.0),), 1.0)])
    with pytest.raises(VortexError, match="radius"):
        Stroke("a", ((0, 0, 0),), 0.0)
    with pytest.raises(VortexError, match="name"):
        Stroke(" ", ((0, 0, 0),), 1.0)
    with pytest.raises(VortexError, match="place"):
        Stroke("a", (), 1.0)


def test_classes_are_measured(tmp_path):
    rng = np.random.default_rng(3)
    fields = smooth_fields(SHAPE, 2, 3, 5)
    made = make_prediction(tmp_path / "m.zarr", fields, rng.normal(size=(3, 6)))
    labels = (fields[0] > 0.5).astype(np.uint8) * 2 + 1  # 1 and 3
    names = {1: "stroma", 3: "gland", 7: "nowhere"}
    table = class_summary(made, labels, names)
    assert table["fraction"].sum() == pytest.approx(1)
    assert table.loc["gland", "fraction"] == pytest.approx((labels == 3).mean())
    assert table.loc["gland", "volume_mm3"] == pytest.approx((labels == 3).sum() * 1e-6)
    mean = class_expression(made, labels, names, ["G2", "G0 - G1"])
    want = (made.gene("G0").values - made.gene("G1").values)[labels == 3].mean()
    assert mean.loc["G0 - G1", "gland"] == pytest.approx(want, abs=1e-3)
    assert mean["nowhere"].isna().all()
    assert class_expression(made, labels, names).shape == (6, 3)
