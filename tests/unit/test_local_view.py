"""Who draws the 3D view, and what a browser that draws it is told."""

import asyncio
import gzip
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from vortex_model.grid import Grid
from vortex_viewer.scene import compose
from vortex_viewer.scene.drawer import BROWSER_VOXELS, Graphics, choose
from vortex_viewer.scene.render import RenderThread
from vortex_viewer.scene.stream import Stream
from vortex_viewer.scene.surfaces import Surface
from vortex_viewer.scene.told import ToldStage
from vortex_viewer.state import Camera

CARD = Graphics("ANGLE (NVIDIA GeForce RTX 3060)", webgl2=True, slow=False, side=2048)
UNTOLD = Graphics("", webgl2=True, slow=False, side=2048)
NONE = Graphics(
    "ANGLE (Google, Vulkan 1.3 (SwiftShader Device))", webgl2=True, slow=True, side=2048
)
QUIET = Graphics("llvmpipe (LLVM 15)", webgl2=True, slow=False, side=2048)
OLD = Graphics("", webgl2=False, slow=False, side=0)
GPU, CPU = "NVIDIA H100", "llvmpipe (LLVM 19.1.7, 256 bits)"
SMALL = (100, 200, 200)


@pytest.mark.parametrize(
    ("server", "browser", "local", "words"),
    [
        (GPU, CARD, False, "the server's graphics card"),
        (GPU, NONE, False, "the server's graphics card"),
        (CPU, CARD, True, "this browser's graphics card"),
        (CPU, UNTOLD, True, "this browser's graphics card"),
        (CPU, NONE, False, "the server's processor: no graphics card here or there"),
        (CPU, QUIET, False, "the server's processor: no graphics card here or there"),
        (CPU, OLD, False, "the server's processor: no graphics card here or there"),
        (CPU, None, False, "the server's processor: no graphics card here or there"),
        ("", CARD, True, "this browser's graphics card"),
    ],
)
def test_a_graphics_card_draws_where_there_is_one(server, browser, local, words):
    found = choose("auto", server, browser, shape=SMALL)
    assert (found.local, found.why) == (local, words)


@pytest.mark.parametrize("browser", [CARD, NONE, QUIET])
@pytest.mark.parametrize("server", [GPU, CPU])
def test_what_the_visitor_asks_for_is_done(server, browser):
    assert choose("browser", server, browser, shape=SMALL).local
    assert not choose("server", server, browser, shape=SMALL).local
    assert ("coarse" in choose("browser", server, browser).why) == (browser is not CARD)


