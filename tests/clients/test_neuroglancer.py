"""Neuroglancer, with its own bundled client in Chromium, shows the right voxels at known places."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
from cubes import CORNERS, GRID, voxels
from environments import python_with

from vortex_model.prediction import Prediction
from vortex_model.study import Study

PLACEHOLDER = "https://HOST/PATH"
SHOW = """
import json, sys
import neuroglancer
neuroglancer.set_server_bind_address("127.0.0.1")
viewer = neuroglancer.Viewer()
viewer.set_state(json.loads(sys.stdin.readline()))
print(viewer.get_viewer_url(), flush=True)
sys.stdin.read()
"""
VALUES = """async ([layer, place]) => {
  const position = viewer.navigationState.position;
  const wanted = Float32Array.from(place);
  let last = null, same = 0;
  for (let i = 0; i < 400; i++) {
    await new Promise((done) => setTimeout(done, 50));
    if (position.value?.join() !== wanted.join()) {
      position.value = wanted; // the state from the server may come later
      same = 0;
      continue;
    }
    if (!viewer.isReady()) continue;
    const one = viewer.layerManager.managedLayers.find((l) => l.name === layer);
    if (!one?.isReady() || !one.layer) continue;
    const told = [...one.layer.dataSources.flatMap((d) => [...d.messages])].map((m) => m.message);
    if (told.length) return told.join();
    const value = one.layer.getValueAt(position.value, {});
    if (value === null || value === undefined) continue;
    const now = Number(value.value ?? value);
    same = now === last ? same + 1 : 0;
    if (same === 16) return now; // coarser levels come first
    last = now;
  }
  return null;
}"""


@contextmanager
def shown(state: dict[str, object], chromium: object) -> Iterator[object]:
    """A page of Neuroglancer in this state."""
    python = python_with("neuroglancer==2.41.2")
    server = subprocess.Popen(
        [python, "-I", "-W", "ignore", "-c", SHOW],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    page = chromium.new_page(viewport={"width": 1000, "height": 700})
    try:
        server.stdin.write(json.dumps(state) + "\n")
        server.stdin.flush()
        page.goto(server.stdout.readline().strip())
        page.wait_for_function("window.viewer?.layerManager.managedLayers.length", timeout=60_000)
        yield page
    finally:
        page.close()
        server.stdin.close()
        server.stdout.close()
        server.wait(20)


def place(z: int, y: int, x: int) -> list[float]:
    """The middle of a voxel as Neuroglancer counts: x, y, z in voxels from the frame's origin."""
    index = zip((z, y, x), GRID.origin_um, GRID.spacing_um, strict=True)
    return [origin / spacing + i for i, origin, spacing in index][::-1]


def state_of(link: str) -> dict[str, object]:
    return json.loads(unquote(link.split("#!")[1]))


@pytest.fixture(scope="module")
def state(site: Path, host: Callable[[Path], str]) -> dict[str, object]:
    """What the export's own link says, its placeholder replaced as LINKS.md tells."""
    address, text = host(site), (site / "LINKS.md").read_text()
    text = text.replace(PLACEHOLDER, address)
    text = text.replace(quote(PLACEHOLDER, safe=""), quote(address, safe=""))
    return state_of(re.search(r"\[Neuroglancer\]\((\S+)\)", text)[1])


def test_the_exports_link_shows_every_channel_where_it_is(
    state: dict[str, object], site: Path, chromium: object
) -> None:
    record = json.loads((site / "studies/cubes/morphology.ome.zarr/zarr.json").read_text())
    codings = record["attributes"]["vortex"]["value_of_code"]
    assert [layer["name"] for layer in state["layers"]] == ["nuclei", "ramp", "halves"]
    assert np.allclose(
        state["position"],
        [
            (low + high) / 2 / s
            for (low, high), s in zip(GRID.bounds_um, GRID.spacing_um, strict=True)
        ][::-1],
    )
    truth = voxels()
    state["layers"][2]["visible"] = True
    with shown(state, chromium) as page:
        for corner in CORNERS:
            for channel, name in enumerate(("nuclei", "ramp")):
                code = page.evaluate(VALUES, [name, place(*corner)])
                coding = codings[channel]
                value = coding["offset"] + coding["step"] * code
                assert value == pytest.approx(truth[(channel, *corner)], abs=coding["step"])
            labelled = 3 if corner[1] < 50 and corner[2] < 60 else 0
            assert page.evaluate(VALUES, ["halves", place(*corner)]) == labelled


LIVE = """
import sys
from pathlib import Path
from vortex_viewer.server import serve
serve([Path(sys.argv[1])], port=0, secret="a-secret-for-tests", data_origins=("*",))
"""


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *words: object) -> None:
        return None


def test_a_running_servers_link_shows_a_gene_where_it_is(
    study: Path, chromium: object, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen([sys.executable, "-c", LIVE, study], stdout=out, stderr=out)
    try:
        until = time.monotonic() + 90
        while "OME-Zarr: " not in log.read_text():
            assert time.monotonic() < until and server.poll() is None, log.read_text()
            time.sleep(0.2)
        root = log.read_text().split("OME-Zarr: ")[1].split()[0]
        with pytest.raises(urllib.error.HTTPError) as redirect:
            urllib.request.build_opener(Stay).open(
                f"{root}open/neuroglancer/cubes/newest/VIM", timeout=60
            )
        with redirect.value as answer:
            state = state_of(answer.headers["Location"])
        gene = Prediction.load(Study.open(study)).gene("VIM")
        inside = np.argwhere(np.isfinite(gene.values))
        with shown(state, chromium) as page:
            for index in inside[:: len(inside) // 4]:
                point = [float(gene[a][i]) for a, i in zip("zyx", index, strict=True)]
                unit = [s * 1e6 for s, _ in state["dimensions"].values()][::-1]
                at = [p / u for p, u in zip(point, unit, strict=True)][::-1]
                found = page.evaluate(VALUES, ["VIM", at])
                assert found == pytest.approx(float(gene.values[tuple(index)]), rel=1e-4)
    finally:
        server.terminate()
        server.wait(20)
