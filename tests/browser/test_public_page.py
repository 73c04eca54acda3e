"""A server that is open to everybody: who only looks changes nothing, and is told why."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hands import places, stroke
from studies import block
from visiting import Running, Visitor, running

from vortex_model import Study
from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance
from vortex_viewer.state import ViewState
from vortex_viewer.views import keep_view

XY = '[data-slice="xy"]'
PUBLIC = """
import sys
from pathlib import Path
from vortex_viewer.server import serve
serve([Path(p) for p in sys.argv[1:]], port=0, secret="x", public=True{more})
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = block(tmp_path_factory.mktemp("public") / "block.zarr")
    other_version(Study.open(path))
    keep_view(Study.open(path), "Left part", ViewState(gene="LEFT", palette="viridis"))
    return path


def other_version(study: Study) -> None:
    """An older version, of one gene."""
    made = study.prediction()
    genes = made.genes.iloc[:1]
    record = PredictionRecord(
        np.asarray(made.gene("LEFT").values, np.float32)[None],
        np.full((1, *made.grid.shape), 0.04, np.float32),
        np.ones(made.grid.shape, bool),
        np.ones((1, 1)),
        genes,
        made.grid,
    )
    write_prediction(study, Provenance("predictions", {"study": "other"}, {}, 1), record)
    study.make_current(made.id)


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("visiting.START", PUBLIC.format(more=""))
        raw = block(place.parent / "raw.zarr", predicted=False, name="raw")
        with running([place, raw], place.parent) as one:
            yield one


def files(place: Path) -> set[str]:
    return {str(p) for p in place.rglob("*")}


def past(visitor: Visitor, role: str, name: str) -> None:
    """Click a greyed control all the same."""
    one = visitor.page.get_by_role(role, name=name, exact=True).first
    one.evaluate("node => { node.disabled = false; node.click(); }")
    visitor.page.wait_for_function("document.body.dataset.error?.includes('for looking')")
    visitor.page.keyboard.press("Escape")


def test_who_only_looks_changes_nothing_and_is_told_why(
    visitors: Callable[..., Visitor], server: Running, place: Path
) -> None:
    before = files(place)
    guest = visitors(1440, 900)
    guest.go(server.origin)
    page = guest.page
    for tab, control in (("Domains", "Paint"), ("Fine-tune", "Fine-tune")):
        slot = tab.lower().replace("-", "")
        page.get_by_role("tab", name=tab).click()
        button = page.locator(f'[data-panel="{slot}"]').get_by_role(
            "button", name=control, exact=True
        )
        assert button.is_disabled(), control
        assert "for looking" in button.get_attribute("title")
        assert page.locator(f'[data-panel="{slot}"]').get_by_text("for looking").is_visible()
        if os.environ.get("VORTEX_SCREENSHOTS"):
            page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/public-{tab.lower()}.png")
    page.get_by_role("button", name="Views", exact=True).click()
    assert page.get_by_role("button", name="Keep", exact=True).first.is_disabled()
    assert page.get_by_role("dialog", name="Views").get_by_text("for looking").is_visible()
    assert page.get_by_label("Remove Left part").count() == 0
    if os.environ.get("VORTEX_SCREENSHOTS"):
        page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/public-views.png")
    # what a view is can still be seen
    page.get_by_role("button", name="Left part LEFT").click()
    guest.wait_said("palette", "viridis")
    guest.settle()

    page.get_by_role("tab", name="Fine-tune").click()
    past(guest, "button", "Fine-tune")
    page.get_by_role("tab", name="Domains").click()
    page.get_by_label("Class to paint").evaluate("node => { node.value = 'gland'; }")
    past(guest, "button", "Paint")
    assert guest.said("painting") is None and guest.said("job") is None
    assert files(place) == before


def test_a_version_is_shown_to_who_asks_and_to_nobody_else(
    visitors: Callable[..., Visitor], server: Running, place: Path
) -> None:
    study = Study.open(place)
    current = study.current_prediction
    (other,) = set(study.derived_ids("predictions")) - {current}
    before = files(place)
    guest = visitors()
    guest.go(server.origin)
    assert guest.said("prediction") == current
    guest.page.get_by_role("tab", name="Fine-tune").click()
    row = guest.page.locator(f'.versions li[data-id="{other}"]')
    assert row.get_by_role("button", name="Delete").count() == 0
    row.get_by_role("button", name="Show").click()
    guest.wait_said("prediction", other)
    guest.wait_said("genes", "1")
    guest.settle()
    assert Study.open(place).current_prediction == current
    assert files(place) == before


def test_a_study_without_genes_asks_nobody_to_fine_tune(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    guest = visitors()
    guest.go(f"{server.origin}/#v=1&study=raw")
    note = guest.page.locator(".v-genes .note")
    note.wait_for()
    assert "Fine-tune" not in note.inner_text() and "for looking" in note.inner_text()
    legend = guest.page.locator(".v-legend > p").inner_text()
    assert legend == "Morphology alone: no gene of this study has been predicted yet."
    tab = guest.page.get_by_role("tab", name="Fine-tune")
    assert tab.get_attribute("aria-selected") == "false"


def test_a_region_of_a_mere_visitor_is_in_the_view_and_its_link_alone(
    visitors: Callable[..., Visitor], server: Running, place: Path
) -> None:
    before = files(place)
    guest = visitors(1440, 900)
    guest.go(server.origin)
    at = places(guest)
    guest.page.get_by_role("tab", name="Regions").click()
    plain = guest.still(XY)
    guest.page.locator('[data-shape="lasso"]').click()
    guest.wait_said("drawing", "lasso")
    stroke(guest, [at(300, 200), at(900, 200), at(900, 700), at(305, 205)])
    guest.wait_said("regions", '["Region 1"]')
    guest.page.wait_for_function("() => document.body.dataset.link.includes('regions=0:')")
    guest.see(XY, lambda p: np.abs(p - plain).mean() > 2)
    assert guest.page.get_by_label("Keep Region 1").count() == 0
    guest.page.get_by_label("Hide Region 1")  # what is one's own can be hidden, named, removed
    guest.page.get_by_label("Rename Region 1").click()
    guest.page.get_by_label("New name of Region 1").fill("Gland")
    guest.page.get_by_label("New name of Region 1").press("Enter")
    guest.wait_said("regions", '["Gland"]')
    guest.page.wait_for_function("() => document.body.dataset.link.includes(':Gland:')")
    seen = guest.still(XY)
    if os.environ.get("VORTEX_SCREENSHOTS"):
        guest.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/public-region.png")
    other = visitors(1440, 900)
    other.go(f"{server.origin}/#{guest.page.url.split('#')[1]}")
    other.wait_said("regions", '["Gland"]')
    assert other.see(XY, lambda p: np.abs(p - seen).mean() < 1.5).shape == seen.shape
    assert files(place) == before


def test_a_host_who_allows_changes_gets_them(
    visitors: Callable[..., Visitor], place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visiting.START", PUBLIC.format(more=", changes=True"))
    with running([block(tmp_path / "block.zarr")], tmp_path) as server:
        guest = visitors()
        guest.go(server.origin)
        at = places(guest)
        guest.page.get_by_role("tab", name="Regions").click()
        guest.page.locator('[data-shape="box"]').click()
        guest.wait_said("drawing", "box")
        stroke(guest, [at(200, 200), at(600, 600)])
        guest.wait_said("regions", '["Region 1"]')
        assert list(Study.open(tmp_path / "block.zarr").regions) == ["Region 1"]
