"""Fine-tuning from the page, on a phantom: progress, the renewed list, cancel, an error."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect
from small_checkpoint import small
from visiting import Running, Visitor, running

from vortex_model.encoders import available, forget, remember
from vortex_model.errors import Cancelled
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.prediction import Prediction
from vortex_model.progress import FirstPicture
from vortex_model.study import Study
from vortex_model.training.finetune import finetune
from vortex_model.training.versions import compare, summary

XY = '[data-slice="xy"]'
SAID = ".v-finetune [role=status]"
KNOWN = "document.body.dataset.reliability !== undefined"


@pytest.fixture(scope="module")
def phantom_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A small phantom without a prediction, served."""
    folder = tmp_path_factory.mktemp("phantom")
    spec = PhantomSpec(shape=(14, 120, 120), voxel_um=(12.0, 7.0, 7.0), n_genes=365)
    make_phantom(folder / "phantom.zarr", spec)
    make_phantom(folder / "other.zarr", replace(spec, seed=5, name="Another block"))
    weights, _ = small("uni", folder / "uni", depth=3)
    remember("uni", weights)
    with running([folder / "phantom.zarr", folder / "other.zarr"], folder) as one:
        yield one
    forget("uni")


SLOW = "learned"
"""An encoder that this module lets nobody finish: it takes longer than a page to open."""


def start(
    visitor: Visitor,
    panel: str,
    names: str = "",
    predictor: str = "ridge",
    encoder: str | None = None,
) -> None:
    page = visitor.page
    page.get_by_role("tab", name="Fine-tune").click()
    page.get_by_label("Genes", exact=True).and_(page.locator("select")).select_option(panel)
    if names:
        page.get_by_label("Gene names").fill(names)
    if encoder is not None:
        page.get_by_label("Encoder", exact=True).select_option(encoder)
    page.get_by_label("Predictor").select_option(predictor)
    page.get_by_role("button", name="Fine-tune").click()


def children(process: subprocess.Popen) -> list[str]:
    """Commands of a process's children (Linux)."""
    numbers = " ".join(p.read_text() for p in Path(f"/proc/{process.pid}/task").glob("*/children"))
    return [Path(f"/proc/{n}/cmdline").read_text() for n in numbers.split()]


