"""The oblique slice, one zoom for all slices, virtual H&E: on pixels, and on what a link shows."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from studies import GRID, predict
from visiting import Running, Visitor, running

from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import Study, StudyInfo

SLICES = {view: f'[data-slice="{view}"]' for view in ("xy", "xz", "yz", "oblique")}
VIEW = ".slot.view"
YELLOW = (242, 201, 76)
RANGES = """() => Object.fromEntries(Bokeh.documents.flatMap((d) => [...d._all_models.values()])
  .filter((m) => m.type === "Figure" && m.tags.length).map((f) => [f.tags[0],
    { w: f.inner_width, x: [f.x_range.start, f.x_range.end],
      y: [f.y_range.end, f.y_range.start] }]))"""


def two_channels(path: Path) -> Path:
    """Soft tissue with round nuclei in it, brighter towards high z; and the known genes."""
    with Study.create(path, StudyInfo(name="cells", modality="light-sheet")) as study:
        z, y, x = np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij")
        inside = (z >= 4) & (z < 36) & (y >= 10) & (y < 86) & (x >= 12) & (x < 116)
        soft = np.where(inside, 300 + 10 * z, 0)
        nuclei = np.where(inside & (x % 16 < 6) & (y % 16 < 6), 900, 0)
        channels = (Channel("nuclei", "nuclear"), Channel("tissue", "cytoplasm"))
        voxels = np.stack([nuclei, soft]).astype(np.uint16)
        study.write_morphology(ArraySource(voxels, GRID, channels))
        predict(study)
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The block of two channels, served."""
    folder = tmp_path_factory.mktemp("cells")
    with running([two_channels(folder / "cells.zarr")], folder) as one:
        yield one


def ranges(visitor: Visitor) -> dict[str, dict]:
    """What each slice shows: its width in pixels, its ranges in micrometres."""
    return visitor.page.evaluate(RANGES)


def scale(one: dict) -> float:
    return (one["x"][1] - one["x"][0]) / one["w"]


def near(pixels: np.ndarray, colour: tuple[int, int, int], far: float = 40) -> np.ndarray:
    return np.abs(pixels - colour).max(axis=-1) < far


def place(visitor: Visitor) -> np.ndarray:
    return np.array([float(v) for v in visitor.said("cursor").split(",")])


def shots(visitor: Visitor, name: str) -> None:
    """Pictures for a person to look at, where they are asked for."""
    folder = os.environ.get("VORTEX_SCREENSHOTS")
    for theme in ("dark", "light") if folder else ():
        visitor.page.evaluate("t => { document.documentElement.dataset.theme = t; }", theme)
        for width, height in ((1440, 900), (1024, 768)):
            visitor.page.set_viewport_size({"width": width, "height": height})
            visitor.page.wait_for_timeout(1500)
            visitor.page.screenshot(path=f"{folder}/{name}-{theme}-{width}.png")


def test_turned_by_ninety_degrees_it_shows_what_the_xz_slice_shows(
    visitors: Callable[..., Visitor], cells: Running
) -> None:
    pictures = {}
    for view in ("xz", "oblique"):
        one = visitors()
        more = "&oblique=90,0" if view == "oblique" else ""
        one.go(f"{cells.address}#v=1&gene=LEFT&layout={view}{more}")
        pictures[view] = one.still(SLICES[view])
    a, b = pictures["xz"], pictures["oblique"]
    assert a.shape == b.shape
    middle = (slice(60, -60), slice(20, -20))
    different = np.abs(a - b).max(axis=-1)[middle] > 60  # the crosshair's lines, and the label
    assert different.mean() < 0.04 and a[middle].mean() > 25


def test_an_oblique_slice_appears_is_tilted_and_is_clicked_into(
    visitors: Callable[..., Visitor], cells: Running
) -> None:
    visitor = visitors(1440, 900)
    visitor.go(f"{cells.address}#v=1&gene=SHALLOW")
    page = visitor.page
    assert not page.locator(SLICES["oblique"]).is_visible()
    page.keyboard.press("a")
    visitor.wait_said("oblique", "30.0,-20.0")
    before = visitor.see(SLICES["oblique"], lambda p: p.mean() > 25)
    # where it lies: a yellow line in the other slices, a yellow outline in 3D
    for view in (SLICES["xy"], SLICES["xz"], VIEW):
        visitor.see(view, lambda p: near(p, YELLOW).sum() > 40)

    # a click moves the crosshair within the plane
    start = place(visitor)
    box = visitor.box(SLICES["oblique"])
    page.mouse.click(box["x"] + 0.62 * box["width"], box["y"] + 0.42 * box["height"])
    page.wait_for_function("c => document.body.dataset.cursor !== c", arg=visitor.said("cursor"))
    moved = place(visitor) - start
    vector = np.radians([30.0, -20.0, 0.0])
    angle = np.linalg.norm(vector)
    x, y, _ = vector / angle
    normal = np.array([y * np.sin(angle), -x * np.sin(angle), np.cos(angle)])
    assert np.linalg.norm(moved) > 50 and abs(moved @ normal) < 3  # the page rounds it

    # a drag with Alt tilts it, a slider too; each is a step that undo takes back
    visitor.settle()
    page.keyboard.down("Alt")
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 60, steps=6)
    page.mouse.up()
    page.keyboard.up("Alt")
    page.wait_for_function("+document.body.dataset.oblique.split(',')[1] < -40")
    tilted = [float(v) for v in visitor.said("oblique").split(",")]
    assert tilted[0] == pytest.approx(30, abs=2) and tilted[1] == pytest.approx(-44, abs=6)
    visitor.see(SLICES["oblique"], lambda p: np.abs(p - before).mean() > 3)
    page.get_by_role("slider", name="Tilt about x").fill("0")
    page.wait_for_function("document.body.dataset.oblique.startsWith('0.0,')")
    page.keyboard.press("Control+z")
    page.wait_for_function("document.body.dataset.oblique.startsWith('30.0,')")
    shots(visitor, "oblique")
    page.keyboard.press("a")
    page.wait_for_function("document.body.dataset.oblique === undefined")
    assert not page.locator(SLICES["oblique"]).is_visible()
    visitor.see(SLICES["xy"], lambda p: near(p, YELLOW, 25).sum() < 10)


