"""Regions are tokens of the lattice: drawn right, kept with the study, out as labels and table."""

import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.v05.image_label import ImageLabel

from vortex_model import Study
from vortex_model.analysis import regions, shapes
from vortex_model.analysis.sampling import on_lattice
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Channel, Image, Level
from vortex_model.study import StudyInfo

GRID = Grid((12, 30, 40), (20.0, 10.0, 10.0), (7.0, -30.0, 100.0))
SQUARE = ((150.0, 0.0), (250.0, 0.0), (250.0, 80.0), (150.0, 80.0))


def places(grid=GRID):
    return grid.points().reshape(*grid.shape, 3)


@pytest.fixture(scope="module")
def opened(phantom):
    study = Study.open(phantom)
    return study, study.prediction()


def test_a_box_holds_the_tokens_whose_centres_are_inside():
    mask = shapes.Box((150, 255), (0, 80), (50, 150)).mask(GRID)
    x, y, z = np.moveaxis(places(), -1, 0)
    want = (x >= 150) & (x <= 255) & (y >= 0) & (y <= 80) & (z >= 50) & (z <= 150)
    assert np.array_equal(mask, want) and mask.any()


def test_an_ellipsoid_is_round_in_micrometres():
    mask = shapes.Ellipsoid((290, 110, 120), (80, 60, 70)).mask(GRID)
    offset = (places() - (290, 110, 120)) / (80, 60, 70)
    assert np.array_equal(mask, (offset**2).sum(axis=-1) <= 1)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_one_outline_is_extruded_along_its_axis(axis):
    grid = Grid((20, 22, 24), (10.0, 10.0, 10.0))
    corners = ((33.0, 41.0), (151.0, 41.0), (151.0, 123.0), (33.0, 123.0))
    lasso = shapes.Lasso(axis, (shapes.Outline(0.0, corners),), (55.0, 105.0))
    first, second = (a for a in "xyz" if a != axis)
    ranges = {first: (33, 151), second: (41, 123), axis: (55, 105)}
    assert np.array_equal(lasso.mask(grid), shapes.Box(**ranges).mask(grid))


def test_an_outline_goes_over_into_the_next():
    first = shapes.Outline(7.0, SQUARE)
    second = shapes.Outline(207.0, tuple((x + 100, y + 100) for x, y in SQUARE))
    mask = shapes.Lasso("z", (second, first), (0.0, 230.0)).mask(GRID)
    for plane, shift in ((0, 0), (5, 50), (10, 100)):  # moved along, though never overlapping
        x, y, _ = np.moveaxis(places()[plane], -1, 0)
        inside = (x > 150 + shift) & (x < 250 + shift) & (y > shift) & (y < 80 + shift)
        edge = np.isin(x, (150 + shift, 250 + shift)) | np.isin(y, (shift, 80 + shift))
        assert np.array_equal(mask[plane] & ~edge, inside & ~edge)
    assert np.array_equal(mask[11], mask[10])


def test_a_smaller_and_a_larger_outline_meet_half_way():
    def around(half, at):
        corners = ((300 - half, 100 - half), (300 + half, 100 - half))
        corners += ((300 + half, 100 + half), (300 - half, 100 + half))
        return shapes.Outline(at, corners)

    mask = shapes.Lasso("z", (around(20, 7.0), around(120, 207.0)), (0.0, 230.0)).mask(GRID)
    width = mask.any(axis=1).sum(axis=1) * 10
    assert width[5] == pytest.approx(140, abs=15)
    assert (np.diff(width[:11]) >= 0).all()


number = st.floats(-500, 500)
ends = st.tuples(number, number).filter(lambda p: p[0] < p[1])
point = st.tuples(number, number, number)
outline = st.builds(
    shapes.Outline, number, st.lists(st.tuples(number, number), min_size=3, max_size=6).map(tuple)
)
simple = st.one_of(
    st.builds(shapes.Box, ends, ends, ends),
    st.builds(shapes.Ellipsoid, point, st.tuples(*[st.floats(1, 300)] * 3)),
    st.builds(lambda a, o, s: shapes.Lasso(a, (o,), s), st.sampled_from("xyz"), outline, ends),
    st.builds(shapes.Threshold, st.just("gene"), st.just("VIM"), number),
    st.builds(shapes.LabelOf, st.just("classes"), st.tuples(st.integers(0, 9))),
)
any_shape = st.recursive(
    simple,
    lambda s: st.builds(shapes.Combined, st.sampled_from(["and", "or", "minus"]), s, s),
    max_leaves=4,
)


