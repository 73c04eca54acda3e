"""Panes: which there are, several genes side by side under one camera, turning by itself."""

import numpy as np
from test_transfer import VIEW, add, warmth
from visiting import Visitor

SLICES = {v: f'[data-slice="{v}"]' for v in ("xy", "xz", "yz")}


def lay(visitor: Visitor, name: str, value: str) -> None:
    visitor.page.get_by_role("radio", name=name, exact=True).click()
    visitor.wait_said("layout", value)
    visitor.page.wait_for_timeout(300)


def test_four_panes_are_equal_and_one_pane_is_alone(visitor: Visitor) -> None:
    lay(visitor, "Four panes", "four")
    boxes = [visitor.box(where) for where in (VIEW, *SLICES.values())]
    for box in boxes[1:]:
        assert abs(box["width"] - boxes[0]["width"]) < 4
        assert abs(box["height"] - boxes[0]["height"]) < 4
    assert boxes[1]["x"] > boxes[0]["x"] and boxes[2]["y"] > boxes[0]["y"]
    for where in (VIEW, *SLICES.values()):
        visitor.see(where, lambda p: p.mean() > 15)
    lay(visitor, "3D alone", "view")
    assert not visitor.page.locator(SLICES["xy"]).is_visible()
    assert visitor.box(VIEW)["width"] > 1000 - 232
    lay(visitor, "XZ slice alone", "xz")
    assert not visitor.page.locator(VIEW).is_visible()
    assert visitor.box(SLICES["xz"])["width"] > 1000 - 232
    visitor.see(SLICES["xz"], lambda p: p.mean() > 15)
    visitor.page.keyboard.press("Control+z")
    visitor.wait_said("layout", "view")


def test_genes_side_by_side_turn_together(visitor: Visitor) -> None:
    visitor.show("LEFT")
    add(visitor, "RIGHT")
    visitor.page.get_by_role("radio", name="Side by side").click()
    visitor.wait_said("panes", "2")
    visitor.page.get_by_role("button", name="XY", exact=True).click()

    def halves(pixels: np.ndarray) -> list[tuple[float, float]]:
        width = pixels.shape[1] // 2
        found = []
        for pane in (pixels[:, :width], pixels[:, -width:]):
            heat = np.clip(warmth(pane), 0, None)[pane.shape[0] // 3 : -pane.shape[0] // 3]
            found.append((heat[:, : width // 2].mean(), heat[:, width // 2 :].mean()))
        return found

    def apart(pixels: np.ndarray) -> bool:
        (a, b), (c, d) = halves(pixels)
        return a > 1.3 * b and d > 1.3 * c

    before = visitor.see(VIEW, apart)
    box = visitor.box(VIEW)
    x, y = box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + 60, y + 60, steps=5)
    visitor.page.mouse.up()

    def both_moved(pixels: np.ndarray) -> bool:
        width = pixels.shape[1] // 2
        moved = np.abs(pixels - before)
        return min(moved[:, :width].mean(), moved[:, -width:].mean()) > 3

    visitor.see(VIEW, both_moved)
    visitor.page.get_by_role("radio", name="In one").click()
    visitor.wait_said("panes", "1")


def test_the_block_turns_by_itself_until_it_is_stopped(visitor: Visitor) -> None:
    before = visitor.still(VIEW)
    turn = visitor.page.get_by_role("button", name="Turn by itself")
    turn.click()
    visitor.wait_said("turning", "1")
    visitor.see(VIEW, lambda p: np.abs(p - before).mean() > 4)
    turn.click()
    visitor.page.wait_for_function("document.body.dataset.turning === undefined")
    visitor.still(VIEW)
