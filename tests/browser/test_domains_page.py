"""Domains, label images and painted classes: in the pictures, with numbers that are numpy's."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hands import cells, places, stroke
from studies import GRID, predict
from visiting import Running, Visitor, running

from vortex_model import Study
from vortex_model.encoders.registry import create
from vortex_model.features import compute_features
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import StudyInfo

XY, YZ, SCENE = '[data-slice="xy"]', '[data-slice="yz"]', "iframe.scene"
CORNER = (slice(None, 20), slice(48, None))
"""Where the class ``corner`` of the label image lies: low z, high y."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    """Smooth bright tissue on the left, coarse dark tissue on the right."""
    path = tmp_path_factory.mktemp("domains") / "halves.zarr"
    rng = np.random.default_rng(3)
    voxels = rng.integers(800, 860, GRID.shape).astype(np.uint16)
    coarse = rng.integers(0, 2, (10, 24, 16)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    voxels[:, :, 64:] = 480 + 250 * coarse
    inside = np.zeros(GRID.shape, bool)
    inside[2:-2, 6:-6, 6:-6] = True
    voxels[~inside] = 20
    with Study.create(path, StudyInfo(name="halves", modality="light-sheet")) as study:
        study.write_morphology(ArraySource(voxels[None], GRID, (Channel("nuclei"),)))
        corner = np.zeros(GRID.shape, np.uint8)
        corner[CORNER] = 3
        study.write_label(
            "corner", ArraySource(corner[None], GRID, (Channel("corner"),)), classes={3: "niche"}
        )
        predict(study)
        compute_features(study, create("texture"))
    return path


@pytest.fixture(scope="module")
def server(place) -> Iterator[Running]:
    with running([place], place.parent) as one:
        yield one


def tab(visitor: Visitor) -> None:
    visitor.page.get_by_role("tab", name="Domains").click()


def warm(picture: np.ndarray) -> float:
    """The part of a picture that is orange, the first class's colour."""
    return float((picture[..., 0] - picture[..., 2] > 40).mean())


def cool(picture: np.ndarray) -> float:
    """The part that is blue, the second one's."""
    return float((picture[..., 2] - picture[..., 0] > 40).mean())


def test_domains_are_found_shown_and_kept_and_a_link_shows_them(
    visitor: Visitor, visitors: Callable[..., Visitor], server: Running, place
) -> None:
    visitor.page.get_by_role("button", name="Morphology alone").click()
    visitor.page.wait_for_function("() => document.body.dataset.gene === undefined")
    plain = visitor.still(XY)
    assert warm(plain) < 0.01
    tab(visitor)
    visitor.page.get_by_label("Number of domains").select_option("2")
    visitor.page.get_by_role("button", name="Find domains").click()
    visitor.wait_said("answer", "domains")
    visitor.see(XY, lambda p: warm(p) > 0.1 and cool(p) > 0.1)
    visitor.page.get_by_label("Name of the label image").fill("two parts")
    visitor.page.get_by_role("button", name="Keep", exact=True).click()
    visitor.page.wait_for_function(
        "() => document.body.dataset.labelImages.split(',').includes('two-parts')"
    )
    study = Study.open(place)
    level = study.label("two-parts").levels[0]
    numbers = np.asarray(level.array[0])
    legend = visitor.page.locator(".v-answer .key em").all_inner_texts()
    parts = [f"{100 * (numbers == v).sum() / (numbers > 0).sum():.0f} %" for v in (1, 2)]
    assert legend == parts
    prediction = study.prediction()
    gene = visitor.page.locator(".trow").first.get_attribute("data-gene")
    number, difference, *_ = cells(visitor, gene)
    values = prediction.gene(gene).values
    own = numbers == int(number)
    less = values[own].mean() - values[(numbers > 0) & ~own].mean()
    assert float(difference) == pytest.approx(less, abs=0.006)
    visitor.page.wait_for_function("() => location.hash.includes('two-parts')", timeout=10_000)
    other = visitors()
    other.go(f"{server.address}#{visitor.page.url.split('#')[1]}")
    other.wait_said("labelsShown", "two-parts")
    other.see(XY, lambda p: warm(p) > 0.1 and cool(p) > 0.1)


def test_domains_that_are_not_kept_are_in_the_link_and_undo_takes_them_back(
    visitor: Visitor, visitors: Callable[..., Visitor], server: Running, place
) -> None:
    visitor.page.get_by_role("button", name="Morphology alone").click()
    visitor.page.wait_for_function("() => document.body.dataset.gene === undefined")
    tab(visitor)
    for count in ("3", "2", "4"):  # each is numbered like the one before
        visitor.page.get_by_label("Number of domains").select_option(count)
        visitor.page.get_by_role("button", name="Find domains").click()
        visitor.page.wait_for_function(
            "n => document.body.dataset.link?.includes(`domains=${n},`)", arg=count
        )
        visitor.page.locator(".v-answer").get_by_text(f"{count} domains").first.wait_for()
    assert "label=" not in visitor.said("link")
    visitor.page.get_by_role("button", name="Close").click()
    first = visitor.still(XY)
    assert warm(first) > 0.05 and cool(first) > 0.05
    names = set(Study.open(place).label_names)
    other = visitors()
    other.go(f"{server.address}#{visitor.page.url.split('#')[1]}")
    other.wait_said("labelsShown", "domains")
    other.wait_said("answer", "domains")
    other.page.get_by_role("button", name="Close").click()
    again = other.see(XY, lambda p: np.abs(p - first).mean() < 1.5)
    assert again.shape == first.shape
    assert set(Study.open(place).label_names) == names  # nothing was kept
    visitor.page.keyboard.press("Control+z")
    visitor.page.keyboard.press("Control+z")
    visitor.page.wait_for_function("() => document.body.dataset.link.includes('domains=3,')")
    visitor.see(XY, lambda p: np.abs(p - first).mean() > 2)
    visitor.page.keyboard.press("Control+z")
    visitor.page.wait_for_function("() => document.body.dataset.labelsShown === undefined")
    visitor.see(XY, lambda p: warm(p) < 0.01)


