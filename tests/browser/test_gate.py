"""Who may come in, tried against a running server: hosts, origins, the secret, other sites."""

import base64
import http.client
import os
import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from visiting import SECRET, Running, Visitor, site


def get(
    server: Running, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of a plain request."""
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    named = {"Host": f"127.0.0.1:{server.port}"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    link.putrequest(method, path, skip_host=True)
    for name, value in named.items():
        link.putheader(name, value)
    link.endheaders()
    answer = link.getresponse()
    text = answer.read().decode("utf-8", "replace")
    link.close()
    return answer.status, dict(answer.getheaders()), text


def shake(server: Running, path: str, **headers: str) -> int:
    """Status of a websocket handshake; 101 is an open socket."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as link:
        named = {
            "Host": f"127.0.0.1:{server.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        } | {k.replace("_", "-"): v for k, v in headers.items()}
        lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in named.items()), "", ""]
        link.sendall("\r\n".join(lines).encode())
        return int(link.recv(4096).split()[1])


@pytest.fixture
def cookie(server: Running) -> str:
    """The cookie of somebody who opened the printed address."""
    status, headers, _ = get(server, f"/?secret={SECRET}")
    assert status == 302
    assert headers["Location"] == "/"
    morsel = headers["Set-Cookie"]
    assert "HttpOnly" in morsel and "SameSite=Lax" in morsel
    assert SECRET not in morsel
    return morsel.split(";")[0]


PATHS = [
    "/",
    "/ws",
    "/autoload.js",
    "/static/js/bokeh.min.js",
    "/static/extensions/panel/panel.min.js",
    "/scene/0/index.html",
    "/scene/0/ws",
    "/favicon.ico",
    "/metadata",
    "/nothing",
]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_answers_without_the_secret(server: Running, path: str) -> None:
    status, _, text = get(server, path)
    assert status == 403
    assert "address that vortex-viewer printed" in text
    assert get(server, path, Cookie=f"vortex_{server.port}=guess")[0] == 403
    assert shake(server, path) == 403


@pytest.mark.parametrize("given", ["", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper()])
def test_a_wrong_secret_gets_no_cookie(server: Running, given: str) -> None:
    status, headers, _ = get(server, f"/?secret={given}")
    assert status == 403
    assert "Set-Cookie" not in headers


def test_the_secret_opens_nothing_but_the_front_door(server: Running) -> None:
    assert get(server, f"/static/js/bokeh.min.js?secret={SECRET}")[0] == 403
    assert get(server, f"/?secret={SECRET}", method="POST")[0] == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "10.0.0.1:{port}", ""],
)
def test_a_rebound_name_is_refused(server: Running, cookie: str, host: str) -> None:
    host = host.format(port=server.port)
    for path in ("/", "/ws", "/static/js/bokeh.min.js", f"/?secret={SECRET}"):
        status, headers, text = get(server, path, Host=host, Cookie=cookie)
        assert status in (400, 403)
        assert "Set-Cookie" not in headers
    assert shake(server, "/ws", Host=host, Cookie=cookie) in (400, 403)
    assert text is not None


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"]
)
def test_another_origin_is_refused_on_http_and_on_both_websockets(
    server: Running, cookie: str, origin: str
) -> None:
    token, scene = open_page(server, cookie)
    good = {"Cookie": cookie, "Sec_WebSocket_Protocol": f"bokeh, {token}"}
    assert shake(server, "/ws", Origin=server.origin, **good) == 101
    assert shake(server, f"{scene}/ws", Cookie=cookie, Origin=server.origin) == 101
    assert shake(server, "/ws", Origin=origin, **good) == 403
    assert shake(server, f"{scene}/ws", Cookie=cookie, Origin=origin) == 403
    assert get(server, "/", Cookie=cookie, Origin=origin)[0] == 403
    assert get(server, f"{scene}/paraview/", method="POST", Cookie=cookie, Origin=origin)[0] == 403


def test_other_sites_cannot_load_what_is_served(server: Running, cookie: str) -> None:
    inside = get(server, "/static/js/bokeh.min.js", Cookie=cookie)
    assert inside[0] == 200
    assert (
        get(
            server,
            "/static/js/bokeh.min.js",
            Cookie=cookie,
            Sec_Fetch_Site="cross-site",
            Sec_Fetch_Mode="no-cors",
        )[0]
        == 403
    )


def test_the_scene_serves_no_file_but_its_own(server: Running, cookie: str) -> None:
    _, scene = open_page(server, cookie)
    assert get(server, f"{scene}/index.html", Cookie=cookie)[0] == 200
    for path in ("../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "assets/../../__init__.py"):
        assert get(server, f"{scene}/{path}", Cookie=cookie)[0] in (400, 403, 404)
    assert get(server, "/scene/" + "0" * 32 + "/index.html", Cookie=cookie)[0] == 404


def test_a_page_of_another_origin_can_neither_read_nor_drive(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors()
    visitor.go(server.address)  # signed in, as a real user would be
    scene = visitor.page.locator("iframe.scene").get_attribute("src").removesuffix("index.html")
    with site("<title>elsewhere</title>") as elsewhere:
        thief = visitor.page.context.new_page()
        thief.goto(elsewhere)
        here = f"127.0.0.1:{server.port}"
        read = """async (url) => {
            try { return (await fetch(url, {credentials: "include"})).status; }
            catch { return "refused"; } }"""
        assert thief.evaluate(read, f"http://{here}/") == "refused"
        open_ = """([url, protocols]) => new Promise((done) => {
            const s = new WebSocket(url, protocols);
            s.onopen = () => done("open"); s.onerror = () => done("refused"); })"""
        assert thief.evaluate(open_, [f"ws://{here}/ws", ["bokeh", "x"]]) == "refused"
        socket_path = f"{scene}ws"
        assert thief.evaluate(open_, [f"ws://{here}{socket_path}", []]) == "refused"
        # the same socket opens from the page itself: it was the origin that was refused
        assert visitor.page.evaluate(open_, [f"ws://{here}{socket_path}", []]) == "open"


def test_the_page_talks_to_this_host_alone(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors()
    asked: list[str] = []
    visitor.page.context.on("request", lambda request: asked.append(request.url))
    visitor.page.on("websocket", lambda link: asked.append(link.url))
    visitor.go(server.address)
    visitor.choose_gene("RIGHT")
    visitor.wait_said("gene", "RIGHT")
    visitor.choose_study("plain")
    visitor.page.get_by_role("tab", name="Fine-tune").click()
    hosts = {urlsplit(u).netloc for u in asked if urlsplit(u).scheme not in ("data", "blob")}
    assert hosts == {f"127.0.0.1:{server.port}"}
    assert len(asked) > 10
    assert not [u for u in asked[1:] if SECRET in u], "the secret leaves the address at once"


def test_a_visitor_without_the_address_is_told_what_to_do(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors()
    answer = visitor.page.goto(server.origin + "/")
    assert answer.status == 403
    assert "Copy it from the terminal" in visitor.page.inner_text("body")


def open_page(server: Running, cookie: str) -> tuple[str, str]:
    """A new page's session token, and where its 3D view is served."""
    status, _, text = get(server, "/", Cookie=cookie)
    assert status == 200
    token, scene = re.search(r'"token":"([^"]+)"', text), re.search(r"/scene/[0-9a-f]{32}", text)
    assert token and scene, text[:500]
    return token.group(1), scene.group(0)
