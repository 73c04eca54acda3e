"""Vol-E's core, built by Vite from npm, loads what leaves: names, micrometres, values in place."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cubes import CORNERS, GRID, voxels
from environments import node_project

from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_viewer.export.volume import export_volume

PACKAGES = {"@aics/vole-core": "4.9.0", "vite": "7.1.9"}
PAGE = '<!doctype html><title>Vol-E</title><script type="module" src="./main.js"></script>'
MAIN = """
import { LoadSpec, OMEZarrLoader } from "@aics/vole-core";
window.load = async (url, places) => {
  const loader = await OMEZarrLoader.createLoader(url);
  const arrived = new Set();
  const spec = new LoadSpec();
  spec.multiscaleLevel = 0;
  const volume = await loader.createVolume(spec, (_, channel) => arrived.add(channel));
  await loader.loadVolumeData(volume, spec);
  const info = volume.imageInfo;
  while (arrived.size < info.numChannels) await new Promise((done) => setTimeout(done, 50));
  return {
    names: info.channelNames,
    unit: info.spatialUnit,
    spacing: info.physicalPixelSize.toArray(),
    size: info.originalSize.toArray(),
    levels: info.numMultiscaleLevels,
    level: info.multiscaleLevel,
    values: places.map(([z, y, x]) =>
      info.channelNames.map((_, c) => volume.getChannel(c).getIntensity(x, y, z))),
  };
};
window.ready = true;
"""


@pytest.fixture(scope="module")
def client() -> Path:
    """Vol-E's core in a page of its own, built."""
    place = node_project("vole-client", PACKAGES)
    (place / "index.html").write_text(PAGE)
    (place / "main.js").write_text(MAIN)
    (place / "vite.config.js").write_text(
        'export default { base: "./", worker: { format: "es" } };'
    )
    made = subprocess.run(
        ["npx", "--no-install", "vite", "build"],
        cwd=place, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return place / "dist"


@pytest.fixture
def load(
    client: Path, host: Callable[[Path], str], chromium: object
) -> Callable[..., dict[str, object]]:
    """What Vol-E says of an image at an address, with the values at some voxels."""

    def ask(address: str, places: list[tuple[int, int, int]]) -> dict[str, object]:
        page = chromium.new_page()
        try:
            page.goto(f"{host(client)}/index.html")
            page.wait_for_function("window.ready", timeout=30_000)
            return page.evaluate("([url, places]) => load(url, places)", [address, places])
        finally:
            page.close()

    return ask


def test_vole_loads_the_export_with_names_and_micrometres(
    load: Callable[..., dict[str, object]], site: Path, host: Callable[[Path], str]
) -> None:
    place = site / "studies" / "cubes" / "morphology.ome.zarr"
    address = f"{host(site)}/{place.relative_to(site)}"
    found = load(address, list(CORNERS))
    assert found["names"] == ["nuclei", "ramp"]
    assert found["unit"] in ("µm", "μm", "micrometer")
    assert found["spacing"] == list(reversed(GRID.spacing_um))
    assert found["size"] == list(reversed(GRID.shape)) and found["levels"] >= 2
    record = json.loads((place / "zarr.json").read_text())
    codings = record["attributes"]["vortex"]["value_of_code"]
    truth = voxels()
    for corner, codes in zip(CORNERS, found["values"], strict=True):
        for channel, (code, coding) in enumerate(zip(codes, codings, strict=True)):
            value = coding["offset"] + coding["step"] * code
            assert value == pytest.approx(truth[(channel, *corner)], abs=coding["step"])


def test_vole_loads_a_genes_volume(
    load: Callable[..., dict[str, object]], study: Path, tmp_path: Path, host: Callable[[Path], str]
) -> None:
    export_volume(study, "VIM", tmp_path / "VIM.ome.zarr")
    gene = Prediction.load(Study.open(study)).gene("VIM")
    inside = np.argwhere(np.isfinite(gene.values))[::200]
    found = load(f"{host(tmp_path)}/VIM.ome.zarr", inside.tolist())
    assert found["names"] == ["VIM"]
    values = [v[0] for v in found["values"]]
    assert np.allclose(values, [gene.values[tuple(i)] for i in inside], rtol=1e-5)
