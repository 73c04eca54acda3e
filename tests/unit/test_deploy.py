"""What deploy/ asks for is there: files, options, variables; and how a path and 'public' change
the gate."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import typer
import yaml
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from vortex_model.errors import VortexError
from vortex_viewer.cli import app
from vortex_viewer.gate import HEALTH, Gate, clean_prefix

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CLUSTER = list(yaml.safe_load_all((DEPLOY / "kubernetes/vortex-viewer.yaml").read_text()))
POD = next(r for r in CLUSTER if r["kind"] == "Deployment")["spec"]["template"]["spec"]
VIEWER = POD["containers"][0]


def options_of(words: list[str]) -> dict[str, object]:
    """What the command line makes of its words; fails where it would."""
    command = typer.main.get_command(app)
    context = click.Context(command)
    name, serve, rest = command.resolve_command(context, words)
    assert name == "serve"
    return serve.make_context("serve", rest, resilient_parsing=False).params


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    text = re.sub(r"#.*\n", "", dockerfile.read_text()).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


# -- containers -----------------------------------------------------------------------------


def test_the_image_copies_what_is_there_and_runs_without_root():
    made = instructions(DEPLOY / "Dockerfile")
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for word, rest in made:
        if word != "COPY" or rest.startswith("--from"):
            continue
        for source in rest.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(k[1:].startswith(source) for k in kept if k[0] == "!"), f"{source} ignored"
    assert [rest for word, rest in made if word == "USER"] == ["1000"]
    assert any(word == "ARG" and rest == "DEVICE=cpu" for word, rest in made)
    check = next(rest for word, rest in made if word == "HEALTHCHECK")
    assert f"'{HEALTH}'" in check


def test_compose_starts_the_app_with_options_that_it_has():
    viewer, nginx = COMPOSE["services"]["viewer"], COMPOSE["services"]["nginx"]
    got = options_of(viewer["command"])
    assert got["host"] == "0.0.0.0" and got["port"] == 5006 and len(got["allow_origin"]) == 1
    assert not got["public"] and nginx["environment"]["VORTEX_UPSTREAM"] == "viewer:5006"
    assert viewer["read_only"] and viewer["cap_drop"] == ["ALL"]
    assert (DEPLOY / viewer["build"]["context"] / viewer["build"]["dockerfile"]).is_file()
    template = (DEPLOY / "nginx/vortex.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", template)) <= set(nginx["environment"])


def test_everything_that_compose_asks_for_is_in_the_example():
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    told = set(re.findall(r"^(\w+)=", (DEPLOY / "example.env").read_text(), re.M))
    assert asked == told


def test_the_cluster_asks_the_health_page_of_the_path_that_it_serves():
    got = options_of(VIEWER["args"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert VIEWER[probe]["httpGet"] == {"path": f"{got['prefix']}{HEALTH}", "port": "http"}
    assert VIEWER["ports"][0] == {"name": "http", "containerPort": got["port"]}
    ingress = next(r for r in CLUSTER if r["kind"] == "Ingress")["spec"]
    rule = ingress["rules"][0]
    assert [rule["host"]] == got["allow_origin"] == ingress["tls"][0]["hosts"]
    assert rule["http"]["paths"][0]["path"] == got["prefix"]
    assert POD["securityContext"]["runAsNonRoot"]
    mounted = {m["name"] for m in VIEWER["volumeMounts"]}
    assert mounted == {v["name"] for v in POD["volumes"]}


def test_the_space_holds_what_its_image_copies(tmp_path):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout, so the Space's folder cannot be laid out")
    place = tmp_path / "space"
    script = DEPLOY / "huggingface/make.sh"
    subprocess.run(["sh", script, place], check=True, capture_output=True)
    for word, rest in instructions(place / "Dockerfile"):
        if word == "COPY":
            assert (place / rest.split()[0]).exists(), rest
    header = next(yaml.safe_load_all((place / "README.md").read_text()))
    assert header["sdk"] == "docker"
    start = next(r for w, r in instructions(place / "Dockerfile") if w == "CMD")
    words = start.replace('"', "").split()
    got = options_of(words[1:])
    assert got["port"] == header["app_port"] and got["public"] and got["host"] == "0.0.0.0"
    again = subprocess.run(["sh", script, place], capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "remove it first" in again.stderr


# -- the gate -------------------------------------------------------------------------------


def request(path: str, host: str = "lab.example", **headers: str) -> HTTPServerRequest:
    named = {"Host": host} | {k.replace("_", "-"): v for k, v in headers.items()}

    class Link:
        context = None

    start = RequestStartLine("GET", path, "HTTP/1.1")
    return HTTPServerRequest(start_line=start, headers=HTTPHeaders(named), connection=Link())


def test_under_a_path_the_secret_opens_the_front_page_of_that_path():
    gate = Gate("127.0.0.1", "s", ["lab.example"], prefix="lab/vortex/")
    assert gate.prefix == "/lab/vortex"
    for path in ("/lab/vortex/?secret=s", "/lab/vortex?secret=s"):
        assert gate.refusal(request(path)) is None
    for path in ("/?secret=s", "/lab/?secret=s", "/lab/vortex/ws?secret=s"):
        assert gate.refusal(request(path)) is not None


def test_a_public_server_needs_no_secret_but_knows_its_name_and_its_pages():
    gate = Gate("0.0.0.0", "s", ["me.hf.space"], public=True)
    assert gate.refusal(request("/", "me.hf.space")) is None
    assert gate.refusal(request("/ws", "me.hf.space", Origin="https://me.hf.space")) is None
    assert "may not talk" in gate.refusal(
        request("/ws", "me.hf.space", Origin="https://evil.example")
    )
    assert "not called" in gate.refusal(request("/", "evil.example"))


@pytest.mark.parametrize("bad", ["/a b", "/x?y", "/../../z?", "/é", "/a//b"])
def test_a_path_that_cannot_be_served_is_told(bad):
    with pytest.raises(VortexError, match="such as --prefix /vortex"):
        clean_prefix(bad)
