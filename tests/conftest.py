"""What every test shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, beside the checkout or at ``VORTEX_SHARED_DATA``."""
    named = os.environ.get("VORTEX_SHARED_DATA")
    beside = Path(__file__).parents[2] / "shared" / "data"
    place = Path(named) if named else beside
    if not place.is_dir():
        pytest.skip(f"the real data is absent: no folder {place} (set VORTEX_SHARED_DATA)")
    return place
