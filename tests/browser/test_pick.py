"""A place tells what it is and every gene there; a click in 3D finds it; pins are compared."""

from collections.abc import Callable

import numpy as np
import pytest
from visiting import Running, Visitor

from vortex_model import Study

XY = '[data-slice="xy"]'


@pytest.fixture(scope="module")
def prediction(server: Running):
    folder = server.log.parent
    return Study.open(folder / "block.zarr").prediction()


def cursor(visitor: Visitor) -> list[float]:
    return [float(v) for v in visitor.said("cursor").split(",")]


def click(visitor: Visitor, across: float, down: float) -> None:
    box, before = visitor.box(XY), visitor.said("cursor")
    visitor.page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    visitor.page.wait_for_function("b => document.body.dataset.cursor !== b", arg=before)


def told(visitor: Visitor, stamp: str | None = None) -> None:
    visitor.page.wait_for_function(
        "s => document.body.dataset.answer === 'pick' && document.body.dataset.answerStamp !== s",
        arg=stamp,
        timeout=30_000,
    )


def row(visitor: Visitor, gene: str) -> list[float]:
    search = visitor.page.get_by_label("Find a gene in this table")
    search.fill(gene)
    one = visitor.page.locator(f'.trow[data-gene="{gene}"]')
    one.wait_for()
    texts = one.locator(".number").all_inner_texts()
    search.fill("")
    return [float(t) for t in texts]


def test_every_gene_at_a_place_is_ranked_with_its_interval(visitor: Visitor, prediction) -> None:
    visitor.still(XY)
    visitor.page.get_by_role("tab", name="Pick").click()
    click(visitor, 0.25, 0.3)
    visitor.page.get_by_role("button", name="Genes here").click()
    told(visitor)
    place = cursor(visitor)
    here = prediction.profile([place]).iloc[0]
    z, y, x = prediction.grid.nearest([place])[0]
    spread = float(prediction.uncertainty("LEFT").values[z, y, x])
    value, low, high, reliability = row(visitor, "LEFT")
    assert value == pytest.approx(here["LEFT"], abs=0.006)
    assert (low, high) == pytest.approx((value - 1.96 * spread, value + 1.96 * spread), abs=0.011)
    assert reliability == pytest.approx(prediction.genes.loc["LEFT", "reliability"], abs=0.006)
    first = visitor.page.locator(".trow").first
    assert first.get_attribute("data-gene") == here.idxmax()
    text = visitor.page.locator(".v-answer").inner_text()
    assert f"{place[0]:.0f}, {place[1]:.0f}, {place[2]:.0f} µm" in text
    away = min(abs(place[2] - 105), abs(place[2] - 305))
    assert f"{away:.0f} µm away" in text
    assert visitor.said("answerRows") == str(len(prediction.genes))


def test_pins_are_compared_with_where_the_crosshair_goes(visitor: Visitor, prediction) -> None:
    visitor.still(XY)
    visitor.page.get_by_role("tab", name="Pick").click()
    click(visitor, 0.25, 0.3)
    first = cursor(visitor)
    visitor.page.keyboard.press("p")
    visitor.wait_said("pins", "P1")
    told(visitor)
    stamp = visitor.said("answerStamp")
    click(visitor, 0.8, 0.7)
    told(visitor, stamp)
    second = cursor(visitor)
    here, there = (prediction.profile([p]).iloc[0] for p in (second, first))
    *_, less = row(visitor, "RIGHT")
    assert less == pytest.approx(here["RIGHT"] - there["RIGHT"], abs=0.011)
    visitor.page.locator('[data-pin="P1"] .name').click()
    visitor.page.wait_for_function(
        "x => Math.abs(parseFloat(document.body.dataset.cursor) - x) < 0.01", arg=first[0]
    )
    visitor.page.get_by_label("Remove P1").click()
    visitor.page.wait_for_function("() => document.body.dataset.pins === undefined")


def test_pins_are_in_the_link_and_undo_takes_the_last_one_back(
    visitor: Visitor, visitors: Callable[..., Visitor], server: Running, prediction
) -> None:
    visitor.still(XY)
    visitor.page.get_by_role("tab", name="Pick").click()
    click(visitor, 0.3, 0.3)
    first = cursor(visitor)
    visitor.page.keyboard.press("p")
    visitor.wait_said("pins", "P1")
    click(visitor, 0.7, 0.6)
    visitor.page.keyboard.press("p")
    visitor.wait_said("pins", "P1,P2")
    visitor.page.wait_for_function("() => document.body.dataset.link?.includes('P2:')")
    two = visitors()
    two.go(f"{server.address}#{visitor.page.url.split('#')[1]}")
    two.wait_said("pins", "P1,P2")
    two.page.get_by_role("tab", name="Pick").click()
    two.page.get_by_role("button", name="Genes here").click()
    told(two)
    here, there = (prediction.profile([p]).iloc[0] for p in (cursor(two), first))
    *_, less, nothing = row(two, "RIGHT")
    assert less == pytest.approx(here["RIGHT"] - there["RIGHT"], abs=0.011)
    assert nothing == pytest.approx(0, abs=0.011)  # it stands where P2 is
    visitor.page.keyboard.press("Control+z")
    visitor.wait_said("pins", "P1")
    visitor.page.keyboard.press("Control+Shift+z")
    visitor.wait_said("pins", "P1,P2")


def test_a_click_in_3d_picks_the_tissue_under_it(visitor: Visitor, prediction) -> None:
    visitor.page.get_by_role("button", name="XY", exact=True).click()  # look along z
    visitor.still("iframe.scene")
    box, scale = visitor.box("iframe.scene"), float(visitor.said("umPerPixel"))
    visitor.page.mouse.click(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2 - 60)
    told(visitor)
    x, y, z = cursor(visitor)
    assert x == pytest.approx(640 + 120 * scale, abs=2 * scale)
    assert y == pytest.approx(480 - 60 * scale, abs=2 * scale)
    assert z < 60 or z > 340  # the face that is seen
    value, *_ = row(visitor, "TOP")
    assert value == pytest.approx(prediction.profile([(x, y, z)]).iloc[0]["TOP"], abs=0.006)
    before = visitor.said("cursor")
    visitor.page.mouse.move(box["x"] + 200, box["y"] + 200)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + 300, box["y"] + 220, steps=5)
    visitor.page.mouse.up()
    assert np.allclose(cursor(visitor), [float(v) for v in before.split(",")])  # a turn is no click