@given(any_shape)
def test_a_shape_survives_json(shape):
    assert shapes.from_json(json.loads(json.dumps(shapes.to_json(shape)))) == shape


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.tuples(*[st.integers(1, 9)] * 3))
def test_members_survive_their_record(seed, share, shape):
    grid = Grid(shape, (3.0, 2.0, 1.0))
    mask = np.random.default_rng(seed).random(shape) < share
    region = regions.region_of("some  cells", mask, grid)
    back = regions.Region.from_record(json.loads(json.dumps(region.to_record())))
    assert back.name == "some cells" and back.grid == grid
    assert np.array_equal(back.mask, mask)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "cone"},
        {"kind": "box", "x": [0, 1]},
        {"kind": "box", "x": [0], "y": [0], "z": 1},
    ]
    + [{"kind": "lasso", "axis": "z", "outlines": [], "span": [0, 1]}, {"kind": "threshold"}, 3],
)
def test_what_is_no_shape_is_told(record):
    with pytest.raises(VortexError):
        shapes.from_json(record)


def test_a_region_of_a_damaged_record_is_told():
    record = regions.region_of("a", np.ones(GRID.shape, bool), GRID).to_record()
    with pytest.raises(VortexError, match="no region"):
        regions.Region.from_record({**record, "members": "AAAA"})
    with pytest.raises(VortexError, match="newer"):
        regions.Region.from_record({**record, "version": 2})


def test_a_threshold_is_where_the_gene_is_high(opened):
    study, prediction = opened
    gene = prediction.genes.index[0]
    values = prediction.gene(gene).values
    level = float(np.nanquantile(values, 0.8))
    region = regions.make_region("high", shapes.Threshold("gene", gene, level), prediction, study)
    assert np.array_equal(region.mask, np.nan_to_num(values, nan=-99) >= level)


def test_labels_and_morphology_are_read_by_token(opened):
    study, prediction = opened
    grid = prediction.grid
    finest = study.label("classes").levels[0]
    near = [
        np.minimum(np.floor((finest.grid.axis_um(a) - low) / step).astype(int), n - 1)
        for a, ((low, _), step, n) in enumerate(
            zip(grid.bounds_um, grid.spacing_um, grid.shape, strict=True)
        )
    ]
    flat = np.ravel_multi_index(np.ix_(*near), grid.shape).ravel()
    count = np.bincount(flat, minlength=grid.points().shape[0])
    stroma = np.bincount(flat, (np.asarray(finest.array[0]) == 1).ravel(), len(count)) / count
    region = regions.make_region("s", shapes.LabelOf("classes", (1,)), prediction, study)
    clear = np.abs(stroma - 0.5) > 0.25  # coarser levels keep one voxel of a block
    agree = (region.mask.ravel() == (stroma > 0.5))[clear]
    assert agree.mean() > 0.99

    channel = study.morphology.channels[0].name
    values = on_lattice(study.morphology, 0, grid)
    voxels = np.asarray(study.morphology.levels[0].array[0]).ravel()
    want = (np.bincount(flat, voxels, len(count)) / count).reshape(grid.shape)
    assert np.allclose(values, want, atol=4)  # voxels at the border of two tokens
    level = float(np.median(values))
    shape = shapes.Threshold("morphology", channel, below=level)
    dark = regions.make_region("d", shape, prediction, study)
    assert np.array_equal(dark.mask, values <= level)


def test_an_image_coarser_than_the_lattice_gives_its_nearest_voxel():
    array = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    grid = Grid((1, 2, 2), (50.0, 20.0, 20.0), (25.0, 10.0, 10.0))
    image = Image((Level(zarr.array(array), grid),), (Channel("a"),), ((0, 1),), "")
    fine = Grid((2, 4, 6), (25.0, 10.0, 10.0), (12.5, 5.0, 5.0))
    got = on_lattice(image, 0, fine)
    row = [0, 0, 1, 1]
    assert got[0, 0, :4].tolist() == row and got[1, 3, :4].tolist() == [2, 2, 3, 3]
    assert np.isnan(got[..., 4:]).all()


