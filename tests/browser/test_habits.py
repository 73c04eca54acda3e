"""Keys, help, themes, the tour, and that everybody can use the page."""

from collections.abc import Callable
from pathlib import Path

import pytest
from visiting import Running, Visitor, running

XY, VIEW = '[data-slice="xy"]', "iframe.scene"


def cursor(visitor: Visitor) -> list[float]:
    return [float(v) for v in visitor.said("cursor").split(",")]


def wait_cursor(visitor: Visitor, axis: int, value: float) -> None:
    visitor.page.wait_for_function(
        "([i, v]) => Math.abs(+document.body.dataset.cursor.split(',')[i] - v) < 0.01",
        arg=[axis, value],
    )


def test_keys_walk_through_the_slices_wherever_the_pointer_was(visitor: Visitor) -> None:
    x, y, z = cursor(visitor)
    visitor.page.keyboard.press(".")
    wait_cursor(visitor, 2, z + 10)  # a voxel is 10 um
    visitor.page.keyboard.press(",")
    visitor.page.keyboard.press(",")
    wait_cursor(visitor, 2, z - 10)
    visitor.page.keyboard.press("Shift+>")
    wait_cursor(visitor, 2, z + 90)
    visitor.page.keyboard.press("ArrowRight")
    wait_cursor(visitor, 0, x + 10)
    visitor.page.keyboard.press("ArrowUp")
    wait_cursor(visitor, 1, y - 10)
    # after a click into the 3D view, which tells of a place, the keys still mean the page
    box = visitor.box(VIEW)
    visitor.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visitor.page.wait_for_function("document.body.dataset.answer === 'pick'")
    visitor.page.keyboard.press("Escape")
    visitor.page.wait_for_function("document.body.dataset.answer === undefined")
    z = cursor(visitor)[2]
    visitor.page.keyboard.press(".")
    wait_cursor(visitor, 2, z + 10)
    # and never leave the block
    for _ in range(4):
        visitor.page.keyboard.press("Shift+>")
    wait_cursor(visitor, 2, 395)
    # in a text field they are letters
    field = visitor.page.get_by_placeholder("Search genes")
    field.fill("")
    field.press(",")
    assert field.input_value() == ","
    assert cursor(visitor)[2] == 395


def test_a_pane_alone_scale_bars_and_search_by_keys(visitor: Visitor) -> None:
    visitor.page.locator(XY).hover()
    visitor.page.keyboard.press("f")
    visitor.wait_said("layout", "xy")
    visitor.page.keyboard.press("f")
    visitor.wait_said("layout", "column")
    bar = visitor.page.locator(".scalebar")
    assert bar.is_visible()
    visitor.page.keyboard.press("b")
    bar.wait_for(state="hidden")
    visitor.page.keyboard.press("b")
    bar.wait_for(state="visible")
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type("TOP")
    visitor.page.keyboard.press("Enter")
    visitor.wait_said("gene", "TOP")


def test_help_opens_and_closes_by_key(visitor: Visitor) -> None:
    visitor.page.keyboard.press("?")
    box = visitor.page.get_by_role("dialog", name="Keys")
    box.wait_for()
    assert "ten at a time" in box.inner_text()
    visitor.page.keyboard.press("Escape")
    box.wait_for(state="hidden")
    visitor.page.keyboard.press("h")
    box.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_chosen(
    visitors: Callable[..., Visitor], server: Running, scheme: str
) -> None:
    visitor = visitors(color_scheme=scheme)
    visitor.go(server.address)
    assert visitor.said("theme") == scheme
    chrome = visitor.pixels(".slot.legend").mean()
    assert chrome > 200 if scheme == "light" else chrome < 70
    picture = visitor.pixels(XY)
    other = {"light": "dark", "dark": "light"}[scheme]
    visitor.page.get_by_role("button", name=f"{other} theme").click()
    visitor.wait_said("theme", other)
    now = visitor.pixels(".slot.legend").mean()
    assert now < 70 if scheme == "light" else now > 200
    assert abs(visitor.pixels(XY).mean() - picture.mean()) < 3  # the picture is as it was
    visitor.go(server.address)
    assert visitor.said("theme") == other


def test_the_first_visit_has_a_tour_of_five_steps_and_the_second_has_none(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors(first=True)
    visitor.go(server.address)
    visitor.wait_said("tour", "1")
    card = visitor.page.get_by_role("dialog", name="A short tour")
    for step in range(2, 6):
        card.get_by_role("button", name="Next").click()
        visitor.wait_said("tour", str(step))
        box = card.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 1280
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800
    card.get_by_role("button", name="Done").click()
    visitor.go(server.address)
    assert visitor.said("tour") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    visitors: Callable[..., Visitor], server: Running, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    visitor = visitors(color_scheme=scheme)
    visitor.go(server.address)
    for tab in visitor.page.get_by_role("tab").all():
        tab.click()
        visitor.page.wait_for_timeout(150)
        found = [
            f"{v['id']}: {v['nodes'][0]['target']} {v['nodes'][0].get('failureSummary', '')}"
            for v in axe.run(visitor.page).response["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert not found, (tab.inner_text(), found)
    visitor.page.keyboard.press("?")
    visitor.page.wait_for_timeout(200)
    violations = axe.run(visitor.page).response["violations"]
    assert not [v["id"] for v in violations if v["impact"] in ("serious", "critical")]


def test_focus_goes_through_the_page_in_reading_order(visitor: Visitor) -> None:
    visitor.page.locator(".picker").focus()
    seen = []
    for _ in range(40):
        visitor.page.keyboard.press("Tab")
        seen.append(
            visitor.page.evaluate(
                """() => { let at = document.activeElement;
                while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
                return at?.getAttribute("aria-label") ?? at?.textContent ?? ""; }"""
            )
        )
    wanted = ["Copy the link to this view", "Keys and help", "Search genes", "Genes"]
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)


def test_no_study_is_an_empty_page_that_says_what_to_do(
    visitors: Callable[..., Visitor], tmp_path: Path
) -> None:
    with running([], tmp_path) as server:
        visitor = visitors()
        visitor.page.goto(server.address)
        visitor.page.wait_for_function("document.body.dataset.error?.includes('no study')")
        assert "vortex-viewer serve STUDY.zarr" in visitor.said("error")
        visitor.page.close()  # before its server goes


def test_fingers_do_what_the_pointer_does(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors(has_touch=True)
    visitor.go(server.address)
    page, before = visitor.page, visitor.said("cursor")
    box = visitor.box(XY)
    page.touchscreen.tap(box["x"] + 0.6 * box["width"], box["y"] + 0.45 * box["height"])
    page.wait_for_function("was => document.body.dataset.cursor !== was", arg=before)
    camera, box = visitor.said("camera"), visitor.box(VIEW)
    hand = page.context.new_cdp_session(page)

    def touch(kind: str, x: float) -> None:
        places = [] if kind == "touchEnd" else [{"x": x, "y": box["y"] + box["height"] / 2}]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    middle = box["x"] + box["width"] / 2
    touch("touchStart", middle)
    for step in range(1, 9):
        touch("touchMove", middle + 12 * step)
        page.wait_for_timeout(40)
    touch("touchEnd", middle)
    page.wait_for_function("was => document.body.dataset.camera !== was", arg=camera)
