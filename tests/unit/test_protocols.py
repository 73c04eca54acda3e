"""Protocols of evaluate: what is held out, what is learned from, and what the record says."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import zarr
from made_study import make_study
from typer.testing import CliRunner

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.evaluate import evaluate, evaluate_studies, markdown, table
from vortex_model.evaluate.protocols import units
from vortex_model.evaluate.scores import Guess, against, paired
from vortex_model.metrics import pearson
from vortex_model.study import Study, StudyInfo
from vortex_model.training.samples import gather, study_features
from vortex_viewer.cli import app


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study.open(make_study(tmp_path_factory.mktemp("made") / "made.zarr"))


@pytest.fixture(scope="module")
def features(study):
    return study_features(study, "texture")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Two more blocks, made by the same rules."""
    place = tmp_path_factory.mktemp("others")
    made = []
    for seed in (1, 2):
        path = make_study(place / f"{seed}.zarr", seed=seed)
        group = zarr.open_group(path, mode="r+")
        group.attrs["vortex"] = {**group.attrs["vortex"], "name": f"block {seed}"}
        made.append(Study.open(path))
    return made


def test_blocks_hold_out_every_spot_once_and_learn_from_no_spot_that_they_score(study, features):
    for unit in units(study, "blocks", None, None, features):
        rows = np.concatenate([r for _, r in unit.parts])
        assert sorted(rows) == list(range(len(unit.held.places)))
        for sample, held in unit.parts:
            seen = {tuple(p) for p in sample.places.points_um}
            assert not seen & {tuple(p) for p in unit.held.places.points_um[held]}
        assert unit.train == (unit.name,)
        assert (unit.distance_um > 0).any()


def test_depth_compares_each_section_with_every_other(study, features):
    found = {u.name: u for u in units(study, "depth", None, None, features)}
    assert len(found) == 6
    assert found["S1 to S2"].group == pytest.approx(60.0)
    assert found["S1 to S3"].group == pytest.approx(120.0)
    assert np.median(found["S3 to S1"].distance_um) == pytest.approx(120.0)
    assert found["S2 to S1"].train == ("S2",)
    only = units(study, "depth", ["S1"], ["S3"], features)
    assert [u.name for u in only] == ["S1 to S3"]


def test_count_adds_the_nearest_section_first(study, features):
    found = {u.name: u.train for u in units(study, "count", None, ["S3"], features)}
    assert found == {"S3 from 1": ("S2",), "S3 from 2": ("S1", "S2")}


def test_what_a_protocol_lacks_is_told(study, features):
    with pytest.raises(VortexError, match="at least two sections"):
        units(study, "depth", ["S1"], ["S1"], features)
    with pytest.raises(UnknownNameError, match="dpeth"):
        units(study, "dpeth", None, None, features)
    with pytest.raises(VortexError, match="one panel of genes"):
        evaluate(study, ["S1"], ["S2"], genes=[])


@pytest.fixture(scope="module")
def by_depth(study):
    return evaluate(study, genes=["hvg:15", "top:20"], protocol="depth")


def test_runs_stand_side_by_side_and_the_first_on_top(by_depth):
    assert json.loads(json.dumps(by_depth)) == by_depth
    assert [r["genes"] for r in by_depth["runs"]] == ["hvg:15", "top:20"]
    assert by_depth["sections"] == by_depth["runs"][0]["sections"]
    near, far = by_depth["by_group"]
    assert (near["group"], near["n"]) == (60.0, 4) and (far["group"], far["n"]) == (120.0, 2)
    inside = [by_depth["sections"][n]["pearson"] for n in ("S1 to S3", "S3 to S1")]
    assert far["pearson"] == pytest.approx(np.mean(inside))


def test_every_score_is_there_and_within_reason(by_depth):
    for row in by_depth["sections"].values():
        assert 0 < row["mse"] < 1
        assert 0.2 < row["variance_kept"] < 1.3
        assert row["moran"] > row["moran_measured"] > 0.1
        assert 0.75 < row["coverage"] <= 1
        low, high = row["coverage_genes"]
        assert low <= row["coverage"] <= high
        assert row["width"] > 0


def test_one_table_holds_all_runs_units_and_baselines(by_depth):
    head, rows = table(by_depth)
    assert len(rows) == 12 and all(len(row) == len(head) for row in rows)
    assert {"ridge", "knn", "nearest", "mean"} <= set(head)
    text = markdown(by_depth)
    assert text.count("| S1 to S2 |") == 2
    assert "against" in text and "60 um" in text


