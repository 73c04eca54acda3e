"""The studies at a glance, and genes by other names."""

import base64
import io
import os
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from studies import GRID, block, stack
from visiting import Running, Visitor, running

from vortex_model.prediction_record import PredictionRecord, write_prediction
from vortex_model.study import Provenance, Study

GENES = ["KRT8", "ERBB2", "VIM", "COL1A1"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gallery")
    first = block(folder / "block.zarr", predicted=False)
    lattice = GRID.lattice((80.0, 80.0, 80.0))
    factors = np.zeros((1, *lattice.shape), np.float32)
    table = pd.DataFrame(
        {"mean": 1.0, "reliability": 0.5, "low": 0.4, "high": 0.6},
        index=pd.Index(GENES, name="gene"),
    )
    mask = np.ones(lattice.shape, bool)
    record = PredictionRecord(factors, factors + 1, mask, np.ones((1, 4)), table, lattice)
    write_prediction(Study.open(first), Provenance("predictions", {}, {}, 1), record)
    paths = [
        first,
        stack(folder / "stack.zarr"),
        folder / "absent.zarr",
        block(folder / "scan_0017.zarr", predicted=False, name="Left lung"),
        block(folder / "scan_0018.zarr", predicted=False, measured=False, name="Kidney"),
        block(folder / "scan_0019.zarr", predicted=False, measured=False, name="Kidney"),
    ]
    with running(paths, folder) as one:
        yield one


def listed(visitor: Visitor) -> list[str]:
    return [row.get_attribute("data-name") for row in visitor.page.locator(".v-genes .row").all()]


def test_the_gallery_shows_every_study_with_its_picture_and_opens_one(visitor: Visitor) -> None:
    visitor.page.locator(".picker").click()
    visitor.wait_said("cards", "6")
    cards = visitor.page.get_by_role("listbox", name="Studies").get_by_role("option")
    assert cards.count() == 6
    told = cards.nth(0).inner_text()
    assert "0.96" in told and "0.40 mm" in told and "Light-sheet" in told and "2 sections" in told
    assert f"Genes in 3D {len(GENES)}" in told.replace("\n", " ")
    assert "absent" in cards.nth(2).inner_text()
    source = cards.nth(1).locator("img").get_attribute("src")
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB"))
    assert seen.shape[1] / seen.shape[0] == pytest.approx(1.28 / 0.96, rel=0.05)
    middle, corner = seen[seen.shape[0] // 2, seen.shape[1] // 2], seen[2, 2]
    assert corner.min() > 220 and middle[1] < 120 < middle[0]  # pink tissue on white glass
    cards.nth(1).click()
    visitor.wait_said("study", "stack")
    visitor.settle()


def test_a_gene_is_found_by_a_synonym_and_by_its_words_and_told_in_words(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    one = visitors()
    one.go(server.address)
    box = one.page.get_by_placeholder("Search genes")
    box.fill("her2")
    one.page.locator('.row[data-name="ERBB2"] em', has_text="HER2").wait_for()
    assert listed(one) == ["ERBB2"]
    box.fill("keratin")
    one.page.locator('.row[data-name="KRT8"] em', has_text="keratin 8").wait_for()
    assert listed(one) == ["KRT8"]
    box.press("Enter")
    one.wait_said("gene", "KRT8")
    one.page.locator(".v-view .what em", has_text="keratin 8").wait_for()


def test_studies_are_called_by_their_titles_and_told_apart_by_their_files(visitor: Visitor) -> None:
    visitor.page.locator(".picker").click()
    visitor.wait_said("cards", "6")
    listed = visitor.page.get_by_role("listbox", name="Studies")
    names = ["Left lung", "Kidney (scan_0018)", "Kidney (scan_0019)"]
    for name in names:  # the name for screen readers is what is seen
        card = listed.get_by_role("option", name=name, exact=True)
        assert card.locator("b").inner_text() == name
    if os.environ.get("VORTEX_SCREENSHOTS"):
        visitor.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/titles.png")
    listed.get_by_role("option", name="Left lung", exact=True).click()
    visitor.wait_said("study", "scan_0017")
    visitor.settle()


def test_an_empty_colour_bar_says_what_is_true_there(
    visitors: Callable[..., Visitor], server: Running
) -> None:
    one = visitors()
    one.go(server.address)
    legend = one.page.locator(".v-legend > p")
    one.page.get_by_role("button", name="Morphology alone").click()
    legend.get_by_text("Choose a gene on the left").wait_for()
    for study, said in (("scan_0017", "Start Fine-tune"), ("scan_0018", "no measured section")):
        one.choose_study(study)
        legend.get_by_text(said).wait_for()
        assert "Choose a gene" not in legend.inner_text()
        if os.environ.get("VORTEX_SCREENSHOTS"):
            one.page.screenshot(path=f"{os.environ['VORTEX_SCREENSHOTS']}/empty-{study}.png")
