"""A manifest's mistakes: each is a sentence with the value and the remedy, all at once."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_model import io
from vortex_model.errors import ManifestError, VortexError

GOOD = {"version": 1, "name": "block", "volume": {"path": "v.npy", "spacing_um": [4, 2, 2]}}


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "v.npy", np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9))
    return tmp_path


def problems(folder, record, **more):
    place = folder / "m.yaml"
    place.write_text(record if isinstance(record, str) else yaml.safe_dump(record | more))
    return io.check(place)


def test_a_good_manifest_has_no_problem(folder):
    assert problems(folder, GOOD) == []


def test_every_mistake_is_listed_at_once(folder):
    wrong = {
        "version": 1,
        "nam": "block",
        "modality": "lightsheet",
        "volume": {"path": "w.npy", "spacing_um": [4, -2, 2], "chanels": []},
    }
    text = "\n".join(problems(folder, wrong))
    assert "'name' is missing" in text
    assert "'nam' is not known. Did you mean 'name'?" in text
    assert "'lightsheet' is not known. Did you mean 'light-sheet'?" in text
    assert "spacing_um: is -2" in text
    assert "Did you mean 'channels'?" in text
    assert "there is no" in text and "Did you mean 'v.npy'?" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 7}, "version 7 is not known"),
        ({"volume": {"path": "v.npy"}}, "does not say its spacing along z"),
        ({"volume": {"path": "v.npy", "spacing_um": 4}}, "write 3"),
        ({"volume": {"path": "v.npy", "spacing_um": [4, 2, "2 um"]}}, "is '2 um'"),
        ({"volume": {"path": "v.npy", "spacing_um": [float("nan"), 2, 2]}}, "is nan"),
        ({"volume": {"path": "v.npy", "spacing_um": [4, 2, 1e6]}}, "Is it in micrometres?"),
        ({"volume": {"path": "v.npy", "spacing_um": [4, 2, 1e-4]}}, "Is it in micrometres?"),
        ({"volume": {"path": "../v.npy", "spacing_um": [4, 2, 2]}}, "leads out of"),
        ({"volume": {"path": "https://a/v.npy", "spacing_um": [4, 2, 2]}}, "download it"),
        ({"volume": {"path": "*.tif", "spacing_um": [4, 2, 2]}}, "no file matches"),
        ({"volume": ["v.npy"]}, "write keys and values"),
        ({"volume": None}, "nothing to import"),
        ({"serial": {"planes": []}}, "one morphology"),
        ({"labels": [{"name": "a/b", "path": "v.npy", "spacing_um": [4, 2, 2]}]}, "'a/b' cannot"),
        ({"max_decoded_gib": 0}, "above 0"),
        ({"sections": {"a": 1}}, "write a list"),
    ],
)
def test_each_mistake_says_what_is_wrong(folder, change, said):
    assert said in "\n".join(problems(folder, GOOD | change))


def test_a_key_given_twice_is_told_with_its_line(folder):
    text = "version: 1\nname: a\nname: b\nvolume: {path: v.npy, spacing_um: [4, 2, 2]}\n"
    assert "line 3" in problems(folder, text)[0]
    assert "'name' is given twice" in problems(folder, text)[0]


@pytest.mark.parametrize("text", ["a: [1", "- a\n- b", "", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_manifest_is_one_sentence(folder, text):
    found = problems(folder, text)
    assert len(found) == 1 and "Traceback" not in found[0]


def test_an_absent_manifest_and_root_are_told(folder, tmp_path):
    assert "There is no manifest" in io.check(tmp_path / "none.yaml")[0]
    (folder / "m.yaml").write_text(yaml.safe_dump(GOOD))
    assert any("there is no folder" in p for p in io.check(folder / "m.yaml", folder / "none"))


def test_paths_are_relative_to_the_root(folder):
    place = folder / "deep" / "m.yaml"
    place.parent.mkdir()
    place.write_text(yaml.safe_dump(GOOD))
    assert io.check(place) != []
    assert io.check(place, folder) == []


def test_a_wrong_manifest_leaves_no_study(folder):
    (folder / "m.yaml").write_text(yaml.safe_dump(GOOD | {"volume": {"path": "v.npy"}}))
    with pytest.raises(ManifestError) as caught:
        io.import_study(folder / "m.yaml", folder / "s.zarr")
    assert len(caught.value.problems) == 1
    assert sorted(p.name for p in folder.iterdir()) == ["m.yaml", "v.npy"]


def test_a_study_in_the_way_is_refused_before_any_work(folder):
    (folder / "m.yaml").write_text(yaml.safe_dump(GOOD))
    io.import_study(folder / "m.yaml", folder / "s.zarr")
    with pytest.raises(VortexError, match="--overwrite"):
        io.import_study(folder / "m.yaml", folder / "s.zarr")
    io.import_study(folder / "m.yaml", folder / "s.zarr", overwrite=True)
    with pytest.raises(VortexError, match="no vortex-viewer study"):
        io.import_study(folder / "m.yaml", folder / "v.npy", overwrite=True)
    assert (folder / "v.npy").exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["path", "spacing_um", "name", "planes", "z_um", "pose", "register", "affine"]
                + ["format", "image", "columns", "select", "channels", "index", "values", "version"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["version", "name", "volume", "serial", "sections", "labels", "notes"]),
        VALUES,
        max_size=6,
    )
)
def test_no_manifest_breaks_the_check(tmp_path_factory, record):
    place = tmp_path_factory.getbasetemp() / "any.yaml"
    place.write_text(yaml.safe_dump(record))
    assert all(isinstance(text, str) for text in io.check(place))
