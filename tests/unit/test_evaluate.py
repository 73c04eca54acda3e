"""Evaluation: the JSON of the command, honest splits, baselines beside."""

import json

import numpy as np
import pytest
from made_study import make_study

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.evaluate import evaluate
from vortex_model.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.open(make_study(tmp_path_factory.mktemp("made") / "made.zarr"))


@pytest.fixture(scope="module")
def result(study: Study) -> dict:
    return evaluate(study, ["S1"], ["S2", "S3"], genes="hvg:15")


def test_the_record_is_json_as_promised(result):
    assert json.loads(json.dumps(result)) == result
    assert set(result["sections"]) == {"S2", "S3"}
    for row in result["sections"].values():
        assert {"pearson", "low", "high", "n_genes", "n_spots"} <= set(row)
        assert row["low"] < row["pearson"] < row["high"]
        assert row["n_genes"] == 15
        assert row["n_spots"] == 121
        assert row["pearson"] < row["ceiling"] + 0.05
    assert set(result["baselines"]) == {"mean", "nearest", "knn", "ridge"}
    assert all(set(b) == {"S2", "S3"} for b in result["baselines"].values())
    assert result["train"] == ["S1"]
    assert result["genes"] == "hvg:15"
    assert result["predictor"] == "gp"
    assert {"numpy", "scipy", "vortex-viewer"} <= set(result["versions"])


def test_the_default_beats_every_baseline_here_and_the_mean_scores_nought(result):
    for name, row in result["sections"].items():
        assert row["pearson"] >= max(b[name] for b in result["baselines"].values())
        assert result["baselines"]["mean"][name] == 0.0


def test_it_is_the_same_each_time(study, result):
    assert evaluate(study, ["S1"], ["S2", "S3"], genes="hvg:15") == result


def test_the_test_sections_counts_change_nothing_but_the_score(study, result, monkeypatch):
    alone = evaluate(study, ["S1"], ["S3"], genes="hvg:15")
    assert alone["sections"]["S3"] == result["sections"]["S3"]


def test_a_section_cannot_be_learned_from_and_tested_on(study):
    with pytest.raises(VortexError, match="S2 is in both"):
        evaluate(study, ["S1", "S2"], ["S2"])
    with pytest.raises(VortexError, match="at least one section to test"):
        evaluate(study, ["S1"], [])
    with pytest.raises(UnknownNameError, match="S7"):
        evaluate(study, ["S1"], ["S7"])


def test_a_baseline_can_be_the_predictor(study):
    found = evaluate(study, ["S1"], ["S3"], genes="SLOPE1,SLOPE2", predictor="knn")
    assert found["sections"]["S3"]["n_genes"] == 2
    assert found["sections"]["S3"]["pearson"] == found["baselines"]["knn"]["S3"]


def test_without_morphology_places_alone_are_evaluated(tmp_path):
    bare = Study.open(make_study(tmp_path / "bare.zarr", morphology=False))
    found = evaluate(bare, ["S1", "S3"], ["S2"], genes="hvg:15")
    assert set(found["baselines"]) == {"mean", "nearest", "knn"}
    assert found["features"] is None
    assert np.isfinite(found["sections"]["S2"]["pearson"])
