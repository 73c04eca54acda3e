"""Versions: every model is kept, listed, compared, restored, deleted."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from made_study import make_study
from typer.testing import CliRunner

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.prediction import Prediction
from vortex_model.study import Study
from vortex_model.training.finetune import finetune
from vortex_model.training.versions import compare, delete, find, restore, summary, versions
from vortex_viewer.cli import app


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    study = Study.open(make_study(tmp_path_factory.mktemp("versions") / "made.zarr"))
    names = [
        finetune(study, sections=["S1"], panel="hvg:12", predictor="mean"),
        finetune(study, sections=["S1", "S2"], panel="hvg:20", predictor="ridge"),
    ]
    return study.path, names


@pytest.fixture
def study(made, tmp_path):
    return Study.open(shutil.copytree(made[0], tmp_path / "made.zarr"))


def test_versions_say_what_they_were_made_with(study, made):
    first, second = versions(study)
    assert [first.id, second.id] == made[1]
    assert second.current and not first.current
    assert (second.mode, second.encoder, second.predictor) == ("fast", "texture", "ridge")
    assert second.sections == ("S1", "S2") and second.panel == "hvg:20" and second.genes == 20
    table = Prediction.load(study, second.id).genes
    assert second.reliability == pytest.approx(table["reliability"].mean())
    assert json.dumps([v.to_json() for v in (first, second)])


def test_a_restored_version_is_shown_until_another_is_made(study, made):
    first, second = made[1]
    assert Prediction.load(study).id == second
    assert restore(study, first[:6]) == first
    assert Prediction.load(study).id == first == study.current_prediction
    assert [v.current for v in versions(study)] == [True, False]
    again = Study.open(study.path)
    assert again.current_prediction == first
    third = finetune(study, sections=["S2"], panel="hvg:5", predictor="mean")
    assert study.current_prediction == third
    # asking for one that is there makes it the current one again
    assert finetune(study, sections=["S1"], panel="hvg:12", predictor="mean") == first
    assert study.current_prediction == first


def test_a_deleted_version_is_gone_and_the_newest_left_is_current(study, made):
    first, second = made[1]
    restore(study, first)
    delete(study, first)
    assert [v.id for v in versions(study)] == [second]
    assert study.current_prediction == second
    delete(study, second)
    assert study.current_prediction is None and versions(study) == []
    with pytest.raises(UnknownNameError, match="version"):
        delete(study, second)


def test_two_versions_are_compared_gene_by_gene(study, made):
    first, second = made[1]
    table = compare(study, first[:8], second)
    both = set(Prediction.load(study, first).genes.index)
    both &= set(Prediction.load(study, second).genes.index)
    assert set(table.index) == both and len(both) >= 5
    gene = table.index[0]
    old, new = (Prediction.load(study, n).genes.loc[gene, "reliability"] for n in (first, second))
    assert table.loc[gene, "difference"] == pytest.approx(new - old)
    told = summary(table)
    assert told["difference"] == pytest.approx(table["difference"].mean())
    assert told["gained"][0][0] == gene
    lost = summary(pd.DataFrame({"first": [1.0, 2], "second": [0.0, np.nan]}).assign(
        difference=lambda t: t["second"] - t["first"]))  # fmt: skip
    assert lost["genes"] == 1 and lost["lost"] == [["0", -1.0]] and lost["gained"] == []
    with pytest.raises(VortexError, match=r"begins 2 versions|No version"):
        find(study, "")


def said(*arguments):
    """What the command printed; a user's mistake is raised."""
    done = CliRunner().invoke(app, ["versions", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_command_lists_compares_restores_and_deletes(study, made):
    first, second = made[1]
    record = json.loads(said(study.path, "--json"))
    assert [r["id"] for r in record] == [first, second] and record[1]["current"]
    assert second[:8] in said(study.path)
    told = said(study.path, "--compare", f"{first[:8]},{second[:8]}")
    assert "mean" in told and "difference" in told
    rows = json.loads(said(study.path, "--compare", f"{first},{second}", "--json"))
    assert {"gene", "first", "second", "difference"} == set(rows[0])
    assert first in said(study.path, "--restore", first[:8])
    assert Study.open(study.path).current_prediction == first
    assert first in said(study.path, "--delete", first)
    assert [v.id for v in versions(study)] == [second]
    with pytest.raises(VortexError, match="two versions"):
        said(study.path, "--compare", first)
    with pytest.raises(UnknownNameError, match="No version"):
        said(study.path, "--restore", "zz")
