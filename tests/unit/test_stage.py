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


@pytest.mark.parametrize("side", ["+z", "-z"])
def test_the_nearer_of_two_opaque_planes_hides_the_other(side: str) -> None:
    def plane(z_um: float, *colour: int) -> tuple[Grid, np.ndarray]:
        rgba = np.full((8, 8, 4), (*colour, 255), np.uint8)
        return Grid((1, 8, 8), (10.0, 10.0, 10.0), (z_um, 5.0, 5.0)), rgba

    stage = Stage()
    try:
        stage.set_sheets([plane(0.0, 255, 0, 0), plane(50.0, 0, 0, 255)], 1.0)
        box = ((0.0, 80.0), (0.0, 80.0), (0.0, 50.0))
        red, _, blue = stage.draw(cameras.look(box, side, 1.0, 1.0), (100, 100))[50, 50].tolist()
    finally:
        stage.close()
    assert (red, blue) == ((0, 255) if side == "+z" else (255, 0))


@pytest.mark.parametrize("side", ["+z", "-z"])
@pytest.mark.parametrize("first", ["spots", "sheets"])
def test_spots_on_a_plane_are_seen_whole_from_both_sides(side: str, first: str) -> None:
    grid = Grid((1, 8, 8), (10.0, 10.0, 10.0), (20.0, 5.0, 5.0))
    red = np.full((8, 8, 4), (255, 0, 0, 255), np.uint8)
    green = np.array([[0, 255, 0]], np.uint8)
    stage = Stage()
    try:
        set_up = {
            "sheets": lambda: stage.set_sheets([(grid, red)], 1.0),
            "spots": lambda: stage.set_spots(np.array([[40.0, 40, 20]]), green, np.array([40.0])),
        }
        set_up.pop(first)()
        next(iter(set_up.values()))()
        box = ((0.0, 80.0), (0.0, 80.0), (0.0, 40.0))
        pixels = stage.draw(cameras.look(box, side, 1.0, 1.0), (100, 100))
    finally:
        stage.close()
    assert (pixels[42:58, 42:58] == (0, 255, 0)).all()
    assert (pixels[20, 50] == (255, 0, 0)).all()
