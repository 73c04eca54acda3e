"""Tissue: glass, stains, ranges and masks, on made-up and real images."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel, Image, read_image
from vortex_model.multiscale_write import write_image
from vortex_model.tissue import (
    STAINS,
    background,
    channel_ranges,
    clean,
    density,
    haematoxylin_eosin,
    normalise,
    optical_density,
    tissue_mask,
)

RGB = (Channel("red", "red"), Channel("green", "green"), Channel("blue", "blue"))
NUCLEI = (Channel("nuclei", "nuclear"),)


def image(array: np.ndarray, spacing: tuple[float, float, float], channels: tuple) -> Image:
    root = zarr.group(zarr.storage.MemoryStore())
    write_image(root, ArraySource(array, Grid(array.shape[1:], spacing), channels), "made up")
    return read_image(root)


def section(glass: tuple[float, float, float], top: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A stained disc on glass, (y, x, 3) as parts of ``top``, and where the disc is."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:300, :300]
    disc = np.hypot(y - 150, x - 140) < 80
    noise = ndimage.gaussian_filter(random.standard_normal((300, 300)), 2)
    amount = np.where(disc, 0.5 + 0.5 * noise / noise.std() * 0.2, 0.0)
    od = amount[..., None] * STAINS[0] + 0.3 * disc[..., None] * STAINS[1]
    grain = random.normal(0, 0.004, (300, 300, 3))
    return np.clip((10**-od + grain) * np.array(glass), 0, 1) * top, disc


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 4095), ("float32", 1.0)])
def test_the_glass_is_found_in_any_type_with_a_black_border(dtype: str, top: float) -> None:
    rgb, _ = section((0.92, 0.86, 0.9), top)
    rgb = np.pad(rgb, ((200, 0), (0, 200), (0, 0))).astype(dtype)
    np.testing.assert_allclose(background(rgb) / top, (0.92, 0.86, 0.9), atol=0.015)


def test_black_images_and_wrong_axes_are_refused() -> None:
    with pytest.raises(VortexError, match="black all over"):
        background(np.zeros((4, 4, 3)))
    with pytest.raises(VortexError, match=r"\(4, 4\)"):
        background(np.zeros((4, 4)))


@given(st.floats(0, 1.0), st.floats(0, 0.8))
def test_stain_amounts_come_back_from_their_mixture(h: float, e: float) -> None:
    unit = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
    glass = np.array([240.0, 230.0, 235.0])
    pixel = glass * 10 ** -(h * unit[0] + e * unit[1])
    found = haematoxylin_eosin(optical_density(pixel, glass))
    np.testing.assert_allclose(found, [h, e], atol=2e-3)


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 4095), ("float32", 1.0)])
def test_a_stained_section_is_masked_and_black_borders_are_not_tissue(
    dtype: str, top: float
) -> None:
    rgb, disc = section((0.95, 0.9, 0.93), top)
    rgb[:, 270:] = 0.0
    made = image(np.moveaxis(rgb, -1, 0)[:, None].astype(dtype), (5.0, 10.0, 10.0), RGB)
    mask, grid = tissue_mask(made, 12.0, serial=True)
    assert grid.spacing_um[1:] == (10.0, 10.0)
    assert dice(mask[0], disc) > 0.96
    assert not mask[0, :, 262:].any()


def test_serial_planes_have_ranges_of_their_own_and_a_volume_has_one() -> None:
    planes = [section(glass)[0] * 255 for glass in ((0.95, 0.9, 0.93), (0.8, 0.7, 0.8))]
    array = np.stack([np.moveaxis(p, -1, 0) for p in planes], axis=1).astype(np.uint8)
    made = image(array, (16.0, 10.0, 10.0), RGB)
    ranges = channel_ranges(made, serial=True)
    assert [len(r) for r in ranges] == [3, 3]
    assert ranges[0][1][1] == pytest.approx(0.9 * 255, abs=4)
    assert ranges[1][1][1] == pytest.approx(0.7 * 255, abs=4)
    assert len(channel_ranges(made, serial=False)) == 1
    mask, _ = tissue_mask(made, 40.0, serial=True)
    assert mask.shape[0] == 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("offset", [0, 20])
def test_unevenly_lit_light_sheet_is_masked(dtype: str, offset: int) -> None:
    random = np.random.default_rng(0)
    z, y, x = np.indices((24, 96, 96))
    ball = ((z - 12) / 10) ** 2 + ((y - 48) / 35) ** 2 + ((x - 48) / 35) ** 2 < 1
    light = 40 + 160 * x / 96  # five times brighter on one side
    values = ball * light * random.uniform(0.7, 1.0, ball.shape) + offset
    values += random.uniform(0, 2 if offset else 0, ball.shape)
    made = image(values.astype(dtype)[None], (10.0, 10.0, 10.0), NUCLEI)
    mask, grid = tissue_mask(made, 10.0, serial=False)
    assert grid == made.grid
    assert dice(mask, ball) > 0.93
    ((low, high),) = channel_ranges(made, serial=False)[0:1][0]
    assert low == pytest.approx(offset, abs=2.5)
    assert 130 < high - offset < 210


def test_normalising_keeps_what_is_brighter_and_checks_channels() -> None:
    np.testing.assert_allclose(normalise([[0.0, 10.0, 30.0]], [(10.0, 20.0)]), [[0.0, 0.0, 2.0]])
    with pytest.raises(VortexError, match="1 channels came with 2 ranges"):
        normalise([[1.0]], [(0.0, 1.0), (0.0, 1.0)])


def test_specks_go_small_holes_fill_large_holes_stay() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[20:150, 20:150] = True
    mask[30:35, 30:35] = False  # 50 um across
    mask[80:120, 80:120] = False  # 400 um across
    mask[180:183, 180:183] = True
    kept = clean(mask, (10.0, 10.0))
    assert kept[32, 32] and not kept[100, 100] and not kept[181, 181]


def test_density_is_zero_on_glass_one_in_dense_tissue_and_survives_nan() -> None:
    rgb, disc = section((0.95, 0.9, 0.93))
    plane = np.moveaxis(rgb, -1, 0).astype(np.float32)
    plane[:, 0, 0] = np.nan
    dense = density(plane, rgb=True)
    assert dense.min() == 0.0 and dense.max() == 1.0
    assert np.median(dense[~disc]) < 0.05 < 0.3 < np.median(dense[disc])


def test_her2st_masks_hold_the_tissue_and_not_the_blush(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image as Picture

    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", None)
    place = next((shared_data / "her2st" / "data" / "ST-imgs" / "C" / "C3").glob("*.jpg"))
    with Picture.open(place) as file:
        file.draft("RGB", (file.size[0] // 8, file.size[1] // 8))
        small = np.asarray(file.convert("RGB").reduce(2))
    made = image(np.moveaxis(small, -1, 0)[:, None], (16.0, 10.98, 10.98), RGB)
    mask, _ = tissue_mask(made, 12.0, serial=True)
    assert 0.15 < mask.mean() < 0.19
    assert mask[0, 200, 320]  # tumour
    assert not mask[0, 300, 420] and not mask[0, 355, 135]  # spilled dye, a blot


def test_masked_her2st_a1_is_not_black_all_over(shared_data: Path) -> None:
    from PIL import Image as Picture

    place = shared_data / "her2st" / "app" / "www" / "imgs" / "A1_HE_image_dark.png"
    with Picture.open(place) as file:
        small = np.asarray(file.convert("RGB"))[::4, ::4]
    made = image(np.moveaxis(small, -1, 0)[:, None], (16.0, 9.54, 9.54), RGB)
    mask, _ = tissue_mask(made, 12.0, serial=True)
    assert not mask[0, :120, :300].any()
    assert mask[0, 300, 200]
