"""Figures, movies, tables, volumes and sections that leave: opened again by their formats' own
libraries, and compared with the numbers and pixels that they came from."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from fractions import Fraction
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import SimpleITK
import tifffile
import zarr
from export_study import GENES, make_stack, make_study
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from vortex_model.errors import Cancelled, UnknownNameError, VortexError
from vortex_model.expression import normalise
from vortex_model.prediction import GeneCache, Prediction
from vortex_model.study import Study
from vortex_viewer.cli_export import export
from vortex_viewer.export.address import site_link
from vortex_viewer.export.figure import export_figure
from vortex_viewer.export.marks import LONGEST, bar_length
from vortex_viewer.export.movie import export_movie
from vortex_viewer.export.pictures import Pictures
from vortex_viewer.export.sections import export_sections
from vortex_viewer.export.table import export_table
from vortex_viewer.export.volume import SUFFIXES, export_volume
from vortex_viewer.scene import palette
from vortex_viewer.state import Camera, ViewState

WEB = Path(__file__).parents[2] / "assets" / "web"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study") / "block.zarr")


@pytest.fixture(scope="module")
def prediction(study, tmp_path_factory):
    return Prediction.load(Study.open(study), cache=GeneCache(tmp_path_factory.mktemp("cache")))


def near_colours(pixels, colours, by=10):
    """Share of pixels that lie near one of some colours."""
    away = np.abs(pixels[..., None, :].astype(int) - colours.astype(int)).max(axis=-1)
    return float((away.min(axis=-1) <= by).mean())


# -- figures --------------------------------------------------------------------------------


def test_a_plate_has_a_picture_a_legend_and_a_bar_for_every_gene(study, tmp_path):
    where = export_figure(
        study, tmp_path / "plate.svg", genes=GENES[:4], panel_mm=40, dpi=80,
        link="https://me.example/#gene=VIM",
    )  # fmt: skip
    root = ET.fromstring(where.read_text())
    assert len(root.findall(f".//{SVG}g[@id='scale-bar']")) == 4
    words = [t.text for t in root.iter(f"{SVG}text")]
    for gene in GENES[:4]:
        assert gene in words
    assert words.count("200 µm") == 4
    assert words.count("log1p(counts per 10,000)") == 4
    assert any("r 0.90 [0.80, 0.95]" in w for w in words)
    links = [e.get("{http://www.w3.org/1999/xlink}href") for e in root.iter(f"{SVG}a")]
    assert "https://me.example/#gene=VIM" in links
    assert any("A block (light-sheet, breast), 420 µm x 450 µm x 160 µm" in w for w in words)


def test_the_scale_bar_is_as_long_as_it_says(study, tmp_path):
    where = export_figure(study, tmp_path / "f.svg", genes=["VIM"], views=["xy"], dpi=100)
    root = ET.fromstring(where.read_text())
    path = root.find(f".//{SVG}g[@id='scale-bar']/{SVG}path").get("d")
    x = [float(v) for v in re.findall(r"[ML] ([\d.]+)", path)]
    # the block's 420 um fill the width of its picture, to which the bar is clipped
    picture = root.find(f".//{SVG}clipPath/{SVG}rect")
    um = abs(x[1] - x[0]) / float(picture.get("width")) * 420
    assert um == pytest.approx(100, rel=0.02)


def test_a_slice_in_a_figure_has_the_colours_of_its_values(study, prediction, tmp_path):
    where = export_figure(study, tmp_path / "f.png", genes=["ERBB2"], views=["xy"], dpi=120)
    page = np.asarray(Image.open(where).convert("RGB"))
    with Pictures(study) as pictures:
        state = pictures.state.with_(gene="ERBB2")
        drawn = pictures.draw("xy", pictures.gene("ERBB2"), state, (331, 265), "corner")
    width = drawn.pixels.shape[1]
    assert drawn.um_per_pixel * width == pytest.approx(420, rel=0.01)
    # the picture lies in the page as it was drawn, but for the bar in its corner
    best = min(
        np.abs(page[top : top + 99, left : left + 99].astype(int) - drawn.pixels[:99, :99]).mean()
        for top in range(30, 60)
        for left in range(52, 70)
    )
    assert best < 3
    assert near_colours(page, palette.table("magma")[::8]) > 0.01
    about = Image.open(where).text
    assert about["Title"] == "A block: ERBB2"
    assert ViewState.loads(about["Description"]).palette == "magma"


def test_one_range_for_all_genes_shows_in_the_numbers(study, tmp_path):
    def ticks(**options):
        where = export_figure(
            study, tmp_path / "f.svg", genes=["ERBB2", "MSMB"], views=["xy"], dpi=60,
            overwrite=True, **options,
        )  # fmt: skip
        words = [t.text for t in ET.fromstring(where.read_text()).iter(f"{SVG}text")]
        numbers = [w for w in words if re.fullmatch(r"-?\d+(\.\d+)?(e[-+]\d+)?", w)]
        return numbers[:3], numbers[3:]

    one, two = ticks()
    assert one != two
    one, two = ticks(same_range=True)
    assert one == two and len(one) == 3


def test_the_same_figure_has_the_same_bytes_and_pdf_is_one_page(study, tmp_path):
    for kind in ("svg", "pdf"):
        one, two = (
            export_figure(study, tmp_path / f"{n}.{kind}", views=["xy"], dpi=60) for n in "ab"
        )
        assert one.read_bytes() == two.read_bytes()
    data = (tmp_path / "a.pdf").read_bytes()
    assert (
        data.startswith(b"%PDF-")
        and data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") == 1
    )


def test_stained_sections_are_drawn_as_planes_and_say_that_z_is_stretched(tmp_path):
    make_stack(tmp_path / "he.zarr")
    where = export_figure(tmp_path / "he.zarr", tmp_path / "f.svg", views=["3d", "xz"], dpi=60)
    words = " ".join(t.text for t in ET.fromstring(where.read_text()).iter(f"{SVG}text") if t.text)
    assert "z is stretched" in words and "Morphology" in words


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dest": "f.gif"}, r"\.png, \.svg or \.pdf"),
        ({"views": ["xw"]}, "choose from 3d, xy"),
        ({"views": []}, "at least one view"),
        ({"side": "top"}, "choose from corner"),
        ({"dpi": 5}, "36 to 1200"),
        ({"panel_mm": 1e6}, "15 to 1000"),
        ({"genes": GENES * 20}, "Make several"),
    ],
)
def test_a_figure_that_cannot_be_is_told(study, tmp_path, options, told):
    dest = tmp_path / options.pop("dest", "f.png")
    with pytest.raises(VortexError, match=told):
        export_figure(study, dest, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_gene_that_was_not_predicted_is_told_and_nothing_is_left(study, tmp_path):
    with pytest.raises(UnknownNameError, match="KRT8"):
        export_figure(study, tmp_path / "f.png", genes=["KRT9"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "f.png").write_bytes(b"mine")
    with pytest.raises(VortexError, match="--overwrite"):
        export_figure(study, tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes() == b"mine"


@given(st.floats(1e-2, 1e7))
def test_scale_bars_are_round_and_fit(um_across):
    length = bar_length(um_across)
    digits = length / 10 ** np.floor(np.log10(length) + 1e-9)
    assert min(abs(digits - n) for n in (1, 2, 5)) < 1e-6
    assert 0.35 * um_across * LONGEST <= length <= um_across * LONGEST * (1 + 1e-9)


# -- links ----------------------------------------------------------------------------------


def test_a_link_is_read_back_by_the_static_viewer(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is absent, so the static viewer's own parser cannot be asked")
    camera = Camera((1.5, -2.0, 3.25), (0.0, 0.6, 0.8), (0.0, 0.8, -0.6), 512.0)
    state = ViewState(
        gene="HLA-A*02 &x=1", palette="viridis", window=(-0.5, 2.25), opacity=0.5, planes=False,
        cursor_um=(10.0, 20.5, 30.0), crop_um=((0.0, 5.0), (1.0, 6.0), (2.0, 7.0)), camera=camera,
    )  # fmt: skip
    link = site_link("https://me.example/a/index.html", "my-block", state)
    assert link.startswith("https://me.example/a/#version=1&study=my-block&gene=")
    module = shutil.copy(WEB / "src" / "state.js", tmp_path / "state.mjs")
    ask = (
        f"import {{ parse }} from {json.dumps(str(module))};"
        f"console.log(JSON.stringify(parse({json.dumps('#' + link.split('#')[1])})))"
    )
    (tmp_path / "ask.mjs").write_text(ask)
    made = subprocess.run(
        [node, tmp_path / "ask.mjs"], check=True, capture_output=True, text=True, timeout=60
    )
    got = json.loads(made.stdout)
    assert got["gene"] == state.gene and got["study"] == "my-block"
    assert got["palette"] == "viridis" and got["planes"] is False and got["opacity"] == 0.5
    for name in ("window", "cursor_um", "crop_um"):
        assert np.allclose(got[name], getattr(state, name))
    assert np.allclose(got["camera"]["back"], camera.back)
    assert got["camera"]["height_um"] == camera.height_um
    with pytest.raises(VortexError, match="no address of a site"):
        site_link("ftp://me", "a", state)


# -- movies ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def film(study, tmp_path_factory):
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'vortex-viewer[movie]'")
    told = []
    where = export_movie(
        study, tmp_path_factory.mktemp("film") / "turn.mp4", gene="VIM", seconds=1.6,
        frames_per_s=10, size=(320, 240), progress=lambda part, text: told.append((part, text)),
    )  # fmt: skip
    return where, told


def frames_of(where):
    import av

    with av.open(str(where)) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert stream.average_rate == Fraction(10)
        assert film.metadata["title"] == "A block, VIM"
        return np.stack([f.to_ndarray(format="rgb24") for f in film.decode(video=0)])


def test_a_movie_is_one_whole_turn(film):
    where, told = film
    frames = frames_of(where).astype(float)
    assert frames.shape == (16, 240, 320, 3)
    middle = frames[:, 60:190, 80:240]
    step = [np.abs(middle[i] - middle[i - 1]).mean() for i in range(16)]  # the last joins the first
    assert min(step) > 0.5 and step[0] < 2.5 * np.median(step)
    assert np.abs(middle[8] - middle[0]).mean() > np.median(step)
    assert [p for p, _ in told] == sorted(p for p, _ in told) and len(told) > 16
    assert told[-1][0] == 1.0 and "picture 16 of 16" in [t for _, t in told]


def test_colour_bar_name_and_scale_bar_stand_still(film):
    frames = frames_of(film[0]).astype(float)
    bar = frames[:, 205:215, 20:90]
    assert np.ptp(bar.mean(axis=0), axis=1).max() > 100  # a gradient
    assert bar.std(axis=0).mean() < 4
    corner = frames[0, 222:232, 220:310].max(axis=(0, 1))
    assert corner.min() > 180  # white scale bar


def test_the_whole_block_stays_in_every_picture(film):
    frames = frames_of(film[0]).astype(float)
    background = frames[:, 2:6, 150:170].mean(axis=(0, 1, 2))
    for edge in (frames[:, :3], frames[:, :, :3], frames[:, :, -3:]):
        assert np.abs(edge - background).max() < 60


def test_a_movie_can_be_cancelled_and_leaves_nothing(study, tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'vortex-viewer[movie]'")

    def stop(part, text):
        if "picture 3" in text:
            raise Cancelled

    with pytest.raises(Cancelled):
        export_movie(study, tmp_path / "m.mp4", seconds=1, size=(64, 64), progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": (321, 240)}, "even numbers"),
        ({"seconds": 0}, "0.1 to 600"),
        ({"frames_per_s": 0}, "1 to 120"),
        ({"quality": 99}, "0 .best. to 51"),
    ],
)
def test_a_movie_that_cannot_be_is_told(study, tmp_path, options, told):
    with pytest.raises(VortexError, match=told):
        export_movie(study, tmp_path / "m.mp4", **options)
    with pytest.raises(VortexError, match=r"m\.mp4"):
        export_movie(study, tmp_path / "m.avi")


# -- tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_of_genes_holds_what_the_tissue_holds(study, prediction, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    where = export_table(study, "genes", tmp_path / f"t{suffix}")
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    frame = read(where).set_index("gene")
    assert list(frame.index) == GENES
    for gene in GENES:
        values = prediction.gene(gene).values
        values = values[np.isfinite(values)]
        assert frame.loc[gene, "tissue_mean"] == pytest.approx(values.mean(), abs=1e-3)
        assert frame.loc[gene, "tissue_deviation"] == pytest.approx(values.std(), rel=1e-3)
        assert frame.loc[gene, "p98"] == pytest.approx(np.percentile(values, 98), abs=1e-2)
    assert frame.loc["ERBB2", "reliability"] == 0.9 and np.isnan(frame.loc["EPCAM", "reliability"])


def test_the_table_of_spots_holds_measured_beside_predicted(study, prediction, tmp_path):
    frame = pd.read_csv(export_table(study, "spots", tmp_path / "s.csv", genes=["vim", "KRT8"]))
    data = Study.open(study).section("S1")
    points = np.asarray(data.obsm["spatial"])
    assert np.allclose(frame[["x_um", "y_um", "z_um"]], points)
    measured = normalise(data.X).toarray()
    names = list(data.var_names)
    expected = prediction.profile(points)
    for gene in ("VIM", "KRT8"):
        assert np.allclose(frame[f"{gene} measured"], measured[:, names.index(gene)], atol=1e-6)
        assert np.allclose(frame[f"{gene} predicted"], expected[gene], atol=1e-5, equal_nan=True)
    assert frame["VIM predicted"].isna().any() and frame["VIM predicted"].notna().any()
    assert set(frame["diameter_um"]) == {55.0}


def test_the_table_of_regions_has_the_means_of_its_tokens(study, prediction, tmp_path):
    frame = pd.read_csv(export_table(study, "regions", tmp_path / "r.csv")).set_index("class")
    assert frame["name"].to_dict() == {1: "gland", 5: "class 5"}
    label = Study.open(study).label("classes").levels[0]
    index = label.grid.nearest(prediction.grid.points())
    numbers = np.asarray(label.array[0])[tuple(index.T)].reshape(prediction.grid.shape)
    for number, row in frame.iterrows():
        inside = (numbers == number) & prediction.mask
        assert row["tokens"] == inside.sum() > 10
        volume = inside.sum() * np.prod(prediction.grid.spacing_um) / 1e9
        assert row["volume_mm3"] == pytest.approx(volume)
        for gene in GENES:
            truth = prediction.gene(gene).values[inside].mean()
            assert row[gene] == pytest.approx(truth, abs=1e-3)


def test_a_table_that_cannot_be_is_told(study, tmp_path):
    with pytest.raises(VortexError, match=r"\.csv or \.parquet"):
        export_table(study, "genes", tmp_path / "t.xlsx")
    with pytest.raises(UnknownNameError, match="classes"):
        export_table(study, "regions", tmp_path / "t.csv", labels="clases")
    make_stack(tmp_path / "he.zarr")
    with pytest.raises(VortexError, match="no prediction yet"):
        export_table(tmp_path / "he.zarr", "genes", tmp_path / "t.csv")


# -- volumes --------------------------------------------------------------------------------


def test_nrrd_opens_in_itk_with_values_places_and_units(study, prediction, tmp_path):
    where = export_volume(study, "vim", tmp_path / "v.nrrd", kind="nrrd")
    image = SimpleITK.ReadImage(str(where))
    z, y, x = prediction.grid.spacing_um
    oz, oy, ox = prediction.grid.origin_um
    assert np.allclose(image.GetSpacing(), (x, y, z))
    assert np.allclose(image.GetOrigin(), (ox, oy, oz))
    got = SimpleITK.GetArrayFromImage(image)
    assert np.array_equal(got, prediction.gene("VIM").values.astype(np.float32), equal_nan=True)
    head = where.read_bytes().split(b"\n\n")[0].decode()
    assert 'space units: "um" "um" "um"' in head


def test_ome_tiff_opens_in_tifffile_with_values_and_micrometres(study, prediction, tmp_path):
    where = export_volume(study, "VIM", tmp_path / "v.ome.tif", kind="ome-tiff", deviation=True)
    with tifffile.TiffFile(where) as file:
        assert file.is_ome
        got = file.asarray()
        pixels = ET.fromstring(file.ome_metadata).find(".//{*}Pixels")
    truth = prediction.uncertainty("VIM").values.astype(np.float32)
    assert np.array_equal(got, truth, equal_nan=True)
    assert float(pixels.get("PhysicalSizeZ")) == prediction.grid.spacing_um[0]
    assert pixels.get("PhysicalSizeXUnit") == "µm"
    assert pixels.find("{*}Channel").get("Name") == "VIM standard deviation"
    planes = pixels.findall("{*}Plane")
    assert len(planes) == len(truth)
    assert float(planes[1].get("PositionZ")) == pytest.approx(prediction.grid.axis_um(0)[1])
    assert float(planes[0].get("PositionX")) == pytest.approx(prediction.grid.origin_um[2])


def test_ome_zarr_is_valid_and_opens_in_ome_zarr_py(study, prediction, tmp_path):
    from ome_zarr_models.v05 import Image as Model

    where = export_volume(study, "KRT8", tmp_path / "v.ome.zarr")
    group = zarr.open_group(where, mode="r")
    model = Model.from_zarr(group)
    scale = model.ome_attributes.multiscales[0]
    assert [a.name for a in scale.axes] == ["c", "z", "y", "x"]
    transforms = scale.datasets[0].coordinateTransformations
    assert list(transforms[0].scale[1:]) == list(prediction.grid.spacing_um)
    assert list(transforms[1].translation[1:]) == list(prediction.grid.origin_um)
    got = np.asarray(group["0"][0])
    assert np.array_equal(got, prediction.gene("KRT8").values.astype(np.float32), equal_nan=True)
    assert model.ome_attributes.omero["channels"][0]["label"] == "KRT8"
    with pytest.raises(VortexError, match="--overwrite"):
        export_volume(study, "KRT8", where)
    export_volume(study, "VIM", where, overwrite=True)
    assert zarr.open_group(where, mode="r").attrs["ome"]["omero"]["channels"][0]["label"] == "VIM"


def test_a_folder_of_something_else_is_never_replaced(study, tmp_path):
    (tmp_path / "mine.ome.zarr").mkdir()
    (tmp_path / "mine.ome.zarr" / "cat.jpg").touch()
    with pytest.raises(VortexError, match="something else"):
        export_volume(study, "VIM", tmp_path / "mine.ome.zarr", overwrite=True)
    with pytest.raises(VortexError, match="choose from"):
        export_volume(study, "VIM", tmp_path / "v", kind="stl")
    assert set(SUFFIXES) == {"ome-zarr", "ome-tiff", "nrrd"}


# -- sections -------------------------------------------------------------------------------


def test_sections_hold_counts_and_predictions(study, prediction, tmp_path):
    (where,) = export_sections(study, tmp_path / "out")
    assert where == tmp_path / "out" / "S1.h5ad"
    data = anndata.read_h5ad(where)
    source = Study.open(study).section("S1")
    assert list(data.var_names) == GENES
    assert np.array_equal(data.X.toarray(), source[:, GENES].X.toarray())
    assert np.allclose(data.obsm["spatial"], source.obsm["spatial"])
    expected = prediction.profile(source.obsm["spatial"])[GENES].to_numpy()
    assert np.allclose(data.layers["predicted"], expected, atol=1e-5, equal_nan=True)
    assert np.isfinite(data.layers["predicted"]).any()
    measured = normalise(source.X)[:, [list(source.var_names).index(g) for g in GENES]]
    assert np.allclose(data.layers["normalised"].toarray(), measured.toarray(), atol=1e-6)
    assert data.var.loc["ERBB2", "reliability"] == 0.9
    assert data.uns["vortex"]["prediction"] == prediction.id
    assert data.uns["vortex"]["spatial_units"] == "micrometer"


def test_sections_that_are_not_there_are_told(study, tmp_path):
    with pytest.raises(UnknownNameError, match="S1"):
        export_sections(study, tmp_path / "out", sections=["S2"])
    make_stack(tmp_path / "he.zarr")
    with pytest.raises(VortexError, match="no measured section"):
        export_sections(tmp_path / "he.zarr", tmp_path / "out")


# -- the command line -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["figure", "--gene", "VIM,KRT8", "--view", "xy", "--dpi", "60",
          "--site", "https://me.example/x"], "block-VIM-KRT8.png"),
        (["table", "spots", "--genes", "VIM"], "block-spots.csv"),
        (["volume", "--gene", "VIM", "--format", "nrrd"], "block-VIM.nrrd"),
        (["volume", "--gene", "VIM", "--format", "ome-tiff", "--deviation"],
         "block-VIM-deviation.ome.tif"),
        (["sections", "--genes", "VIM"], "block-sections/S1.h5ad"),
    ],
)  # fmt: skip
def test_commands_name_their_files_by_study_and_gene(study, tmp_path, monkeypatch, words, made):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(export, [words[0], str(study), *words[1:]])
    assert result.exit_code == 0, result.output
    assert (tmp_path / made).is_file() and made in result.output


def test_a_saved_view_is_followed(study, tmp_path):
    file = tmp_path / "view.json"
    file.write_text(ViewState(palette="viridis", gene="VIM", planes=False).dumps())
    run = CliRunner()
    out = [str(tmp_path / f"{n}.png") for n in "ab"]
    plain = ["--view", "xy", "--dpi", "60"]
    assert (
        run.invoke(export, ["figure", str(study), out[0], "--gene", "VIM", *plain]).exit_code == 0
    )
    saved = run.invoke(export, ["figure", str(study), out[1], "--state", str(file), *plain])
    assert saved.exit_code == 0, saved.output
    one, two = (np.asarray(Image.open(o).convert("RGB")) for o in out)
    viridis, magma = (palette.table(n)[64:192:8] for n in ("viridis", "magma"))
    assert near_colours(two, viridis, 6) > 2 * near_colours(one, viridis, 6)
    assert near_colours(one, magma, 6) > 2 * near_colours(two, magma, 6)
