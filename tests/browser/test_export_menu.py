"""The Export menu: a click gives a real file, made by the code of the commands."""

import io
import json
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from PIL import Image
from studies import block
from visiting import Running, Visitor, running

from vortex_model.prediction import Prediction
from vortex_model.study import Study


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server with a study beside which may be written."""
    folder = tmp_path_factory.mktemp("export")
    study = block(folder / "block.zarr")
    with running([study], folder) as one:
        yield one, study


@pytest.fixture
def guest(visitors: Callable[..., Visitor], own: tuple[Running, Path]) -> Visitor:
    one = visitors()
    one.go(own[0].address)
    one.page.get_by_role("button", name="Export", exact=True).click()
    return one


def choose(guest: Visitor, **fields: str) -> None:
    """Fill in the form: label (underscores for spaces) to value."""
    for label, value in fields.items():
        field = guest.page.get_by_role("dialog", name="Export").get_by_label(
            label.replace("_", " "), exact=True
        )
        if field.evaluate("node => node.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def export(guest: Visitor, **fields: str) -> tuple[str, bytes]:
    """Choose, press Export, and take what the browser downloads: its name and bytes."""
    choose(guest, **fields)
    with guest.page.expect_download(timeout=90_000) as coming:
        guest.page.locator(".menu.export .primary").click()
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def test_a_figure_shows_what_the_view_shows(guest: Visitor) -> None:
    guest.page.keyboard.press("Escape")
    guest.show("RIGHT")
    guest.page.get_by_role("radio", name="viridis").click()
    guest.wait_said("palette", "viridis")
    guest.settle()
    guest.page.get_by_role("button", name="Export", exact=True).click()
    guest.page.get_by_role("group", name="Views of the figure").get_by_label("XY").check()
    guest.page.get_by_role("group", name="Views of the figure").get_by_label(
        "3D", exact=True
    ).uncheck()
    name, data = export(guest, What_to_export="figure", Dots_per_inch="150")
    assert name == "block-RIGHT.png"
    figure = Image.open(io.BytesIO(data))
    said = json.loads(figure.info["Description"])
    assert said["gene"] == "RIGHT" and said["palette"] == "viridis"
    link = guest.page.evaluate("location.href")
    assert figure.info["Source"].split("#")[0] == link.split("#")[0]
    assert "gene=RIGHT" in figure.info["Source"]
    pixels = np.asarray(figure.convert("RGB"), dtype=float)
    height, width = pixels.shape[:2]
    # viridis ends in yellow: where the gene is high, at the picture's right, blue is lowest
    strip = pixels[int(0.3 * height) : int(0.5 * height)]
    left, right = strip[:, int(0.15 * width)].mean(0), strip[:, int(0.85 * width)].mean(0)
    assert right[1] - right[2] > 40 and left[2] > left[0]


def test_a_plate_and_a_formula_leave_as_pdf(guest: Visitor) -> None:
    name, data = export(
        guest, Genes_to_export="LEFT, =mean(LEFT, TOP) - RIGHT", Format_of_the_figure="pdf",
        Dots_per_inch="72",
    )  # fmt: skip
    assert name.endswith(".pdf") and data.startswith(b"%PDF-")
    assert data.count(b"/Subtype /Image") >= 2


def test_a_table_holds_the_predictions_genes(guest: Visitor, own: tuple[Running, Path]) -> None:
    name, data = export(guest, What_to_export="table", Rows_of_the_table="genes")
    assert name == "block-genes.csv"
    table = pd.read_csv(io.BytesIO(data)).set_index("gene")
    genes = Prediction.load(Study.open(own[1])).genes
    assert list(table.index) == list(genes.index)
    assert np.allclose(table["reliability"], genes["reliability"])


def test_a_volume_rereads_to_the_genes_numbers(
    guest: Visitor, own: tuple[Running, Path], tmp_path: Path
) -> None:
    prediction = Prediction.load(Study.open(own[1]))
    name, data = export(
        guest,
        What_to_export="volume",
        Genes_to_export="TOP",
        Format_of_the_volume="nrrd",
        Values_of_the_volume="",
    )
    place = tmp_path / name
    place.write_bytes(data)
    again = SimpleITK.ReadImage(str(place))
    gene = prediction.gene("TOP")
    assert np.array_equal(SimpleITK.GetArrayFromImage(again), gene.values, equal_nan=True)
    assert again.GetSpacing() == tuple(reversed(prediction.grid.spacing_um))
    assert again.GetOrigin() == tuple(reversed(prediction.grid.origin_um))
    name, data = export(guest, Genes_to_export="=TOP - LEFT", Format_of_the_volume="ome-zarr")
    assert name == "block-TOP_-_LEFT.ome.zarr.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        packed.extractall(tmp_path)
    import zarr

    values = np.asarray(zarr.open_group(tmp_path / "block-TOP_-_LEFT.ome.zarr", mode="r")["0"])
    expected = gene.values - prediction.gene("LEFT").values
    assert np.allclose(values[0], expected, atol=1e-5, equal_nan=True)


def test_sections_leave_as_anndata(guest: Visitor, own: tuple[Running, Path]) -> None:
    name, data = export(guest, What_to_export="sections")
    assert name == "block-sections.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        assert sorted(Path(n).name for n in packed.namelist()) == ["A.h5ad", "B.h5ad"]


def test_a_movie_tells_how_far_it_is_and_stops_when_told(
    guest: Visitor, own: tuple[Running, Path]
) -> None:
    choose(guest, What_to_export="movie", Seconds_of_a_turn="100", Size_of_the_movie="640x360")
    guest.page.locator(".menu.export .primary").click()
    guest.page.wait_for_function(
        "document.querySelector('.app') && document.body.dataset.export === 'running'"
    )
    bar = guest.page.get_by_role("progressbar", name="Export")
    until = time.monotonic() + 60
    while int(bar.get_attribute("aria-valuenow") or 0) < 1:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert "picture" in guest.page.locator(".menu.export .message").inner_text()
    guest.page.get_by_role("button", name="Cancel").click()
    guest.wait_said("export", "cancelled")
    folder = own[0].log.parent / "cache" / "vortex-viewer" / "exports"
    assert not [p for p in folder.rglob("*") if p.suffix == ".mp4"]
    name, data = export(guest, Seconds_of_a_turn="1")
    assert name.endswith(".mp4") and data[4:8] == b"ftyp"


def test_what_cannot_be_is_told_in_the_menu(guest: Visitor) -> None:
    choose(guest, What_to_export="volume", Genes_to_export="NOSUCH")
    guest.page.locator(".menu.export .primary").click()
    guest.wait_said("export", "failed")
    assert "NOSUCH" in guest.page.locator(".menu.export .message.error").inner_text()


def test_files_are_gone_with_the_visitor(
    visitors: Callable[..., Visitor], own: tuple[Running, Path]
) -> None:
    guest = visitors()
    guest.go(own[0].address)
    guest.page.get_by_role("button", name="Export", exact=True).click()
    export(guest, What_to_export="table")
    address = guest.page.locator(".menu.export .got").evaluate("node => node.href")
    cookies = "; ".join(f"{c['name']}={c['value']}" for c in guest.page.context.cookies())

    def fetch(headers: dict[str, str]) -> int:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(address, headers=headers), timeout=20
            ) as got:
                return got.status
        except urllib.error.HTTPError as error:
            return error.code

    assert fetch({}) == 403, "the gate stands before it"
    assert fetch({"Cookie": cookies}) == 200
    guest.page.close()
    until = time.monotonic() + 60
    while fetch({"Cookie": cookies}) != 404:
        assert time.monotonic() < until, "the file outlives its visitor"
        time.sleep(1)


def test_a_site_is_written_beside_the_study(guest: Visitor, own: tuple[Running, Path]) -> None:
    choose(guest, What_to_export="site", Where_to="server")
    assert str(own[1].parent) in guest.page.locator(".menu.export .about").inner_text()
    guest.page.locator(".menu.export .primary").click()
    guest.wait_said("export", "done")
    made = Path(guest.said("exported"))
    assert made.parent == own[1].parent
    assert (made / "index.html").is_file() and (made / "site.json").is_file()


PUBLIC = """
import sys
from pathlib import Path
from vortex_viewer.server import serve
serve([Path(sys.argv[1])], port=0, secret="x", public=True)
"""


def test_a_public_server_writes_no_site(
    visitors: Callable[..., Visitor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import visiting

    study = block(tmp_path / "block.zarr")
    monkeypatch.setattr(visiting, "START", PUBLIC)
    with running([study], tmp_path) as server:
        guest = visitors()
        guest.go(server.origin)
        guest.page.get_by_role("button", name="Export", exact=True).click()
        choose(guest, What_to_export="site")
        button = guest.page.locator(".menu.export .primary")
        assert button.is_disabled()
        # whoever asks all the same, past the page
        button.evaluate("node => { node.disabled = false; node.click(); }")
        guest.page.wait_for_function("document.body.dataset.error?.includes('open to everybody')")
        assert not list(tmp_path.glob("*site*"))
        name, _ = export(guest, What_to_export="table")
        assert name == "block-genes.csv"
