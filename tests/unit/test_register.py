"""Registration: poses come back, bad matches are told, landmarks are checked."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import zarr
from scipy import ndimage

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel, read_image
from vortex_model.multiscale_write import write_image
from vortex_model.register import (
    NoTissueError,
    Plane,
    Registration,
    assess,
    from_landmarks,
    overlay,
    register,
    register_to_volume,
)
from vortex_model.tissue import density

SPACING = 20.0


def tissue(seed: int, size: int = 200) -> Plane:
    """A lopsided piece of made-up tissue, 4 mm wide, with structure at several scales."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = np.arctan2(y, x)
    waves = sum(
        random.uniform(0, 0.05) * np.cos(k * angle + random.uniform(0, 6)) for k in (1, 2, 3)
    )
    mask = np.hypot(x * random.uniform(0.9, 1.4), y) < 0.28 + waves
    noise = sum(
        s * ndimage.gaussian_filter(random.standard_normal((size, size)), s) for s in (3, 6, 12)
    )
    noise = (noise - noise.min()) / np.ptp(noise)
    return Plane(np.where(mask, 0.2 + 0.8 * noise, 0.0).astype(np.float32), (SPACING, SPACING))


def moved(
    plane: Plane,
    degrees: float,
    mirrored: bool = False,
    scale: float = 1.0,
    spacing: tuple[float, float] = (SPACING, SPACING),
) -> tuple[Plane, Registration]:
    """The plane as another slide shows it, and the truth: fixed micrometres to moving."""
    turn = np.deg2rad(degrees)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = scale * linear @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.array([2000.0, 2000.0])
    truth = Registration.affine(linear, middle + [350.0, -180.0] - linear @ middle)
    shape = (int(4400 / spacing[0]), int(4400 / spacing[1]))
    pixels = truth.resample(
        plane.density,
        plane.spacing_um,
        plane.origin_um,
        shape=shape,
        onto_spacing_um=spacing,
        onto_origin_um=(0.0, 0.0),
    )
    return Plane(pixels, spacing), truth


def error_um(found: Registration, truth: Registration, plane: Plane) -> float:
    y, x = np.nonzero(plane.density)
    points = np.column_stack([x, y])[::50] * SPACING
    return float(np.linalg.norm(found.apply(truth.apply(points)) - points, axis=1).max())


@pytest.mark.parametrize(
    ("degrees", "mirrored", "scale", "spacing"),
    [
        (0, False, 1.0, (20.0, 20.0)),
        (180, False, 1.0, (20.0, 20.0)),
        (90, True, 1.0, (20.0, 20.0)),
        (-37, False, 1.12, (33.0, 33.0)),
        (130, True, 0.92, (14.0, 41.0)),
    ],
)
def test_a_known_pose_comes_back_within_a_pixel(
    degrees: float, mirrored: bool, scale: float, spacing: tuple[float, float]
) -> None:
    fixed = tissue(1)
    moving, truth = moved(fixed, degrees, mirrored, scale, spacing)
    found = register(fixed, moving)
    assert error_um(found, truth, fixed) < max(*spacing, SPACING)
    assert found.mirrored is mirrored
    assert found.score is not None and found.score > 0.7
    assert found.warning is None


def test_torn_noisy_tissue_still_matches() -> None:
    fixed = tissue(2)
    moving, truth = moved(fixed, 75)
    torn = moving.density + 0.05 * np.random.default_rng(0).standard_normal(moving.density.shape)
    torn[:, 130:] = 0.0
    found = register(fixed, Plane(np.clip(torn, 0, 1).astype(np.float32), moving.spacing_um))
    assert error_um(found, truth, fixed) < 3 * SPACING


def test_opposite_contrast_is_found_and_said() -> None:
    fixed = tissue(3)
    moving, truth = moved(fixed, 40)
    dense = np.where(moving.density > 0.1, 1.2 - moving.density, 0.0).astype(np.float32)
    found = register(fixed, Plane(dense, moving.spacing_um), mirror=False)
    assert found.inverted
    assert error_um(found, truth, fixed) < 2 * SPACING


def test_tissues_that_do_not_match_carry_a_warning() -> None:
    found = register(tissue(1), tissue(9), model="rigid")
    assert found.warning is not None
    assert "landmarks" in found.warning


def test_a_wrong_pose_scores_less_than_the_right_one() -> None:
    fixed = tissue(1)
    right = assess(fixed, fixed, Registration(np.eye(3)))
    wrong = assess(fixed, fixed, Registration.affine(np.eye(2), [200.0, 0.0]))
    assert right.score is not None and wrong.score is not None
    assert right.score > 0.99 > 0.5 > wrong.score
    assert right.warning is None and wrong.warning is not None


def test_one_thread_gives_what_two_give() -> None:
    fixed = tissue(4)
    moving, _ = moved(fixed, 100)
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    found = []
    try:
        for threads in (1, 2):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            found.append(register(fixed, moving, model="rigid", mirror=False).matrix)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_bend_is_found_and_its_points_go_there_and_back() -> None:
    fixed = tissue(5)
    y, x = np.indices(fixed.density.shape).astype(float)
    bend = 6.0 * np.sin(4 * np.pi * y / 200)
    bent = ndimage.map_coordinates(fixed.density, [y, x + bend], order=1)
    moving = Plane(bent.astype(np.float32), fixed.spacing_um)
    stiff, soft = (register(fixed, moving, model=m, mirror=False) for m in ("affine", "bspline"))
    assert stiff.score is not None and soft.score is not None
    assert soft.displacement is not None and soft.score > stiff.score + 0.03
    points = np.array([[1500.0, 1800.0], [2300.0, 2200.0], [2000.0, 1500.0]])
    np.testing.assert_allclose(soft.inverse(soft.apply(points)), points, atol=0.5)


