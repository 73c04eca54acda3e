"""What a volume looks like does not depend on what else is in it, nor on its voxels' size."""

import numpy as np
import pytest

from vortex_model.grid import Grid
from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene.stage import Stage


def seen(
    alpha: int, voxel_um: float, *others: int, across: int = 40, wide_um: float = 200.0
) -> np.ndarray:
    """The middle pixel of orange fog, with single voxels of other alphas in a corner."""
    n = round(wide_um / voxel_um)
    block = Grid((n // 2, n, n), (voxel_um,) * 3)
    fog = np.empty((n // 2, n, across * n // 40, 4), np.uint8)
    fog[:] = (200, 100, 50, alpha)
    for x, other in enumerate(others):
        fog[0, 0, x] = (255, 255, 255, other)
    stage = Stage()
    try:
        stage.set_volume(fog.view(np.uint32)[..., 0], block.crop((0, 0, 0), fog.shape[:3]), block)
        box = ((0.0, wide_um), (0.0, wide_um), (0.0, wide_um / 2))
        pixels = stage.draw(cameras.look(box, "+z", 1.0, 1.0), (120, 120))
    finally:
        stage.close()
    # +z sees x from right to left: the fog's first columns are on the right
    return pixels[60, 70].astype(float)


@pytest.mark.parametrize("alpha", [2, 4])
def test_fog_is_as_dense_whatever_else_is_in_the_volume(alpha: int) -> None:
    alone = seen(alpha, 5.0)
    assert 40 < alone[0] < 195  # neither nothing nor opaque
    for others in ((0,), (255,), (0, 255), (2 * alpha,)):
        assert seen(alpha, 5.0, *others) == pytest.approx(alone, abs=6)


def test_fog_is_as_dense_in_finer_voxels_and_in_a_part_of_the_block() -> None:
    whole = seen(2, 5.0, 0)
    assert seen(2, 2.5, 0) == pytest.approx(whole, abs=10)
    assert seen(2, 5.0, 0, across=30) == pytest.approx(whole, abs=6)


def test_a_block_is_as_dense_whatever_its_size() -> None:
    small = seen(2, 5.0, 0)
    assert 40 < small[0] < 195
    assert seen(2, 250.0, 0, wide_um=10_000.0) == pytest.approx(small, abs=4)
