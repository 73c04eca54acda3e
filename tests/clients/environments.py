"""Environments of their own for programs that we did not write, under build/clients.

The first run makes them and they are kept; where the registries cannot be reached the tests
skip and say so.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "clients"
OFFLINE = "ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|Temporary failure in name|NewConnectionError"
OFFLINE += "|No matching distribution|Max retries|Could not fetch URL"


def _run(words: list[object], where: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(w) for w in words], cwd=where, capture_output=True, text=True, timeout=500, check=False
    )


def python_with(*requirements: str, pinned: bool = True) -> Path:
    """A Python that has some packages, and nothing of ours."""
    mark = hashlib.sha256(" ".join([sys.version, *requirements]).encode()).hexdigest()[:10]
    place = CACHE / f"{re.split('[=<>]', requirements[0])[0]}-{mark}"
    python = place / "bin" / "python"
    if (place / "ready").exists():
        return python
    shutil.rmtree(place, ignore_errors=True)
    made = _run([sys.executable, "-m", "venv", place])
    assert made.returncode == 0, made.stderr
    pins = ["-c", ROOT / "constraints.txt"] if pinned else []
    got = _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pins,
                *requirements])  # fmt: skip
    if got.returncode and re.search(OFFLINE, got.stderr):
        pytest.skip(f"the package index is out of reach: {got.stderr.strip()[-200:]}")
    assert got.returncode == 0, got.stderr
    (place / "ready").touch()
    return python


def ask(python: Path, script: str, *words: object) -> dict[str, object]:
    """What a script prints as JSON, run by another Python away from our sources."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    got = subprocess.run(
        [python, "-I", "-W", "ignore", "-c", script, *map(str, words)],
        cwd=python.parents[1], env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    return json.loads(got.stdout)


def node_project(name: str, packages: dict[str, str]) -> Path:
    """A folder with npm packages installed."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is absent (install Node 20)")
    text = json.dumps({"name": name, "private": True, "type": "module", "dependencies": packages})
    place = CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        (place / "package.json").write_text(text)
        got = _run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"], place)
        if got.returncode and re.search(OFFLINE, got.stderr):
            pytest.skip(f"the npm registry is out of reach: {got.stderr.strip()[-200:]}")
        assert got.returncode == 0, got.stderr
        (place / "ready").touch()
    return place
