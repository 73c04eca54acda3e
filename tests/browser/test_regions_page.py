"""Regions are drawn in slices, kept, measured and compared; the numbers are numpy's."""

import json
import os
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import zarr
from hands import cells, places, stroke
from studies import block
from visiting import Running, Visitor, running

from vortex_model import Study
from vortex_model.analysis.differential import compare

XY, XZ = '[data-slice="xy"]', '[data-slice="xz"]'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("regions")
    return block(folder / "block.zarr")


@pytest.fixture(scope="module")
def server(place) -> Iterator[Running]:
    with running([place], place.parent) as one:
        yield one


def drag(visitor: Visitor, shape: str, corners: list[tuple[float, float]], through="") -> None:
    """Draw one region."""
    tab(visitor)
    visitor.page.get_by_label("Depth of the region, micrometres").fill(through)
    visitor.page.locator(f'[data-shape="{shape}"]').click()
    visitor.wait_said("drawing", shape)
    before = visitor.said("regions")
    stroke(visitor, corners)
    visitor.page.wait_for_function("b => document.body.dataset.regions !== b", arg=before)


def tab(visitor: Visitor) -> None:
    visitor.page.get_by_role("tab", name="Regions").click()


def move(visitor: Visitor, key: str) -> None:
    """Another plane."""
    before = visitor.said("cursor")
    visitor.page.keyboard.press(key)
    visitor.page.wait_for_function("b => document.body.dataset.cursor !== b", arg=before)


def answered(visitor: Visitor, kind: str) -> None:
    visitor.wait_said("answer", kind)


def masks(place) -> dict[str, np.ndarray]:
    grid = Study.open(place).prediction().grid
    return {name: region.on(grid).mask for name, region in Study.open(place).regions.items()}


def test_two_boxes_are_drawn_measured_compared_and_kept(visitor: Visitor, place) -> None:
    at = places(visitor)
    plain = visitor.still(XY)
    cursor = visitor.said("cursor")
    drag(visitor, "box", [at(150, 150), at(500, 800)])
    drag(visitor, "box", [at(780, 150), at(1130, 800)], "200")
    assert visitor.said("cursor") == cursor  # a drag that draws moves no crosshair
    assert json.loads(visitor.said("regions")) == ["Region 1", "Region 2"]
    marked = visitor.see(XY, lambda p: np.abs(p - plain).mean() > 2)
    assert marked.shape == plain.shape

    found = masks(place)
    x = Study.open(place).prediction().grid.axis_um(2)
    columns = found["Region 1"].any(axis=(0, 1))
    assert x[columns].min() == pytest.approx(150, abs=45)
    assert x[columns].max() == pytest.approx(500, abs=45)
    assert found["Region 1"].any(axis=(1, 2)).all()  # through the whole block
    assert found["Region 2"].any(axis=(1, 2)).sum() == 6  # 200 um deep, 40 um a plane

    prediction = Study.open(place).prediction()
    visitor.page.get_by_title("Region 1: every gene in it").click()
    answered(visitor, "region")
    values = prediction.gene("LEFT").values[found["Region 1"]]
    mean, spread, *_ = cells(visitor, "LEFT")
    assert float(mean) == pytest.approx(values.mean(), abs=0.006)
    assert float(spread) == pytest.approx(values.std(), abs=0.006)

    visitor.page.get_by_label("Region 1 on side A").click()
    visitor.page.get_by_label("Region 2 on side B").click()
    visitor.page.get_by_role("button", name="Compare A with B").click()
    answered(visitor, "compare")
    table = compare(prediction, found["Region 1"], found["Region 2"]).table
    for gene in ("LEFT", "TOP", "SHALLOW"):
        difference, _effect, rate, _ = cells(visitor, gene)
        assert float(difference) == pytest.approx(table.loc[gene, "difference"], abs=0.006)
        assert float(rate) == pytest.approx(table.loc[gene, "q"], abs=0.001)
    assert float(cells(visitor, "LEFT")[0]) > 0.5
    first = visitor.page.locator(".trow").first
    assert first.get_attribute("data-gene") == "LEFT"  # the largest effect stands first
    visitor.page.locator('.trow[data-gene="LEFT"]').click()
    visitor.wait_said("gene", "LEFT")
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="CSV").click()
    rows = download.value.path().read_text().splitlines()
    assert rows[0] == "gene,difference,standardised,q,reliability,reliable"
    assert len(rows) == 1 + len(table)
    visitor.page.get_by_role("button", name="Close").click()
    visitor.page.wait_for_function("() => document.body.dataset.answer === undefined")


