"""The oblique slice: where its pixels lie, what they show, and virtual H&E: the numbers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import Study, StudyInfo
from vortex_viewer import drawing
from vortex_viewer.scene import oblique, stain
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.oblique import Plane
from vortex_viewer.scene.sample import PlaceSampler, TissueSampler
from vortex_viewer.scene.slices import Window
from vortex_viewer.state import ViewState

GRID = Grid((24, 50, 60), (12.0, 5.0, 4.0), (100.0, -30.0, 20.0))
place = st.tuples(*(st.floats(-500, 500) for _ in range(3)))
angles = st.tuples(st.floats(-180, 180), st.floats(-180, 180))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    """Two channels whose every voxel says where it lies."""
    path: Path = tmp_path_factory.mktemp("oblique") / "block.zarr"
    index = np.arange(np.prod(GRID.shape), dtype=np.uint16).reshape(GRID.shape)
    rng = np.random.default_rng(0)
    soft = rng.integers(0, 900, GRID.shape).astype(np.uint16)
    channels = (Channel("cells", "other"), Channel("nuclei", "nuclear"))
    with Study.create(path, StudyInfo(name="block", modality="light-sheet")) as study:
        study.write_morphology(ArraySource(np.stack([soft, index]), GRID, channels))
    return StudyData(path, 10**6)


@given(place, place, angles)
def test_a_plane_goes_through_its_place_and_measures_in_micrometres(middle, at, degrees) -> None:
    plane = Plane.tilted(middle, at, degrees)
    frame = np.stack([plane.across, plane.down, plane.normal])
    assert np.allclose(frame @ frame.T, np.eye(3), atol=1e-9)
    assert np.isclose(np.linalg.det(frame), 1.0)
    assert np.allclose(plane.points(*plane.flat(at)), at, atol=1e-6)
    a, d = plane.flat(plane.points([0.0, 30.0], [0.0, 40.0]))
    assert np.isclose(np.hypot(a[1] - a[0], d[1] - d[0]), 50.0)


@given(place, angles)
def test_the_pane_stays_while_the_crosshair_moves_in_the_plane(middle, degrees) -> None:
    first = Plane.tilted(middle, middle, degrees)
    moved = first.points(37.0, -12.0)
    second = Plane.tilted(middle, tuple(moved), degrees)
    assert np.allclose(second.origin, first.origin, atol=1e-6)


def test_turns_of_ninety_degrees_are_the_other_slices() -> None:
    at = (3.0, 4.0, 5.0)
    level = Plane.tilted(at, at, (0.0, 0.0))
    assert np.allclose([level.across, level.down], [[1, 0, 0], [0, 1, 0]])
    front = Plane.tilted(at, at, (90.0, 0.0))
    assert np.allclose([front.across, front.down], [[1, 0, 0], [0, 0, 1]], atol=1e-12)
    side = Plane.tilted(at, at, (0.0, -90.0))
    assert np.allclose([side.across, side.down], [[0, 0, 1], [0, 1, 0]], atol=1e-12)


@given(angles, st.tuples(*(st.floats(0.01, 0.99) for _ in range(3))))
def test_the_ring_lies_in_the_plane_and_on_the_box(degrees, parts) -> None:
    box = GRID.bounds_um[::-1]
    at = tuple(lo + p * (hi - lo) for (lo, hi), p in zip(box, parts, strict=True))
    plane = Plane.tilted(GRID.centre_um, at, degrees)
    ring = plane.ring(box)
    assert 3 <= len(ring) <= 6
    assert np.allclose((ring - plane.origin) @ plane.normal, 0, atol=1e-4)
    low, high = np.array(box).T
    assert (ring >= low - 1e-4).all() and (ring <= high + 1e-4).all()
    assert (np.isclose(ring, low, atol=1e-4) | np.isclose(ring, high, atol=1e-4)).any(axis=1).all()


def seen(data: StudyData, state: ViewState, at, span=(-140.0, 140.0), pixels=45):
    window = Window(span, span, pixels)
    plane = drawing.plane_of(data, state, at)
    return plane, drawing.oblique_picture(data, state, None, at, window)


@pytest.mark.parametrize("most", [oblique.MOST_VOXELS, 100])
@pytest.mark.parametrize("degrees", [(0.0, 0.0), (35.0, -20.0), (90.0, 0.0), (-130.0, 70.0)])
def test_each_pixel_is_the_voxel_at_its_place(data, degrees, most, monkeypatch) -> None:
    monkeypatch.setattr(oblique, "MOST_VOXELS", most)
    at = (140.0, 92.0, 236.0)
    plane = Plane.tilted(GRID.centre_um, at, degrees)
    centres = -140 + 280 / 45 * (np.arange(45) + 0.5)
    points = plane.points(centres[None, :], centres[:, None])
    level = data.image.levels[0]
    found = oblique._voxels(data, level, points)
    inside = GRID.contains(points.reshape(-1, 3)).reshape(points.shape[:2])
    assert inside.any() and not inside.all()
    z, y, x = GRID.nearest(points.reshape(-1, 3)).T
    wanted = np.asarray(level.array[:])[:, z, y, x].reshape(found.shape)
    assert np.array_equal(found[:, inside], wanted[:, inside])
    assert (found[:, ~inside] == 0).all()
    # and in the picture: opaque in the block, nothing beside it
    _, picture = seen(data, ViewState(oblique=degrees), at)
    assert np.array_equal(picture.rgba[..., 3] == 255, inside)


def test_without_a_tilt_it_is_the_xy_slice(data) -> None:
    at = (140.0, 92.0, 236.0)
    _, picture = seen(data, ViewState(oblique=(0.0, 0.0)), at, (-80.9, 79.1), 40)
    x, y = ((m - 80.9, m + 79.1) for m in GRID.centre_um[:2])
    flat = drawing.slice_picture(data, ViewState(), None, "xy", at, Window(x, y, 40))
    rows = np.floor((np.arange(40) * 4.0 + 2 + y[0] - flat.down_um[0]) / 5.0).astype(int)
    columns = np.floor((np.arange(40) * 4.0 + 2 + x[0] - flat.across_um[0]) / 4.0).astype(int)
    assert np.array_equal(picture.rgba, flat.rgba[np.ix_(rows, columns)])


@given(angles)
def test_a_gene_is_the_same_at_a_place_whatever_slice_shows_it(degrees) -> None:
    grid = Grid((9, 11, 13), (30.0, 25.0, 20.0), (0.0, 0.0, 0.0))
    z, y, x = np.meshgrid(*(grid.axis_um(a) for a in range(3)), indexing="ij")
    field = (0.01 * x - 0.02 * y + 0.03 * z).astype(np.float32)
    mask = np.ones(grid.shape, bool)
    plane = Plane.tilted(grid.centre_um, grid.centre_um, degrees)
    points = plane.points(np.linspace(-150, 150, 12)[None, :], np.linspace(-150, 150, 9)[:, None])
    found = whole(PlaceSampler(mask, grid, points), field)
    inside = grid.contains(points.reshape(-1, 3)).reshape(found.shape)
    assert np.array_equal(np.isfinite(found), inside)
    held = np.clip(points, 0, [grid.axis_um(a)[-1] for a in (2, 1, 0)])
    assert np.allclose(found[inside], (held @ [0.01, -0.02, 0.03])[inside], atol=1e-3)
    # outside tissue there is nothing, as in the other slices
    mask[:, :, 5:] = False
    axes = [np.array([120.0]), np.linspace(0, 250, 9), np.linspace(0, 240, 12)]
    flat = whole(TissueSampler(mask, grid, axes), field)[0]
    there = np.stack(np.broadcast_arrays(axes[2][None, :], axes[1][:, None], 120.0), axis=-1)
    found = whole(PlaceSampler(mask, grid, there), field)
    assert np.allclose(found, flat, atol=1e-4, equal_nan=True)


def whole(sampler, field):
    """What a sampler makes of a volume of the whole lattice."""
    return sampler(field[tuple(map(slice, sampler.start, sampler.stop))])


def test_virtual_staining_is_white_without_light_blue_at_nuclei_and_pink_elsewhere() -> None:
    dark, nuclei, soft, both = stain.virtual(
        np.array([0.0, 0.6, 0.0, 0.6]), np.array([0.0, 0.0, 0.6, 0.6])
    )
    assert np.allclose(dark, 1.0)
    assert nuclei[2] > 1.5 * nuclei[0] > 1.5 * nuclei[1]  # blue
    assert soft[0] > soft[2] > soft[1]  # pink
    assert (both < np.minimum(nuclei, soft) + 1e-6).all()
    # Beer-Lambert: twice the dye passes the square of the light
    assert np.allclose(stain.virtual(0.8, 0.4), stain.virtual(0.4, 0.2) ** 2, atol=1e-6)


@pytest.mark.parametrize(
    ("roles", "found"),
    [
        (("nuclear", "cytoplasm"), (0, 1)),
        (("cytoplasm", "other", "nuclear"), (2, 0)),
        (("other", "nuclear"), (1, 0)),
        (("nuclear",), None),
        (("other", "other"), None),
        (("nuclear", "other", "other"), None),
        (("red", "green", "blue"), None),
    ],
)
def test_the_channels_that_can_be_stained(roles, found) -> None:
    assert stain.stains([Channel(role, role) for role in roles]) == found


def test_a_stained_slice_is_in_colour_and_the_plain_one_is_not(data) -> None:
    assert data.can_stain
    at, window = (140.0, 92.0, 236.0), Window((30.0, 250.0), (-25.0, 210.0), 50)
    plain = drawing.slice_picture(data, ViewState(), None, "xy", at, window).rgba.astype(int)
    stained = drawing.slice_picture(data, ViewState(stained=True), None, "xy", at, window)
    rgb = stained.rgba[..., :3].astype(int)
    assert np.ptp(plain[..., :3], axis=-1).max() < 40
    assert (rgb[..., 1] < rgb[..., 2]).mean() > 0.9 and np.ptp(rgb, axis=-1).max() > 90
