"""Views that a study keeps."""

import errno
from pathlib import Path

import pytest
import zarr

from vortex_model import pen as pens
from vortex_model.errors import StudyError, VortexError
from vortex_model.study import Study, StudyInfo
from vortex_viewer.state import ViewState
from vortex_viewer.views import keep_view, named_views, remove_view, rename_view


@pytest.fixture
def study(tmp_path: Path) -> Study:
    with Study.create(tmp_path / "s.zarr", StudyInfo("s")):
        pass
    return Study.open(tmp_path / "s.zarr")


def test_a_kept_view_is_there_for_the_next_visitor(study: Study) -> None:
    state = ViewState(study="s", gene="VIM", window=(0.5, 2.0))
    view = keep_view(study, "  The tumour's edge: Ä/ö ", state)
    keep_view(study, "another", ViewState())
    found = named_views(Study.open(study.path))
    assert [v.name for v in found] == ["another", "The tumour's edge: Ä/ö"]
    assert found[1].state == state
    rename_view(study, view, "edge")
    assert [v.name for v in named_views(study)] == ["another", "edge"]
    remove_view(study, view)
    assert [v.name for v in named_views(study)] == ["another"]
    # the store stays one that others can walk through
    assert len(list(zarr.open_group(study.path / "views", mode="r").group_keys())) == 1


def test_names_that_mislead_are_refused(study: Study) -> None:
    keep_view(study, "edge", ViewState())
    for name, said in (("", "name"), ("Edge ", "already"), ("x" * 81, "80")):
        with pytest.raises(VortexError, match=said):
            keep_view(study, name, ViewState())
    with pytest.raises(StudyError, match="id"):
        study.write_record("views", "../../x", {})


def test_a_newer_programs_view_is_left_out(study: Study) -> None:
    study.write_record("views", "new", {"name": "n", "created": "", "state": {"version": 99}})
    assert named_views(study) == []


def test_a_study_that_cannot_be_written_says_so(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ReadOnly:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __enter__(self) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(pens, "FileLock", ReadOnly)
    with pytest.raises(StudyError, match="cannot be written: Read-only"):
        keep_view(study, "edge", ViewState())