def test_a_click_in_the_volcano_plot_shows_the_gene(visitor: Visitor, place) -> None:
    tab(visitor)
    visitor.page.get_by_label("Region 1 on side A").click()
    visitor.page.get_by_role("button", name="Compare A with the rest").click()
    answered(visitor, "compare")
    found = masks(place)["Region 1"]
    table = compare(Study.open(place).prediction(), found).table
    far = max(0.2, table["difference"].abs().max()) * 1.05
    box = visitor.box(".volcano")
    x = 34 + (table.loc["RIGHT", "difference"] + far) / (2 * far) * (box["width"] - 42)
    up = -np.log10(np.maximum(table["q"], 1e-6))
    y = 170 - 28 - up["RIGHT"] / (max(2.0, up.max()) * 1.08) * (170 - 36)
    visitor.page.mouse.click(box["x"] + x, box["y"] + y)
    visitor.wait_said("gene", "RIGHT")


def test_lasso_ellipsoid_and_threshold(visitor: Visitor, place) -> None:
    at = places(visitor)
    triangle = [at(300, 200), at(900, 200), at(900, 700), at(305, 205)]
    drag(visitor, "lasso", triangle)
    visitor.show("LEFT")
    tab(visitor)
    drag(visitor, "ellipsoid", [at(400, 300), at(800, 700)])
    visitor.page.get_by_label("Threshold").fill("2.1")
    visitor.page.get_by_role("button", name="Add", exact=True).click()
    visitor.page.wait_for_function("() => document.body.dataset.regions.includes('LEFT above 2.1')")
    found = masks(place)
    prediction = Study.open(place).prediction()
    assert np.array_equal(found["LEFT above 2.1"], prediction.gene("LEFT").values >= 2.1)
    grid = prediction.grid
    x, y, z = (p.reshape(grid.shape) for p in grid.points().T)
    inside = (x < 900) & (y > 200) & (y - 200 < (x - 300) * 500 / 600)
    assert (found["Region 3"] == inside).mean() > 0.97
    middle = float(visitor.said("cursor").split(",")[2])
    ball = ((x - 600) / 200) ** 2 + ((y - 500) / 200) ** 2 + ((z - middle) / 200) ** 2 <= 1
    assert (found["Region 4"] == ball).mean() > 0.97


def test_regions_are_renamed_hidden_removed_and_there_for_the_next_visitor(
    visitors: Callable[..., Visitor], server: Running, place
) -> None:
    one = visitors()
    one.go(server.address)
    tab(one)
    one.page.get_by_label("Rename Region 3").click()
    box = one.page.get_by_label("New name of Region 3")
    box.fill("Duct")
    box.press("Enter")
    one.page.wait_for_function("() => document.body.dataset.regions.includes('Duct')")
    shown = one.still(XY)
    for name in json.loads(one.said("regions")):
        one.page.get_by_label(f"Hide {name}").click()
        one.page.get_by_label(f"Show {name}").wait_for()
    one.see(XY, lambda p: np.abs(p - shown).mean() > 1)
    one.page.get_by_label("Remove Region 4").click()
    one.page.wait_for_function("() => !document.body.dataset.regions.includes('Region 4')")
    two = visitors()
    two.go(server.address)
    two.page.wait_for_function("() => document.body.dataset.regions.includes('Duct')")
    assert json.loads(two.said("regions")) == sorted(masks(place), key=str.casefold)


