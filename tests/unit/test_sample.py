"""Values between tokens, whatever part of the lattice is looked at."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from vortex_model.grid import Grid
from vortex_viewer.scene.sample import TissueSampler, around, interpolate

shapes = st.tuples(*[st.integers(1, 9)] * 3)
spans = st.tuples(*[st.tuples(st.floats(-0.4, 1.4), st.floats(-0.4, 1.4), st.integers(1, 6))] * 3)


def axes_of(grid, parts):
    found = []
    for (low, high), (a, b, n) in zip(grid.bounds_um, parts, strict=True):
        found.append(np.linspace(low + a * (high - low), low + b * (high - low), n))
    return found


@settings(max_examples=150, deadline=None)
@given(shapes, spans)
def test_values_are_linear_between_tokens_and_hold_beyond(shape, parts):
    grid = Grid(shape, (4.0, 2.0, 3.0), (7.0, -5.0, 100.0))
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    axes = axes_of(grid, parts)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)[..., ::-1].reshape(-1, 3)
    index = np.clip(grid.to_index(points).T, 0, np.array(shape)[:, None] - 1)
    wanted = map_coordinates(volume, index, order=1, mode="nearest").reshape([len(a) for a in axes])
    assert np.allclose(interpolate(volume, grid, axes), wanted, atol=1e-5)


@settings(max_examples=100, deadline=None)
@given(shapes, spans)
def test_tissue_alone_has_a_say(shape, parts):
    grid = Grid(shape, (4.0, 2.0, 3.0), (7.0, -5.0, 100.0))
    random = np.random.default_rng(1)
    mask = random.uniform(size=shape) < 0.7
    volume = np.where(mask, random.normal(size=shape), np.nan).astype(np.float32)
    axes = axes_of(grid, parts)
    sampler = TissueSampler(mask, grid, axes)
    found = sampler(volume[tuple(map(slice, sampler.start, sampler.stop))])
    sums, weight = (interpolate(v, grid, axes) for v in (np.nan_to_num(volume), mask))
    known = np.isfinite(found)
    assert (weight[known] >= 0.5).all()
    assert np.allclose(found[known], (sums / np.maximum(weight, 1e-9))[known], atol=1e-5)


def test_a_slice_reads_two_planes():
    grid = Grid((50, 60, 70), (1.0, 1.0, 1.0))
    axes = [np.array([10.3]), grid.axis_um(1), grid.axis_um(2)]
    assert around(grid, axes) == ((10, 0, 0), (12, 60, 70))