def test_mistakes_are_told(opened):
    study, prediction = opened
    far = shapes.Box((9e6, 9e6 + 1), (0, 1), (0, 1))
    with pytest.raises(VortexError, match="holds no token"):
        regions.make_region("far", far, prediction, study)
    with pytest.raises(UnknownNameError, match="channel"):
        regions.make_region("m", shapes.Threshold("morphology", "x", 1), prediction, study)
    with pytest.raises(UnknownNameError, match="label image"):
        regions.make_region("l", shapes.LabelOf("nope", (1,)), prediction, study)
    with pytest.raises(VortexError, match="low end"):
        shapes.Box((2, 1), (0, 1), (0, 1))
    with pytest.raises(VortexError, match="characters"):
        regions.region_of(" ", np.ones(GRID.shape, bool), GRID)


def test_regions_are_kept_with_the_study_renamed_and_removed(tmp_path):
    with Study.create(tmp_path / "r.zarr", StudyInfo("r")):
        pass
    study = Study.open(tmp_path / "r.zarr")
    assert regions.saved(study) == {}
    gland = regions.region_of("Gland A/1 \u00e9", np.ones(GRID.shape, bool), GRID)
    regions.save(study, gland)
    regions.save(study, regions.Region("b", shapes.Box((0, 1), (0, 1), (0, 1)), GRID, gland.mask))
    again = regions.saved(Study.open(study.path))
    assert list(again) == ["b", "Gland A/1 \u00e9"]
    assert again["b"].shape == shapes.Box((0, 1), (0, 1), (0, 1))
    regions.rename(study, "b", "stroma")
    with pytest.raises(VortexError, match="already"):
        regions.rename(study, "stroma", "Gland A/1 \u00e9")
    regions.remove(study, "Gland A/1 \u00e9")
    assert list(regions.saved(study)) == ["stroma"]
    with pytest.raises(UnknownNameError, match="stroma"):
        regions.remove(study, "b")


def test_a_region_goes_over_to_another_lattice():
    other = Grid((24, 15, 20), (10.0, 20.0, 20.0), (2.0, -25.0, 105.0))
    box = shapes.Box((150, 255), (0, 80), (50, 150))
    drawn = regions.Region("b", box, GRID, box.mask(GRID)).on(other)
    assert np.array_equal(drawn.mask, box.mask(other))
    taken = regions.region_of("m", box.mask(GRID), GRID).on(other)
    assert taken.volume_um3 == pytest.approx(drawn.volume_um3, rel=0.3)
    assert drawn.volume_um3 == drawn.mask.sum() * 10 * 20 * 20


def test_labels_and_table_out(tmp_path):
    first = regions.region_of("a", shapes.Box((150, 255), (0, 80), (50, 150)).mask(GRID), GRID)
    second = regions.region_of("b", shapes.Box((250, 300), (0, 80), (0, 60)).mask(GRID), GRID)
    place = regions.export_labels([first, second], tmp_path / "regions.zarr")
    group = zarr.open_group(place, mode="r")
    ImageLabel.from_zarr(group)
    values = np.asarray(group["0"])[0]
    assert np.array_equal(values == 2, second.mask)
    assert np.array_equal(values == 1, first.mask & ~second.mask)
    assert group.attrs["ome"]["image-label"]["properties"][1] == {"label-value": 2, "name": "b"}
    table = regions.token_table([first, second])
    assert (table["region"] == "a").sum() == first.mask.sum()
    row = table.iloc[0]
    assert GRID.to_points([[row.z, row.y, row.x]])[0].tolist() == [row.x_um, row.y_um, row.z_um]
    with pytest.raises(VortexError, match="exists"):
        regions.export_labels([first], place)
    shutil.rmtree(place)
    assert list(tmp_path.iterdir()) == []


def test_labels_kept_with_a_study_say_what_their_values_mean(phantom_copy):
    study = Study.open(phantom_copy)
    assert study.label_classes("classes")[1] == "stroma"
    grid = study.prediction().grid
    labels = np.ones(grid.shape, np.uint8)
    labels[:, :5] = 2
    study.keep_labels("parts", labels, grid, {1: "inner", 2: "outer"})
    again = Study.open(phantom_copy)
    assert again.label_classes("parts") == {1: "inner", 2: "outer"}
    assert np.array_equal(np.asarray(again.label("parts").levels[0].array[0]), labels)
    assert again.label("parts").grid == grid
    ImageLabel.from_zarr(zarr.open_group(phantom_copy / "labels" / "parts", mode="r"))
    again.remove_label("parts")
    assert again.label_names == ["classes"]
    with pytest.raises(UnknownNameError, match="label image"):
        again.label_classes("parts")
