"""The exported site in Chromium, served by Python's plain server, no other host in reach."""

import io
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from export_study import GENES, make_stack, make_study
from PIL import Image
from static_host import Plain, hosted

from vortex_model.prediction import GeneCache, Prediction
from vortex_model.study import Study
from vortex_viewer.export import export_site

WEBGL = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]
BLOCK = "#version=1&study=a-block"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study") / "block.zarr")


@pytest.fixture(scope="module")
def site(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    make_stack(folder / "he.zarr")
    return export_site([study, folder / "he.zarr"], folder / "site")


@pytest.fixture(scope="module")
def address(site):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(site)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/"
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def webgl(browser):
    """A second Chromium, one that draws 3D by the processor."""
    from visiting import chromium_path

    one = browser.browser_type.launch(executable_path=chromium_path(), args=WEBGL)
    yield one
    one.close()


class Guest:
    """A visitor of the site; foreign requests are refused and remembered."""

    def __init__(self, context, address):
        self.address, self.foreign, self.errors, self.statuses = address, [], [], []
        context.route("**/*", self._door)
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda r: self.statuses.append(r.status))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)

    def _door(self, route):
        url = route.request.url
        if url.startswith((self.address, "blob:", "data:")):
            route.continue_()
        else:
            self.foreign.append(url)
            route.abort()

    def until(self, expression, wait_s=60):
        """Wait for what the page holds; evaluated from outside, as its policy forbids eval."""
        end = time.monotonic() + wait_s
        while not (got := self.page.evaluate(expression)):
            assert time.monotonic() < end, f"not in {wait_s} s: {expression}; {self.errors}"
            time.sleep(0.05)
        return got

    def go(self, hash_=""):
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}index.html{hash_}")
        if hash_:
            self.until("document.documentElement.dataset.ready === 'full'")
        return self

    def pixels(self, where):
        time.sleep(0.4)  # the finer picture follows the quick one when the hand rests
        self.until("!document.querySelector('[data-quality=moving]')")
        shot = self.page.locator(where).first.screenshot(animations="disabled")
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.float64)

    def state(self, name):
        return self.page.evaluate(f"viewer.store.state.{name}")

    def choose(self, gene):
        self.page.get_by_role("combobox", name="Search genes").fill(gene)
        self.page.keyboard.press("Enter")
        self.until(f"document.documentElement.dataset.gene?.startsWith('{gene}/')")


@pytest.fixture
def guests(webgl, address):
    """Makes guests, each with a browser context of its own; no error and no foreign request."""
    made = []

    def come(width=1440, height=900, where=address):
        context = webgl.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True
        )
        made.append((context, Guest(context, where)))
        return made[-1][1]

    yield come
    for context, guest in made:
        context.close()
        assert not guest.errors, guest.errors
        assert not guest.foreign, guest.foreign


@pytest.fixture
def guest(guests):
    return guests()


def differ(one, two, by=12.0):
    """Share of pixels that differ clearly."""
    return float((np.abs(one - two).max(axis=-1) > by).mean())


SLICE = {v: f"[data-view={v}]" for v in ("xy", "xz", "yz")}
SOLID = ".views3d"


def test_gallery_tells_of_every_study_and_opens_one(guest):
    guest.go()
    cards = guest.page.locator("a.card")
    guest.until("document.querySelectorAll('a.card img').length === 2")
    assert cards.count() == 2
    text = cards.first.inner_text()
    assert "A block" in text and "breast" in text and "420 µm \u00d7 450 µm \u00d7 160 µm" in text
    guest.until("[...document.images].every((i) => i.naturalWidth > 100)")
    cards.first.click()
    guest.until("document.documentElement.dataset.ready === 'full'")
    assert "study=a-block" in guest.page.url
    guest.page.go_back()
    guest.until("document.querySelectorAll('a.card').length === 2")


def test_a_link_to_a_study_that_is_not_there_shows_the_gallery_and_says_so(guest):
    guest.go()
    guest.page.goto(f"{guest.address}index.html#version=1&study=gone")
    guest.page.reload()
    guest.until("document.querySelector('[role=alert]')?.textContent.includes('gone')")


