"""How finely 3D shows a block: within its budget, finer in a crop, something at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_model.grid import Grid
from vortex_model.multiscale import Channel, Image, Level
from vortex_viewer.scene import detail
from vortex_viewer.scene.graphics import (
    HARDWARE_VOXELS,
    SOFTWARE_VOXELS,
    renderer_of,
    voxels_for,
)


def pyramid(shape, spacing=(2.0, 1.0, 1.0), origin=(5.0, -30.0, 100.0)):
    """An image of these voxels, halved until it is small; the voxels themselves are not made."""
    grids = [Grid(shape, spacing, origin)]
    while max(grids[-1].shape) > 16:
        grids.append(grids[-1].coarsen(tuple(2 if n > 1 else 1 for n in grids[-1].shape)))
    levels = tuple(Level(None, g) for g in grids)
    return Image(levels, (Channel("nuclei"),), ((0.0, 1.0),), "content")


def count(found):
    return int(np.prod(np.subtract(found.stop, found.start)))


shapes = st.tuples(*[st.integers(1, 700)] * 3)
parts = st.tuples(*[st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)] * 3)


@given(shapes, parts, st.integers(5_000, 2_000_000))
def test_a_crop_is_covered_within_the_budget_and_no_coarser_than_the_block(shape, part, budget):
    image = pyramid(shape)
    bounds = image.grid.bounds_um
    crop = tuple(
        (low + a * (high - low), low + b * (high - low))
        for (a, b), (low, high) in zip(part[::-1], bounds[::-1], strict=True)
    )
    whole, near = detail.finest(image, budget), detail.finest(image, budget, crop)
    assert near.level <= whole.level
    assert count(near) <= budget or near.level == len(image.levels) - 1
    shown = near.grid(image).bounds_um[::-1]
    for (low, high), (first, last) in zip(crop, shown, strict=True):
        assert first <= low + 1e-6 and high - 1e-6 <= last


def test_a_small_crop_of_a_large_block_is_seen_in_full():
    image = pyramid((400, 400, 400))
    assert detail.finest(image, 1_000_000).level == 2
    z, y, x = image.grid.bounds_um
    crop = ((x[0], x[0] + 40), (y[0], y[0] + 40), (z[0], z[0] + 80))
    near = detail.finest(image, 1_000_000, crop)
    assert near.level == 0 and count(near) <= 51**3
    # a step of the slider that stays within the same part reads nothing anew
    again = ((x[0] + 3, x[0] + 43), crop[1], crop[2])
    assert detail.finest(image, 1_000_000, again) == near


@pytest.mark.parametrize(("side", "first"), [(100, None), (150, 1), (340, 3)])
def test_a_coarse_picture_comes_first_where_the_fine_one_takes_time(side, first):
    image = pyramid((side, side, side))
    fine = detail.finest(image, 6_000_000)
    early = detail.quick(image, fine)
    if first is None:
        assert early is None
    else:
        assert early is not None
        assert count(early) <= detail.QUICK_VOXELS
        assert early.level > fine.level


@pytest.mark.parametrize(
    ("report", "name", "voxels"),
    [
        ("OpenGL renderer string:  llvmpipe (LLVM 15.0.6, 256 bits)", "llvmpipe", SOFTWARE_VOXELS),
        ("OpenGL renderer string:  Google SwiftShader", "Google", SOFTWARE_VOXELS),
        ("OpenGL renderer string:  NVIDIA H100 PCIe/PCIe/SSE2", "NVIDIA", HARDWARE_VOXELS),
        ("display id not set", "", SOFTWARE_VOXELS),
    ],
)
def test_a_graphics_card_holds_more(report, name, voxels):
    found = renderer_of(f"OpenGL vendor string:  Mesa\n{report}\nOpenGL version string:  4.5\n")
    assert found.startswith(name) and bool(found) == bool(name)
    assert voxels_for(found) == voxels
