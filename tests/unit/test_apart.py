"""Work in a process of its own: one that was expected, one that was not, one that is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vortex_model.errors import VortexError
from vortex_model.progress import silent
from vortex_viewer import apart

SOURCE = """
import os
from vortex_model.errors import VortexError
from vortex_viewer.apart import answer

def work(request, progress):
    if "wrong" in request:
        raise VortexError(request["wrong"])
    return f"{os.getpid()} {request['n']}"

answer(work)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that says which process it is."""
    name = f"apart_{os.getpid()}_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    yield name
    child = apart._expected.pop(name, None)
    if child is not None:
        apart._end(child)


def ask(module: str, **request: object) -> list[int]:
    """Process and number of the answer."""
    return [int(n) for n in apart.run_apart(module, "The work", request, silent).split()]


def test_who_was_expected_does_the_work(module: str) -> None:
    apart.expect(module)
    waiting = apart._expected[module].pid
    apart.expect(module)
    assert apart._expected[module].pid == waiting  # one is enough
    assert ask(module, n=7) == [waiting, 7]
    pid, n = ask(module, n=8)
    assert pid != waiting and n == 8


def test_one_that_died_waiting_is_replaced(module: str) -> None:
    apart.expect(module)
    dead = apart._expected[module]
    dead.kill()
    dead.wait()
    apart.expect(module)
    other = apart._expected[module]
    assert other.pid != dead.pid
    other.kill()
    other.wait()
    assert ask(module, n=1)[0] not in (dead.pid, other.pid)


def test_nobody_outlives_the_server(module: str) -> None:
    """Whose input closes has lost its server."""
    apart.expect(module)
    child = apart._expected.pop(module)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.close()
    assert child.wait(30) == 0
    child.stdout.close()


def test_an_error_is_told(module: str) -> None:
    with pytest.raises(VortexError, match="no such gene"):
        apart.run_apart(module, "The work", {"wrong": "no such gene"}, silent)
