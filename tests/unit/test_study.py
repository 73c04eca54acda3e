"""A study lands whole or not at all, opens read-only, and has one writer at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr_models.v05.image import Image as OmeImage

from vortex_model.errors import StudyError, UnknownNameError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel, block_mean
from vortex_model.study import Provenance, Study, StudyInfo


def source(shape=(70, 150, 130), spacing=(4.0, 2.0, 2.0), channels=2, dtype="uint16", seed=0):
    voxels = np.random.default_rng(seed).integers(0, 200, (channels, *shape)).astype(dtype)
    names = tuple(Channel(f"channel {i}") for i in range(channels))
    return ArraySource(voxels, Grid(shape, spacing, (10.0, 0.0, -5.0)), names)


def section(spots=5, genes=7, z=12.0):
    rng = np.random.default_rng(1)
    counts = anndata.AnnData(sp.csr_matrix(rng.poisson(2.0, (spots, genes)).astype(np.float32)))
    counts.var_names = [f"G{i}" for i in range(genes)]
    counts.obs_names = [f"s{i}" for i in range(spots)]
    counts.obsm["spatial"] = np.column_stack([rng.uniform(0, 99, (spots, 2)), np.full(spots, z)])
    return counts


@pytest.fixture
def study(tmp_path):
    with Study.create(tmp_path / "a.zarr", StudyInfo("a", modality="light-sheet")) as made:
        made.write_morphology(source())
        made.write_section("S1", section(z=40.0), spot_diameter_um=55, record={"from": "test"})
        made.write_section("S0", section(z=12.0), spot_diameter_um=55)
    return Study.open(tmp_path / "a.zarr")


def test_what_was_written_is_what_is_read(study):
    given_ = source()
    image = study.morphology
    assert image.grid == given_.grid
    assert np.array_equal(image.levels[0].array[:], given_.array)
    assert study.section_names == ["S0", "S1"]  # by depth, not by name
    read = study.section("S1")
    assert np.array_equal(read.X.toarray(), section().X.toarray())
    assert read.obsm["spatial"][0, 2] == 40.0
    assert json.loads(read.uns["vortex"]["record"]) == {"from": "test"}
    assert study.info.modality == "light-sheet"


def test_morphology_is_valid_ome_zarr_and_sections_open_in_anndata(study):
    OmeImage.from_zarr(zarr.open_group(study.path / "morphology", mode="r"))
    assert anndata.read_zarr(study.path / "sections" / "S0").n_obs == 5


def test_coarser_levels_are_block_means_at_the_right_place(study):
    fine, coarse = study.morphology.levels[:2]
    assert coarse.array.shape[1:] == (70, 75, 65)  # y and x only: z is twice as coarse already
    want = fine.array[0].reshape(70, 75, 2, 65, 2).mean(axis=(2, 4))
    assert np.abs(coarse.array[0] - want).max() <= 0.5
    assert coarse.grid.bounds_um == pytest.approx(np.asarray(fine.grid.bounds_um))


def test_a_wide_image_is_coarsened_as_a_whole(tmp_path):
    """It is made shard by shard: their seams show nowhere, nor does a cut last block."""
    wide = source((5, 40, 1201), channels=1)
    with Study.create(tmp_path / "w.zarr", StudyInfo("w", modality="light-sheet")) as made:
        made.write_morphology(wide)
    levels = Study.open(tmp_path / "w.zarr").morphology.levels
    for fine, coarse in pairwise(levels):
        values, told = (np.asarray(level.array[0]) for level in (fine, coarse))
        step = [
            round(c / f) for c, f in zip(coarse.grid.spacing_um, fine.grid.spacing_um, strict=True)
        ]
        assert np.array_equal(told, block_mean(values, step))
    assert levels[1].array.shape[-1] > 512


def test_planes_of_serial_sections_are_never_merged(tmp_path):
    with Study.create(tmp_path / "s.zarr", StudyInfo("s", modality="serial-sections")) as made:
        made.write_morphology(source((4, 600, 500), spacing=(3.0, 2.0, 2.0), channels=1))
    image = Study.open(tmp_path / "s.zarr").morphology
    assert [level.grid.shape[0] for level in image.levels] == [4] * len(image.levels)
    assert max(image.levels[-1].grid.shape) <= 150


def test_a_thin_plane_has_no_say_in_the_level(tmp_path):
    with Study.create(tmp_path / "t.zarr", StudyInfo("t")) as made:
        made.write_morphology(source((1, 600, 500), spacing=(0.5, 2.0, 2.0), channels=1))
    image = Study.open(tmp_path / "t.zarr").morphology
    assert image.level_near(4.0).grid.spacing_um[1:] == (4.0, 4.0)


def test_a_planar_source_gives_the_same_bytes(tmp_path):
    class Planar(ArraySource):
        def read(self, channel, z, y, x):
            assert z.stop - z.start == 1, "a planar source is asked plane by plane"
            return super().read(channel, z, y, x)

    whole = source((66, 300, 70), channels=1)
    hashes = []
    for number, kind in enumerate((ArraySource, Planar)):
        one = kind(whole.array, whole.grid, whole.channels, planar=kind is Planar)
        with Study.create(tmp_path / f"{number}.zarr", StudyInfo("x")) as made:
            made.write_morphology(one)
        hashes.append(Study.open(tmp_path / f"{number}.zarr").morphology.content)
    assert hashes[0] == hashes[1]


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 2)] * 3))
def test_block_mean_agrees_with_a_plain_loop(shape, step):
    block = np.random.default_rng(0).uniform(0, 9, shape)
    got = block_mean(block, step)
    for index in np.ndindex(got.shape):
        box = tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, step, strict=True))
        assert np.isclose(got[index], block[box].mean())


def test_a_failed_import_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), Study.create(tmp_path / "b.zarr", StudyInfo("b")) as made:
        made.write_morphology(source((4, 8, 8)))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_study_is_not_overwritten_unasked(study):
    before = study.morphology.content
    with pytest.raises(StudyError, match="--overwrite"), Study.create(study.path, StudyInfo("c")):
        pass
    with Study.create(study.path, StudyInfo("c"), overwrite=True) as made:
        made.write_morphology(source(seed=5))
    assert Study.open(study.path).morphology.content != before


def test_a_folder_that_is_no_study_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with (
        pytest.raises(StudyError, match="no vortex-viewer study"),
        Study.create(tmp_path / "thesis", StudyInfo("x"), overwrite=True),
    ):
        pass
    assert (tmp_path / "thesis" / "chapter1.txt").exists()


@pytest.mark.parametrize("damage", ["absent", "empty", "garbage", "newer"])
def test_what_is_no_study_says_so(tmp_path, study, damage):
    place = tmp_path / "x.zarr"
    if damage != "absent":
        place.mkdir()
    if damage == "garbage":
        (place / "zarr.json").write_text("{not json")
    if damage == "newer":
        root = zarr.open_group(place, mode="w")
        root.attrs["vortex"] = {"format": 99, "name": "x"}
    with pytest.raises(StudyError, match=str(place)):
        Study.open(place)


def test_unknown_names_suggest_near_ones(study):
    with pytest.raises(UnknownNameError, match="Did you mean S0"):
        study.section("s00")
    assert study.overlay("../sections/S0") is None


def test_the_same_inputs_are_made_once(study):
    calls = []
    made = Provenance("features", {"m": "1"}, {"spacing": 5.0}, code=1)
    for _ in range(2):
        name = study.write_derived(made, lambda group: calls.append(group))
    assert len(calls) == 1
    assert study.derived_ids("features") == [name]
    other = Provenance("features", {"m": "1"}, {"spacing": 6.0}, code=1)
    assert other.id != made.id


def test_what_is_added_to_a_derived_thing_lands_whole_or_not_at_all(study):
    def first(group):
        group.create_array("values", data=np.arange(3))
        group.attrs["told"] = {"early": 1}

    name = study.write_derived(Provenance("predictions", {}, {"add": 1}, 1), first)
    made = study.provenance("predictions", name)

    def more(group):
        assert group.attrs["told"] == {"early": 1}
        group.create_array("more", data=np.arange(5))
        group.attrs["told"] = {"late": 2}

    def broken(group):
        more(group)
        raise RuntimeError("no disk")

    with pytest.raises(RuntimeError):
        study.add_derived("predictions", name, broken)
    assert study.derived("predictions", name).attrs["told"] == {"early": 1}
    assert sorted(study.derived("predictions", name)) == ["values"]
    study.add_derived("predictions", name, more)
    whole = study.derived("predictions", name)
    assert whole.attrs["told"] == {"late": 2}
    assert sorted(whole) == ["more", "values"] and list(whole["values"][:]) == [0, 1, 2]
    assert study.provenance("predictions", name) == made
    assert not list(study.path.glob(".partial-*"))
    with pytest.raises(UnknownNameError):
        study.add_derived("predictions", "nothing", more)


def test_a_second_writer_is_told_who_holds_the_pen(study):
    code = (
        "import sys, time; from vortex_model.study import Study\n"
        f"study = Study.open({str(study.path)!r})\n"
        "with study.writing('a long job'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline().strip() == "held"
        with pytest.raises(StudyError, match=f"process {other.pid} .*a long job"), study.writing():
            pass
        assert study.morphology.content  # reading needs no lock
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    with study.writing():  # the pen is free once its holder died
        pass


def test_a_killed_writer_leaves_a_study_that_opens_and_resumes(study):
    made = Provenance("features", {}, {"n": 3}, code=1)
    code = (
        "import time; from vortex_model.study import Study, Provenance\n"
        f"study = Study.open({str(study.path)!r})\n"
        "with study.resuming(Provenance('features', {}, {'n': 3}, code=1)) as group:\n"
        "    group.create_array('part', data=__import__('numpy').arange(3))\n"
        "    print('half', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline().strip() == "half"
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    again = Study.open(study.path)
    assert again.derived_ids("features") == []
    with again.resuming(made) as group:
        assert list(group["part"][:]) == [0, 1, 2]
    assert again.derived_ids("features") == [made.id]


def test_reading_works_where_nothing_may_be_written(study, tmp_path):
    frozen = tmp_path / "frozen.zarr"
    study.path.rename(frozen)
    before = sorted(p for p in frozen.rglob("*"))
    opened = Study.open(frozen)
    assert opened.section("S0").n_obs == 5
    opened.morphology.levels[-1].array[:]
    assert sorted(p for p in frozen.rglob("*")) == before


def test_derived_things_come_oldest_first(study):
    ids = []
    for n in range(3):
        made = Provenance("features", {}, {"order": n}, code=1)
        ids.append(study.write_derived(made, lambda group: None))
        time.sleep(0.001)
    assert study.derived_ids("features") == ids
