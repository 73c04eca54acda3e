"""A view travels: by its address, as a file, kept with the study; and steps back."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from studies import block
from visiting import Running, Visitor, running

XY, VIEW = '[data-slice="xy"]', "iframe.scene"


def set_up(visitor: Visitor) -> None:
    """A view that differs from the first one in most that can be chosen."""
    visitor.show("RIGHT")
    visitor.page.get_by_role("radio", name="viridis").click()
    visitor.page.get_by_label("High", exact=True).fill("3")
    visitor.page.get_by_label("High", exact=True).press("Enter")
    visitor.page.get_by_role("tab", name="Crop").click()
    visitor.page.get_by_label("x from, micrometres").fill("300")
    visitor.page.get_by_label("x from, micrometres").press("Enter")
    visitor.page.get_by_role("button", name="XZ", exact=True).click()
    box = visitor.box(XY)
    visitor.page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"])
    visitor.page.wait_for_function(
        """() => ["gene=RIGHT", "palette=viridis", ",3", "crop_um=300", "camera=", "cursor_um"]
        .every((part) => document.body.dataset.link?.includes(part))"""
    )
    visitor.settle()


def test_a_link_opened_in_a_second_browser_gives_the_same_picture(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    one = visitors()
    one.go(server.address)
    set_up(one)
    link = one.page.evaluate("location.href")
    assert "secret" not in link
    assert len(link) < 400
    first = {where: one.still(where) for where in (XY, VIEW)}
    two = visitors()
    two.go(f"{server.address}#{link.split('#')[1]}")
    two.wait_said("gene", "RIGHT")
    two.settle()
    for where, pixels in first.items():
        again = two.see(where, lambda p, pixels=pixels: np.abs(p - pixels).mean() < 1.5)
        assert again.shape == pixels.shape
    for name in ("cursor", "window", "crop", "camera", "palette"):
        assert two.said(name) == one.said(name)


def test_an_edited_address_is_opened_and_a_wrong_one_is_told(visitor: Visitor) -> None:
    visitor.page.evaluate("location.hash = '#v=1&study=block&gene=TOP&palette=cividis'")
    visitor.wait_said("gene", "TOP")
    visitor.wait_said("palette", "cividis")
    visitor.page.evaluate("location.hash = '#v=1&study=block&palette=jet'")
    visitor.page.wait_for_function("document.body.dataset.error?.includes('jet')")
    assert visitor.said("gene") == "TOP"


def test_a_link_to_what_is_not_there_shows_the_rest(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    visitor = visitors()
    lost = "#v=1&study=block&prediction=0123456789abcdef&gene=NOSUCH&palette=viridis"
    visitor.go(server.address + lost)
    assert "NOSUCH" in visitor.said("error") and "0123456789abcdef" in visitor.said("error")
    assert visitor.said("palette") == "viridis"
    assert visitor.said("gene") == "LEFT"


def test_undo_and_redo_by_keys_and_a_drag_is_one_step(visitor: Visitor) -> None:
    visitor.show("TOP")
    camera = visitor.said("camera")
    box = visitor.box(VIEW)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.wait_said("back", "1")
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + 120, y + 30, steps=12)
    visitor.page.mouse.up()
    visitor.page.wait_for_function("c => document.body.dataset.camera !== c", arg=camera)
    turned = visitor.said("camera")
    visitor.wait_said("back", "2")
    visitor.page.keyboard.press("Control+z")
    visitor.wait_said("camera", camera)
    visitor.page.get_by_role("button", name="Undo").click()
    visitor.wait_said("gene", "LEFT")
    visitor.page.keyboard.press("Control+Shift+z")
    visitor.wait_said("gene", "TOP")
    visitor.page.get_by_role("button", name="Redo").click()
    visitor.wait_said("camera", turned)
    visitor.wait_said("forward", "0")
    assert visitor.page.get_by_role("button", name="Redo").is_disabled()


def test_undo_in_a_text_field_is_the_fields_own(visitor: Visitor) -> None:
    visitor.show("TOP")
    box = visitor.page.get_by_placeholder("Search genes")
    box.click()
    box.press("Control+z")
    visitor.page.wait_for_timeout(400)
    assert visitor.said("gene") == "TOP"


def test_a_view_is_kept_found_by_another_visitor_renamed_and_removed(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    one = visitors()
    one.go(server.address)
    one.show("SHALLOW")
    one.page.get_by_role("button", name="Views", exact=True).click()
    one.page.get_by_label("Name of this view").fill("Where it is shallow")
    one.page.get_by_role("button", name="Keep", exact=True).click()
    one.wait_said("views", "1")
    two = visitors()
    two.go(server.address)
    two.page.get_by_role("button", name="Views", exact=True).click()
    two.page.get_by_role("button", name="Where it is shallow SHALLOW").click()
    two.wait_said("gene", "SHALLOW")
    two.page.get_by_role("button", name="Views", exact=True).click()
    two.page.get_by_role("button", name="Rename Where it is shallow").click()
    two.page.keyboard.type("Top")
    two.page.keyboard.press("Enter")
    two.page.get_by_role("button", name="Remove Top").click()
    two.wait_said("views", "0")


def test_the_server_begins_with_the_view_of_a_file(
    visitors: Callable[..., Visitor], tmp_path: Path
) -> None:
    study = block(tmp_path / "block.zarr")
    state = tmp_path / "view.json"
    state.write_text(json.dumps({"version": 1, "gene": "TOP", "palette": "viridis"}))
    command = [sys.executable, "-c", "from vortex_viewer.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "serve", str(study), "--port", "0", "--state", str(state)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "VORTEX_VIEWER_SECRET": "abcdefgh1234"},
    )
    try:
        address = process.stdout.readline().split("ready: ")[1].strip()
        visitor = visitors()
        visitor.go(address)
        assert visitor.said("gene") == "TOP"
        assert visitor.said("palette") == "viridis"
        visitor.page.close()  # a server that goes while scripts load leaves errors in the page
    finally:
        process.terminate()
        process.communicate(timeout=20)
    state.write_text("{}")
    refused = subprocess.run(
        [*command, "serve", str(study), "--state", str(state)], capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "version" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A study whose pen somebody else holds."""
    return block(tmp_path / "locked.zarr")


def test_a_study_that_cannot_be_written_says_so(
    visitors: Callable[..., Visitor], locked: Path, tmp_path: Path
) -> None:
    from vortex_model.study import Study

    with running([locked], tmp_path) as one, Study.open(locked).writing("a long job"):
        visitor = visitors()
        visitor.go(one.address)
        visitor.page.get_by_role("button", name="Views", exact=True).click()
        visitor.page.get_by_label("Name of this view").fill("mine")
        visitor.page.get_by_role("button", name="Keep", exact=True).click()
        visitor.page.get_by_text("is being written by").wait_for()
        assert visitor.said("views") == "0"
