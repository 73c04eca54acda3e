"""What every test shares: the real data, and one small phantom with a prediction."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory):
    """Tests never touch the user's caches and demo."""
    place = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    patch.setenv("XDG_DATA_HOME", str(place / "data"))
    patch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    patch.setenv("HF_HOME", str(place / "hf"))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def play() -> Iterator[object]:
    """Playwright, which a process can start once."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as one:
        yield one


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, beside the checkout or at ``VORTEX_SHARED_DATA``."""
    named = os.environ.get("VORTEX_SHARED_DATA")
    beside = Path(__file__).parents[2] / "shared" / "data"
    place = Path(named) if named else beside
    if not place.is_dir():
        pytest.skip(f"the real data is absent: no folder {place} (set VORTEX_SHARED_DATA)")
    return place


@pytest.fixture(scope="session")
def phantom(tmp_path_factory, own_folders) -> Path:
    """A small phantom, two measured sections, with a prediction; for reading only."""
    from vortex_viewer.demo import make_demo

    place = tmp_path_factory.mktemp("phantom") / "phantom.zarr"
    make_demo(place, size="40,160,160", voxel="6,6,6", sections="0.3,0.7", seed=3)
    return place


@pytest.fixture
def phantom_copy(phantom, tmp_path) -> Path:
    """The phantom, to write to."""
    return Path(shutil.copytree(phantom, tmp_path / "phantom.zarr"))
