"""A phantom: the same spec gives the same bytes, and its counts follow the truth beside it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from vortex_model.errors import StudyError, UnknownNameError, VortexError
from vortex_model.expression import stack
from vortex_model.phantom import PhantomSpec, make_phantom, true_expression, true_genes
from vortex_model.phantom import anatomy as an
from vortex_model.phantom.anatomy import Anatomy
from vortex_model.phantom.drawing import LightSheet
from vortex_model.phantom.genes import NAMES, programs
from vortex_model.phantom.make import hexagons
from vortex_model.phantom.noise import smooth
from vortex_model.study import Study, StudyInfo

SMALL = PhantomSpec(
    shape=(24, 115, 140), voxel_um=(12.0, 6.0, 6.0), seed=3, sections=(0.25, 0.75), n_genes=400
)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    path = tmp_path_factory.mktemp("phantom") / "small.zarr"
    make_phantom(path, SMALL)
    return Study.open(path)


@pytest.fixture(scope="module")
def anatomy():
    return Anatomy(SMALL.grid.extent_um, SMALL.tissue, SMALL.seed)


@pytest.fixture(scope="module")
def source(anatomy):
    return LightSheet(anatomy, SMALL.grid)


def at_points(volume, points_um):
    x, y, z = points_um.T
    return volume.interp(
        x=("spot", x), y=("spot", y), z=("spot", z), kwargs={"fill_value": None}
    ).to_numpy()


def within_sections(values, other, section):
    """Mean over sections of the correlation within each, where both are known."""
    found = []
    for number in np.unique(section):
        own = (section == number) & np.isfinite(values) & np.isfinite(other)
        found.append(np.corrcoef(values[own], other[own])[0, 1])
    return float(np.mean(found))


def test_the_study_holds_what_a_real_one_holds(phantom):
    image = phantom.morphology
    assert image.grid == SMALL.grid
    assert [c.role for c in image.channels] == ["nuclear", "cytoplasm"]
    assert image.dtype == np.uint16
    assert phantom.section_names == ["S1", "S2"]
    assert phantom.label_names == ["classes"]
    section = phantom.section("S1")
    assert section.n_vars == SMALL.n_genes
    assert section.uns["vortex"]["spot_diameter_um"] == 55.0
    assert phantom.info.organ == "breast"


def test_a_spot_array_is_hexagonal():
    points = hexagons(SMALL)
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.sort(distance, axis=1)[:, :6]
    inner = nearest[:, 5] < 101
    assert inner.mean() > 0.4
    np.testing.assert_allclose(nearest[inner], 100.0, rtol=1e-9)


def test_the_tissue_has_every_part(phantom):
    label = np.asarray(phantom.label("classes").levels[0].array[0])
    share = np.bincount(label.ravel(), minlength=len(an.CLASSES)) / label.size
    for number in (an.STROMA, an.LUMINAL, an.BASAL, an.LUMEN, an.TUMOUR):
        assert share[number] > 0.01, an.CLASSES[number]
    assert share[an.WALL] > 0
    assert share[an.BLOOD] > 0


def test_lumina_are_dark_and_epithelium_is_rich_in_nuclei(phantom):
    label = np.asarray(phantom.label("classes").levels[0].array[0])
    nuclear, cytoplasm = np.asarray(phantom.morphology.levels[0].array[:])
    epithelium = np.isin(label, (an.LUMINAL, an.BASAL))
    assert nuclear[epithelium].mean() > 1.5 * nuclear[label == an.STROMA].mean()
    assert cytoplasm[label == an.LUMEN].mean() < 0.6 * cytoplasm[epithelium].mean()
    assert nuclear[label == an.BACKGROUND].mean() < 0.6 * nuclear[label != 0].mean()


def test_light_fades_with_depth(phantom):
    label = np.asarray(phantom.label("classes").levels[0].array[0])
    cytoplasm = np.asarray(phantom.morphology.levels[0].array[1])
    top, bottom = (cytoplasm[s][label[s] == an.STROMA].mean() for s in (slice(8), slice(-8, None)))
    assert bottom < 0.9 * top


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_voxel_is_the_same_however_it_is_read(phantom, source, data):
    channel = data.draw(st.integers(0, 1))
    box = []
    for n in SMALL.shape:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, min(n, start + 60)))))
    whole = phantom.morphology.levels[0].array
    assert_array_equal(source.read(channel, *box), np.asarray(whole[(channel, *box)]))


def test_tiles_join_without_a_seam(anatomy):
    """The tissue under the noise is one, though each tile is drawn alone."""
    z, y, x = (np.arange(0.0, 300.0, s) for s in (10.0, 8.0, 8.0))
    whole = anatomy.fields((z, y, x))
    left, right = anatomy.fields((z, y, x[:17])), anatomy.fields((z, y, x[17:]))
    joined = np.concatenate([left.label, right.label], axis=2)
    assert (joined != whole.label).mean() < 1e-4
    np.testing.assert_allclose(
        np.concatenate([left.gland, right.gland], axis=2), whole.gland, atol=1e-3
    )


def test_the_same_spec_gives_the_same_study_and_another_seed_another(tmp_path, phantom):
    again = Study.open(make_phantom(tmp_path / "again.zarr", SMALL))
    assert again.morphology.content == phantom.morphology.content
    assert again.label("classes").content == phantom.label("classes").content
    assert again.derived_ids("truth") == phantom.derived_ids("truth")
    for name in phantom.section_names:
        mine, theirs = again.section(name), phantom.section(name)
        assert mine.uns["vortex"]["content"] == theirs.uns["vortex"]["content"]
    other = dataclasses.replace(SMALL, seed=4)
    anatomy = Anatomy(other.grid.extent_um, other.tissue, other.seed)
    box = (slice(0, 4), slice(60, 70), slice(60, 70))
    drawn = LightSheet(anatomy, other.grid).read(0, *box)
    assert (drawn != np.asarray(phantom.morphology.levels[0].array[(0, *box)])).mean() > 0.9


def test_follicles_that_are_far_change_nothing(monkeypatch):
    """A large block holds many; a box is drawn from those that are the nearest somewhere in it."""
    wide = Anatomy((300.0, 3000.0, 3000.0), SMALL.tissue, 4)
    box = (np.arange(80.0, 160, 8), np.arange(1500.0, 1660, 8), np.arange(300.0, 460, 8))
    assert len(wide._aggregates_near(box)) < len(wide.aggregates)
    near = wide.fields(box)
    monkeypatch.setattr(wide, "_aggregates_near", lambda _: wide.aggregates)
    every = wide.fields(box)
    assert np.array_equal(near.immune, every.immune)
    assert np.array_equal(near.label, every.label)


def test_voxels_sample_the_same_tissue_at_any_size(anatomy):
    """A bigger voxel shows the same block, not another one."""
    fine = anatomy.fields(tuple(np.arange(2.0, 400.0, 4.0) for _ in range(3)))
    coarse = anatomy.fields(tuple(np.arange(2.0, 400.0, 12.0) for _ in range(3)))
    assert_array_equal(fine.label[::3, ::3, ::3], coarse.label)


def test_spots_lie_in_tissue_and_in_their_plane(phantom):
    image = phantom.label("classes").levels[0]
    label = np.asarray(image.array[0])
    for name, plane in zip(phantom.section_names, SMALL.planes, strict=True):
        points = phantom.section(name).obsm["spatial"]
        assert len(points) > 35
        z, y, x = image.grid.nearest(points).T
        assert (z == plane).all()
        assert (label[z, y, x] != an.BACKGROUND).mean() > 0.95


@pytest.mark.parametrize("gene", ["KRT8", "COL1A1", "ERBB2", "CA9", "KRT5"])
def test_counts_follow_the_truth_at_their_spots(phantom, gene):
    measured = stack({n: phantom.section(n) for n in phantom.section_names})
    seen = measured.expression([gene])[:, 0]
    truth = at_points(true_expression(phantom, gene), measured.points_um)
    assert within_sections(truth, seen, measured.section) > 0.6


def test_counts_are_overdispersed_and_sparse(phantom):
    counts = phantom.section("S1").X
    totals = np.asarray(counts.sum(axis=1)).ravel()
    assert 1000 < np.median(totals) < 20000
    assert counts.nnz / np.prod(counts.shape) < 0.8
    assert (counts.data == np.rint(counts.data)).all()


def test_true_expression_is_one_product_in_units_of_a_prediction(phantom):
    volume = true_expression(phantom, "krt8")
    assert volume.name == "KRT8"
    assert volume.dims == ("z", "y", "x")
    assert volume.attrs["units"] == "log1p(counts per 10,000)"
    total = sum(np.expm1(true_expression(phantom, g)) for g in true_genes(phantom).index[:40])
    assert float(total.max()) < 10_000
    low, high = volume.x.to_numpy()[[0, -1]]
    assert 0 < low < high < SMALL.grid.extent_um[2]


def test_depth_genes_change_with_depth_and_are_invisible_in_one_plane(phantom):
    genes = true_genes(phantom)
    truth = {g: true_expression(phantom, g) for g in ("GREM1", "WNT2B", "KRT8", "COL1A1")}
    assert genes.loc["GREM1", "sees"] == genes.loc["WNT2B", "sees"] == "depth"
    label = phantom.label("classes").levels[0]
    nuclear = phantom.morphology.levels[0].array
    deep = truth["GREM1"].mean(("y", "x")).to_numpy()
    shallow = truth["WNT2B"].mean(("y", "x")).to_numpy()
    assert np.corrcoef(deep, np.arange(len(deep)))[0, 1] > 0.9
    assert np.corrcoef(shallow, np.arange(len(shallow)))[0, 1] < -0.9
    # Within a plane its share of the RNA of cells is one number: no picture can tell it.
    group = phantom.derived("truth", phantom.derived_ids("truth")[0])
    amounts, mask = np.asarray(group["programs"][:]), np.asarray(group["mask"][:])
    plane = amounts.shape[1] // 2
    cells = amounts[NAMES.index("every cell"), plane]
    share = amounts[NAMES.index("deep end"), plane] / np.maximum(cells, 1e-9)
    inside = mask[plane] & (cells > 0.05)
    assert share[inside].std() < 0.05 * share[inside].mean()
    luminal = amounts[NAMES.index("luminal"), plane] / np.maximum(cells, 1e-9)
    assert luminal[inside].std() > 0.5 * luminal[inside].mean()
    assert nuclear.shape[1:] == label.array.shape[1:]


def test_hypoxia_needs_the_vessel_that_may_lie_above_the_plane(anatomy):
    axes = tuple(np.arange(4.0, n, 8.0) for n in SMALL.grid.extent_um)
    fields = anatomy.fields(axes)
    amounts = programs(anatomy, fields, axes)
    tumour = fields.label == an.TUMOUR
    near, far = tumour & (fields.vessel < 25), tumour & (fields.vessel > 90)
    hypoxia = amounts[NAMES.index("hypoxia")]
    assert hypoxia[far].mean() > 5 * hypoxia[near].mean()


def test_the_block_shift_moves_levels_and_not_the_programs(tmp_path):
    tiny = dataclasses.replace(
        SMALL, shape=(6, 60, 60), voxel_um=(20.0, 8.0, 8.0), sections=(0.5,), block_shift=0.0
    )
    plain = true_genes(Study.open(make_phantom(tmp_path / "a.zarr", tiny)))
    moved_spec = dataclasses.replace(tiny, block_shift=1.0)
    moved_study = Study.open(make_phantom(tmp_path / "b.zarr", moved_spec))
    assert list(plain.index) == list(true_genes(moved_study).index)
    level = {
        name: np.nanmean(true_expression(Study.open(tmp_path / name), "COL1A1").to_numpy())
        for name in ("a.zarr", "b.zarr")
    }
    assert abs(level["a.zarr"] - level["b.zarr"]) > 0.05


@pytest.mark.parametrize("style", ["prostate", "colorectal"])
def test_other_organs_grow_too(style):
    spec = dataclasses.replace(SMALL, style=style)
    fields = Anatomy(spec.grid.extent_um, spec.tissue, 5).fields(
        tuple(np.arange(5.0, n, 20.0) for n in spec.grid.extent_um)
    )
    share = np.bincount(fields.label.ravel(), minlength=13) / fields.label.size
    assert share[an.LUMINAL] > 0.03
    assert share[an.STROMA] > 0.1


def test_noise_is_standard_and_has_no_borders():
    axes = tuple(np.arange(0.0, 400.0, 5.0) for _ in range(3))
    field = smooth(7, 20.0, axes)
    assert abs(field.mean()) < 0.1
    assert 0.85 < field.std() < 1.15
    part = smooth(7, 20.0, tuple(a[13:29] for a in axes))
    np.testing.assert_allclose(part, field[13:29, 13:29, 13:29], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sections": (1.2,)}, "outside the block"),
        ({"sections": ()}, "1 to 64 sections"),
        ({"sections": (0.5, 0.501)}, "fall on one plane"),
        ({"shape": (0, 100, 100)}, "at least one voxel"),
        ({"shape": (10, 100)}, "three values"),
        ({"voxel_um": (10.0, 80.0, 80.0)}, "too big"),
        ({"voxel_um": (10.0, -1.0, 8.0)}, "positive"),
        ({"shape": (40, 12, 12)}, "too small"),
        ({"spot_diameter_um": 120.0}, "overlap"),
        ({"spot_pitch_um": float("nan")}, "above 0"),
        ({"n_genes": 20}, "too few"),
        ({"seed": -1}, "seed"),
        ({"block_shift": -0.1}, "block_shift"),
        ({"section_shift": float("inf")}, "section_shift"),
    ],
)
def test_an_impossible_spec_is_refused_with_its_value(change, says):
    with pytest.raises(VortexError, match=says):
        dataclasses.replace(SMALL, **change)


def test_an_unknown_style_or_gene_is_answered_with_near_names(phantom):
    with pytest.raises(UnknownNameError, match="breast"):
        dataclasses.replace(SMALL, style="braest")
    with pytest.raises(UnknownNameError, match="KRT8"):
        true_expression(phantom, "KRT88")


def test_a_study_that_is_no_phantom_has_no_truth(tmp_path):
    with Study.create(tmp_path / "real.zarr", StudyInfo("real")):
        pass
    with pytest.raises(StudyError, match="no phantom"):
        true_expression(Study.open(tmp_path / "real.zarr"), "KRT8")
