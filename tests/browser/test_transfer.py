"""The legend is the control: window, presets, opacity points, modes, several genes, doubt."""

import numpy as np
import pytest
from visiting import Visitor

XY, VIEW = '[data-slice="xy"]', "iframe.scene"


def add(visitor: Visitor, gene: str) -> None:
    """Add a gene of the list to the picture."""
    visitor.page.get_by_placeholder("Search genes").fill("")
    row = visitor.page.locator(f'.row[data-name="{gene}"]')
    row.hover()
    row.locator(".add").click()
    visitor.page.wait_for_function(
        "g => (document.body.dataset.link ?? '').includes(`:${g}`)", arg=gene
    )
    visitor.settle()


def warmth(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0] - pixels[..., 2]


def ends(pixels: np.ndarray) -> tuple[float, float]:
    """Mean red less blue of the left and of the right of the tissue."""
    h, w = pixels.shape[:2]
    middle = warmth(pixels)[h // 3 : -h // 3]
    return middle[:, int(0.14 * w) : int(0.3 * w)].mean(), middle[
        :, int(0.7 * w) : int(0.86 * w)
    ].mean()


def test_a_drag_of_the_legend_changes_the_pixels(visitor: Visitor) -> None:
    visitor.show("LEFT")
    before = visitor.still(XY)
    handle = visitor.page.get_by_label("High end of the colour range")
    low, high = (float(v) for v in visitor.said("window").split(","))
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    track = visitor.box(".track")
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x - 0.4 * track["width"], y, steps=6)
    visitor.page.mouse.up()
    # LEFT spans 0.5 to 2.5, so the end moves by 0.4 of 2
    visitor.page.wait_for_function(
        "v => Math.abs(+document.body.dataset.window.split(',')[1] - v) < 0.08", arg=high - 0.8
    )
    assert float(visitor.said("window").split(",")[0]) == low
    brighter = visitor.see(XY, lambda p: np.abs(p - before).mean() > 8)
    assert brighter.mean() > before.mean()


def test_presets_and_a_held_range(visitor: Visitor) -> None:
    visitor.show("LEFT")
    visitor.page.get_by_label("Range", exact=True).select_option("full")
    visitor.wait_said("window", "0.5000,2.5000")
    visitor.page.get_by_label("Range", exact=True).select_option("50-98")
    visitor.wait_said("preset", "50-98")
    low, _ = (float(v) for v in visitor.said("window").split(","))
    assert low == pytest.approx(1.5, abs=0.05)
    visitor.page.get_by_label("High", exact=True).fill("2")
    visitor.page.get_by_label("High", exact=True).press("Enter")
    visitor.wait_said("preset", "own")
    visitor.page.get_by_role("button", name="Keep this range").click()
    visitor.wait_said("hold", "1")
    kept = visitor.said("window")
    visitor.show("RIGHT")
    assert visitor.said("window") == kept
    visitor.page.get_by_role("button", name="Keep this range").click()
    visitor.page.wait_for_function("document.body.dataset.hold === undefined")
    visitor.show("TOP")
    visitor.wait_said("preset", "50-98")


def test_opacity_points_change_the_picture_and_reset(visitor: Visitor) -> None:
    visitor.show("LEFT")
    coloured = visitor.see(XY, lambda p: warmth(p).max() > 60)
    points = visitor.said("ramp")
    last = visitor.page.locator(".rampdot").last
    last.focus()
    for _ in range(20):
        last.press("ArrowDown")
    visitor.page.wait_for_function("document.body.dataset.ramp.endsWith('1.00:0.00')")
    left = slice(coloured.shape[1] // 5, coloured.shape[1] // 4)
    inner = slice(coloured.shape[0] // 3, coloured.shape[0] // 2)
    # the gene is highest at the left, where it is now see-through
    visitor.see(
        XY, lambda p: warmth(p[inner, left]).mean() < warmth(coloured[inner, left]).mean() - 20
    )
    visitor.page.get_by_role("button", name="Reset opacity").click()
    visitor.wait_said("ramp", points)
    box = visitor.box(".ramp")
    visitor.page.mouse.dblclick(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    visitor.page.wait_for_function(
        "n => document.body.dataset.ramp.split(' ').length === n", arg=len(points.split()) + 1
    )


def test_the_three_modes_of_3d(visitor: Visitor) -> None:
    visitor.show("LEFT")
    solid = visitor.still(VIEW)
    visitor.page.get_by_role("radio", name="Brightest").click()
    visitor.wait_said("mode", "maximum")
    brightest = visitor.see(VIEW, lambda p: np.abs(p - solid).mean() > 4)
    visitor.page.get_by_role("radio", name="Surface").click()
    visitor.wait_said("mode", "surface")
    visitor.see(VIEW, lambda p: min(np.abs(p - solid).mean(), np.abs(p - brightest).mean()) > 4)
    surface = visitor.still(VIEW)
    level = visitor.page.get_by_label("Surface at")
    level.focus()
    for _ in range(30):
        level.press("ArrowRight")
    visitor.see(VIEW, lambda p: np.abs(p - surface).mean() > 1)


def test_two_genes_in_one_picture_each_in_its_colour(visitor: Visitor) -> None:
    visitor.show("LEFT")
    add(visitor, "RIGHT")
    both = visitor.see(XY, lambda p: ends(p)[0] > 40 and ends(p)[1] < -20)
    assert both.size  # orange where LEFT is high, blue where RIGHT is
    visitor.page.get_by_role("button", name="Take LEFT out", exact=True).click()
    visitor.wait_said("gene", "RIGHT")
    visitor.see(XY, lambda p: ends(p)[1] > 40)


def test_the_difference_of_two_genes(visitor: Visitor) -> None:
    visitor.show("LEFT")
    add(visitor, "RIGHT")
    visitor.page.get_by_role("radio", name="Difference").click()
    visitor.wait_said("together", "difference")
    visitor.page.wait_for_function("document.body.dataset.window.startsWith('-')")
    low, high = (float(v) for v in visitor.said("window").split(","))
    assert low == -high
    # purple where LEFT is higher, orange where RIGHT is
    visitor.see(XY, lambda p: ends(p)[0] < -10 and ends(p)[1] > 40)


def test_where_the_prediction_is_unsure_is_left_gray(visitor: Visitor) -> None:
    visitor.show("LEFT")
    visitor.see(XY, lambda p: warmth(p).max() > 60)
    slider = visitor.page.get_by_label("Grey where uncertain")
    slider.evaluate("n => { n.value = 0.05; n.dispatchEvent(new Event('input')); }")
    # its standard deviation is 0.2 everywhere: more than 5 % of a range of 1.9
    visitor.wait_said("greyed", "1.000")
    visitor.see(XY, lambda p: warmth(p)[p.shape[0] // 3, p.shape[1] // 4] < 20)
    slider.evaluate("n => { n.value = 0.5; n.dispatchEvent(new Event('input')); }")
    visitor.wait_said("greyed", "0.000")
    visitor.see(XY, lambda p: warmth(p).max() > 60)
