"""Fine-tuning from the page, on a phantom: progress, the renewed list, cancel, an error."""

from collections.abc import Callable, Iterator

import pytest
from visiting import Running, Visitor, running

from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.prediction import Prediction
from vortex_model.study import Study

XY = '[data-slice="xy"]'


@pytest.fixture(scope="module")
def phantom_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A small phantom without a prediction, served."""
    folder = tmp_path_factory.mktemp("phantom")
    spec = PhantomSpec(shape=(14, 120, 120), voxel_um=(12.0, 7.0, 7.0), n_genes=365)
    make_phantom(folder / "phantom.zarr", spec)
    with running([folder / "phantom.zarr"], folder) as one:
        yield one


def start(visitor: Visitor, panel: str, names: str = "", predictor: str = "ridge") -> None:
    page = visitor.page
    page.get_by_role("tab", name="Fine-tune").click()
    page.get_by_label("Genes", exact=True).and_(page.locator("select")).select_option(panel)
    if names:
        page.get_by_label("Gene names").fill(names)
    page.get_by_label("Predictor").select_option(predictor)
    page.get_by_role("button", name="Fine-tune").click()


@pytest.mark.timeout(280)
def test_fine_tuning_renews_the_list_and_the_picture_without_a_reload(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    visitor.page.evaluate("window.same = true")
    assert "No gene has been predicted yet" in visitor.page.locator(".note").inner_text()
    gray = visitor.still(XY)

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
    assert visitor.said("job") == "done", visitor.page.locator(".message").inner_text()
    visitor.wait_said("genes", "250")
    visitor.settle()
    assert "250 genes are ready" in visitor.page.locator(".message").inner_text()
    first = visitor.page.locator(".row").first
    assert float(first.locator(".number").inner_text()) > 0.1
    coloured = visitor.still(XY)
    assert (abs(coloured - gray).max(axis=-1) > 30).mean() > 0.05
    made = visitor.said("prediction")

    # features are there now: five genes by name take seconds
    names = [str(g) for g in Prediction.load(phantom_study(phantom_server)).genes.index[:5]]
    start(visitor, "names", ", ".join(names), "knn")
    visitor.wait_said("genes", "5")
    visitor.settle()
    assert visitor.said("prediction") != made
    assert {
        visitor.page.locator(".row").nth(i).get_attribute("data-name") for i in range(5)
    } == set(names)
    assert visitor.page.evaluate("window.same") is True


def test_a_wrong_name_is_an_error_in_words_and_leaves_the_view(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    before = visitor.said("genes")
    start(visitor, "names", "NOSUCHGENE")
    visitor.page.wait_for_function("document.body.dataset.job === 'failed'", timeout=60_000)
    assert "NOSUCHGENE" in visitor.page.locator(".message").inner_text()
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
    assert "section" in visitor.page.locator(".message").inner_text().lower()


def test_cancel_stops_it_and_the_study_stays_whole(
    visitors: Callable[..., Visitor], phantom_server: Running
) -> None:
    visitor = visitors()
    visitor.go(phantom_server.address)
    before = phantom_study(phantom_server).derived_ids("predictions")
    start(visitor, "all", predictor="gp")
    visitor.page.wait_for_function("document.body.dataset.job === 'running'")
    visitor.page.get_by_role("button", name="Cancel").click()
    visitor.page.wait_for_function("document.body.dataset.job === 'cancelled'", timeout=30_000)
    study = phantom_study(phantom_server)
    assert study.derived_ids("predictions") == before
    with study.writing("looking whether the pen is free"):
        pass


def phantom_study(server: Running) -> Study:
    return Study.open(server.log.parent / "phantom.zarr")
