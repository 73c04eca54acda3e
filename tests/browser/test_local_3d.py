"""3D drawn by the visitor's own browser: the same picture, turned without the server."""

from collections.abc import Callable
from urllib.parse import parse_qs

import numpy as np
import pytest
from hands import places, stroke
from test_transfer import VIEW, add, warmth
from visiting import Running, Visitor

from vortex_viewer.scene import camera as cameras

TOLERANCE = 8.0
"""Mean difference, of 255, over the block's pixels: rays begin elsewhere, and lines are drawn
by another rule. A gene's other colours differ by more than 20, another opacity by more than 15."""
STILL = """() => {
  const said = document.querySelector('iframe.scene').contentDocument?.body?.dataset;
  return said?.shown && said.quality === 'resting'; }"""


def scene(visitor: Visitor) -> object:
    """The frame that the picture is drawn in."""
    return visitor.page.locator(VIEW).element_handle().content_frame()


def drawn_by(visitor: Visitor, who: str) -> np.ndarray:
    """Choose who draws; the picture once it rests."""
    visitor.page.get_by_role("tab", name="Display").click()
    visitor.page.get_by_label("3D drawn by").select_option(who)
    visitor.wait_said("drawnBy", who)
    visitor.settle()
    return rested(visitor) if who == "browser" else visitor.still(VIEW)


def rested(visitor: Visitor) -> np.ndarray:
    """The picture that the browser draws, once it rests."""
    visitor.page.wait_for_function(STILL, timeout=30_000)
    return visitor.still(VIEW)


def wish(visitor: Visitor, who: str) -> None:
    """Who draws, as a browser has kept it from an earlier visit."""
    visitor.page.add_init_script(
        f"if (window === top) localStorage['vortex-viewer drawer'] ??= '{who}'"
    )


