"""Fine-tuning on HER2ST, features cached: from the app's button to the new picture, and full."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from bench_page import opened
from playwright.sync_api import Page, sync_playwright
from rows import BENCH, ROOT, Row, small
from safetensors.torch import save_file
from visiting import running

from vortex_model import io
from vortex_model.encoders import remember
from vortex_model.features import compute_features
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.study import Study
from vortex_model.torchvision_shim import import_torchvision
from vortex_model.training.finetune import finetune

COMMAND = f"{BENCH} finetune"
DATA = ROOT.parent / "shared" / "data"
NETWORK = "timm:vit_small_patch16_224"
READY = "genes are ready"
SHOWN = "document.body.dataset.prediction"
DRAWN = f"{SHOWN} !== before && document.body.dataset.drawn.includes({SHOWN})"
BAR_S, FULL_BAR_S = 5.0, 300.0
CHOOSING_S = 3
"""How long a person is at the panel before the click, meanwhile a process is made ready."""


def rows(work: Path) -> list[Row]:
    """Measure."""
    study = _study(work)
    names = study.section_names
    compute_features(study, "texture")
    asked = [([name], "hvg:250") for name in names] + [(names, "hvg:1000")]
    with sync_playwright() as play, running([study.path], work) as server:
        browser, visitor, _ = opened(play, server)
        visitor.page.get_by_role("tab", name="Fine-tune").click()
        took = [_clicked(visitor.page, sections, panel) for sections, panel in asked]
        browser.close()
    cached = f"{study.info.name}, features cached"
    said = f"{cached}, {CHOOSING_S} s at the panel before"
    one, many = "250 genes from one section", f"1,000 genes from {len(names)} sections"
    clicks = [
        (one, np.median(took[:-1], axis=0), f"{said}; median over {len(names)} sections"),
        (many, took[-1], said),
    ]
    made = []
    for what, (picture, whole), note in clicks:
        name = f"fast: click to new picture, {what}"
        note += f"; its reliability after {whole:.1f} s"
        made.append(Row(name, float(picture), BAR_S, "at most", "s", COMMAND, note))
    _random_weights(work)
    start = time.perf_counter()
    finetune(study, encoder=NETWORK, mode="full")
    spent = time.perf_counter() - start
    note = f"{cached}; {many}, ViT-S/16 with random weights"
    made.append(Row("full", spent, FULL_BAR_S, "at most", "s", COMMAND, note))
    return made


def _study(work: Path) -> Study:
    """HER2ST as docs/examples makes it; a phantom where all is to be small."""
    if small():
        return Study.open(make_phantom(work / "small.zarr", PhantomSpec(shape=(48, 192, 192))))
    manifest = ROOT / "docs" / "examples" / "her2st.yaml"
    return Study.open(io.import_study(manifest, work / "her2st.zarr", root=DATA))


def _clicked(page: Page, sections: list[str], panel: str) -> tuple[float, float]:
    """Seconds from the button to the new picture, and to how far it can be trusted."""
    for box in page.locator(".v-finetune [aria-label='Measured sections'] input").all():
        box.set_checked(box.get_attribute("value") in sections)
    page.locator(".v-finetune select[aria-label=Genes]").select_option(panel)
    page.wait_for_timeout(CHOOSING_S * 1000)
    before = page.evaluate(f"{SHOWN} ?? null")
    start = time.perf_counter()
    page.get_by_role("button", name="Fine-tune", exact=True).click()
    page.wait_for_function(f"before => {DRAWN}", arg=before, polling=20)
    picture = time.perf_counter() - start
    said = page.locator(".v-finetune > .message")
    while READY not in said.inner_text():  # not by expect, which looks but once a second
        page.wait_for_timeout(20)
    return picture, time.perf_counter() - start


def _random_weights(work: Path) -> None:
    """A checkpoint of the network, remembered in settings that are this run's own."""
    os.environ["XDG_CONFIG_HOME"] = str(work / "config")
    import_torchvision()
    import timm

    place = work / "weights"
    place.mkdir()
    network = timm.create_model(NETWORK.removeprefix("timm:"), pretrained=False, num_classes=0)
    save_file(network.state_dict(), place / "model.safetensors")
    remember(NETWORK, place / "model.safetensors")