def test_the_paired_test_sees_a_real_difference_and_none_where_there_is_none(study, features):
    held = gather(study, ["S2"], features).measured
    genes = tuple(held.genes[:20])
    truth = held.expression(genes)
    random = np.random.default_rng(0)
    good = Guess(genes, truth + random.normal(0, 0.5, truth.shape))
    poor = Guess(genes, truth + random.normal(0, 1.5, truth.shape))
    alike = Guess(genes, truth + random.normal(0, 0.5, truth.shape))
    found = paired("poor", [against(good, poor, held)])
    expected = pearson(good.mean, truth).mean() - pearson(poor.mean, truth).mean()
    assert found["difference"] == pytest.approx(expected)
    assert found["low"] > 0 and found["p"] < 0.01
    none = paired("alike", [against(good, alike, held)])
    assert none["low"] < 0 < none["high"] and none["p"] > 0.05
    assert paired("self", [against(good, good, held)])["p"] == 1.0


def test_blocks_are_harder_than_random_spots_would_be_but_not_hopeless(study):
    found = evaluate(study, ["S1"], genes="hvg:15", protocol="blocks", intervals=False)
    row = found["sections"]["S1"]
    assert 0.3 < row["pearson"] < 0.95
    assert row["coverage"] is None and row["width"] is None
    assert found["protocol"] == "blocks" and found["train"] == ["S1"]


def test_another_study_is_predicted_from_morphology_alone(study, others):
    found = evaluate_studies([study, *others], genes="hvg:10")
    assert json.loads(json.dumps(found)) == found
    assert len(found["sections"]) == 9
    for name, row in found["sections"].items():
        block = name.split("/")[0]
        assert all(not t.startswith(f"{block}/") for t in row["train"])
        assert len(row["train"]) == 6
    assert set(found["baselines"]) == {"mean", "ridge"}
    assert np.mean([r["pearson"] for r in found["sections"].values()]) > 0.15


def test_studies_that_cannot_be_compared_are_refused(study, others, tmp_path):
    with pytest.raises(VortexError, match="two or more"):
        evaluate_studies([study])
    with pytest.raises(VortexError, match="two or more"):
        evaluate_studies([study, study])
    with Study.create(tmp_path / "bare.zarr", StudyInfo("bare")):
        pass
    with pytest.raises(VortexError, match="no morphology"):
        evaluate_studies([study, Study.open(tmp_path / "bare.zarr")])
    with pytest.raises(VortexError, match="share no gene name"):
        odd = others[0].section("S1").copy()
        odd.var_names = [f"ENSG{i}" for i in range(odd.n_vars)]
        path = make_study(tmp_path / "odd.zarr", seed=5)
        changed = Study.open(path)
        for name in changed.section_names:
            changed.write_section(name, odd, spot_diameter_um=50.0)
        evaluate_studies([others[0], changed])


def test_the_command_writes_table_plot_and_json(study, tmp_path):
    told = CliRunner().invoke(
        app,
        [
            *["evaluate", str(study.path), "--train", "S1", "--test", "S2,S3", "--json"],
            *["--genes", "hvg:5", "--genes", "hvg:15", "--predictor", "ridge"],
            *["--plot", str(tmp_path / "e.svg"), "--markdown", str(tmp_path / "e.md")],
        ],
    )
    assert told.exit_code == 0, told.output
    result = json.loads(told.stdout)
    assert [r["genes"] for r in result["runs"]] == ["hvg:5", "hvg:15"]
    text = " ".join(ElementTree.parse(tmp_path / "e.svg").getroot().itertext())
    assert "noise ceiling" in text or (tmp_path / "e.svg").stat().st_size > 10_000
    assert (tmp_path / "e.md").read_text().count("| S3 |") == 2


def test_the_command_refuses_what_does_not_fit(study, tmp_path):
    def said(*options):
        result = CliRunner().invoke(app, ["evaluate", str(study.path), *options])
        assert result.exit_code != 0
        return str(result.exception)

    assert "a plot ends in" in said("--plot", str(tmp_path / "e.gif"))
    assert "--protocol studies" in said("--with", str(study.path))
    assert "whole studies" in said("--protocol", "studies", "--train", "S1")
    assert "at least one section to test" in said("--train", "S1")