def says(visitor: Visitor, who: str) -> None:
    """Wait until the page says that this one draws."""
    visitor.page.get_by_role("status").filter(has_text=f"Now: {who}").wait_for(timeout=10_000)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference over the pixels that are no background in the first picture."""
    # beneath the names and buttons, which lie over it
    inner = slice(60, -60)
    block = one[inner].max(axis=2) > 40
    assert block.mean() > 0.1
    return float(np.abs(one[inner] - other[inner])[block].mean())


def drag(visitor: Visitor, right: float, down: float, steps: int = 8) -> None:
    box, mouse = visitor.box(VIEW), visitor.page.mouse
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right, y + down, steps=steps)
    mouse.up()


@pytest.fixture
def local(visitors: Callable[..., Visitor], server: Running) -> Visitor:
    """A visitor who has chosen their own browser before."""
    one = visitors()
    wish(one, "browser")
    one.go(server.address)
    one.wait_said("drawnBy", "browser")
    one.settle()
    return one


def test_the_browser_draws_what_the_server_draws(visitor: Visitor) -> None:
    visitor.show("LEFT")
    here, there = drawn_by(visitor, "browser"), drawn_by(visitor, "server")
    assert apart(there, here) < TOLERANCE
    assert apart(there, there[:, ::-1]) > 3 * TOLERANCE  # it is no picture of just anything
    visitor.page.get_by_role("button", name="A", exact=True).click()  # cut open at a section
    visitor.page.wait_for_function("document.body.dataset.crop")
    visitor.see(VIEW, lambda p: np.abs(p - there).mean() > 3)
    cut_there, cut_here = drawn_by(visitor, "server"), drawn_by(visitor, "browser")
    assert apart(cut_there, cut_here) < TOLERANCE
    assert apart(cut_there, there) > 2 * TOLERANCE


@pytest.mark.parametrize(("name", "mode"), [("Brightest", "maximum"), ("Surface", "surface")])
def test_the_modes_of_3d_look_the_same(visitor: Visitor, name: str, mode: str) -> None:
    visitor.show("RIGHT")
    solid = visitor.still(VIEW)
    visitor.page.get_by_role("radio", name=name).click()
    visitor.wait_said("mode", mode)
    visitor.see(VIEW, lambda p: np.abs(p - solid).mean() > 4)
    there, here = drawn_by(visitor, "server"), drawn_by(visitor, "browser")
    assert apart(there, here) < TOLERANCE


def test_planes_of_a_stack_look_the_same_from_both_sides(visitor: Visitor) -> None:
    visitor.choose_study("stack")
    for right in (0, 420):
        if right:
            drag(visitor, right, 0)
        there = drawn_by(visitor, "server")
        here = drawn_by(visitor, "browser")
        assert apart(there, here) < TOLERANCE


def test_a_gene_recolours_the_block_and_resends_no_morphology(local: Visitor) -> None:
    frame = scene(local)
    sent: list[str] = []
    local.page.on("response", lambda answer: sent.append(answer.url))
    local.show("LEFT")
    left = rested(local)
    half = left.shape[1] // 2

    def warmer_side(picture: np.ndarray) -> float:
        heat = np.clip(warmth(picture), 0, None)
        return float(heat[:, :half].mean() - heat[:, half:].mean())

    assert warmer_side(left) > 2
    sent.clear()
    local.show("RIGHT")
    local.see(VIEW, lambda p: warmer_side(p) < -2)
    parts = {url.split("/part/")[1].split("/")[0] for url in sent if "/part/" in url}
    assert "levels" in parts
    assert "base" not in parts
    assert frame.evaluate("document.querySelectorAll('canvas').length") == 1


def test_a_turn_needs_no_picture_of_the_server_and_everything_follows_it(
    local: Visitor, visitors: Callable[..., Visitor], server: Running
) -> None:
    before = rested(local)
    start, frame = local.said("camera"), scene(local)
    fetched: list[str] = []
    frames = int(frame.evaluate("document.body.dataset.frames"))
    local.page.on("response", lambda answer: fetched.append(answer.url))
    drag(local, 160, 20)
    local.page.wait_for_function("c => document.body.dataset.camera !== c", arg=start)
    after = local.see(VIEW, lambda p: np.abs(p - before).mean() > 4)
    assert int(frame.evaluate("document.body.dataset.frames")) > frames
    assert not [url for url in fetched if "/scene/" in url]  # neither a picture nor a part
    corner = cameras.look(((0.0, 1280.0), (0.0, 960.0), (0.0, 400.0)), "corner", 1.0, 1.0)
    height = local.box(VIEW)["height"]
    turned = corner  # in as many steps as the hand made, to the right and down
    for _ in range(8):
        turned = cameras.turn(turned, 20 / height, -2.5 / height)
    seen = [float(v) for v in local.said("camera").split(",")]
    assert seen == pytest.approx(turned.back, abs=0.02)
    # the address holds the camera, and what it shows by the server is what was turned to
    local.page.wait_for_function("document.body.dataset.link?.includes('camera=')")
    after = rested(local)
    two = visitors()
    wish(two, "server")
    two.go(f"{server.address}#{local.page.url.split('#')[1]}")
    two.wait_said("drawnBy", "server")
    assert apart(two.still(VIEW), after) < TOLERANCE
    # the server moves it back, by undo and by a button
    assert local.said("back") == "1"  # a drag is one step
    local.page.keyboard.press("Control+z")  # the picture has the keys: they are the page's too
    local.wait_said("camera", start)
    local.see(VIEW, lambda p: np.abs(p - before).mean() < 2)
    local.page.get_by_role("button", name="XY", exact=True).click()
    local.see(VIEW, lambda p: np.abs(p - before).mean() > 4)


def test_wheel_and_shift_move_the_picture_and_its_scale_bar(local: Visitor) -> None:
    before, scale = rested(local), float(local.said("umPerPixel"))
    box = local.box(VIEW)
    local.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    local.page.mouse.wheel(0, 300)
    local.page.wait_for_function("s => document.body.dataset.umPerPixel > 1.3 * s", arg=scale)
    smaller = rested(local)
    lit = (before.max(axis=2) > 40).mean(), (smaller.max(axis=2) > 40).mean()
    assert lit[1] < 0.7 * lit[0]
    local.page.keyboard.down("Shift")
    drag(local, 80, 0)
    local.page.keyboard.up("Shift")
    moved = rested(local)
    middle = slice(150, -150)  # no names, no buttons
    assert np.abs(moved[middle, 80:] - smaller[middle, :-80]).mean() < 2
    local.page.wait_for_function("document.body.dataset.link?.includes('camera=')")
    camera = parse_qs(local.page.url.split("#")[1])["camera"][0]
    assert camera


def test_the_block_turns_by_itself_here_too(local: Visitor) -> None:
    before = rested(local)
    turn = local.page.get_by_role("button", name="Turn by itself")
    turn.click()
    local.wait_said("turning", "1")
    later = local.see(VIEW, lambda p: np.abs(p - before).mean() > 4)
    local.see(VIEW, lambda p: np.abs(p - later).mean() > 2)
    turn.click()
    local.page.wait_for_function("document.body.dataset.turning === undefined")
    assert np.abs(rested(local) - before).mean() > 3


def test_two_fingers_zoom(local: Visitor) -> None:
    rested(local)
    scale, box = float(local.said("umPerPixel")), local.box(VIEW)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    hand = local.page.context.new_cdp_session(local.page)

    def touch(kind: str, *reaches: float) -> None:
        points = [{"x": x + reach, "y": y, "id": i} for i, reach in enumerate(reaches)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -40, 40)
    for reach in (50, 60, 70, 80):
        touch("touchMove", -reach, reach)
    touch("touchEnd")
    local.page.wait_for_function("s => document.body.dataset.umPerPixel < 0.6 * s", arg=scale)
    assert float(local.said("umPerPixel")) == pytest.approx(scale / 2, rel=0.05)


def test_a_region_shines_through_the_tissue_as_the_server_draws_it(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Morphology alone").click()
    visitor.page.wait_for_function("document.body.dataset.gene === undefined")
    visitor.page.get_by_label("Morphology", exact=True).fill("0.01")
    where = places(visitor)
    gray = visitor.still(VIEW)
    visitor.page.get_by_role("tab", name="Regions").click()
    visitor.page.locator('[data-shape="box"]').click()
    visitor.wait_said("drawing", "box")
    stroke(visitor, [where(300, 250), where(900, 700)])
    visitor.page.wait_for_function("document.body.dataset.regions")
    visitor.see(VIEW, lambda p: np.abs(p - gray).mean() > 2)
    there, here = drawn_by(visitor, "server"), drawn_by(visitor, "browser")
    assert apart(there, here) < TOLERANCE
    assert min((warmth(p) > 40).mean() for p in (there, here)) > 0.05  # its orange


def test_a_click_picks_the_tissue_under_it(local: Visitor) -> None:
    local.page.get_by_role("button", name="XY", exact=True).click()
    rested(local)
    box, scale = local.box(VIEW), float(local.said("umPerPixel"))
    local.page.mouse.click(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2 - 60)
    local.page.wait_for_function("document.body.dataset.answer === 'pick'")
    x, y, z = (float(v) for v in local.said("cursor").split(","))
    assert x == pytest.approx(640 + 120 * scale, abs=2 * scale)
    assert y == pytest.approx(480 - 60 * scale, abs=2 * scale)
    assert z < 60


def test_who_draws_is_said_remembered_and_left_to_the_server_where_it_must(local: Visitor) -> None:
    says(local, "this browser's processor: it has no graphics card, so turning is coarse.")
    local.show("LEFT")
    add(local, "RIGHT")
    local.page.get_by_role("radio", name="Side by side").click()
    local.wait_said("panes", "2")
    local.wait_said("drawnBy", "server")
    says(local, "the server's processor: panes side by side are drawn there.")
    local.see(VIEW, lambda p: p[:, : p.shape[1] // 3].mean() > 15)
    local.page.get_by_role("radio", name="In one").click()
    local.wait_said("drawnBy", "browser")
    rested(local)
    # without a wish the server draws, as there is no graphics card here or there
    local.page.get_by_label("3D drawn by").select_option("auto")
    local.wait_said("drawnBy", "server")
    says(local, "the server's processor: no graphics card here or there.")
    again = Visitor(local.page.context.new_page())
    again.go(local.page.url)
    assert again.page.get_by_label("3D drawn by").input_value() == "auto"
    assert again.said("drawnBy") == "server"


def test_when_the_graphics_card_gives_up_the_server_draws(local: Visitor) -> None:
    here = rested(local)
    scene(local).evaluate(
        """() => document.querySelector('canvas').getContext('webgl2')
        .getExtension('WEBGL_lose_context').loseContext()"""
    )
    local.wait_said("drawnBy", "server")
    says(local, "the server's processor: this browser has stopped drawing")
    assert apart(local.still(VIEW), here) < TOLERANCE


def test_the_page_that_draws_belongs_to_its_visitor(local: Visitor, server: Running) -> None:
    address = scene(local).url
    policy = local.page.request.get(address).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert local.page.request.get(f"{address.rpartition('/')[0]}/../nothing.js").status == 404
    guessed = address.replace(address.split("/scene/")[1].split("/")[0], "0" * 32)
    assert local.page.request.get(guessed).status == 404
    stranger = local.page.context.browser.new_context()
    try:
        assert stranger.request.get(address).status == 403
    finally:
        stranger.close()