def test_a_gene_by_typing_changes_volume_and_slices(guest, study, tmp_path):
    guest.go(BLOCK)
    bare = {where: guest.pixels(where) for where in (SOLID, *SLICE.values())}
    guest.choose("KRT8")
    for where, before in bare.items():
        assert differ(before, guest.pixels(where)) > 0.03, where
    truth = Prediction.load(Study.open(study), cache=GeneCache(tmp_path)).gene("KRT8").values
    shown = np.array(guest.page.evaluate("[...viewer.study.gene.values]")).reshape(truth.shape)
    inside = np.isfinite(truth)
    assert np.abs(shown - truth)[inside].max() < 0.02 * np.ptp(truth[inside])
    assert guest.page.locator(".legend-trust").inner_text() == "fair · r 0.40"
    guest.page.keyboard.press("Escape")
    guest.page.keyboard.press("Escape")
    guest.page.keyboard.press("0")
    guest.until("document.documentElement.dataset.gene === ''")
    assert differ(bare[SLICE["xy"]], guest.pixels(SLICE["xy"])) < 0.01


@pytest.mark.parametrize("view", ["xy", "xz", "yz"])
def test_slices_have_the_colours_of_the_app(guest, study, view):
    """Of 400 places half within 5 levels of 255, and 95 % within 24: edges are filtered apart."""
    from vortex_viewer import drawing
    from vortex_viewer.scene.data import StudyData
    from vortex_viewer.scene.slices import AXES, Window
    from vortex_viewer.state import ViewState

    guest.go(f"{BLOCK}&gene=VIM")
    guest.until("document.documentElement.dataset.sharp === 'true'")
    guest.pixels(".stage")
    seen, width, height, stretch, cursor, window = guest.page.evaluate(
        """view => {
          const pane = viewer.panes.find((p) => p.view === view), { canvas } = pane;
          const box = pane.element.getBoundingClientRect();
          const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [Array.from(all.data), box.width, box.height, pane.stretch,
                  viewer.study.cursor, viewer.study.look.window];
        }""",
        view,
    )
    seen = np.array(seen, float).reshape(round(height), round(width), 4)[..., :3]
    data = StudyData(study, 4_000_000)
    prediction = data.newest_prediction()
    gene = data.gene(prediction, "VIM")
    state = ViewState(gene="VIM", prediction=prediction, window=tuple(window))
    _, down, across = AXES[view]
    (a0, a1), (d0, d1) = data.frame.bounds_um[across], data.frame.bounds_um[down]
    um = max((a1 - a0) / (width - 16), (d1 - d0) * stretch / (height - 16))
    picture = drawing.slice_picture(
        data, state, gene, view, tuple(cursor), Window((a0, a1), (d0, d1), 900)
    )
    rgba = picture.rgba.astype(float)
    app = rgba[..., :3] * rgba[..., 3:] / 255
    random = np.random.default_rng(0)
    apart = []
    for part_a, part_d in random.uniform(0.03, 0.97, (400, 2)):
        a, d = a0 + part_a * (a1 - a0), d0 + part_d * (d1 - d0)
        there = seen[
            int(height / 2 + (d - (d0 + d1) / 2) * stretch / um),
            int(width / 2 + (a - (a0 + a1) / 2) / um),
        ]
        (left, right), (top, bottom) = picture.across_um, picture.down_um
        row = int((d - top) / (bottom - top) * app.shape[0])
        column = int((a - left) / (right - left) * app.shape[1])
        apart.append(np.abs(there - app[row, column]).max())
    told = np.percentile(apart, [50, 95])
    assert (told <= [5, 24]).all(), told


def test_search_finds_by_part_of_a_name_and_says_when_there_is_none(guest):
    guest.go(BLOCK)
    search = guest.page.get_by_role("combobox", name="Search genes")
    search.fill("a2")
    guest.until("document.querySelectorAll('.gene-row').length === 1")
    assert guest.page.locator(".gene-row").inner_text().startswith("ACTA2")
    search.fill("nothing")
    guest.until("document.querySelector('.gene-count').textContent.startsWith('No gene')")


