"""Volumes of every format: voxels, spacing in micrometres, channels; and what damaged files say."""

import gzip
import zlib

import imagecodecs
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
import yaml
import zarr

from vortex_model import io
from vortex_model.study import Study

SHAPE = (5, 20, 30)
VOXELS = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)


def manifest(folder, volume, **more):
    place = folder / "m.yaml"
    place.write_text(yaml.safe_dump({"version": 1, "name": "block", "volume": volume} | more))
    return place


def imported(folder, volume, **more):
    place = manifest(folder, volume, **more)
    assert io.check(place) == []
    io.import_study(place, folder / "s.zarr", overwrite=True)
    return Study.open(folder / "s.zarr")


def said(folder, volume, **more):
    return "\n".join(io.check(manifest(folder, volume, **more)))


def voxels(study):
    return np.asarray(study.morphology.levels[0].array[:])


def itk(path, spacing=(0.006, 0.005, 0.004), **more):
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path), **more)


def ome_zarr(path, version, scale=(0.004, 0.005, 0.006), unit="millimeter"):
    axes = [{"name": a, "type": "space", "unit": unit} for a in "zyx"]
    steps = [
        {"type": "scale", "scale": list(scale)},
        {"type": "translation", "translation": [0.001, 0.0, 0.0]},
    ]
    record = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", data=VOXELS, chunks=(1, 16, 16))
    if version == "0.4":
        group.attrs["multiscales"] = [record | {"version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [record]}


WRITERS = {
    "a.ome.tif": lambda p: tifffile.imwrite(
        p, VOXELS, tile=(16, 16), compression="zlib",
        metadata={"axes": "ZYX", "PhysicalSizeZ": 4, "PhysicalSizeY": 5000,
                  "PhysicalSizeYUnit": "nm", "PhysicalSizeX": 0.006, "PhysicalSizeXUnit": "mm"},
    ),
    "imagej.tif": lambda p: tifffile.imwrite(
        p, VOXELS, imagej=True, resolution=(1 / 6, 1 / 5),
        metadata={"spacing": 4, "unit": "micron", "axes": "ZYX"},
    ),
    "a.nii": itk,
    "a.nii.gz": itk,
    "four.zarr": lambda p: ome_zarr(p, "0.4"),
    "five.zarr": lambda p: ome_zarr(p, "0.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_formats_that_know_their_spacing(tmp_path, name):
    WRITERS[name](tmp_path / name)
    study = imported(tmp_path, {"path": name})
    np.testing.assert_array_equal(voxels(study)[0], VOXELS)
    np.testing.assert_allclose(study.morphology.grid.spacing_um, (4, 5, 6), rtol=1e-5)
    if name.endswith("zarr"):
        np.testing.assert_allclose(study.morphology.grid.origin_um, (1, 0, 0))


@pytest.mark.parametrize("name", ["a.nrrd", "raw.nrrd", "a.mha", "a.mhd"])
def test_formats_without_a_unit_ask_for_it(tmp_path, name):
    itk(tmp_path / name, useCompression=name == "a.nrrd")
    assert "without a unit" in said(tmp_path, {"path": name})
    study = imported(tmp_path, {"path": name, "spacing_unit": "mm"})
    np.testing.assert_array_equal(voxels(study)[0], VOXELS)
    np.testing.assert_allclose(study.morphology.grid.spacing_um, (4, 5, 6))


@pytest.mark.parametrize("how", ["multi-page", "shaped", "folder", "npy folder", "npy", "pattern"])
def test_formats_that_do_not_know_their_spacing(tmp_path, how):
    path = "planes"
    (tmp_path / "planes").mkdir()
    order = [2, 9, 10, 11, 100]  # by text, 10 comes before 2
    if how == "multi-page":
        path = "a.tif"
        tifffile.imwrite(tmp_path / path, VOXELS, metadata=None)
    elif how == "shaped":
        path = "a.tif"
        tifffile.imwrite(tmp_path / path, VOXELS)
    elif how == "npy":
        path = "a.npy"
        np.save(tmp_path / path, VOXELS)
    elif how == "npy folder":
        for number, plane in zip(order, VOXELS, strict=True):
            np.save(tmp_path / "planes" / f"z{number}.npy", plane)
    else:
        for number, plane in zip(order, VOXELS, strict=True):
            tifffile.imwrite(tmp_path / "planes" / f"z{number}.tif", plane)
        path = "planes/z*.tif" if how == "pattern" else path
    assert "does not say its spacing" in said(tmp_path, {"path": path})
    study = imported(tmp_path, {"path": path, "spacing_um": [4, 5, 6]})
    np.testing.assert_array_equal(voxels(study)[0], VOXELS)


def test_the_printers_resolution_is_not_believed(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, resolution=(300, 300), resolutionunit="INCH")
    text = said(tmp_path, {"path": "a.tif"})
    assert "84.6667 um a pixel" in text and "Give spacing_um" in text


def test_a_file_and_a_manifest_that_differ_are_a_mistake(tmp_path):
    WRITERS["a.ome.tif"](tmp_path / "a.ome.tif")
    volume = {"path": "a.ome.tif", "spacing_um": [4, 5, 7]}
    assert "is 7 um along x" in said(tmp_path, volume)
    study = imported(tmp_path, volume | {"override_file_spacing": True})
    assert study.morphology.grid.spacing_um == (4, 5, 7)


def test_channels_from_files_of_their_own(tmp_path):
    np.save(tmp_path / "a.npy", VOXELS)
    np.save(tmp_path / "b.npy", VOXELS[::-1])
    channels = [
        {"name": "nuclei", "role": "nuclear", "color": "#00ffff", "path": "a.npy"},
        {"name": "rest", "path": "b.npy"},
    ]
    study = imported(tmp_path, {"spacing_um": [4, 5, 6], "channels": channels})
    np.testing.assert_array_equal(voxels(study), np.stack([VOXELS, VOXELS[::-1]]))
    assert study.morphology.channel_with("nuclear") == 0
    assert study.morphology.channels[0].color == "00FFFF"
    np.save(tmp_path / "b.npy", VOXELS[:2])
    assert "Channels are alike" in said(tmp_path, {"spacing_um": [4, 5, 6], "channels": channels})


def test_channels_of_one_file_are_named_or_picked(tmp_path):
    stack = np.stack([VOXELS, VOXELS + 1], axis=1)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", stack,
        metadata={"axes": "ZCYX", "PhysicalSizeX": 1, "PhysicalSizeY": 1, "PhysicalSizeZ": 2,
                  "Channel": {"Name": ["DAPI", "eosin"]}},
    )  # fmt: skip
    study = imported(tmp_path, {"path": "a.ome.tif"})
    assert [c.name for c in study.morphology.channels] == ["DAPI", "eosin"]
    np.testing.assert_array_equal(voxels(study), np.moveaxis(stack, 1, 0))
    study = imported(tmp_path, {"path": "a.ome.tif", "channels": [{"name": "e", "index": 1}]})
    np.testing.assert_array_equal(voxels(study)[0], VOXELS + 1)
    one = {"path": "a.ome.tif", "channels": [{"name": "e"}]}
    assert "1 are named" in said(tmp_path, one)
    assert "is 5, but" in said(tmp_path, one | {"channels": [{"name": "e", "index": 5}]})


def test_a_colour_stack_is_known_as_such(tmp_path):
    colour = np.random.default_rng(1).integers(0, 255, (2, 40, 50, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    study = imported(tmp_path, {"path": "a.tif", "spacing_um": [5, 1, 1]})
    assert study.morphology.is_rgb
    np.testing.assert_array_equal(voxels(study), np.moveaxis(colour, -1, 0))


def test_orientation_is_kept_and_checked(tmp_path):
    np.save(tmp_path / "a.npy", VOXELS)
    volume = {"path": "a.npy", "spacing_um": [4, 5, 6]}
    assert imported(tmp_path, volume | {"orientation": "psl"}).info.notes["orientation"] == "psl"
    assert "'pss' is none" in said(tmp_path, volume | {"orientation": "pss"})


def test_voxels_that_are_no_number_become_zero(tmp_path):
    array = VOXELS.astype(np.float32)
    array[1, 2, 3] = np.nan
    np.save(tmp_path / "a.npy", array)
    assert voxels(imported(tmp_path, {"path": "a.npy", "spacing_um": [4, 5, 6]}))[0, 1, 2, 3] == 0


def test_labels_lie_on_the_volume(tmp_path):
    np.save(tmp_path / "a.npy", VOXELS)
    np.save(tmp_path / "l.npy", (VOXELS > 2000).astype(np.uint8) * 7)
    volume = {"path": "a.npy", "spacing_um": [4, 5, 6]}
    label = {"name": "glands", "path": "l.npy", "spacing_um": [4, 5, 6]}
    study = imported(tmp_path, volume, labels=[label])
    assert set(np.unique(study.label("glands").levels[-1].array[:])) <= {0, 7}
    wrong = said(tmp_path, volume, labels=[label | {"spacing_um": [8, 5, 6]}])
    assert "it covers -4 to 36" in wrong
    np.save(tmp_path / "l.npy", VOXELS.astype(np.float32))
    assert "whole numbers" in said(tmp_path, volume, labels=[label])


def cut(path, part=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.nii", "a.nii.gz", "a.mha", "a.png"])
def test_a_file_that_is_cut_short_is_told(tmp_path, name):
    path = tmp_path / name
    if name.endswith("tif"):
        tifffile.imwrite(path, VOXELS, metadata=None, compression=None)
    elif name.endswith("npy"):
        np.save(path, VOXELS)
    elif name.endswith("png"):
        path.write_bytes(imagecodecs.png_encode(VOXELS[0].astype(np.uint8)))
    else:
        itk(path)
    cut(path)
    text = said(tmp_path, {"path": name, "spacing_um": [4, 5, 6]})
    assert name in text and ("cut short" in text or "Is it whole" in text)


def test_a_damaged_chunk_ends_the_import_without_a_study(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, compression="zlib", tile=(16, 16))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        start = file.pages[1].dataoffsets[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[start : start + 16] = b"\xff" * 16
    (tmp_path / "a.tif").write_bytes(bytes(data))
    place = manifest(tmp_path, {"path": "a.tif", "spacing_um": [4, 5, 6]})
    with pytest.raises(io.importing.VortexError, match="cannot be decoded"):
        io.import_study(place, tmp_path / "s.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "m.yaml"]


def test_python_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    text = said(tmp_path, {"path": "a.npy", "spacing_um": [4, 5, 6]})
    assert "could run code" in text


def test_types_that_are_no_intensity_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", VOXELS.astype(np.complex64))
    assert "type complex64" in said(tmp_path, {"path": "a.npy", "spacing_um": [4, 5, 6]})


def test_sizes_are_capped_before_decoding(tmp_path):
    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return len(data).to_bytes(4) + kind + data + crc.to_bytes(4)

    head = (60000).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)
    bomb += chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(bomb)
    text = said(tmp_path, {"path": "a.png", "spacing_um": [4, 5, 6]})
    assert "10.1 GiB when decoded" in text and "max_decoded_gib" in text
    header = b"NRRD0004\ntype: uint16\ndimension: 3\nsizes: 60000 60000 60\n"
    header += b"endian: little\nencoding: gzip\n\n"
    (tmp_path / "a.nrrd").write_bytes(header + gzip.compress(b""))
    assert "GiB when decoded" in said(tmp_path, {"path": "a.nrrd", "spacing_um": [4, 5, 6]})


def test_planes_that_differ_are_told(tmp_path):
    (tmp_path / "p").mkdir()
    tifffile.imwrite(tmp_path / "p" / "1.tif", VOXELS[0])
    tifffile.imwrite(tmp_path / "p" / "2.tif", VOXELS[0, :-1])
    text = said(tmp_path, {"path": "p", "spacing_um": [4, 5, 6]})
    assert "2.tif is 19 x 30 pixels" in text


@pytest.mark.parametrize("version", ["0.3", "0.6"])
def test_other_versions_of_ome_zarr_are_told(tmp_path, version):
    ome_zarr(tmp_path / "a.zarr", version)
    assert f"OME-Zarr {version}" in said(tmp_path, {"path": "a.zarr"})


def test_an_ome_zarr_without_units_or_arrays_is_told(tmp_path):
    ome_zarr(tmp_path / "a.zarr", "0.5", unit=None)
    assert "without a unit of length" in said(tmp_path, {"path": "a.zarr"})
    ome_zarr(tmp_path / "b.zarr", "0.5")
    (tmp_path / "b.zarr" / "0" / "zarr.json").unlink()
    assert "damaged or missing" in said(tmp_path, {"path": "b.zarr"})
    zarr.open_group(tmp_path / "c.zarr", mode="w").create_group("image")
    assert "It holds image" in said(tmp_path, {"path": "c.zarr"})


def test_a_tile_is_read_without_the_rest(tmp_path):
    big = np.zeros((2, 600, 700), np.uint8)
    big[1, 400:, 500:] = 9
    tifffile.imwrite(tmp_path / "a.tif", big, tile=(64, 64), compression="zlib")
    from vortex_model.io.raster import Options
    from vortex_model.io.tiff import open_tiff

    raster = open_tiff(tmp_path / "a.tif", Options())
    assert not raster.planar
    block = raster.read(0, slice(1, 2), slice(500, 510), slice(600, 620))
    assert block.shape == (1, 10, 20) and (block == 9).all()