def test_an_outline_on_another_plane_is_carried_over_and_a_box_is_cut_from_it(
    visitors: Callable[..., Visitor], server: Running, place
) -> None:
    one = visitors(1440, 900)
    one.go(server.address)
    at = places(one)
    tab(one)
    before = set(json.loads(one.said("regions")))

    def shape():
        return Study.open(place).regions[name].shape

    def until(good: Callable[[], bool]) -> None:
        for _ in range(100):
            if good():
                return
            one.page.wait_for_timeout(100)
        raise AssertionError(shape())

    def square(x: float, y: float, half: float) -> list[tuple[float, float]]:
        ends = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -0.97)]
        return [at(x + half * a, y + half * b) for a, b in ends]

    while float(one.said("cursor").split(",")[2]) > 110:  # z of the first plane
        move(one, "Shift+<" if float(one.said("cursor").split(",")[2]) > 200 else ",")
    low = float(one.said("cursor").split(",")[2])
    drag(one, "lasso", square(400, 480, 150))
    (name,) = set(json.loads(one.said("regions"))) - before
    for _ in range(2):
        move(one, "Shift+>")
    high = float(one.said("cursor").split(",")[2])
    assert high == pytest.approx(low + 200)
    one.page.get_by_label("What a drawing becomes").select_option(label=f"add to {name}")
    one.page.locator('[data-shape="lasso"]').click()
    one.page.get_by_text(f"add to {name}; on another plane").wait_for()
    if os.environ.get("VORTEX_SCREENSHOTS"):
        one.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/outlines.png")
    stroke(one, square(800, 480, 150))
    until(lambda: len(getattr(shape(), "outlines", ())) == 2)
    assert [o.at for o in shape().outlines] == pytest.approx([low, high])

    mask = masks(place)[name]
    grid = Study.open(place).prediction().grid
    x, _, z = (grid.axis_um(a) for a in (2, 1, 0))
    for share in (0.0, 0.5, 1.0):  # half way between the planes it lies half way
        plane = mask[int(np.argmin(abs(z - (low + share * (high - low)))))]
        inside = x[plane.any(axis=0)]
        shift = (z[int(np.argmin(abs(z - (low + share * (high - low)))))] - low) / (high - low)
        middle = 400 + 400 * min(1, max(0, shift))
        assert (inside.min() + inside.max()) / 2 == pytest.approx(middle, abs=50)
    whole = int(mask.sum())
    one.page.get_by_label("What a drawing becomes").select_option(label=f"cut from {name}")
    one.page.locator('[data-shape="box"]').click()
    one.wait_said("drawing", "box")
    stroke(one, [at(100, 100), at(1200, 480)])
    until(lambda: getattr(shape(), "how", "") == "minus")
    left = masks(place)[name]
    assert left.sum() == pytest.approx(whole / 2, rel=0.15)
    assert not left[:, grid.axis_um(1) < 440].any()
    assert set(json.loads(one.said("regions"))) == before | {name}
    one.page.get_by_role("button", name="Undo").click()
    one.page.locator(f'[data-region="{name}"][data-saved="0"]').wait_for()
    one.page.wait_for_function("() => document.body.dataset.link.includes('lasso~z~')")
    one.page.get_by_role("button", name="Redo").click()
    one.page.locator(f'[data-region="{name}"][data-saved="1"]').wait_for()
    one.page.get_by_label(f"Remove {name}").click()
    one.page.wait_for_function("n => !document.body.dataset.regions.includes(n)", arg=name)


def test_regions_are_in_the_link_and_undone_and_redone(
    visitors: Callable[..., Visitor], server: Running, place
) -> None:
    one = visitors(1440, 900)
    one.go(server.address)
    tab(one)
    one.page.wait_for_function("() => JSON.parse(document.body.dataset.regions).length > 1")
    before = json.loads(one.said("regions"))
    for name in before:
        one.page.get_by_label(f"Hide {name}").click()
        one.page.get_by_label(f"Show {name}").wait_for()
    at = places(one)
    plain = one.still(XY)
    drag(one, "ellipsoid", [at(400, 300), at(800, 700)])
    name = next(n for n in json.loads(one.said("regions")) if n not in before)
    drawn = one.see(XY, lambda p: np.abs(p - plain).mean() > 1)
    one.page.wait_for_function("() => document.body.dataset.link.includes(':ellipsoid~')")
    link = one.page.url.split("#")[1]
    assert "Duct" not in link  # what is hidden stays hidden there
    drawn = one.still(XY)
    one.page.keyboard.press("Control+z")
    one.page.get_by_label(f"Show {name}").wait_for()
    one.see(XY, lambda p: np.abs(p - plain).mean() < 1)
    one.page.keyboard.press("Control+Shift+z")
    one.page.get_by_label(f"Hide {name}").wait_for()
    # removed from the study, it is still what the link says, and can be kept anew
    one.page.get_by_label(f"Remove {name}").click()
    one.page.wait_for_function("n => !document.body.dataset.regions.includes(n)", arg=name)
    assert name not in masks(place)
    two = visitors(1440, 900)
    two.go(f"{server.address}#{link}")
    two.page.wait_for_function("n => document.body.dataset.regions.includes(n)", arg=name)
    assert two.see(XY, lambda p: np.abs(p - drawn).mean() < 1.5).shape == drawn.shape
    tab(two)
    if os.environ.get("VORTEX_SCREENSHOTS"):
        two.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/region-link.png")
    two.page.get_by_label(f"Keep {name}").click()
    two.page.locator(f'[data-region="{name}"][data-saved="1"]').wait_for()
    assert name in masks(place)
    one.page.keyboard.press("Control+z")
    one.page.get_by_label(f"Hide {name}").wait_for()


