"""A place in micrometres and a voxel index always mean the same place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_model.errors import VortexError
from vortex_model.grid import Grid

sizes = st.tuples(*[st.integers(1, 40)] * 3)
spacings = st.tuples(*[st.floats(0.1, 200.0)] * 3)
origins = st.tuples(*[st.floats(-1e4, 1e4)] * 3)
grids = st.builds(Grid, sizes, spacings, origins)


@given(grids, st.tuples(*[st.floats(-50, 50)] * 3))
def test_index_to_point_and_back(grid, index):
    point = grid.to_points([index])
    assert np.allclose(grid.to_index(point), [index], atol=1e-6)


@given(grids)
def test_points_come_as_x_y_z_and_arrays_as_z_y_x(grid):
    last = [n - 1 for n in grid.shape]
    x, y, z = grid.to_points([last])[0]
    assert np.allclose([z, y, x], [grid.axis_um(a)[-1] for a in range(3)])


@given(grids, st.tuples(*[st.integers(1, 5)] * 3))
def test_coarse_voxels_lie_over_the_fine_ones(grid, factor):
    coarse = grid.coarsen(factor)
    for axis in range(3):
        low, _ = grid.bounds_um[axis]
        assert np.isclose(coarse.bounds_um[axis][0], low, atol=1e-6)
        assert coarse.shape[axis] * factor[axis] >= grid.shape[axis]


@given(grids, spacings)
def test_a_lattice_covers_the_same_block_and_is_never_finer(grid, spacing):
    lattice = grid.lattice(spacing)
    assert np.allclose(lattice.bounds_um, grid.bounds_um, atol=1e-6, rtol=1e-9)
    assert all(n <= m for n, m in zip(lattice.shape, grid.shape, strict=True))


@given(grids)
def test_every_voxel_centre_is_inside_and_nearest_to_itself(grid):
    index = [[n // 2 for n in grid.shape]]
    point = grid.to_points(index)
    assert grid.contains(point).all()
    assert (grid.nearest(point) == index).all()
    beyond = point + [0, 0, grid.extent_um[0] * 2]
    assert not grid.contains(beyond).any()


@given(grids)
def test_json_round_trip(grid):
    assert Grid.from_json(grid.to_json()) == grid


@given(grids)
def test_all_points_follow_array_order(grid):
    points = grid.points()
    flat = np.ravel_multi_index(tuple(grid.nearest(points).T), grid.shape)
    assert (flat == np.arange(len(points))).all()


@pytest.mark.parametrize(
    ("shape", "spacing", "says"),
    [
        ((1, 1, 0), (1, 1, 1), "at least one voxel"),
        ((1, 1, 1), (1, 0, 1), "positive micrometres"),
        ((1, 1, 1), (1, float("nan"), 1), "positive micrometres"),
        ((1, 1), (1, 1, 1), "three values"),
    ],
)
def test_an_impossible_grid_is_refused_in_words(shape, spacing, says):
    with pytest.raises(VortexError, match=says):
        Grid(shape, spacing)