def test_the_crosshair_moves_all_three_slices(guest):
    guest.go(BLOCK + "&gene=ERBB2")
    before = {view: guest.pixels(where) for view, where in SLICE.items()}
    box = guest.page.locator(SLICE["xy"]).bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    guest.page.mouse.move(*middle)
    guest.page.mouse.down()
    guest.page.mouse.move(middle[0] - 60, middle[1] + 40, steps=4)
    guest.page.mouse.up()
    x, y, z = guest.until("viewer.store.state.cursor_um")
    assert x < 290 and y > 240 and z == pytest.approx(82, abs=4)
    for view in ("xz", "yz"):
        assert differ(before[view], guest.pixels(SLICE[view])) > 0.02
    value = guest.page.locator(f"{SLICE['xy']} .slice-value").inner_text()
    assert re.match(r"ERBB2 \S+ · nuclei \d+", value)


def test_the_wheel_goes_through_planes(guest):
    guest.go(BLOCK)
    box = guest.page.locator(SLICE["xy"]).bounding_box()
    guest.page.mouse.move(box["x"] + 50, box["y"] + 50)
    guest.page.mouse.wheel(0, 100)
    guest.page.mouse.wheel(0, 100)
    assert guest.until("viewer.store.state.cursor_um")[2] in (86, 90)


def test_a_click_on_the_volume_ranks_all_genes_there(guest, study, tmp_path):
    guest.go(BLOCK + "&gene=VIM")
    box = guest.page.locator(".view3d").first.bounding_box()
    guest.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    guest.until("document.querySelectorAll('.profile-row').length === 6")
    place = guest.page.evaluate("viewer.profile.point")
    table = Prediction.load(Study.open(study), cache=GeneCache(tmp_path)).profile([place])
    shown = dict(zip(GENES, guest.page.evaluate("[...viewer.profile.values]"), strict=True))
    for gene in GENES:
        assert shown[gene] == pytest.approx(table[gene].iloc[0], abs=0.05)
    guest.page.get_by_role("combobox", name="Order of the profile").select_option("value")
    first = guest.page.locator(".profile-row .profile-gene").first.inner_text()
    assert first == max(shown, key=shown.get)
    text = guest.page.locator(".profile-place").inner_text()
    assert "measured section S1" in text and "nuclei" in text
    other = guest.page.locator(".profile-row", has_not_text="VIM").first
    name = other.locator(".profile-gene").inner_text()
    other.click()
    guest.until(f"document.documentElement.dataset.gene === '{name}/0'")


def test_a_link_opens_the_same_picture_elsewhere(guests):
    one = guests()
    one.go(BLOCK + "&gene=EPCAM")
    one.page.get_by_role("radio", name="viridis").click()
    one.page.keyboard.press("3")
    box = one.page.locator(".view3d").first.bounding_box()
    one.page.mouse.move(box["x"] + 200, box["y"] + 300)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + 300, box["y"] + 250, steps=3)
    one.page.mouse.up()
    one.page.mouse.click(*centre(one, SLICE["xz"]))
    one.page.keyboard.press("Escape")
    one.page.mouse.move(3, 3)  # no hover and no focus ring in the picture
    one.page.evaluate("document.activeElement.blur()")
    one.until(
        "JSON.stringify(viewer.store.state.camera) === "
        "JSON.stringify(viewer.views3d[0].cameraState())"
    )
    one.page.evaluate("viewer.store.flush()")
    two = guests()
    two.go(one.page.evaluate("location.hash"))
    for name in ("gene", "palette"):
        assert one.state(name) == two.state(name) is not None
    for name in ("camera", "cursor_um"):
        flat = f"Object.values(viewer.store.state.{name}).flat()"
        assert one.page.evaluate(flat) == pytest.approx(two.page.evaluate(flat), rel=1e-4, abs=1e-5)
    for where in (SOLID, *SLICE.values()):
        assert differ(one.pixels(where), two.pixels(where)) < 0.01, where


def centre(guest, where):
    box = guest.page.locator(where).bounding_box()
    return box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.55


def test_a_damaged_link_shows_what_it_can(guest):
    guest.go(BLOCK + "&gene=VIM&window=9,1&camera=nonsense&opacity=7&palette=neon")
    assert guest.state("window") is None and guest.state("opacity") == 1
    assert guest.page.locator(".legend-gene").inner_text() == "VIM"


