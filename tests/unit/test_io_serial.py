"""Serial sections become one registered volume, with their spots; points become morphology."""

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from scipy import ndimage

from vortex_model import io
from vortex_model.errors import VortexError
from vortex_model.io.transform import Transform
from vortex_model.register import Displacement, Registration
from vortex_model.study import Study

SIZE = 300
UM = 2.0


def tissue_picture(seed=0):
    """H&E-like: a lopsided purple shape with structure on bright glass."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    shape = ((x / 0.3) ** 2 + (y / 0.22) ** 2 < 1) & ~((x > 0.05) & (y > 0.05))
    shape |= (np.abs(x + 0.2) < 0.05) & (np.abs(y) < 0.3)
    coarse = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 9)
    grain = 0.6 + 0.25 * coarse / coarse.std()
    dense = ndimage.gaussian_filter(shape.astype(float), 1) * np.clip(grain, 0.15, 1.0)
    rgb = 240 * np.exp(-dense[..., None] * np.array([1.0, 1.6, 0.6]))
    return rgb.astype(np.uint8)


def legacy_files(folder, name, pixels):
    frame = pd.DataFrame(np.full((len(pixels), 3), 2), columns=["A", "B", "C"])
    frame.index = [f"{n}x1" for n in range(len(pixels))]
    frame.to_csv(folder / f"{name}.tsv", sep="\t")
    table = pd.DataFrame({"x": range(len(pixels)), "y": 1})
    table["pixel_x"], table["pixel_y"] = pixels.T
    table.to_csv(folder / f"{name}_spots.tsv", sep="\t", index=False)
    return {
        "name": name,
        "format": "legacy-st",
        "counts": f"{name}.tsv",
        "spots": f"{name}_spots.tsv",
        "spot_diameter_um": 20,
        "plane": name,
    }


def save(folder, name, rgb):
    (folder / f"{name}.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb)))


def manifest(folder, planes, sections=(), **serial):
    record = {
        "version": 1,
        "name": "stack",
        "modality": "serial-sections",
        "serial": {"planes": planes} | serial,
        "sections": list(sections),
    }
    (folder / "m.yaml").write_text(yaml.safe_dump(record))
    return folder / "m.yaml"


def plane(name, z_um, **more):
    return {"name": name, "image": f"{name}.png", "um_per_pixel": UM, "z_um": z_um} | more


SPOTS = np.array([[110.0, 135.0], [150.0, 140.0], [125.0, 165.0]])


def test_a_turned_section_is_registered_with_its_spots(tmp_path):
    picture = tissue_picture()
    save(tmp_path, "S1", picture)
    save(tmp_path, "S2", np.rot90(picture, k=-1))  # clockwise by 90 degrees
    turned = np.column_stack([SIZE - 1 - SPOTS[:, 1], SPOTS[:, 0]])
    sections = [legacy_files(tmp_path, "S1", SPOTS), legacy_files(tmp_path, "S2", turned)]
    place = manifest(
        tmp_path, [plane("S1", 0), plane("S2", 50)], sections, reference="S1", spacing_um=4
    )
    assert io.check(place) == []
    io.import_study(place, tmp_path / "s.zarr")
    study = Study.open(tmp_path / "s.zarr")
    assert study.section_names == ["S1", "S2"]
    fixed, moved = (study.section(n).obsm["spatial"] for n in study.section_names)
    np.testing.assert_allclose(fixed[:, :2], SPOTS * UM)
    np.testing.assert_allclose(moved[:, :2], fixed[:, :2], atol=8)
    np.testing.assert_allclose(moved[:, 2], 50)
    volume = np.asarray(study.morphology.levels[0].array[:]).astype(float)
    assert study.morphology.is_rgb and volume.shape[1] == 2
    assert np.corrcoef(volume[:, 0].ravel(), volume[:, 1].ravel())[0, 1] > 0.95
    picture_, record = study.overlay("S2")
    assert picture_.ndim == 3 and record["fixed"] == "S1" and record["score"] > 0.5
    assert "registration" in study.section("S2").uns["vortex"]["record"]


def test_the_reference_keeps_its_pixels(tmp_path):
    picture = tissue_picture()
    save(tmp_path, "S1", picture)
    place = manifest(tmp_path, [plane("S1", 7)], z_spacing_um=5, frame="images")
    io.import_study(place, tmp_path / "s.zarr")
    morphology = Study.open(tmp_path / "s.zarr").morphology
    assert morphology.grid.origin_um == (7, 0, 0)
    seen = np.asarray(morphology.levels[0].array[:, 0])
    np.testing.assert_array_equal(seen[:, :SIZE, :SIZE], np.moveaxis(picture, -1, 0))
    coarse = manifest(tmp_path, [plane("S1", 7)], z_spacing_um=5, frame="images", spacing_um=4)
    io.import_study(coarse, tmp_path / "s.zarr", overwrite=True)
    seen = np.asarray(Study.open(tmp_path / "s.zarr").morphology.levels[0].array[0, 0])
    means = picture[..., 0].reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3))
    assert np.abs(seen[: SIZE // 2, : SIZE // 2] - means).max() <= 0.5


def test_the_frame_holds_the_tissue_and_the_spots(tmp_path):
    save(tmp_path, "S1", tissue_picture())
    far = np.vstack([SPOTS, [[290.0, 150.0]]])
    for spots, reaches in ((SPOTS, False), (far, True)):
        section = legacy_files(tmp_path, "S1", spots)
        place = manifest(tmp_path, [plane("S1", 0)], [section], z_spacing_um=5)
        io.import_study(place, tmp_path / "s.zarr", overwrite=True)
        (y0, _), (x0, x1) = Study.open(tmp_path / "s.zarr").morphology.grid.bounds_um[1:]
        assert y0 > 50 and x0 > 50
        assert (x1 >= 580) == reaches


def test_given_poses_need_no_registration(tmp_path):
    save(tmp_path, "S1", tissue_picture())
    save(tmp_path, "S2", tissue_picture(seed=1))
    pairs = [(0, 0), (700, 0), (0, 700), (700, 700)]
    rows = ["moving_x_um,moving_y_um,fixed_x_um,fixed_y_um"]
    rows += [f"{x},{y},{x + 24},{y - 16}" for x, y in pairs]
    (tmp_path / "l.csv").write_text("\n".join(rows))
    sections = [legacy_files(tmp_path, n, SPOTS) for n in ("S1", "S2")]
    for pose in ({"landmarks": "l.csv"}, {"affine": [[1, 0, 24], [0, 1, -16]]}):
        planes = [plane("S1", 0, pose="none"), plane("S2", 10, pose=pose)]
        io.import_study(
            manifest(tmp_path, planes, sections, spacing_um=8), tmp_path / "s.zarr", overwrite=True
        )
        study = Study.open(tmp_path / "s.zarr")
        np.testing.assert_allclose(
            study.section("S2").obsm["spatial"][:, :2], SPOTS * UM + [24, -16], atol=1e-6
        )
        assert study.overlay_names == []


@pytest.mark.parametrize(("between", "middle"), [("nearest", {50, 200}), ("linear", {125})])
def test_uneven_planes_are_filled_between(tmp_path, between, middle):
    for name, value in (("S1", 50), ("S2", 200)):
        tifffile.imwrite(tmp_path / f"{name}.png", np.full((64, 64), value, np.uint8))
    planes = [plane("S1", 0, pose="none"), plane("S2", 20, pose="none")]
    for p in planes:
        p["image"] = p["name"] + ".tif"
        (tmp_path / f"{p['name']}.png").rename(tmp_path / p["image"])
    place = manifest(tmp_path, planes, z_spacing_um=10, between=between)
    io.import_study(place, tmp_path / "s.zarr")
    volume = np.asarray(Study.open(tmp_path / "s.zarr").morphology.levels[0].array[0, :, 30, 30])
    assert volume[0] == 50 and volume[2] == 200 and volume[1] in middle


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"um_per_pixel": None}, "does not say its pixel size"),
        ({"image": "S3.png"}, "there is no"),
        ({"z_um": 0}, "evenly spaced"),
        ({"name": "S1"}, "'S1' is given 2 times"),
        ({"pose": {"register": {"to": "S9"}}}, "'to' is 'S9'"),
        ({"pose": {"landmarks": "l.csv"}}, "there is no"),
        ({"pose": {"affine": [[1, 0], [0, 1]]}}, "write 2 rows"),
        ({"pose": "rigid"}, "give one of affine"),
    ],
)
def test_mistakes_about_planes_are_told(tmp_path, change, text):
    for name in ("S1", "S2"):
        save(tmp_path, name, np.full((40, 40, 3), 200, np.uint8))
    place = manifest(tmp_path, [plane("S1", 0), plane("S2", 10) | change])
    assert text in "\n".join(io.check(place))


def test_spots_off_their_image_are_told(tmp_path):
    save(tmp_path, "S1", tissue_picture())
    section = legacy_files(tmp_path, "S1", np.vstack([SPOTS, [[500.0, 20.0]]]))
    text = io.check(manifest(tmp_path, [plane("S1", 0)], [section], z_spacing_um=5))
    assert "1 of 4 spots lie off the image of plane S1 (300 x 300 pixels), as 3x1" in text[0]


def test_empty_glass_cannot_be_registered_and_leaves_nothing(tmp_path):
    for name in ("S1", "S2"):
        save(tmp_path, name, np.full((64, 64, 3), 240, np.uint8))
    place = manifest(tmp_path, [plane("S1", 0), plane("S2", 10)])
    with pytest.raises(VortexError, match="no tissue"):
        io.import_study(place, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()
    assert not list(tmp_path.glob(".partial*"))


def test_a_poor_match_is_a_warning_in_the_study(tmp_path):
    save(tmp_path, "S1", tissue_picture(0))
    other = tissue_picture(5)
    other[:, :150] = 240
    save(tmp_path, "S2", other)
    heard = []
    pose = {"register": {"model": "rigid", "mirror": False}}
    place = manifest(tmp_path, [plane("S1", 0, pose=pose), plane("S2", 10)], spacing_um=8)
    io.import_study(place, tmp_path / "s.zarr", progress=lambda f, m: heard.append(m))
    study = Study.open(tmp_path / "s.zarr")
    name = study.overlay_names[0]
    assert study.overlay(name)[1]["warning"]
    assert "poor" in study.info.notes["import warnings"]
    assert any(m.startswith("warning: ") for m in heard)


def test_a_section_is_registered_to_a_plane_of_a_volume(tmp_path):
    picture = tissue_picture()
    dark = 255 - picture.mean(axis=-1).astype(np.uint8)
    np.save(tmp_path / "v.npy", np.stack([dark] * 3))
    save(tmp_path, "own", np.rot90(picture, k=2))
    turned = SIZE - 1 - SPOTS
    section = legacy_files(tmp_path, "A", turned)
    del section["plane"]
    how = {"image": "own.png", "um_per_pixel": UM, "model": "rigid", "mirror": False}
    section |= {"z_um": 20, "pose": {"register": how}}
    record = {
        "version": 1,
        "name": "block",
        "volume": {"path": "v.npy", "spacing_um": [20, UM, UM]},
        "sections": [section],
    }
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(record))
    assert io.check(tmp_path / "m.yaml") == []
    io.import_study(tmp_path / "m.yaml", tmp_path / "s.zarr")
    study = Study.open(tmp_path / "s.zarr")
    want = np.column_stack([SPOTS * UM, np.full(3, 20.0)])
    np.testing.assert_allclose(study.section("A").obsm["spatial"], want, atol=8)
    assert study.overlay_names == ["A"]


def test_poses_chain_from_neighbour_to_neighbour_and_back():
    turn = Registration.affine([[0.0, -1.1], [0.9, 0.1]], [30.0, -12.0])
    shift = Registration.affine([[1.0, 0.2], [0.0, 1.0]], [5.0, 7.0])
    wave = 4 * np.sin(np.indices((60, 60)) / 12).astype(np.float32)
    bent = Registration(
        shift.matrix, displacement=Displacement(wave, (10.0, 10.0), (-200.0, -200.0))
    )
    points = np.random.default_rng(0).uniform(0, 200, (40, 2))
    for near, far in ((turn, shift), (bent, turn), (turn, bent), (bent, bent)):
        chain = Transform().after(near).after(far)
        np.testing.assert_allclose(chain.apply(points), near.apply(far.apply(points)), atol=1e-6)
        np.testing.assert_allclose(chain.inverse(chain.apply(points)), points, atol=1e-3)


# -- points -----------------------------------------------------------------------------------


def points_manifest(folder, **change):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.uniform(0, 100, 4000), "y": rng.uniform(0, 60, 4000)})
    frame["slide"] = np.where(np.arange(4000) < 3000, "a", "b")
    frame["area"] = np.where(frame.x < 50, 10.0, 30.0)
    frame["region"] = np.where(frame.y < 30, "top", "")
    frame.to_csv(folder / "n.csv.gz", index=False)
    volume = {
        "format": "points",
        "path": "n.csv.gz",
        "columns": {"x": "x", "y": "y", "plane": "slide"},
        "values": ["area"],
        "um_per_unit": 10,
        "spacing_um": [10, 10, 10],
        "radius_um": 20,
        "bounds_um": [[0, 1000], [0, 600]],
        "planes": [{"value": "a", "z_um": 0}, {"value": "b", "z_um": 20}],
    }
    record = {"version": 1, "name": "nuclei", "volume": volume | change}
    (folder / "m.yaml").write_text(yaml.safe_dump(record))
    return folder / "m.yaml"


def test_points_are_drawn_as_density_and_mean_values(tmp_path):
    place = points_manifest(tmp_path)
    assert io.check(place) == []
    io.import_study(place, tmp_path / "s.zarr")
    volume = np.asarray(Study.open(tmp_path / "s.zarr").morphology.levels[0].array[:])
    assert volume.shape == (2, 3, 60, 100)
    middle = volume[0, :, 15:-15, 15:-15].mean(axis=(1, 2))
    np.testing.assert_allclose(middle, [5000, 3333, 1667], rtol=0.08)  # nuclei per mm2
    np.testing.assert_allclose(volume[1, 0, 20:40, 5:35], 10, rtol=0.01)
    np.testing.assert_allclose(volume[1, 0, 20:40, 65:95], 30, rtol=0.01)


def test_points_without_a_region_are_left_out(tmp_path):
    io.import_study(points_manifest(tmp_path, require=["region"]), tmp_path / "s.zarr")
    volume = np.asarray(Study.open(tmp_path / "s.zarr").morphology.levels[0].array[0, 0])
    assert volume[45:].max() == 0 and volume[5:25].min() > 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"columns": {"x": "x", "y": "y"}}, "'plane' is missing"),
        ({"columns": {"x": "X", "y": "y", "plane": "slide"}}, "no column 'X'"),
        ({"planes": [{"value": "c", "z_um": 0}]}, "no row has slide 'c'"),
        ({"planes": [{"value": "a", "z_um": 0}, {"value": "b", "z_um": 5}]}, "5 um apart"),
        ({"radius_um": 0}, "above 0"),
        ({"bounds_um": [[5, 1], [0, 1]]}, "from comes before to"),
        ({"bounds_um": [[5000, 6000], [0, 600]]}, "no point left"),
    ],
)
def test_mistakes_about_points_are_told(tmp_path, change, text):
    assert text in "\n".join(io.check(points_manifest(tmp_path, **change)))
