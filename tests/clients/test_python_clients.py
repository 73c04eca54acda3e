"""ome-zarr-models, ome-zarr-py and AnnData, without a line of ours, open what leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
from cubes import CORNERS, GRID
from environments import ask, python_with

from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_viewer.export.sections import export_sections
from vortex_viewer.export.volume import export_volume

VALIDATE = """
import json, sys, zarr
from ome_zarr_models import open_ome_zarr
found = {}
for path in sys.argv[1:]:
    model = open_ome_zarr(zarr.open_group(path, mode="r"))
    found[path] = {"kind": type(model).__name__, "version": str(model.ome_zarr_version)}
    if found[path]["kind"] == "Labels":
        continue
    scale = model.ome_attributes.multiscales[0]
    found[path] |= {
        "axes": [[a.name, a.unit] for a in scale.axes],
        "scale": list(scale.datasets[0].coordinateTransformations[0].scale),
        "levels": len(scale.datasets),
    }
print(json.dumps(found))
"""
READ = """
import json, sys
import numpy as np
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
found = []
for node in Reader(parse_url(sys.argv[1]))():
    if not node.data:
        continue
    level = node.data[0]
    places = json.loads(sys.argv[2])
    found.append({
        "shape": list(level.shape),
        "levels": len(node.data),
        "names": list(map(str, node.metadata.get("channel_names", node.metadata.get("name")))),
        "scale": node.metadata["coordinateTransformations"][0][0]["scale"],
        "values": [int(level[0, z, y, x].compute()) for z, y, x in places],
    })
print(json.dumps(found))
"""
OPEN = """
import json, sys
import anndata, numpy as np
data = anndata.read_h5ad(sys.argv[1])
print(json.dumps({
    "genes": list(data.var_names), "spots": data.n_obs,
    "counts": float(data.X.sum()), "layers": sorted(data.layers),
    "predicted": np.nan_to_num(np.asarray(data.layers["predicted"]), nan=-99.0).tolist(),
    "spatial": data.obsm["spatial"].tolist(), "units": str(data.uns["vortex"]["spatial_units"]),
}))
"""


def groups(folder: Path) -> list[Path]:
    """Every group under a folder that says it is OME-Zarr."""
    records = sorted(folder.rglob("zarr.json"))
    return [p.parent for p in records if "ome" in json.loads(p.read_text()).get("attributes", {})]


def test_ome_zarr_models_validates_all_of_an_export_and_of_a_study(
    study: Path, site: Path, tmp_path: Path
) -> None:
    python = python_with("ome-zarr-models==1.7")
    gene = export_volume(study, "VIM", tmp_path / "VIM.ome.zarr")
    inside = site / "studies" / "cubes" / "morphology.ome.zarr"
    images = [*groups(site), *groups(study), *groups(gene)]
    assert {inside, inside / "labels" / "halves", gene, study / "morphology"} < set(images)
    found = ask(python, VALIDATE, *images)
    for path in images:
        one = found[str(path)]
        assert one["version"] == "0.5"
        if one["kind"] == "Labels":
            continue
        assert one["kind"] == ("ImageLabel" if "labels" in path.parts else "Image"), path
        assert one["axes"] == [["c", None], *([a, "micrometer"] for a in "zyx")]
        if path != gene:
            assert one["scale"] == [1.0, *GRID.spacing_um]
    assert found[str(inside)]["levels"] >= 2


def test_ome_zarr_py_reads_the_export(site: Path) -> None:
    python = python_with("ome-zarr==0.18.0")
    place = site / "studies" / "cubes" / "morphology.ome.zarr"
    found = ask(python, READ, place, json.dumps(list(CORNERS)))
    image = found[0]
    assert image["shape"] == [2, *GRID.shape] and image["levels"] >= 2
    assert image["names"] == ["nuclei", "ramp"]
    assert image["scale"] == [1.0, *GRID.spacing_um]
    (coding, _) = json.loads((place / "zarr.json").read_text())["attributes"]["vortex"][
        "value_of_code"
    ]
    values = [coding["offset"] + coding["step"] * v for v in image["values"]]
    assert np.allclose(values, list(CORNERS.values()), atol=coding["step"])


def test_anndata_opens_the_sections(study: Path, tmp_path: Path) -> None:
    python = python_with("anndata==0.12.19")
    (section,) = export_sections(study, tmp_path / "out")
    found = ask(python, OPEN, section)
    source = Study.open(study).section("S1")
    points = np.asarray(source.obsm["spatial"])
    expected = Prediction.load(Study.open(study)).profile(points)[found["genes"]].to_numpy()
    assert found["layers"] == ["normalised", "predicted"] and found["units"] == "micrometer"
    assert found["counts"] == source.X.sum()
    assert np.allclose(found["spatial"], points)
    assert np.allclose(found["predicted"], np.nan_to_num(expected, nan=-99.0), atol=1e-5)
    assert np.isfinite(expected).any()


def test_a_group_that_is_broken_is_found_out(site: Path, tmp_path: Path) -> None:
    """The validator would notice: it is asked of a copy without units and without a level."""
    python = python_with("ome-zarr-models==1.7")
    source = site / "studies" / "cubes" / "morphology.ome.zarr" / "zarr.json"
    record = json.loads(source.read_text())
    record["attributes"]["ome"]["multiscales"][0]["axes"].reverse()
    broken = tmp_path / "broken.ome.zarr"
    broken.mkdir()
    (broken / "zarr.json").write_text(json.dumps(record))
    with pytest.raises(AssertionError, match="Error"):
        ask(python, VALIDATE, broken)