def test_the_colour_bar_sets_the_range_by_drag_and_by_typing(guest):
    guest.go(BLOCK + "&gene=ERBB2")
    before = guest.pixels(SLICE["xy"])
    box = guest.page.get_by_role("slider", name="High end of the colour range").bounding_box()
    guest.page.mouse.move(box["x"] + 4, box["y"] + 8)
    guest.page.mouse.down()
    guest.page.mouse.move(box["x"] - 70, box["y"] + 8, steps=4)
    guest.page.mouse.up()
    assert guest.until("viewer.store.state.window")[1] < guest.page.evaluate(
        "viewer.study.gene.end"
    )
    assert differ(before, guest.pixels(SLICE["xy"])) > 0.05
    field = guest.page.get_by_role("textbox", name="low end of the colour range")
    field.fill("-1.5")
    field.press("Enter")
    guest.until("viewer.store.state.window[0] === -1.5")
    field.fill("999")  # above the high end: refused
    field.press("Enter")
    assert guest.state("window")[0] == -1.5 and field.input_value() == "-1.5"
    guest.page.get_by_role("button", name="auto").click()
    guest.until("viewer.store.state.window === null")


def test_cropping_takes_away_what_is_outside(guest):
    guest.go(BLOCK)
    whole = guest.pixels(SOLID)
    slider = guest.page.get_by_role("slider", name="Upper end of x")
    slider.focus()
    for _ in range(12):
        slider.press("PageDown")
    box = guest.until("viewer.store.state.crop_um")
    assert box[0][1] < 520 and box[0][0] == 100
    assert differ(whole, guest.pixels(SOLID)) > 0.03
    guest.page.get_by_role("button", name="all", exact=True).click()
    guest.until("viewer.store.state.crop_um === null")
    assert differ(whole, guest.pixels(SOLID)) < 0.01


def test_labels_stand_beside_with_a_linked_camera_and_classes_can_be_hidden(guest):
    guest.go(BLOCK + "&gene=VIM")
    guest.page.keyboard.press("l")
    guest.until("document.querySelector('.labels-view').dataset.shown === 'classes/'")
    rows = guest.page.locator(".class-row")
    assert rows.count() == 2 and "gland" in rows.first.inner_text()
    before = guest.pixels(".labels-view")
    rows.first.click()
    guest.until("document.querySelector('.labels-view').dataset.shown === 'classes/1'")
    assert differ(before, guest.pixels(".labels-view")) > 0.01
    guest.page.keyboard.press("2")
    one, two = guest.page.evaluate("viewer.views3d.map((v) => v.cameraState())")
    assert one["back"] == pytest.approx([0, -1, 0], abs=1e-6)
    assert two["back"] == pytest.approx(one["back"], abs=1e-6)


def test_keys_do_what_the_help_says(guest):
    guest.go(BLOCK + "&gene=VIM")
    guest.page.keyboard.press("?")
    assert guest.page.locator("dialog.help").is_visible()
    assert guest.page.locator("dialog.help dt").count() >= 18
    guest.page.keyboard.press("Escape")
    assert not guest.page.locator("dialog.help").is_visible()
    guest.page.keyboard.press(".")
    assert guest.until("viewer.store.state.cursor_um")[2] > 82
    guest.page.keyboard.press("1")
    assert guest.page.evaluate("viewer.views3d[0].cameraState().back")[2] == pytest.approx(-1)
    guest.page.keyboard.press("f")
    assert guest.state("pane") == "xy"
    assert guest.page.locator("[data-view=xy].hero").count() == 1
    guest.page.keyboard.press("f")
    guest.page.keyboard.press("r")
    assert guest.state("pane") == "3d" and guest.state("cursor_um") is None
    guest.page.keyboard.press("]")
    guest.until("viewer.store.state.gene !== 'VIM'")
    guest.page.keyboard.press("/")
    assert guest.page.evaluate("document.activeElement.id") == "gene-search"


def test_it_turns_by_itself_until_it_is_touched(guest):
    guest.go(BLOCK)
    guest.page.keyboard.press("a")
    first = guest.page.evaluate("viewer.views3d[0].cameraState().back")
    guest.until(f"Math.abs(viewer.views3d[0].cameraState().back[0] - ({first[0]})) > 0.02")
    guest.page.mouse.click(*centre(guest, SOLID))
    assert not guest.page.evaluate("viewer.cameras.rotating")


