"""The gate, and the pictures' arithmetic; the running server is tried in tests/browser."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from vortex_model.grid import Grid
from vortex_viewer.gate import Gate
from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene import compose, palette
from vortex_viewer.scene.sample import TissueSampler, interpolate


def request(host: str, path: str = "/", method: str = "GET", **headers: str) -> HTTPServerRequest:
    named = {"Host": host} | {k.replace("_", "-"): v for k, v in headers.items()}

    class Link:
        context = None

    start = RequestStartLine(method, path, "HTTP/1.1")
    return HTTPServerRequest(start_line=start, headers=HTTPHeaders(named), connection=Link())


def gate(host: str = "127.0.0.1", *more: str) -> Gate:
    made = Gate(host, "secret", more)
    made.port = 5006
    return made


def test_loopback_answers_to_its_own_names_only() -> None:
    here = gate()
    for host in ("127.0.0.1:5006", "localhost:5006", "[::1]:5006", "LOCALHOST:5006"):
        assert here.knows_host(host)
    for host in ("127.0.0.1", "127.0.0.1:80", "evil.example:5006", "192.168.0.7:5006", ""):
        assert not here.knows_host(host)


def test_an_open_address_answers_to_bare_addresses_but_to_no_strange_name() -> None:
    wide = gate("0.0.0.0")
    assert wide.knows_host("192.168.0.7:5006")
    assert wide.knows_host("[fe80::1]:5006")
    assert not wide.knows_host("192.168.0.7:80")
    assert not wide.knows_host("evil.example:5006")


def test_a_proxys_name_is_let_in_where_it_was_allowed() -> None:
    for named in ("https://lab.example", "lab.example"):
        behind = gate("127.0.0.1", named)
        assert behind.knows_host("lab.example")
        asked = request("127.0.0.1:5006", "/?secret=secret", Origin="https://lab.example")
        assert behind.refusal(asked) is None
    assert not gate().knows_host("lab.example")


def test_the_secret_opens_only_a_get_of_the_front_page() -> None:
    here, host = gate(), "127.0.0.1:5006"
    assert here.refusal(request(host, "/?secret=secret")) is None
    assert here.refusal(request(host, "/?secret=secre")) is not None
    assert here.refusal(request(host, "/?secret=a&secret=b")) is not None
    assert here.refusal(request(host, "/ws?secret=secret")) is not None
    assert here.refusal(request(host, "/?secret=secret", method="POST")) is not None
    assert here.refusal(request(host, "/")) is not None


def test_cookies_of_another_server_do_not_fit() -> None:
    one, two = gate(), gate()
    token = one._token
    asked = request("127.0.0.1:5006", "/", Cookie=f"{one.cookie}={token}")
    assert one.refusal(asked) is None
    assert two.refusal(asked) is not None


axis = st.integers(2, 6)


@given(st.tuples(axis, axis, axis), st.integers(0, 1000))
def test_interpolation_is_exact_on_voxels_and_linear_between(shape: tuple, seed: int) -> None:
    grid = Grid(shape, (3.0, 2.0, 1.0), (10.0, -5.0, 0.0))
    volume = np.random.default_rng(seed).normal(size=shape)
    own = [grid.axis_um(a) for a in range(3)]
    assert np.allclose(interpolate(volume, grid, own), volume, atol=1e-5)
    between = [(a[1:] + a[:-1]) / 2 for a in own]
    corners = [
        volume[tuple(slice(s, n - 1 + s) for s, n in zip(shift, shape, strict=True))]
        for shift in itertools.product((0, 1), repeat=3)
    ]
    assert np.allclose(interpolate(volume, grid, between), np.mean(corners, axis=0), atol=1e-5)


def test_what_is_outside_tissue_never_leaks_in() -> None:
    grid = Grid((1, 1, 6), (10.0, 10.0, 10.0))
    mask = np.array([[[1, 1, 1, 0, 0, 0]]], bool)
    values = np.where(mask, 2.0, np.nan)
    fine = [np.array([0.0]), np.array([0.0]), np.linspace(0, 50, 51)]
    sampler = TissueSampler(mask, grid, fine)
    seen = sampler(values[tuple(map(slice, sampler.start, sampler.stop))])[0, 0]
    assert np.allclose(seen[:26], 2.0)
    assert np.isnan(seen[26:]).all()


def test_a_volumes_colour_is_the_palettes_and_morphology_stays_beneath() -> None:
    gray = np.full((1, 1, 3), 255, np.uint8)
    base = compose.base_index(gray, np.full_like(gray, 255))
    values = np.array([[[0.0, 1.0, np.nan]]], np.float32)
    coded = compose.Coded.of(values, 0.0, 1.0)
    look = compose.Look("viridis", (0.0, 1.0), 1.0, 0.2, 0.5)
    low, high, outside = compose.volume_rgba(base, coded, look).view(np.uint8).reshape(3, 4)
    assert np.abs(high[:3].astype(int) - palette.table("viridis")[255]).max() <= 2
    gray_word = compose.volume_rgba(base, None, look).view(np.uint8).reshape(3, 4)[0]
    assert np.array_equal(outside, gray_word)  # no tissue: morphology alone
    assert np.array_equal(low, gray_word)  # below the threshold: morphology shines through
    assert high[3] > low[3]


@pytest.mark.parametrize("name", ["magma", "viridis", "cividis", "inferno", "plasma"])
def test_palettes_get_steadily_lighter(name: str) -> None:
    linear = (palette.table(name) / 255.0) ** 2.2
    light = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(light) - 16
    assert (np.diff(lightness) > -0.6).all()
    assert lightness[-1] - lightness[0] > 60


def test_a_picture_mixes_by_opacity_and_window() -> None:
    tissue = np.full((1, 3, 3), (200, 100, 150), np.uint8)
    values = np.array([[0.0, 5.0, np.nan]], np.float32)
    look = compose.Look("magma", (1.0, 4.0), 0.0, 0.0, 0.5)
    assert np.array_equal(compose.picture_rgba(tissue, values, look)[..., :3], tissue)
    full = compose.picture_rgba(tissue, values, compose.Look("magma", (1.0, 4.0), 1.0, 0.0, 0.5))
    assert full[0, 0, :3].max() < 12  # below the window: the palette's dark end
    assert full[0, 1, 0] > full[0, 1, 2] > 60
    assert np.array_equal(full[0, 2, :3], tissue[0, 2])


BOX = ((0.0, 1000.0), (0.0, 500.0), (0.0, 100.0))


@pytest.mark.parametrize("side", list(cameras.SIDES))
@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.5])
def test_a_camera_sees_the_whole_block_from_every_side(side: str, aspect: float) -> None:
    camera = cameras.look(BOX, side, aspect, 3.0)
    back, up = np.asarray(camera.back), np.asarray(camera.up)
    assert np.isclose(np.linalg.norm(back), 1) and np.isclose(back @ up, 0, atol=1e-9)
    right = np.cross(up, back)
    stretch = np.array([1.0, 1.0, 3.0])
    corners = np.array(list(itertools.product(*BOX))) * stretch - np.asarray(camera.focal) * stretch
    assert np.abs(corners @ up).max() <= camera.height_um / 2
    assert np.abs(corners @ right).max() <= camera.height_um * aspect / 2


def test_looking_along_z_shows_the_block_as_the_xy_slice_does() -> None:
    camera = cameras.look(BOX, "-z", 1.0, 1.0)
    right = np.cross(camera.up, camera.back)
    assert np.allclose(right, (1, 0, 0))  # x to the right
    assert np.allclose(camera.up, (0, -1, 0))  # y down


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), max_size=40))
def test_turning_keeps_the_camera_upright_in_its_own_frame(drags: list) -> None:
    camera = cameras.look(BOX, "corner", 1.0, 1.0)
    for right, up in drags:
        camera = cameras.turn(camera, right, up)
    back, up = np.asarray(camera.back), np.asarray(camera.up)
    assert np.isclose(np.linalg.norm(back), 1, atol=1e-6)
    assert np.isclose(np.linalg.norm(up), 1, atol=1e-6)
    assert abs(back @ up) < 1e-6


def test_moving_the_block_follows_the_pointer() -> None:
    camera = cameras.look(BOX, "-z", 1.0, 1.0)
    moved = cameras.shift(camera, 0.5, 0.0, 1.0)
    assert np.allclose(
        np.asarray(moved.focal) - camera.focal, (-0.5 * camera.height_um, 0, 0), atol=1e-6
    )