def test_one_zoom_holds_all_slices_together_and_is_in_the_link(
    visitors: Callable[..., Visitor], cells: Running
) -> None:
    visitor = visitors(1440, 900)
    visitor.go(f"{cells.address}#v=1&gene=LEFT&layout=four&oblique=30,-20")
    page = visitor.page
    visitor.settle()
    page.wait_for_timeout(500)
    own = [scale(one) for one in ranges(visitor).values()]
    assert max(own) > 1.02 * min(own)  # each fits its own shape
    page.keyboard.press("z")
    page.wait_for_function("document.body.dataset.zoom !== undefined")

    def together() -> dict[str, dict]:
        page.wait_for_function(
            f"() => {{ const all = Object.values(({RANGES})()).map((f) => (f.x[1] - f.x[0]) / f.w);"
            " return Math.max(...all) < 1.001 * Math.min(...all); }"
        )
        return ranges(visitor)

    first = together()
    box = visitor.box(SLICES["xz"])
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.wheel(0, -300)
    page.wait_for_function("z => +document.body.dataset.zoom < 0.9 * z", arg=scale(first["xy"]))
    page.wait_for_timeout(800)
    then = together()
    assert scale(then["xy"]) < 0.9 * scale(first["xy"])
    # one point in the middle of all: x in XY and XZ, y in XY and YZ, z in XZ and YZ
    middle = {v: (np.mean(one["x"]), np.mean(one["y"])) for v, one in then.items()}
    um = scale(then["xy"])
    assert middle["xy"][0] == pytest.approx(middle["xz"][0], abs=um)
    assert middle["xy"][1] == pytest.approx(middle["yz"][0], abs=um)
    assert middle["xz"][1] == pytest.approx(middle["yz"][1], abs=um)
    assert middle["xz"][0] > np.mean(first["xz"]["x"]) + 5 * um  # towards the pointer
    shots(visitor, "zoom")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.wait_for_timeout(1200)
    then = together()
    page.wait_for_function("location.hash.includes('zoom=')")

    other = visitors(1440, 900)
    other.go(f"{cells.address}#{visitor.page.evaluate('location.hash.slice(1)')}")
    other.settle()
    other.page.wait_for_timeout(800)
    there = ranges(other)
    for view in ("xy", "xz", "yz", "oblique"):
        assert there[view]["x"] == pytest.approx(then[view]["x"], abs=2 * um), view
        assert there[view]["y"] == pytest.approx(then[view]["y"], abs=2 * um), view
    page.keyboard.press("z")
    page.wait_for_function("document.body.dataset.zoom === undefined")


def test_fluorescence_is_shown_as_virtual_staining_and_back(
    visitors: Callable[..., Visitor], cells: Running
) -> None:
    visitor = visitors(1440, 900)
    visitor.go(f"{cells.address}#v=1&layout=xy")
    page = visitor.page
    page.get_by_role("button", name="Morphology alone").click()
    plain = visitor.still(SLICES["xy"])
    assert np.ptp(plain[100:-100, 100:-100], axis=-1).mean() < 40
    page.get_by_label("Virtual H&E").check()
    visitor.wait_said("stained", "1")

    def stained(pixels: np.ndarray) -> bool:
        red, green, blue = np.moveaxis(pixels, -1, 0)
        pink = (red > 200) & (green < red - 60) & (blue > green + 10) & (red > blue + 10)
        ink = (red < 130) & (green < 70) & (blue > green + 30) & (blue > red)
        return pink.mean() > 0.2 and ink.mean() > 0.02 and near(pixels, (255,) * 3).mean() > 0.05

    visitor.see(SLICES["xy"], stained)
    shots(visitor, "stained-xy")
    page.keyboard.press("a")
    page.get_by_role("radio", name="Four panes").click()
    for view in SLICES.values():
        visitor.see(view, lambda p: near(p, (255,) * 3).mean() > 0.02)
    shots(visitor, "stained-four")
    page.get_by_label("Virtual H&E").uncheck()
    visitor.see(SLICES["xz"], lambda p: near(p, (255,) * 3, 10).mean() < 0.02)


def test_where_there_is_one_channel_no_staining_is_offered(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors()
    visitor.go(server.address)
    assert not visitor.page.get_by_label("Virtual H&E").is_visible()
