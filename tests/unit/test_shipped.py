"""What comes with the program is found in a wheel and in a checkout, and missed with a remedy."""

import re

import pytest

from vortex_model.errors import VortexError
from vortex_model.shipped import ASSETS, shipped
from vortex_viewer.built import LIVE, live_folder, viewer_folder


def test_a_wheel_has_it_beside_its_package_and_a_checkout_among_its_assets(tmp_path):
    packed, asset = tmp_path / "weights.bin", "weights/morphology.json"
    told = {"what": "The network", "remedy": "Install it again."}
    assert shipped(packed, asset, **told) == ASSETS / asset
    packed.touch()
    assert shipped(packed, asset, **told) == packed


def test_what_is_missing_is_named_with_both_places_and_the_remedy(tmp_path):
    packed = tmp_path / "absent.bin"
    with pytest.raises(VortexError, match=r"The network .* Build it\.$") as caught:
        shipped(packed, "absent.bin", what="The network", remedy="Build it.")
    assert re.search(re.escape(f"neither {packed} nor {ASSETS / 'absent.bin'}"), str(caught.value))


def test_the_built_pages_are_there_one_within_the_other():
    assert live_folder() == viewer_folder() / LIVE
    for folder in (viewer_folder(), live_folder()):
        assert "<script" in (folder / "index.html").read_text()