def test_a_link_to_a_region_that_cannot_be_drawn_shows_the_rest(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    one = visitors()
    link = (
        "regions=0:lost:threshold~gene~NOSUCH~1~;1:there:box~200,600,200,600,0,400;2:gone:members"
    )
    one.go(f"{server.address}#v=1&study=block&{link}")
    one.page.wait_for_function("() => document.body.dataset.error?.includes('NOSUCH')")
    assert "there" in json.loads(one.said("regions"))
    assert "lost" not in json.loads(one.said("regions"))


def test_a_region_without_tokens_is_told(visitor: Visitor) -> None:
    at = places(visitor)
    tab(visitor)
    # the slice lies between two planes of tokens
    visitor.page.get_by_label("Depth of the region, micrometres").fill("1")
    visitor.page.locator('[data-shape="box"]').click()
    visitor.wait_said("drawing", "box")
    stroke(visitor, [at(300, 300), at(700, 700)])
    visitor.page.get_by_text("holds no token of the lattice").first.wait_for()


def test_a_region_from_the_morphology_and_all_of_them_out_as_labels_and_csv(
    visitor: Visitor, place, tmp_path
) -> None:
    tab(visitor)
    visitor.page.get_by_label("Make a region from").select_option("nuclei above")
    visitor.page.get_by_label("Threshold").fill("600")
    visitor.page.get_by_role("button", name="Add", exact=True).click()
    visitor.page.wait_for_function(
        "() => document.body.dataset.regions.includes('nuclei above 600')"
    )
    found = masks(place)
    inside = found["nuclei above 600"]
    grid = Study.open(place).prediction().grid
    x, y, z = (p.reshape(grid.shape) for p in grid.points().T)
    slab = (abs(x - 640) < 500) & (abs(y - 480) < 360) & (abs(z - 200) < 140)
    assert inside[slab].all()
    assert not inside[(x < 80) | (y < 60)].any()
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="CSV", exact=True).click()
    rows = download.value.path().read_text().splitlines()
    assert rows[0] == "region,z,y,x,x_um,y_um,z_um"
    assert len(rows) == 1 + sum(int(mask.sum()) for mask in found.values())
    with visitor.page.expect_download() as download:
        visitor.page.get_by_role("button", name="Labels", exact=True).click()
    shutil.unpack_archive(download.value.path(), tmp_path, "zip")
    (image,) = tmp_path.glob("*.ome.zarr")
    numbers = zarr.open_group(image, mode="r")["0"][:].reshape(grid.shape)
    expected = np.zeros(grid.shape, int)
    for number, mask in enumerate(found.values(), start=1):
        expected[mask] = number
    assert np.array_equal(numbers, expected)


def test_profiles_along_a_line_with_depth_and_from_a_surface(visitor: Visitor, place) -> None:
    visitor.show("LEFT")
    at = places(visitor)
    tab(visitor)
    prediction = Study.open(place).prediction()
    visitor.page.locator('[data-shape="line"]').click()
    visitor.wait_said("drawing", "line")
    stroke(visitor, [at(200, 480), at(1080, 480)])
    answered(visitor, "profile")
    with visitor.page.expect_download() as download:
        visitor.page.locator(".v-answer").get_by_role("button", name="CSV").click()
    line = pd.read_csv(download.value.path())
    values = prediction.profile(line[["x_um", "y_um", "z_um"]].to_numpy())["LEFT"].to_numpy()
    assert np.allclose(line["mean"], values, atol=1e-4)
    assert line["x_um"].iloc[[0, -1]].to_numpy() == pytest.approx([200, 1080], abs=15)
    assert line["mean"].is_monotonic_decreasing
    tab(visitor)
    visitor.page.get_by_role("button", name="Depth").click()
    visitor.page.get_by_text("LEFT with depth").wait_for()
    with visitor.page.expect_download() as download:
        visitor.page.locator(".v-answer").get_by_role("button", name="CSV").click()
    depth = pd.read_csv(download.value.path())
    planes = prediction.gene("LEFT").values.mean(axis=(1, 2))
    assert np.allclose(depth["mean"], planes, atol=1e-4)
    visitor.page.get_by_label("Region 1 on side A").click()
    visitor.page.get_by_role("button", name="From surface").click()
    visitor.page.get_by_text("LEFT around Region 1").wait_for()
    with visitor.page.expect_download() as download:
        visitor.page.locator(".v-answer").get_by_role("button", name="CSV").click()
    around = pd.read_csv(download.value.path())
    inside = masks(place)["Region 1"]
    near = around[around["distance_um"] < 0]
    assert np.average(near["mean"], weights=near["tokens"]) == pytest.approx(
        prediction.gene("LEFT").values[inside].mean(), abs=1e-4
    )
