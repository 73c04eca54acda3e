"""The app behind a real nginx with deploy/nginx's own configuration: TLS, websockets, a path."""

import http.client
import shutil
import socket
import ssl
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from studies import block
from visiting import READY, SECRET, Visitor

DEPLOY = Path(__file__).parents[2] / "deploy"
PREFIX = "/lab/vortex"
START = """
import sys
from pathlib import Path
from vortex_viewer.server import serve
serve([Path(sys.argv[1])], port=int(sys.argv[2]), secret=sys.argv[3], prefix=sys.argv[4],
      allowed_origins=[sys.argv[5]])
"""
AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/vortex.conf;
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def tool(name: str) -> str:
    """Where a program of the system is."""
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin")
    if found is None:
        pytest.skip(f"{name} is not installed (on Debian: sh deploy/system-packages.sh nginx)")
    return found


@dataclass
class Behind:
    """nginx, and the app behind it."""

    http_port: int
    https_port: int
    app_port: int
    folder: Path

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.https_port}"

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of a request through nginx."""
        trust = ssl.create_default_context(cafile=str(self.folder / "tls" / "fullchain.pem"))
        link = http.client.HTTPSConnection("localhost", self.https_port, timeout=20, context=trust)
        link.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = link.getresponse()
        text = answer.read().decode("utf-8", "replace")
        link.close()
        return answer.status, dict(answer.getheaders()), text


def configure(folder: Path, http_port: int, https_port: int, app_port: int) -> None:
    """Certificate and configuration, as nginx's image fills it in."""
    (folder / "tls").mkdir()
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", folder / "tls" / "privkey.pem",
         "-out", folder / "tls" / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    given = {
        "VORTEX_UPSTREAM": f"127.0.0.1:{app_port}",
        "VORTEX_HTTP_PORT": str(http_port),
        "VORTEX_HTTPS_PORT": str(https_port),
        "VORTEX_HOST": "localhost",
        "VORTEX_ORIGIN": f"localhost:{https_port}",
        "VORTEX_PREFIX": PREFIX,
        "VORTEX_TLS": str(folder / "tls"),
        "VORTEX_ACCESS_LOG": str(folder / "access.log"),
    }
    template = (DEPLOY / "nginx" / "vortex.conf.template").read_text()
    filled = string.Template(template).safe_substitute(given)
    assert "${" not in filled, "the template asks for more than its users are told to give"
    (folder / "vortex.conf").write_text(filled)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))


def wait_for(port: int, process: subprocess.Popen, log: Path, wait_s: float = 90.0) -> None:
    """Until somebody listens."""
    until = time.monotonic() + wait_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, f"nobody listens: {log.read_text()}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    nginx = tool("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    http_port, https_port, app_port = free_ports(3)
    configure(folder, http_port, https_port, app_port)
    study = block(folder / "block.zarr")
    said = folder / "app.log"
    processes = []
    try:
        with said.open("w") as out:
            app = subprocess.Popen(
                [sys.executable, "-c", START, str(study), str(app_port), SECRET, PREFIX,
                 f"localhost:{https_port}"],
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        processes.append(app)
        wait_for(app_port, app, said)
        own = folder / "nginx.log"
        with own.open("w") as out:
            server = subprocess.Popen(
                [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")],
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        processes.append(server)
        wait_for(https_port, server, own)
        yield Behind(http_port, https_port, app_port, folder)
        assert app.poll() is None and server.poll() is None
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(20)


@pytest.fixture
def guest(browser: object, behind: Behind) -> Iterator[Visitor]:
    """A visitor with a context of their own, who takes the test's certificate."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, ignore_https_errors=True)
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Visitor(page)
    context.close()
    assert not errors, errors


def test_the_app_works_through_nginx(guest: Visitor, behind: Behind) -> None:
    sockets: list[str] = []
    guest.page.on("websocket", lambda one: sockets.append(one.url))
    guest.go(f"{behind.origin}{PREFIX}/?secret={SECRET}")
    assert guest.page.url.split("#")[0] == f"{behind.origin}{PREFIX}/"
    assert guest.page.evaluate("window.isSecureContext")
    guest.show("LEFT")
    places = (".slot.view", '[data-slice="xy"]')
    before = [guest.still(where) for where in places]
    guest.show("RIGHT")
    for where, seen in zip(places, before, strict=True):
        changed = np.abs(guest.still(where) - seen).max(axis=-1) > 20
        assert changed.mean() > 0.02, where
    assert any(f"{PREFIX}/scene/" in url and url.endswith("/ws") for url in sockets)
    assert all(url.startswith(f"wss://localhost:{behind.https_port}{PREFIX}/") for url in sockets)
    assert guest.page.evaluate(READY)


def test_the_cookie_is_for_https_and_for_this_path(behind: Behind) -> None:
    status, headers, _ = behind.ask(f"{PREFIX}/?secret={SECRET}&a=b")
    assert status == 302 and headers["Location"] == f"{PREFIX}/?a=b"
    cookie = headers["Set-Cookie"]
    assert "Secure" in cookie and "HttpOnly" in cookie and f"Path={PREFIX}/" in cookie
    assert behind.ask(f"{PREFIX}/")[0] == 403
    assert behind.ask(f"{PREFIX}/", Cookie=cookie.split(";")[0])[0] == 200


def test_foreign_origins_and_names_are_refused_through_nginx(behind: Behind) -> None:
    _, headers, _ = behind.ask(f"{PREFIX}/?secret={SECRET}")
    cookie = headers["Set-Cookie"].split(";")[0]
    for path in ("/", "/ws", "/static/js/bokeh.min.js"):
        status, _, text = behind.ask(PREFIX + path, Cookie=cookie, Origin="https://evil.example")
        assert status == 403 and "evil.example" in text
        status, _, text = behind.ask(PREFIX + path, Cookie=cookie, Host="evil.example")
        assert status == 403 and "not called" in text
    # who claims to have come by another way than the proxy gains nothing
    status, _, _ = behind.ask(f"{PREFIX}/", X_Forwarded_Host="localhost", X_Forwarded_For="::1")
    assert status == 403


def test_nginx_shows_one_path_and_sends_plain_http_to_tls(behind: Behind) -> None:
    assert behind.ask("/")[0] == 404
    assert behind.ask(f"{PREFIX}/healthz")[0] == 404
    assert behind.ask(PREFIX)[1]["Location"] == f"{PREFIX}/"
    link = http.client.HTTPConnection("localhost", behind.http_port, timeout=20)
    link.request("GET", f"{PREFIX}/?a=b")
    answer = link.getresponse()
    assert answer.status == 301
    assert answer.getheader("Location") == f"{behind.origin}{PREFIX}/?a=b"
    link.close()


def test_the_keeper_of_a_container_sees_that_it_lives(behind: Behind) -> None:
    link = http.client.HTTPConnection("127.0.0.1", behind.app_port, timeout=20)
    link.request("GET", f"{PREFIX}/healthz", headers={"Host": "10.0.0.7:5006"})
    answer = link.getresponse()
    assert (answer.status, answer.read()) == (200, b"ok\n")
    link.close()


def test_the_secret_is_not_logged(behind: Behind) -> None:
    behind.ask(f"{PREFIX}/?secret={SECRET}")
    until = time.monotonic() + 5
    while f'"GET {PREFIX}/" 302' not in (behind.folder / "access.log").read_text():
        assert time.monotonic() < until, "the request was not logged"
        time.sleep(0.05)
    assert SECRET not in (behind.folder / "access.log").read_text()
