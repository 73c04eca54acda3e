"""The tutorial's blocks, commands and Python alike, run in order as they stand on the page."""

import re
import shlex
import shutil
from pathlib import Path

from typer.testing import CliRunner

from vortex_model.encoders import available, forget
from vortex_model.encoders.catalogue import KNOWN
from vortex_viewer.cli import app

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_command_and_block_of_the_tutorial_runs(phantom, tmp_path, monkeypatch, capsys):
    shutil.copytree(phantom, tmp_path / "block.zarr")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    names = {"__name__": "__main__"}
    commands = 0
    for kind, text in BLOCK.findall((DOCS / "tutorial-own-encoder.md").read_text()):
        if kind == "python":
            exec(compile(text, "tutorial", "exec"), names)
            continue
        for line in text.strip().splitlines():
            program, *arguments = shlex.split(line)
            assert program == "vortex-viewer"
            done = CliRunner().invoke(app, arguments, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            commands += 1
    assert commands == 7
    told = capsys.readouterr().out
    assert "| texture |" in told and "| uni |" in told  # both encoders in one table
    assert {v.mode for v in names["versions"](names["study"])} == {"fast", "full"}
    forget("uni")


def test_the_page_of_encoders_says_what_the_program_knows():
    page = (DOCS / "encoders.md").read_text()
    rows = {
        cells[0].strip("` "): [c.strip() for c in cells]
        for line in page.splitlines()
        if line.startswith("| `") and (cells := line.strip("| ").split("|"))
    }
    for row in available():
        name = {"vortex:PATH": "vortex:FILE"}.get(row.name, row.name)
        if row.name not in KNOWN:
            continue
        told = rows[name]
        assert told[2] == row.licence
        assert told[3] == ("on request" if row.gate else "freely")
        assert told[4] == str(row.input_size) and float(told[5]) == row.um_per_pixel
        assert told[7] == str(row.width) and told[8].startswith(f"{row.embedding}, ")
