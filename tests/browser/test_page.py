"""What a visitor sees and does, on the pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from visiting import Running, Visitor

XY, XZ, YZ = ('[data-slice="xy"]', '[data-slice="xz"]', '[data-slice="yz"]')
VIEW = "iframe.scene"


def warm(pixels: np.ndarray) -> np.ndarray:
    """How high on the palette each pixel is, whatever the gray beneath: magma goes dark to light
    through red, so red over blue."""
    return np.clip(pixels[..., 0] - 0.6 * pixels[..., 2], 0, None)


def halves(pixels: np.ndarray) -> tuple[float, float]:
    """Mean warmth of the left and of the right third."""
    third = pixels.shape[1] // 3
    heat = warm(pixels)
    return heat[:, :third].mean(), heat[:, -third:].mean()


def leans_left(pixels: np.ndarray) -> bool:
    left, right = halves(pixels)
    return left > 1.5 * right and left > 20


def leans_right(pixels: np.ndarray) -> bool:
    left, right = halves(pixels)
    return right > 1.5 * left and right > 20


def test_a_gene_chosen_by_typing_colours_the_volume_and_the_slices(visitor: Visitor) -> None:
    visitor.choose_gene("left")
    visitor.wait_said("gene", "LEFT")
    visitor.page.get_by_role("button", name="XY", exact=True).click()
    for where in (VIEW, XY, XZ):
        visitor.see(where, leans_left)
    visitor.choose_gene("righ")
    visitor.wait_said("gene", "RIGHT")
    for where in (VIEW, XY, XZ):
        visitor.see(where, leans_right)
    assert float(visitor.said("reliability")) == pytest.approx(0.897, abs=0.01)


def test_morphology_stays_when_no_gene_is_shown(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Morphology alone").click()
    gray = visitor.see(XY, lambda p: warm(p).mean() < 50 and p.mean() > 40)
    middle = gray[gray.shape[0] // 3, gray.shape[1] // 3]
    assert np.ptp(middle) < 40  # gray, not a palette's colour


def test_arrow_keys_walk_through_the_list(visitor: Visitor) -> None:
    box = visitor.page.get_by_placeholder("Search genes")
    box.fill("FLAT")
    box.press("ArrowDown")
    box.press("ArrowDown")
    box.press("ArrowUp")
    box.press("Enter")
    visitor.wait_said("gene", "FLAT1")


def test_genes_are_sorted_by_reliability_and_show_it(visitor: Visitor) -> None:
    rows = visitor.page.locator(".row")
    names = [rows.nth(i).get_attribute("data-name") for i in range(4)]
    assert names == ["LEFT", "RIGHT", "TOP", "SHALLOW"]
    assert rows.nth(0).locator(".number").inner_text() == "0.90"
    assert "95 % interval 0.85 to 0.95" in rows.nth(0).get_attribute("title")


def listed(visitor: Visitor, count: int = 3) -> list[str]:
    rows = visitor.page.locator(".row")
    return [rows.nth(i).get_attribute("data-name") for i in range(count)]


def test_genes_are_sorted_by_mean_by_how_they_vary_and_by_likeness(visitor: Visitor) -> None:
    visitor.show("TOP")
    visitor.page.get_by_placeholder("Search genes").fill("")
    sort = visitor.page.get_by_label("Sort genes by")
    sort.select_option("moran")
    visitor.wait_said("order", "moran")
    # FLAT... are the same everywhere: they have no spatial variation at all
    assert {"LEFT", "RIGHT", "TOP", "SHALLOW"} == set(listed(visitor, 4))
    sort.select_option("like")
    visitor.wait_said("order", "like")
    assert listed(visitor, 1) == ["TOP"]
    sort.select_option("mean")
    visitor.wait_said("order", "mean")
    assert visitor.page.locator(".row .number").first.inner_text() == "1.50"
    sort.select_option("name")
    visitor.wait_said("order", "name")
    assert listed(visitor, 2) == ["FLAT0", "FLAT1"]


def test_favourites_are_kept_by_the_browser(visitor: Visitor, server: Running) -> None:
    row = visitor.page.locator('.row[data-name="TOP"]')
    row.hover()
    row.get_by_role("button", name="Favourite TOP").click()
    visitor.go(server.address)
    visitor.page.get_by_role("button", name="Favourites only").click()
    assert visitor.page.locator(".row").count() == 1
    assert listed(visitor, 1) == ["TOP"]


def test_a_signature_is_typed_as_a_formula_and_a_mistake_is_told(visitor: Visitor) -> None:
    visitor.choose_gene("mean(LEFT, TOP) - RIGHT")
    visitor.wait_said("gene", "=mean(LEFT, TOP) - RIGHT")
    visitor.page.wait_for_function("document.body.dataset.drawn.startsWith('=mean')")
    visitor.settle()
    low, high = (float(v) for v in visitor.said("window").split(","))
    # on the lattice: (1.5 - x + 1.5 - y) / 2 - (1.5 + x) = -1.5 x - y / 2
    assert -2 < low < -1.2 and 1.2 < high < 2
    visitor.see(XY, leans_left)
    visitor.choose_gene("mean(LEFT - 1")
    visitor.page.wait_for_function("document.body.dataset.told !== undefined")
    assert visitor.said("gene") == "=mean(LEFT, TOP) - RIGHT"
    visitor.choose_gene("LEFT + NOSUCH")
    visitor.page.wait_for_function("document.body.dataset.told?.includes('NOSUCH')")


def test_gene_sets_are_loaded_from_a_file(visitor: Visitor, tmp_path: Path) -> None:
    sets = tmp_path / "sets.gmt"
    sets.write_text("SIDES\tboth ends\tLEFT\tTOP\tNOSUCH\nNONE\tx\tNOSUCH\n")
    visitor.page.locator("input[type=file]").set_input_files(sets)
    choice = visitor.page.get_by_label("Gene sets", exact=True)
    choice.wait_for()
    assert "SIDES (2 of 3 genes)" in choice.inner_text()
    choice.select_option("SIDES")
    visitor.wait_said("gene", "=mean(LEFT, TOP)")


def test_genes_below_a_chosen_reliability_are_greyed(visitor: Visitor) -> None:
    field = visitor.page.get_by_label("Grey genes below this reliability")
    field.fill("0.895")
    field.press("Enter")
    dim = visitor.page.locator(".row.dim")
    dim.first.wait_for()
    assert dim.first.get_attribute("data-name") == "TOP"
    assert visitor.page.locator('.row[data-name="RIGHT"].dim').count() == 0


def test_measured_beside_predicted_at_the_sections(visitor: Visitor) -> None:
    visitor.show("LEFT")
    visitor.page.get_by_role("tab", name="Measured").click()
    visitor.page.get_by_text("LEFT at A: r =").wait_for()
    # the section as studies.py made it, and the gene as it was planted there
    x, _ = (a.ravel() for a in np.meshgrid(np.arange(200.0, 1100, 100), np.arange(200.0, 800, 100)))
    left = np.where(x < 640, 40, 2)
    measured = np.log1p(left / (left + np.where(x < 640, 2, 40) + 20) * 1e4)
    nearest = np.clip(np.rint((x - 20) / 40), 0, 31)
    r = np.corrcoef(measured, 1.5 - (nearest * 2 / 31 - 1))[0, 1]
    assert float(visitor.said("measured")) == pytest.approx(r, abs=0.002)
    visitor.show("SHALLOW")
    visitor.page.get_by_text("No section of this study measured SHALLOW").wait_for()


def test_a_click_in_one_slice_moves_the_others_and_the_reading(visitor: Visitor) -> None:
    visitor.show("LEFT")
    before = visitor.see(YZ, lambda p: p.mean() > 20)
    box = visitor.box(XY)
    visitor.page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    visitor.page.wait_for_function("+document.body.dataset.cursor.split(',')[0] < 500")
    x, y, z = (float(v) for v in visitor.said("cursor").split(","))
    assert y == pytest.approx(480, abs=15)
    assert z == pytest.approx(200, abs=1)
    # the slice along x is now cut where LEFT is high
    visitor.see(YZ, lambda p: warm(p).mean() > 1.3 * warm(before).mean())
    # and the readout has the value there: 1.5 - the lattice's x from -1 to 1
    expected = 1.5 - 2 * (x - 20) / (1280 - 40) + 1
    visitor.page.wait_for_function(
        "v => Math.abs(+document.body.dataset.value - v) < 0.1", arg=expected
    )


def test_dragging_in_a_side_slice_scrolls_the_front_slice(visitor: Visitor) -> None:
    visitor.show("SHALLOW")
    box = visitor.box(XZ)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.move(*middle)
    visitor.page.mouse.down()
    visitor.page.mouse.move(middle[0], middle[1] - 0.22 * box["height"], steps=5)
    visitor.page.mouse.up()
    visitor.page.wait_for_function("+document.body.dataset.cursor.split(',')[2] < 150")
    shallow = visitor.see(XY, lambda p: warm(p)[p.shape[0] // 3, p.shape[1] // 3] > 60)
    assert shallow.shape[2] == 3


def test_cropping_removes_what_lies_outside(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="XY", exact=True).click()
    visitor.show("FLAT0")
    whole = visitor.still(VIEW)
    visitor.page.get_by_role("tab", name="Crop").click()
    visitor.page.get_by_label("x to, micrometres").fill("640")
    visitor.page.get_by_label("x to, micrometres").press("Enter")
    visitor.page.wait_for_function("document.body.dataset.crop?.startsWith('0-640')")

    def right_is_gone(pixels: np.ndarray) -> bool:
        third = pixels.shape[1] // 3
        inner = slice(pixels.shape[0] // 4, -pixels.shape[0] // 4)
        now, then = pixels[inner, -third:].mean(), whole[inner, -third:].mean()
        kept = pixels[inner, :third].mean(), whole[inner, :third].mean()
        return now < 0.6 * then and abs(kept[0] - kept[1]) < 0.35 * kept[1]

    visitor.see(VIEW, right_is_gone)
    visitor.page.get_by_role("button", name="Show the whole block").click()
    visitor.page.wait_for_function("document.body.dataset.crop === undefined")


def test_the_colour_range_can_be_typed_and_set_back(visitor: Visitor) -> None:
    visitor.show("LEFT")
    automatic = visitor.said("window")
    low, high = (float(v) for v in automatic.split(","))
    assert 0.5 <= low < 0.7 and 2.3 < high <= 2.5  # 2nd and 98th percentile of 0.5 to 2.5
    left = halves(visitor.see(XY, leans_left))[0]
    visitor.page.get_by_label("High", exact=True).fill("9")
    visitor.page.get_by_label("High", exact=True).press("Enter")
    visitor.page.wait_for_function("document.body.dataset.window.endsWith(',9.0000')")
    visitor.see(XY, lambda p: halves(p)[0] < 0.7 * left)
    visitor.page.get_by_label("Range", exact=True).select_option("2-98")
    visitor.wait_said("window", automatic)


def test_the_volume_turns_under_the_pointer_and_resets(visitor: Visitor) -> None:
    start = visitor.said("camera")
    box = visitor.box(VIEW)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = visitor.still(VIEW)
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + 160, y + 20, steps=8)
    visitor.page.mouse.up()
    visitor.page.wait_for_function("c => document.body.dataset.camera !== c", arg=start)
    visitor.see(VIEW, lambda p: np.abs(p - before).mean() > 4)
    visitor.page.get_by_role("button", name="Reset").click()
    visitor.wait_said("camera", start)
    visitor.see(VIEW, lambda p: np.abs(p - before).mean() < 2)


def test_a_section_can_be_cut_open(visitor: Visitor) -> None:
    visitor.choose_gene("LEFT")
    visitor.page.get_by_role("button", name="A", exact=True).click()
    visitor.page.wait_for_function("document.body.dataset.crop?.endsWith('105-400')")
    visitor.page.wait_for_function("document.body.dataset.cursor.endsWith(',105.00')")


def test_studies_are_switched_without_a_reload(visitor: Visitor) -> None:
    visitor.page.evaluate("window.same = true")
    visitor.choose_study("plain")
    assert "no measured section" in visitor.page.locator(".note").inner_text()
    assert visitor.said("genes") == "0"
    visitor.see(XY, lambda p: p.mean() > 40)
    visitor.choose_study("stack")
    pink = visitor.see(XY, lambda p: (np.abs(p - [190, 70, 140]).max(axis=-1) < 12).mean() > 0.05)
    assert pink.size
    visitor.see(VIEW, lambda p: (np.abs(p - [190, 70, 140]).max(axis=-1) < 25).mean() > 0.02)
    assert visitor.page.evaluate("window.same") is True


def test_a_study_that_is_not_there_says_so_and_leaves_the_others(visitor: Visitor) -> None:
    visitor.page.locator(".picker").click()
    visitor.page.get_by_role("option", name="absent").click()
    visitor.page.wait_for_function("document.body.dataset.error?.includes('no study')")
    visitor.choose_study("block")
    assert visitor.said("error") is None


def test_twenty_thousand_genes_are_searched_as_fast_as_one_types(visitor: Visitor) -> None:
    visitor.choose_study("many")
    assert visitor.said("genes") == "20000"
    assert visitor.page.locator(".row").count() < 80
    took = visitor.page.evaluate(
        """() => { const find = (root) => { for (const n of root.querySelectorAll("*")) {
            if (n.placeholder === "Search genes") return n;
            if (n.shadowRoot) { const hit = find(n.shadowRoot); if (hit) return hit; } } };
          const box = find(document), t = performance.now();
          box.value = "19999"; box.dispatchEvent(new Event("input"));
          return performance.now() - t; }"""
    )
    assert took < 250
    assert visitor.page.locator(".row").first.get_attribute("data-name") == "ENSG00000019999"


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1440, 900), (1920, 1080)])
def test_the_page_fits_without_scrolling_or_overlap(
    visitors: Callable[..., Visitor], server: Running, width: int, height: int
) -> None:
    visitor = visitors(width, height)
    visitor.go(server.address)
    size = visitor.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert size == [width, height]
    parts = [".side", ".slot.view", ".slot.legend", ".slices", ".slot.study"]
    boxes = [visitor.box(p) for p in parts]
    for i, a in enumerate(boxes):
        assert a["x"] >= 0 and a["x"] + a["width"] <= width + 0.5
        assert a["y"] >= 0 and a["y"] + a["height"] <= height + 0.5
        for b in boxes[i + 1 :]:
            across = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
            down = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
            assert across <= 1 or down <= 1
    view = visitor.box(".slot.view")
    assert view["width"] * view["height"] > 0.3 * width * height


def test_two_visitors_do_not_share_a_view(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    one, two = visitors(), visitors()
    one.go(server.address)
    two.go(server.address)
    two.show("RIGHT")
    two.page.get_by_role("button", name="XZ", exact=True).click()
    two.page.wait_for_function("document.body.dataset.camera.includes('-1.000')")
    kept = two.see(XY, leans_right), two.said("camera"), two.said("cursor")
    one.show("LEFT")
    one.see(XY, leans_left)
    box = one.box(XY)
    one.page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    one.page.get_by_role("button", name="YZ", exact=True).click()
    one.page.wait_for_function("document.body.dataset.camera.startsWith('1.000')")
    assert two.said("gene") == "RIGHT"
    assert (two.said("camera"), two.said("cursor")) == kept[1:]
    assert np.abs(two.pixels(XY) - kept[0]).mean() < 1