@pytest.mark.parametrize("wish", ["auto", "browser"])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"panes": 2}, "side by side"),
        ({"shape": (10, 10, 2049)}, "at most 2048 voxels along an axis"),
        ({"shape": (1000, 200, BROWSER_VOXELS // 200_000 + 1)}, "million voxels"),
    ],
)
def test_what_a_browser_cannot_show_the_server_draws_and_says_why(wish, more, words):
    found = choose(wish, CPU, CARD, **more)
    assert not found.local
    assert words in found.why


@pytest.mark.parametrize("wish", ["auto", "browser"])
def test_a_browser_that_stops_drawing_leaves_it_to_the_server(wish):
    found = choose(wish, CPU, replace(CARD, lost=True))
    assert not found.local
    assert "stopped drawing" in found.why


def test_a_browser_without_webgl_2_is_told_so():
    assert choose("browser", CPU, OLD).why == "the server's processor: this browser has no WebGL 2"


@pytest.mark.parametrize("said", [None, [], {"side": "many"}, {"webgl2": 1, "renderer": None}])
def test_of_a_page_that_says_nonsense_nothing_is_expected(said):
    assert not Graphics.of(said).card


# -- what is told ---------------------------------------------------------------------------


def unpacked(stage: ToldStage, name: str, kind: type) -> np.ndarray:
    return np.frombuffer(gzip.decompress(stage.parts[name].packed()), kind)


def layers(palette: str = "magma", gene: int = 40_000) -> tuple[compose.Layers, Grid]:
    grid = Grid((3, 4, 5), (10.0, 5.0, 5.0))
    gray = np.arange(60, dtype=np.uint8).reshape(grid.shape) * 4
    coded = compose.Coded(np.full(grid.shape, gene, np.uint16), 0.0, 2.0)
    look = compose.Look(palette, (0.0, 2.0), 0.9, 0.1, 0.5)
    return compose.volume_layers(compose.base_index(gray, gray), coded, look), grid


def test_the_browser_can_compose_the_voxels_that_the_server_would_draw():
    stage = ToldStage()
    made, grid = layers()
    stage.set_volume(made, grid)
    base, levels = unpacked(stage, "base", "<u2"), unpacked(stage, "levels", "u1")
    table = unpacked(stage, "table", "<u4")
    assert np.array_equal(table[base | levels], made.rgba().ravel())


def test_a_change_sends_only_what_it_changed():
    stage = ToldStage()
    made, grid = layers()
    stage.set_volume(made, grid)
    before = stage.told()["parts"]
    stage.set_volume(compose.Layers(made.base, made.levels, made.table + 1), grid)
    after = stage.told()["parts"]
    assert {name for name in after if after[name] != before[name]} == {"table"}
    stage.set_volume(compose.Layers(made.base, made.levels + 1, made.table), grid)
    assert stage.told()["parts"]["base"] == before["base"]
    stage.set_volume(made.rgba(), grid)
    assert set(stage.told()["parts"]) == {"rgba"}


def test_spots_outside_a_crop_are_left_out_and_those_on_its_cut_lie_before_it():
    stage = ToldStage()
    made, grid = layers()
    stage.set_volume(made, grid)
    points = np.array([[5.0, 5.0, 10.0], [15.0, 5.0, 10.0], [5.0, 5.0, 90.0]])
    stage.set_spots(points, np.full((3, 3), 7, np.uint8), np.full(3, 4.0))
    assert unpacked(stage, "spots", "u1").size == 3 * 19
    stage.set_crop(((0.0, 10.0), (0.0, 20.0), (10.0, 40.0)))
    kept = unpacked(stage, "spots", "u1")
    assert kept.size == 19
    assert kept[:12].view("<f4").tolist() == pytest.approx([5.0, 5.0, 10.0 - 0.8 * 5.0])
    stage.set_spots(points[:0], np.zeros((0, 3), np.uint8), np.zeros(0))
    assert "spots" not in stage.told()["parts"]


def test_surfaces_and_shells_keep_words_whole():
    stage = ToldStage()
    corner = np.eye(3)
    one = Surface(corner, np.array([[0, 1, 2]]), np.full((3, 3), 9, np.uint8))
    stage.set_shells([(one, 0.4), (one, 0.3)])
    told = stage.told()
    assert [m["opacity"] for m in told["meshes"]["shells"]] == [0.4, 0.3]
    data = unpacked(stage, "shells", "u1")
    assert data[:36].view("<f4").tolist() == corner.ravel().tolist()
    assert data[36:48].view("<u4").tolist() == [0, 1, 2]
    assert data[96:].tolist() == [9] * 18


# -- a visitor whose browser draws ------------------------------------------------------------


class Counting(RenderThread):
    """A render thread that counts the pictures asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def touch(self, task, *, moving=False):
        self.asked += 1


def test_nothing_is_drawn_here_for_a_browser_that_draws_and_it_hears_and_tells_of_the_camera():
    async def visit() -> None:
        moves, said, clicks, renderer = [], [], [], Counting()
        stream = Stream(renderer, lambda camera, um, done: moves.append((camera, um, done)))
        stream.on_click = lambda *place: clicks.append(place)
        assert stream.draw_in_browser(True)
        assert not stream.draw_in_browser(True)
        made, grid = layers()
        await stream.change(lambda stage: stage.set_volume(made, grid))
        stream.local.join(said.append)
        stream.hear({"size": [800, 400]})
        stream.set_camera(Camera((0.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, -1.0, 0.0), 800.0))
        assert said[-1]["camera"]["height_um"] == 800.0
        turned = {**said[-1]["camera"], "back": (1.0, 0.0, 0.0), "height_um": 400.0}
        stream.hear({"camera": turned, "done": True})
        camera, um_per_pixel, done = moves[-1]
        assert camera.back == (1.0, 0.0, 0.0)
        assert um_per_pixel == 1.0
        assert done
        assert len(said) == 2  # whoever turned it is not told of it
        stream.hear({"camera": {**turned, "up": (0.0, 9.0, 0.0)}})
        stream.hear({"camera": {**turned, "focal": (float("nan"), 0.0, 0.0)}})
        assert stream.camera == camera
        stream.hear({"click": [0.1, -0.2]})
        assert clicks == [(0.1, -0.2)]
        assert renderer.asked == 0
        assert stream.stages == []
        assert stream.draw_in_browser(False)
        assert said[-1] == {"gone": True}
        stream.redraw()
        assert renderer.asked == 1

    asyncio.run(visit())


def test_a_scene_that_cannot_be_told_says_so():
    async def visit() -> None:
        stream = Stream(SimpleNamespace(call=lambda work: None), lambda *_: None)
        stream.draw_in_browser(True)
        with pytest.raises(AttributeError):
            await stream.change(lambda stage: stage.set_nothing())

    asyncio.run(visit())