def test_a_section_finds_its_plane_in_a_volume() -> None:
    random = np.random.default_rng(0)
    shape = (30, 100, 100)
    noise = ndimage.gaussian_filter(random.standard_normal(shape), (2, 4, 4))
    noise = (noise - noise.min()) / np.ptp(noise)
    _, y, x = np.indices(shape)
    inside = np.hypot((y - 50) * 1.2, x - 50 + 0.1 * y) < 30 + 6 * np.cos(
        2 * np.arctan2(y - 50, x - 45)
    )
    block = np.where(inside, 100 + 900 * noise, 5).astype(np.uint16)
    root = zarr.group(zarr.storage.MemoryStore())
    grid = Grid(shape, (30.0, 20.0, 20.0), (300.0, 0.0, 0.0))
    write_image(root, ArraySource(block[None], grid, (Channel("nuclei", "nuclear"),)), "block")
    image = read_image(root)
    plane = Plane(density(block[None, 17], rgb=False), (20.0, 20.0))
    turn = np.deg2rad(70)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    truth = Registration.affine(linear, np.array([1200.0, 900.0]) - linear @ [1000.0, 1000.0])
    pixels = truth.resample(
        plane.density,
        (20.0, 20.0),
        (0.0, 0.0),
        shape=(150, 170),
        onto_spacing_um=(15.0, 15.0),
        onto_origin_um=(0.0, 0.0),
    )
    found, z_um = register_to_volume(image, Plane(pixels, (15.0, 15.0)), mirror=False)
    assert abs(z_um - (300.0 + 17 * 30.0)) <= 30.0
    assert error_um(found, truth, plane) < 40.0
    with pytest.raises(VortexError, match="z_range"):
        register_to_volume(image, plane, z_range=(-500.0, -400.0))


def test_an_empty_slide_is_an_error_that_names_it() -> None:
    empty = Plane(np.zeros((50, 50), np.float32), (SPACING, SPACING))
    with pytest.raises(NoTissueError, match="moving image shows no tissue"):
        register(tissue(1), empty)


def test_her2st_neighbours_match_and_strangers_do_not(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image as Picture

    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", None)
    images = shared_data / "her2st" / "data" / "ST-imgs"
    planes = {}
    for name in ("C/C3", "C/C4", "B/B4"):
        with Picture.open(next((images / name).glob("*.jpg"))) as file:
            file.draft("RGB", (file.size[0] // 8, file.size[1] // 8))
            small = np.asarray(file.convert("RGB").reduce(2))
        pixel = 0.686 * 16
        planes[name] = Plane(density(np.moveaxis(small, -1, 0), rgb=True), (pixel, pixel))
    good = register(planes["C/C4"], planes["C/C3"], model="rigid")
    assert good.warning is None and not good.mirrored
    assert abs(good.rotation_deg + 7.7) < 2.0
    assert register(planes["C/C4"], planes["B/B4"], model="rigid").warning is not None


# -- landmarks --------------------------------------------------------------------------------

HEAD = "moving_x_um,moving_y_um,fixed_x_um,fixed_y_um\n"


def landmarks(tmp_path: Path, rows: str, head: str = HEAD) -> Path:
    place = tmp_path / "landmarks.csv"
    place.write_text(head + rows)
    return place


def test_three_landmarks_give_a_similarity_with_its_mirror(tmp_path: Path) -> None:
    found = from_landmarks(landmarks(tmp_path, "0,0,10,0\n100,0,-190,0\n0,50,10,100\n"))
    assert found.mirrored
    assert found.residual_um == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(found.apply([[50.0, 50.0]]), [[-90.0, 100.0]], atol=1e-6)


def test_landmarks_that_disagree_name_the_row(tmp_path: Path) -> None:
    good = "0,0,0,0\n1000,0,1000,0\n0,1000,0,1000\n1000,1000,1000,1000\n500,500,500,500\n"
    assert from_landmarks(landmarks(tmp_path, good)).warning is None
    found = from_landmarks(landmarks(tmp_path, good + "500,0,500,2000\n"))
    assert found.warning is not None and "row 6" in found.warning


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("0,0,0,0\n1,1,1,1\n", "mirror"),
        ("0,0,0,0\n1,1,1,1\n2,2,2,2\n", "one line"),
        ("0,0,0,0\n1,x,1,1\n2,2,2,2\n", "row 2"),
        ("", "0 pairs"),
    ],
)
def test_landmarks_that_cannot_do_are_refused(tmp_path: Path, rows: str, says: str) -> None:
    with pytest.raises(VortexError, match=says):
        from_landmarks(landmarks(tmp_path, rows))


def test_landmarks_name_the_missing_column(tmp_path: Path) -> None:
    with pytest.raises(VortexError, match="fixed_y_um"):
        from_landmarks(landmarks(tmp_path, "0,0,0\n", "moving_x_um,moving_y_um,fixed_x_um\n"))


# -- overlay ----------------------------------------------------------------------------------


def test_the_overlay_is_grey_where_both_agree_and_coloured_where_not() -> None:
    plane = tissue(1)
    agree = overlay(plane, plane, Registration(np.eye(3)), size=300)
    assert agree.shape == (300, 300, 3)
    assert np.ptp(agree.astype(int), axis=2).max() == 0
    apart = overlay(plane, plane, Registration.affine(np.eye(2), [1500.0, 0.0]), size=300)
    green = apart[..., 1].astype(int) - apart[..., 0]
    assert green.max() > 50 and green.min() < -50
