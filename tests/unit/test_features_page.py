"""docs/features.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) > 40
    lost = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).exists() or f"def {test}(" not in (ROOT / file).read_text("utf-8")
    ]
    assert not lost, lost


def test_every_row_names_a_test_or_says_not_yet() -> None:
    text = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    rows = [r for r in text.splitlines() if r.startswith("| ") and not r.startswith("| ---")]
    heads = {"| feature | test |", "| its feature | here |"}
    bare = [r for r in rows if r not in heads and "::test_" not in r and "not yet" not in r]
    assert not bare, bare
