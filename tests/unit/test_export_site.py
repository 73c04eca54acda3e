"""A study leaves as a folder: valid OME-Zarr, any gene within its stated error, nothing else."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr
from export_study import GENES, RANK, fluorescence, make_stack, make_study
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.prediction import GeneCache, Prediction
from vortex_model.study import Study, StudyInfo
from vortex_viewer.built import viewer_folder
from vortex_viewer.export import export_site, plan_site
from vortex_viewer.export.lowrank import COARSE_TOKENS, dequantise, quantise
from vortex_viewer.export.pyramid import Coding, block_mode

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study") / "block.zarr")


@pytest.fixture(scope="module")
def site(study, tmp_path_factory):
    return export_site([study], tmp_path_factory.mktemp("site") / "site")


def record_of(site: Path) -> dict:
    return json.loads((site / "studies/a-block/study.json").read_text())


def decoded(site: Path, gene: str, folder="a-block", level=0):
    """A gene as the browser computes it, and the error that quantisation may have."""
    place = site / "studies" / folder
    group = zarr.open_group(place / "prediction.zarr", mode="r")
    own = group.attrs["vortex"]["levels"][level]
    table = json.loads((place / "genes.json").read_text())
    number = table["name"].index(gene)
    codes, scale = group[own["path"]], np.asarray(group[own["scale"]][:])
    factors = dequantise(np.asarray(codes[:]), scale, codes.chunks[1:])
    weights = np.asarray(group["loadings"][number])
    values = table["mean"][number] + np.tensordot(weights, factors, axes=1)
    steps = scale[..., 1]  # the largest step over the chunks bounds all
    bound = float((np.abs(weights) * steps.max(axis=(0, 1, 2))).sum() / 2)
    return values, np.asarray(group[own["mask"]][:]).astype(bool), bound


# -- what is decoded ------------------------------------------------------------------------


@pytest.mark.parametrize("gene", GENES)
def test_every_gene_is_decoded_within_the_stated_error(site, study, gene, tmp_path):
    values, mask, bound = decoded(site, gene)
    truth = Prediction.load(Study.open(study), cache=GeneCache(tmp_path)).gene(gene).values
    assert np.array_equal(mask, np.isfinite(truth))
    error = np.abs(values - truth)[mask].max()
    assert error <= bound * 1.001 + 1e-4
    assert bound < 0.05 * np.ptp(truth[mask])  # an error that can be seen would be no use


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 40)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
def test_quantising_errs_by_half_a_step_at_most(values):
    offset, step, codes = quantise(values)
    back = offset[:, None] + step[:, None] * codes
    assert np.all(np.abs(back - values) <= step[:, None] * 0.5 + 1e-5 * np.abs(values).max() + 1e-6)


def test_few_genes_are_stored_as_they_are_and_no_other_gene_leaves(study, tmp_path):
    site = export_site([study], tmp_path / "few", genes=["krt8", "VIM"])
    values, mask, bound = decoded(site, "KRT8")
    truth = Prediction.load(Study.open(study), cache=GeneCache(tmp_path)).gene("KRT8").values
    assert np.abs(values - truth)[mask].max() <= bound * 1.001 + 1e-3
    group = zarr.open_group(site / "studies/a-block/prediction.zarr", mode="r")
    assert group["factors0"].shape[0] == 2 < RANK
    assert b"ERBB2" not in b"".join(p.read_bytes() for p in site.rglob("*.json"))


def test_an_unknown_gene_is_told(study, tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean KRT8"):
        export_site([study], tmp_path / "x", genes=["KRT88"])
    assert not (tmp_path / "x").exists()


def test_a_large_lattice_has_a_coarse_level_that_agrees(site, study, tmp_path):
    levels = record_of(site)["prediction"]["levels"]
    assert len(levels) == 2 and np.prod(levels[1]["shape"]) <= COARSE_TOKENS
    fine, inside, _ = decoded(site, "ERBB2")
    coarse, within, _ = decoded(site, "ERBB2", level=1)
    assert abs(fine[inside].mean() - coarse[within].mean()) < 0.1 * fine[inside].std()


def test_the_table_holds_reliability_and_ranges(site, study, tmp_path):
    table = json.loads((site / "studies/a-block/genes.json").read_text())
    assert table["name"] == GENES
    assert table["reliability"][0] == pytest.approx(0.9) and table["reliability"][3] is None
    truth = Prediction.load(Study.open(study), cache=GeneCache(tmp_path)).gene("VIM").values
    low, high = np.nanpercentile(truth, [2, 98])
    assert table["start"][1] == pytest.approx(low, abs=0.02)
    assert table["end"][1] == pytest.approx(high, abs=0.02)


# -- images ---------------------------------------------------------------------------------


def test_ome_zarr_models_validates_every_image(site):
    from ome_zarr_models.v05 import Image, ImageLabel

    image = Image.from_zarr(zarr.open_group(site / "studies/a-block/morphology.ome.zarr", mode="r"))
    scale = image.ome_attributes.multiscales[0]
    assert [a.name for a in scale.axes] == ["c", "z", "y", "x"]
    assert {a.unit for a in scale.axes if a.type == "space"} == {"micrometer"}
    omero = image.ome_attributes.omero
    assert [c["label"] for c in omero["channels"]] == ["nuclei", "cytoplasm"]
    windows = [c["window"] for c in omero["channels"]]
    assert all(w["min"] <= w["start"] < w["end"] <= w["max"] for w in windows)
    label = ImageLabel.from_zarr(
        zarr.open_group(site / "studies/a-block/morphology.ome.zarr/labels/classes", mode="r")
    )
    assert {c.label_value for c in label.ome_attributes.image_label.colors} == {1, 5}


def test_voxels_keep_their_values_within_a_code(site):
    group = zarr.open_group(site / "studies/a-block/morphology.ome.zarr", mode="r")
    truth = fluorescence().astype(np.float64)
    for c, own in enumerate(group.attrs["vortex"]["value_of_code"]):
        values = own["offset"] + own["step"] * np.asarray(group["0"][c], dtype=np.float64)
        error = np.abs(values - truth[c])
        assert np.quantile(error, 0.999) <= own["step"] * 0.51
        assert own["step"] < np.ptp(truth[c]) / 200


def test_the_first_picture_is_small(site):
    levels = record_of(site)["levels"]
    assert max(levels[-1]["shape"]) <= 64
    coarsest = site / "studies/a-block/morphology.ome.zarr" / str(len(levels) - 1)
    assert sum(p.stat().st_size for p in coarsest.rglob("*") if p.is_file()) < 1_000_000


def test_coarse_labels_are_classes_never_means(site):
    record = record_of(site)["labels"][0]
    assert [(c["number"], c["name"]) for c in record["classes"]] == [(1, "gland"), (5, "class 5")]
    place = site / "studies/a-block/morphology.ome.zarr/labels/classes"
    for number in range(len(record["levels"])):
        level = zarr.open_group(place, mode="r")[str(number)]
        assert set(np.unique(np.asarray(level[:]))) <= {0, 1, 5}


def test_the_mode_of_a_block_is_its_most_frequent_class():
    block = np.array([[[7, 7, 0], [3, 7, 0], [9, 9, 1]]], np.uint8)
    assert block_mode(block, [1, 2, 2]).tolist() == [[[7, 0], [9, 1]]]


@given(st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_codes_are_clipped_not_wrapped(offset, step):
    coding = Coding(offset, step)
    far = np.array([offset - 10 * step, offset + 300 * step, np.nan], np.float32)
    assert coding.encode(far).tolist() == [0, 255, 0]


def test_stained_sections_stay_in_colour_and_in_planes(tmp_path):
    rgb = make_stack(tmp_path / "he.zarr")
    site = export_site([tmp_path / "he.zarr"], tmp_path / "site")
    record = json.loads((site / "studies/he/study.json").read_text())
    assert record["rgb"] and record["stack"] and "prediction" not in record
    group = zarr.open_group(site / "studies/he/morphology.ome.zarr", mode="r")
    assert np.array_equal(np.asarray(group["0"][:]), rgb)
    assert group["0"].chunks[1] == 1
    assert {level["shape"][0] for level in record["levels"]} == {3}


# -- layout, size, safety -------------------------------------------------------------------


def test_chunks_layout_has_a_file_for_every_chunk_and_the_same_voxels(site, study, tmp_path):
    other = export_site([study], tmp_path / "chunks", layout="chunks")
    for where in ("morphology.ome.zarr/0", "prediction.zarr/factors0"):
        one = zarr.open_array(site / "studies/a-block" / where, mode="r")
        two = zarr.open_array(other / "studies/a-block" / where, mode="r")
        assert np.array_equal(one[:], two[:])
        assert one.shards is not None and two.shards is None
        files = [p for p in (other / "studies/a-block" / where / "c").rglob("*") if p.is_file()]
        assert len(files) == int(
            np.prod([-(-n // c) for n, c in zip(two.shape, two.chunks, strict=True)])
        )


def test_the_size_is_foretold(site, study):
    report = plan_site([study])
    copied = [
        p for p in viewer_folder().rglob("*") if (site / p.relative_to(viewer_folder())).is_file()
    ]
    viewer = sum(p.stat().st_size for p in copied)
    actual = sum(p.stat().st_size for p in site.rglob("*") if p.is_file()) - viewer
    assert 0.5 * actual < report.size < 2.0 * actual
    assert "morphology, level 0" in str(report) and "factors and loadings of 6 genes" in str(report)


def test_too_large_is_refused_with_what_to_leave_out(study, tmp_path):
    with pytest.raises(VortexError, match=r"leave_out=1 saves .*genes"):
        export_site([study], tmp_path / "s", max_size=200_000)
    assert list(tmp_path.iterdir()) == []


def test_leaving_out_the_finest_level_saves_it(study, site, tmp_path):
    less = export_site([study], tmp_path / "s", leave_out=1)
    assert record_of(less)["levels"] == record_of(site)["levels"][1:]
    assert plan_site([study], leave_out=1).size < 0.6 * plan_site([study]).size


def test_the_page_lets_nothing_foreign_in(site):
    page = (site / "index.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'"
    assert rules["script-src"] == "'self'" and rules["style-src"] == "'self'"
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|style=", page)
    for name in re.findall(r'(?:src|href|data-worker)="([^"]+)"', page):
        if name.startswith("data:") or name == "site.json":  # the site's own list, asked for early
            continue
        stem = re.fullmatch(r"assets/\w+-([0-9a-f]{10})\.\w+", name)
        digest = hashlib.sha256((site / name).read_bytes()).hexdigest()
        assert stem and digest.startswith(stem.group(1)), f"{name} is not named by its content"


def test_licences_lie_beside_the_bundle(site):
    text = (site / "THIRD-PARTY-LICENCES.txt").read_text()
    assert "@kitware/vtk.js" in text and "zarrita" in text and "Permission is hereby" in text


def test_links_for_other_programs(site):
    text = (site / "LINKS.md").read_text()
    assert "neuroglancer-demo.appspot.com/#!" in text and "vole.allencell.org" in text
    assert "studies/a-block/morphology.ome.zarr/labels/classes" in text


def test_nothing_appears_when_it_fails(study, tmp_path, monkeypatch):
    from vortex_viewer.export import site as module

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(module, "write_lowrank", fail)
    with pytest.raises(OSError, match="disk full"):
        export_site([study], tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


def test_only_an_export_is_replaced(study, site, tmp_path):
    again = tmp_path / "site"
    shutil.copytree(site, again)
    with pytest.raises(VortexError, match="--overwrite"):
        export_site([study], again)
    export_site([study], again, genes=["VIM"], overwrite=True)
    assert record_of(again)["prediction"]["count"] == 1
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").touch()
    with pytest.raises(VortexError, match="no export of vortex-viewer"):
        export_site([study], other, overwrite=True)
    assert (other / "cat.jpg").exists()


def test_studies_of_one_name_get_folders_of_their_own(study, tmp_path):
    site = export_site([study, study], tmp_path / "two")
    entries = json.loads((site / "site.json").read_text())["studies"]
    assert [e["id"] for e in entries] == ["a-block", "a-block-2"]
    assert all((site / "studies" / e["id"] / "picture.jpg").stat().st_size > 500 for e in entries)


def test_a_study_without_anything_to_show_is_told(tmp_path):
    with Study.create(tmp_path / "n.zarr", StudyInfo("n")):
        pass
    with pytest.raises(VortexError, match="nothing to show"):
        export_site([tmp_path / "n.zarr"], tmp_path / "s")
    with pytest.raises(VortexError, match="at least one study"):
        export_site([], tmp_path / "s")


# -- the build ------------------------------------------------------------------------------


def test_the_built_viewer_is_what_its_sources_make(tmp_path):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is absent, so the static viewer cannot be rebuilt (install Node 20)")
    copy = tmp_path / "web"
    source = REPOSITORY / "assets" / "web"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    env = {**os.environ, "npm_config_update_notifier": "false"}
    install = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"],
        cwd=copy, capture_output=True, text=True, env=env, timeout=240, check=False,
    )  # fmt: skip
    if install.returncode and re.search(
        "ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT", install.stderr
    ):
        pytest.skip(f"the npm registry is out of reach: {install.stderr.strip()[:200]}")
    assert install.returncode == 0, install.stderr
    build = subprocess.run(
        [npm, "run", "build"],
        cwd=copy, capture_output=True, text=True, env=env, timeout=120, check=False,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr

    def files(folder):
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert files(copy / "dist") == files(source / "dist"), (
        "assets/web/dist is not what assets/web/src makes: run npm ci && npm run build there"
    )