def test_looking_at_the_panel_makes_its_process_ready(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    """So that nobody waits for libraries after the click; those who do not look cost nothing."""
    visitor = visitors()
    visitor.go(phantom_server.address)
    assert not any("vortex_viewer.work" in one for one in children(phantom_server.process))
    visitor.page.get_by_role("tab", name="Fine-tune").click()
    for _ in range(2):  # looking twice is looking once
        visitor.page.locator(".v-finetune").hover()
        visitor.page.mouse.move(700, 400)
    until = time.monotonic() + 30
    while not (found := [c for c in children(phantom_server.process) if "viewer.work" in c]):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert len(found) == 1


@pytest.mark.timeout(280)
def test_fine_tuning_renews_the_list_and_the_picture_without_a_reload(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    visitor.page.evaluate("window.same = true")
    assert "No gene has been predicted yet" in visitor.page.locator(".note").inner_text()
    gray = visitor.still(XY)
    visitor.page.evaluate(
        """() => { window.seen = []; const told = document.body.dataset;
        new MutationObserver(() => seen.push([told.prediction ?? "", told.job ?? ""]))
          .observe(document.body, { attributes: true }); }"""
    )

    start(visitor, "hvg:250")
    visitor.page.wait_for_function("document.body.dataset.job === 'running'")
    bar = visitor.page.get_by_role("progressbar", name="Fine-tuning")
    assert bar.is_visible()
    # the page goes on to answer while the work runs
    cursor, box = visitor.said("cursor"), visitor.box(XY)
    visitor.page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    visitor.page.wait_for_function("c => document.body.dataset.cursor !== c", arg=cursor)
    visitor.page.wait_for_function(
        "['done', 'failed'].includes(document.body.dataset.job)", timeout=240_000
    )
    assert visitor.said("job") == "done", visitor.page.locator(SAID).inner_text()
    visitor.wait_said("genes", "250")
    visitor.page.wait_for_function(KNOWN)
    visitor.settle()
    assert "250 genes are ready" in visitor.page.locator(SAID).inner_text()
    first = visitor.page.locator(".row").first
    assert float(first.locator(".number").inner_text()) > 0.1
    coloured = visitor.still(XY)
    assert (abs(coloured - gray).max(axis=-1) > 30).mean() > 0.05
    made = visitor.said("prediction")
    # the picture came first, then how far to trust it
    assert [made, "running"] in visitor.page.evaluate("window.seen")
    assert "Not checked" not in visitor.page.locator(".v-genes").inner_text()

    # features are there now: five genes by name take seconds
    names = [str(g) for g in Prediction.load(phantom_study(phantom_server)).genes.index[:5]]
    start(visitor, "names", ", ".join(names), "knn")
    visitor.page.wait_for_function("document.body.dataset.genes === '5'", timeout=120_000)
    visitor.settle()
    assert visitor.said("prediction") != made
    assert {
        visitor.page.locator(".row").nth(i).get_attribute("data-name") for i in range(5)
    } == set(names)
    assert visitor.page.evaluate("window.same") is True
    # nor is the study still held for the next who writes into it
    visitor.page.wait_for_function("document.body.dataset.job === 'done'", timeout=120_000)


@pytest.mark.timeout(280)
def test_a_picture_that_was_not_checked_says_so_and_the_same_choices_check_it(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    study = phantom_study(phantom_server)

    def stop(_fraction: float, message: str) -> None:
        if isinstance(message, FirstPicture):
            raise Cancelled

    with pytest.raises(Cancelled):
        finetune(study, panel="top:1000", predictor="knn", progress=stop)
    name = study.current_prediction
    visitor = visitors(1024, 768)
    visitor.go(phantom_server.address)
    assert visitor.said("prediction") == name
    care = visitor.page.locator(".care summary")
    assert "Not checked" in care.inner_text()
    numbers = visitor.page.locator(".row .number")
    assert not any(text.strip("\u2013") for text in numbers.all_inner_texts())
    if os.environ.get("VORTEX_SCREENSHOTS"):
        visitor.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/unchecked.png")
    start(visitor, "top:1000", predictor="knn")
    visitor.page.wait_for_function("document.body.dataset.job === 'done'", timeout=120_000)
    visitor.page.wait_for_function(KNOWN)
    assert visitor.said("prediction") == name
    assert float(numbers.first.inner_text()) > 0.1
    assert not care.is_visible() or "Not checked" not in care.inner_text()


@pytest.mark.timeout(280)
def test_full_fine_tuning_draws_its_curve_and_versions_can_be_compared_and_restored(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    study = phantom_study(phantom_server)
    finetune(study, panel="hvg:30", predictor="ridge")
    before = finetune(study, panel="hvg:20", predictor="ridge")
    visitor = visitors(1440, 900)
    visitor.go(phantom_server.address)
    page = visitor.page
    page.get_by_role("tab", name="Fine-tune").click()
    offered = page.get_by_label("Encoder", exact=True).locator("option").all_inner_texts()
    assert offered[0] == "Texture" and {"Learned", "UNI"} <= set(offered)
    encoder, about = page.get_by_label("Encoder", exact=True), page.locator(".v-finetune .about")
    encoder.select_option("learned")
    title = next(row.title for row in available() if row.name == "learned")
    assert title[1:] in about.inner_text() and "first time" in about.inner_text()
    encoder.select_option("texture")
    assert "seconds" in about.inner_text() and "first time" not in about.inner_text()
    assert not page.get_by_label("Minutes").is_visible()
    page.get_by_label("Mode", exact=True).select_option("full")
    page.get_by_label("Minutes").fill("2")
    assert encoder.locator("option").all_inner_texts() == ["UNI"]
    start(visitor, "hvg:250", predictor="ridge")
    page.wait_for_function("+document.body.dataset.curve >= 2", timeout=120_000)
    assert "Held-out r by epoch" in page.locator(".curve figcaption").inner_text()
    assert len(page.locator(".curve polyline").get_attribute("points").split()) >= 2
    page.wait_for_function(
        "['done', 'failed'].includes(document.body.dataset.job)", timeout=240_000
    )
    assert visitor.said("job") == "done", page.locator(SAID).inner_text()
    visitor.wait_said("genes", "250")
    visitor.settle()
    if os.environ.get("VORTEX_SCREENSHOTS"):
        for width, height in ((1440, 900), (1024, 768)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(1500)
            page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/finetune-{width}.png")
            page.locator(".versions li").last.scroll_into_view_if_needed()
            page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/finetune-{width}-end.png")
        page.set_viewport_size({"width": 1440, "height": 900})
    made = visitor.said("prediction")
    assert study.provenance("predictions", made)["parameters"]["minutes"] == 2
    shown = page.locator(f'.versions li[data-id="{made}"]')
    assert "full" in shown.inner_text() and "on" in shown.get_attribute("class")
    old = page.locator(f'.versions li[data-id="{before}"]')
    old.get_by_role("button", name="Compare").click()
    told = old.get_by_text("the shown one")
    told.wait_for()
    numbers = summary(compare(study, made, before))
    assert f"Mean r {numbers['second']:.3f}" in told.inner_text()
    assert f"{numbers['difference']:+.3f} over {numbers['genes']} genes" in told.inner_text()
    old.get_by_role("button", name="Show").click()
    visitor.wait_said("prediction", before)
    visitor.wait_said("genes", "20")
    page.locator(f'.versions li.on[data-id="{before}"]').wait_for()
    assert Study.open(study.path).current_prediction == before
    count = int(visitor.said("versions"))
    other = page.locator(f'.versions li[data-id="{made}"]')
    other.get_by_role("button", name="Compare").click()
    delete = other.get_by_role("button", name="Delete")
    delete.click()
    assert delete.inner_text() == "Delete for good?"
    assert made in Study.open(study.path).derived_ids("predictions")
    other.get_by_text("the shown one").wait_for()  # the list is drawn anew between the clicks
    delete.click()
    visitor.wait_said("versions", str(count - 1))
    assert made not in Study.open(study.path).derived_ids("predictions")


def test_a_wrong_name_is_an_error_in_words_and_leaves_the_view(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    before = visitor.said("genes")
    start(visitor, "names", "NOSUCHGENE")
    visitor.page.wait_for_function("document.body.dataset.job === 'failed'", timeout=60_000)
    assert "NOSUCHGENE" in visitor.page.locator(SAID).inner_text()
    assert visitor.said("genes") == before


def test_no_section_is_an_error_in_words(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    visitor.page.get_by_role("tab", name="Fine-tune").click()
    for box in visitor.page.locator(".checks input").all():
        box.uncheck()
    visitor.page.get_by_role("button", name="Fine-tune").click()
    visitor.page.wait_for_function("document.body.dataset.job === 'failed'", timeout=60_000)
    assert "section" in visitor.page.locator(SAID).inner_text().lower()


def test_cancel_stops_it_and_the_study_stays_whole(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    before = phantom_study(phantom_server).derived_ids("predictions")
    start(visitor, "all", predictor="gp", encoder=SLOW)
    visitor.page.wait_for_function("document.body.dataset.job === 'running'")
    visitor.page.get_by_role("button", name="Cancel").click()
    visitor.page.wait_for_function("document.body.dataset.job === 'cancelled'", timeout=30_000)
    study = phantom_study(phantom_server)
    assert study.derived_ids("predictions") == before
    with study.writing("looking whether the pen is free"):
        pass


def test_a_job_outlives_its_page_and_a_new_page_shows_it_cancels_it_and_takes_its_result(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    study = phantom_study(phantom_server)
    before = finetune(study, panel="hvg:20", predictor="ridge")
    one = visitors()
    one.go(phantom_server.address)
    assert one.said("prediction") == before
    start(one, "all", predictor="gp", encoder=SLOW)
    one.wait_said("job", "running")
    one.page.close()
    two = visitors(1440, 900)
    two.page.goto(phantom_server.address)
    two.wait_said("job", "running")
    assert two.page.get_by_role("tab", name="Fine-tune").get_attribute("aria-selected") == "true"
    two.page.get_by_role("progressbar", name="Fine-tuning").wait_for()
    if os.environ.get("VORTEX_SCREENSHOTS"):
        two.settle()
        two.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/found-again.png")
    two.page.get_by_role("button", name="Cancel").click()
    two.page.wait_for_function("document.body.dataset.job === 'cancelled'", timeout=30_000)

    two.settle()
    start(two, "hvg:250", predictor="gp")
    two.wait_said("job", "running")
    two.page.reload()
    two.page.wait_for_function("document.body.dataset.job !== undefined", timeout=60_000)
    two.page.wait_for_function("document.body.dataset.genes === '250'", timeout=240_000)
    two.page.wait_for_function("document.body.dataset.job === 'done'", timeout=60_000)
    assert two.said("prediction") not in (None, before)
    assert "250 genes are ready" in two.page.locator(SAID).inner_text()
    # a version that was restored is what the next page begins with
    two.page.get_by_role("tab", name="Fine-tune").click()  # closed, if the job was done by then
    old = two.page.locator(f'.versions li[data-id="{before}"]')
    old.get_by_role("button", name="Show").click()
    two.wait_said("prediction", before)
    three = visitors()
    three.go(phantom_server.address)
    assert three.said("prediction") == before


def phantom_study(server: Running) -> Study:
    return Study.open(server.log.parent / "phantom.zarr")


@pytest.mark.timeout(280)
def test_another_study_is_learned_from_too(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    page = visitor.page
    page.get_by_role("tab", name="Fine-tune").click()
    beside = page.get_by_role("group", name="Other studies")
    beside.get_by_text("Another block").wait_for()
    assert beside.inner_text().split() == ["Another", "block"]
    page.get_by_label("Mode", exact=True).select_option("full")
    assert beside.is_hidden()
    page.get_by_label("Mode", exact=True).select_option("fast")
    beside.get_by_text("Another block").click()
    start(visitor, "hvg:250")
    shown = page.locator(".versions li.on", has_text="beside Another block")
    shown.wait_for(timeout=200_000)
    visitor.wait_said("job", "done")
    log = page.locator(".joblog")
    log.locator("summary").click()
    lines = log.locator("li").all_inner_texts()
    assert any("learning from the other blocks" in line or "encoded" in line for line in lines)
    assert "Done" in lines[-1]
    visitor.choose_study("other")
    page.get_by_role("tab", name="Fine-tune").click()
    expect(page.get_by_role("group", name="Other studies")).not_to_contain_text("Another block")