def test_a_label_image_lies_where_its_voxels_are_as_fill_outline_surface_and_beside(
    visitor: Visitor, place
) -> None:
    visitor.page.get_by_role("button", name="Morphology alone").click()
    visitor.page.wait_for_function("() => document.body.dataset.gene === undefined")
    at = places(visitor, YZ)
    tab(visitor)
    visitor.page.get_by_label("Label image", exact=True).select_option("corner")
    visitor.wait_said("labelsShown", "corner")
    visitor.wait_said("answer", "classes")
    visitor.page.get_by_role("button", name="Close").click()
    box = visitor.box(YZ)

    def spot(picture: np.ndarray, y: float, z: float) -> np.ndarray:
        u, v = at(y, z)
        row, column = round(v - box["y"]), round(u - box["x"])
        return picture[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3).mean(axis=0)

    def orange(colour: np.ndarray) -> bool:
        return colour[0] - colour[2] > 40

    filled = visitor.see(YZ, lambda p: orange(spot(p, 800, 60)))
    for y, z in ((200, 60), (200, 340), (800, 340)):
        assert not orange(spot(filled, y, z))
    solid = visitor.see(SCENE, lambda p: warm(p) > 0.02)
    visitor.page.get_by_role("radio", name="Outline").click()
    outlined = visitor.see(YZ, lambda p: not orange(spot(p, 800, 60)))
    assert warm(outlined) > 0.001
    visitor.see(SCENE, lambda p: warm(p) < warm(solid) / 4)
    visitor.page.get_by_role("radio", name="Surface").click()
    visitor.see(SCENE, lambda p: np.abs(p - solid).mean() > 1 and warm(p) > 0.005)
    visitor.page.get_by_role("radio", name="Beside", exact=True).click()
    visitor.wait_said("panes", "2")
    visitor.see(
        SCENE,
        lambda p: warm(p[:, p.shape[1] // 2 :]) > 0.02 and warm(p[:, : p.shape[1] // 2]) < 0.005,
    )
    visitor.page.get_by_role("button", name="Hide", exact=True).click()
    visitor.wait_said("panes", "1")


def test_a_few_strokes_segment_the_block_and_the_classes_are_kept(visitor: Visitor, place) -> None:
    at = places(visitor)
    tab(visitor)
    for name, x in (("smooth", 300), ("coarse", 1000)):
        visitor.page.get_by_label("Class to paint").fill(name)
        visitor.page.get_by_label("Class to paint").press("Enter")
        visitor.wait_said("painting", name)
        before = visitor.said("strokes")
        stroke(visitor, [at(x, 200), at(x + 40, 760)])
        visitor.page.wait_for_function(
            "b => (document.body.dataset.strokes ?? null) !== b", arg=before
        )
    visitor.page.keyboard.press("Escape")
    assert visitor.said("strokes") == "smooth:1,coarse:1"
    begun = time.monotonic()
    visitor.page.get_by_role("button", name="Learn from strokes").click()
    visitor.wait_said("answer", "classes")
    assert time.monotonic() - begun < 10
    visitor.page.get_by_label("Name of the label image").fill("texture")
    visitor.page.get_by_role("button", name="Keep", exact=True).click()
    visitor.page.wait_for_function(
        "() => document.body.dataset.labelImages.split(',').includes('texture')"
    )
    study = Study.open(place)
    assert study.label_classes("texture") == {1: "smooth", 2: "coarse"}
    level = study.label("texture").levels[0]
    numbers = np.asarray(level.array[0])
    x = np.broadcast_to(level.grid.axis_um(2), numbers.shape)
    truth = np.where(x < 640, 1, 2) * (numbers > 0)
    dice = 2 * ((numbers == 1) & (truth == 1)).sum() / ((numbers == 1).sum() + (truth == 1).sum())
    assert dice > 0.8  # of two halves, chance is 0.5; the edge is as wide as what a token sees
    prediction = study.prediction()
    from vortex_viewer.panels.domains import on_tokens

    own = on_tokens(numbers, level.grid, prediction.grid)
    smooth, coarse = cells(visitor, "LEFT")
    values = prediction.gene("LEFT").values
    assert float(smooth) == pytest.approx(values[own == 1].mean(), abs=0.006)
    assert float(coarse) == pytest.approx(values[own == 2].mean(), abs=0.006)
    tab(visitor)
    visitor.page.get_by_role("tab", name="Regions").click()
    visitor.page.get_by_label("Make a region from").select_option("smooth (texture)")
    visitor.page.get_by_role("button", name="Add", exact=True).click()
    visitor.page.wait_for_function("() => document.body.dataset.regions.includes('smooth')")
