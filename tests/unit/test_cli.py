"""Each command does its job from a shell, and a mistake ends in one clear sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vortex_viewer import __version__

PROGRAM = Path(sys.executable).parent / "vortex-viewer"


def run(*arguments, ok=True):
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode == 0) == ok, done.stderr + done.stdout
    return done


def test_version():
    assert run("--version").stdout.strip() == __version__


def test_help_names_every_command_and_the_loopback_default():
    page = run("--help").stdout
    commands = ["serve", "import", "demo", "features", "finetune", "evaluate", "encoders", "info"]
    for command in [*commands, "doctor"]:
        assert f"\n  {command} " in page
    assert "127.0.0.1" in run("serve", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "/nowhere/x.zarr"], "There is no study at /nowhere/x.zarr"),
        (["info", "/nowhere/x.zarr"], "vortex-viewer import"),
        (["demo", "/tmp/never.zarr", "--size", "4,5"], "write 3 numbers"),
        (["demo", "/tmp/never.zarr", "--style", "prostrate"], "Did you mean prostate"),
        (["demo", "/tmp/never.zarr", "--voxel", "a,b,c"], "write numbers with commas"),
        (["import", "/nowhere/manifest.yaml", "/tmp/never.zarr"], "/nowhere/manifest.yaml"),
    ],
)
def test_a_mistake_is_one_clear_sentence(arguments, says):
    assert says in run(*arguments, ok=False).stderr
    assert not Path("/tmp/never.zarr").exists()


def test_info_tells_what_a_study_holds(phantom):
    record = json.loads(run("info", phantom, "--json").stdout)
    assert record["modality"] == "light-sheet"
    assert record["predictions"] == 1 and "texture" in record["features"]
    assert record["size_mm"].count(" x ") == 2
    assert "spots" in run("info", phantom).stdout


def test_finetune_then_evaluate(phantom_copy):
    told = run("finetune", phantom_copy, "--sections", "S1", "--panel", "hvg:20").stdout
    assert "20 genes" in told
    result = json.loads(
        run(
            *["evaluate", phantom_copy, "--train", "S1", "--test", "S2"],
            *["--genes", "hvg:20", "--json"],
        ).stdout
    )
    section = result["sections"]["S2"]
    assert section["low"] <= section["pearson"] <= section["high"]
    assert section["n_genes"] == 20 and result["train"] == ["S1"]
    assert set(result["baselines"]) >= {"mean", "nearest", "knn", "ridge"}
    assert result["predictor"] == "gp" and "vortex-viewer" in result["versions"]


def test_export_writes_a_folder_and_tells_its_size_first(phantom, tmp_path):
    told = run("export", "site", phantom, tmp_path / "site", "--layout", "chunks").stdout
    assert "morphology" in told and "http.server" in told
    assert (tmp_path / "site" / "index.html").exists()
    said = run("export", "site", phantom, tmp_path / "site", ok=False).stderr
    assert "--overwrite" in said or "exists" in said
    assert (
        "MB"
        in run(
            "export", "site", phantom, tmp_path / "small", "--max-size", "0.001", ok=False
        ).stderr
    )


def test_an_unknown_section_is_told_with_those_that_exist(phantom):
    said = run("finetune", phantom, "--sections", "S9", ok=False).stderr
    assert "S9" in said and "S1" in said


def test_encoders_are_listed_with_what_is_usable():
    rows = {row["name"]: row for row in json.loads(run("encoders", "--json").stdout)}
    assert rows["texture"]["usable"] is True
    assert rows["uni"]["usable"] is False and rows["virchow2"]["embedding"] == 2560
    assert "weights on request" in run("encoders").stdout
    assert "hf auth login" in " ".join(run("encoders", "uni").stdout.split())
    assert "Did you mean uni" in run("encoders", "unni", ok=False).stderr


def test_weights_are_brought_by_a_command_and_a_wrong_file_is_refused(tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    said = run("encoders", "uni", "--checkpoint", tmp_path / "no.safetensors", ok=False).stderr
    assert "cannot be read as weights" in said
    assert "Name the encoder" in run("encoders", "--forget", ok=False).stderr
    assert (
        "takes no options"
        in run("finetune", tmp_path, "--checkpoint", tmp_path / "no.safetensors", ok=False).stderr
    )


def test_doctor_tries_rendering_for_real():
    parts = {f["part"]: f for f in json.loads(run("doctor", "--json").stdout)}
    assert parts["3D rendering"]["state"] == "ok"
    assert parts["torch"]["state"] == "ok"
