"""Regions are drawn in slices, kept, measured and compared; the numbers are numpy's."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
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


def places(visitor: Visitor, where: str = XY) -> Callable[[float, float], tuple[float, float]]:
    """Pixels of the page for micrometres of the slice, by two clicks."""
    visitor.still(where)
    box = visitor.box(where)
    seen = []
    for share in (0.3, 0.7):
        x, y = box["x"] + share * box["width"], box["y"] + share * box["height"]
        before = visitor.said("cursor")
        visitor.page.mouse.click(x, y)
        visitor.page.wait_for_function("b => document.body.dataset.cursor !== b", arg=before)
        seen.append((x, y, *map(float, visitor.said("cursor").split(",")[:2])))
    (x0, y0, u0, v0), (x1, y1, u1, v1) = seen
    return lambda u, v: (
        x0 + (u - u0) / (u1 - u0) * (x1 - x0),
        y0 + (v - v0) / (v1 - v0) * (y1 - y0),
    )


def drag(visitor: Visitor, shape: str, corners: list[tuple[float, float]], through="") -> None:
    """Draw one region."""
    tab(visitor)
    visitor.page.get_by_label("Depth of the region, micrometres").fill(through)
    visitor.page.locator(f'[data-shape="{shape}"]').click()
    visitor.wait_said("drawing", shape)
    before = visitor.said("regions")
    mouse = visitor.page.mouse
    mouse.move(*corners[0])
    mouse.down()
    for corner in corners[1:]:
        mouse.move(*corner, steps=6)
    mouse.up()
    visitor.page.wait_for_function("b => document.body.dataset.regions !== b", arg=before)


def tab(visitor: Visitor) -> None:
    visitor.page.get_by_role("tab", name="Regions").click()


def answered(visitor: Visitor, kind: str) -> None:
    visitor.wait_said("answer", kind)


def masks(place) -> dict[str, np.ndarray]:
    grid = Study.open(place).prediction().grid
    return {name: region.on(grid).mask for name, region in Study.open(place).regions.items()}


def cells(visitor: Visitor, gene: str) -> list[str]:
    search = visitor.page.get_by_label("Find a gene in this table")
    search.fill(gene)
    row = visitor.page.locator(f'.trow[data-gene="{gene}"]')
    row.wait_for()
    found = row.locator(".number").all_inner_texts()
    search.fill("")
    return found


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
    visitor.page.get_by_role("button", name="Gene above").click()
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


def test_a_region_without_tokens_is_told(visitor: Visitor) -> None:
    at = places(visitor)
    tab(visitor)
    # the slice lies between two planes of tokens
    visitor.page.get_by_label("Depth of the region, micrometres").fill("1")
    visitor.page.locator('[data-shape="box"]').click()
    visitor.wait_said("drawing", "box")
    visitor.page.mouse.move(*at(300, 300))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*at(700, 700), steps=4)
    visitor.page.mouse.up()
    visitor.page.get_by_text("holds no token of the lattice").first.wait_for()