def test_a_picture_is_saved_with_its_caption(guest):
    guest.go(BLOCK + "&gene=ERBB2")
    with guest.page.expect_download() as waiting:
        guest.page.get_by_role("button", name="Save a picture (s)").click()
    download = waiting.value
    assert download.suggested_filename == "a-block-ERBB2.png"
    picture = np.asarray(Image.open(Path(download.path())).convert("RGB"), dtype=float)
    stage = guest.page.locator(".stage").bounding_box()
    assert picture.shape[:2] == (round(stage["height"]) + 64, round(stage["width"]))
    volume = picture[200:600, 200:600]
    assert np.ptp(volume, axis=-1).max() > 60  # expression's colours are in it
    assert picture[-60:].max() > 200  # and words beneath


def test_stained_sections_keep_their_colours(guest):
    guest.go("#version=1&study=he")
    tissue = guest.pixels(SLICE["xy"])
    height, width = tissue.shape[:2]
    colour = np.median(
        tissue[height // 2 - 20 : height // 2 - 8, width // 2 + 12 : width // 2 + 24], axis=(0, 1)
    )
    assert np.abs(colour - [150, 80, 160]).max() < 14
    solid = guest.pixels(SOLID)
    purple = (np.abs(solid - [150, 80, 160]).max(axis=-1) < 24).mean()
    assert purple > 0.05  # planes in 3D are not shaded grey
    assert guest.page.locator(".genes").count() == 0
    assert "morphology only" in guest.page.locator(".sidebar").inner_text()


def test_small_screens_and_names_for_screen_readers(guests):
    guest = guests(1024, 768)
    guest.go(BLOCK + "&gene=VIM")
    assert guest.page.evaluate("document.documentElement.scrollWidth <= 1024")
    nameless = guest.page.evaluate(
        """[...document.querySelectorAll('button, input, select, a')]
        .filter((e) => e.checkVisibility() && !(e.getAttribute('aria-label') || e.title
          || e.textContent.trim() || e.labels?.length))
        .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    legend = guest.page.locator(".legend").bounding_box()
    hero = guest.page.locator(".hero").bounding_box()
    assert legend["x"] + legend["width"] <= hero["x"] + hero["width"]


def test_the_first_picture_waits_for_no_gene_and_nothing_finer(guest):
    asked = []
    guest.page.on("request", lambda request: asked.append((request.url, time.time())))
    guest.page.add_init_script(
        """new MutationObserver((_, watch) => {
          if (!document.documentElement?.dataset.ready) return;
          window.stood ??= performance.timeOrigin + performance.now();
        }).observe(document, {attributes: true, subtree: true, attributeFilter: ["data-ready"]});"""
    )
    guest.go(BLOCK)
    guest.until("document.documentElement.dataset.level === '0'")
    stood = guest.page.evaluate("window.stood") / 1000
    data = [(url.split("/studies/a-block/")[1], at) for url, at in asked if "/studies/" in url]
    before = [name for name, at in data if at < stood]
    after = [name for name, at in data if at >= stood]
    coarsest = guest.page.evaluate("viewer.study.image.levels.length - 1")
    assert any(f"morphology.ome.zarr/{coarsest}/c" in name for name in before)
    assert not [n for n in before if "/factors" in n or "morphology.ome.zarr/0/" in n], before
    assert [n for n in after if "/factors0/c" in n], after


def test_hosts_with_ranges_send_parts_of_files(guests, site):
    with hosted(site) as where:
        guest = guests(where=f"{where}/")
        guest.go(BLOCK + "&gene=VIM")
        assert guest.statuses.count(206) > 5
        assert differ(guest.pixels(SLICE["xy"]), guest.pixels(SOLID)[:1, :1] * 0) > 0.1


def test_the_chunks_layout_needs_no_ranges(guests, study, tmp_path):
    folder = export_site([study], tmp_path / "chunks", layout="chunks")
    with hosted(folder, Plain) as where:
        guest = guests(where=f"{where}/")
        guest.go(BLOCK + "&gene=VIM")
        assert 404 not in guest.statuses and 206 not in guest.statuses
        assert differ(guest.pixels(SOLID), guest.pixels(SOLID) * 0, 40) > 0.1
