"""The same bytes from one process, from two workers, and from workers that were killed."""

import hashlib
import os
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from vortex_model import io
from vortex_model.api import Study
from vortex_model.cluster import crew_at
from vortex_model.crew import HERE
from vortex_model.errors import VortexError
from vortex_model.prediction import GeneCache, Prediction

distributed = pytest.importorskip("distributed")
PANEL = "hvg:40"


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library's own start
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as made:
            yield made


def bare(phantom: Path, place: Path) -> Study:
    """The phantom without what was derived."""
    study = Study.open(shutil.copytree(phantom, place))
    for kind in ("predictions", "features"):
        for name in study.derived_ids(kind):
            study.remove_derived(kind, name)
    return study


def chunks(folder: Path) -> dict[str, str]:
    """Hash of every stored chunk below a folder."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "zarr.json")
    return {str(p.relative_to(folder)): hashlib.md5(p.read_bytes()).hexdigest() for p in found}


def made(study: Study, scheduler: str | None, progress=lambda f, m: None) -> dict[str, dict]:
    """Hashes of features, factors and gene volumes."""
    prediction = study.finetune(panel=PANEL, scheduler=scheduler, progress=progress)
    (features,) = study.derived_ids("features")
    own = Prediction.load(study, prediction.id, GeneCache(study.path.parent / "genes"))
    genes = {
        str(g): hashlib.md5(own.gene(str(g)).values.tobytes()).hexdigest()
        for g in own.genes.index[:8]
    }
    return {
        "features": chunks(study.path / "features" / features),
        "prediction": chunks(study.path / "predictions" / prediction.id),
        "genes": genes,
    }


@pytest.fixture
def expected(phantom, tmp_path, small_parts):
    return made(bare(phantom, tmp_path / "one" / "s.zarr"), None)


def test_two_workers_and_killed_ones_leave_the_bytes_of_one_process(
    phantom, tmp_path, cluster, expected
):
    assert len(expected["features"]) > 20 and len(expected["prediction"]) > 3
    two = made(bare(phantom, tmp_path / "two" / "s.zarr"), cluster.scheduler_address)
    assert two == expected

    killed = []

    def kill(fraction, message):
        stage = "encoded" if "encoded" in message else "predict" if "token" in message else ""
        if stage and stage not in killed:
            killed.append(stage)
            with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
                workers = client.run(os.getpid, on_error="ignore")
            os.kill(next(p for p in workers.values() if isinstance(p, int)), signal.SIGKILL)

    third = made(bare(phantom, tmp_path / "three" / "s.zarr"), cluster.scheduler_address, kill)
    assert killed == ["encoded", "predict"]
    assert third == expected


def test_an_import_by_workers_leaves_the_same_bytes(cluster, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 4000, (70, 300, 150)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "v.tif", voxels)
    (tmp_path / "m.yaml").write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "name": "v",
                "modality": "light-sheet",
                "volume": {"path": "v.tif", "spacing_um": [4, 2, 2]},
            }
        )
    )
    problems = io.check(tmp_path / "m.yaml")
    assert not problems, problems
    with crew_at(cluster.scheduler_address) as crew:
        io.import_study(tmp_path / "m.yaml", tmp_path / "two.zarr", crew=crew)
    io.import_study(tmp_path / "m.yaml", tmp_path / "one.zarr")
    one, two = (Study.open(tmp_path / f"{n}.zarr") for n in ("one", "two"))
    assert chunks(one.path / "morphology") == chunks(two.path / "morphology")
    assert one.morphology.content == two.morphology.content


def test_an_evaluation_by_workers_says_the_same(phantom, tmp_path, cluster):
    study = bare(phantom, tmp_path / "s.zarr")
    first, second = study.section_names
    one = study.evaluate([first], [second], genes="hvg:20")
    two = study.evaluate([first], [second], genes="hvg:20", scheduler=cluster.scheduler_address)
    assert one == two


def test_what_a_worker_says_reaches_the_user(cluster):
    with crew_at(cluster.scheduler_address) as crew, pytest.raises(VortexError, match="task 3"):
        list(crew.map(int, (7,), complain, [1, 2, 3, 4]))


def test_no_scheduler_is_told_with_the_address(monkeypatch):
    from vortex_model import cluster as door

    monkeypatch.setattr(door, "PATIENCE_S", 1)
    absent = "tcp://127.0.0.1:9"
    with pytest.raises(VortexError, match=f"No Dask scheduler answers at {absent}"):
        crew_at(absent).__enter__()


def test_without_an_address_this_process_works():
    with crew_at(None) as crew:
        assert crew is HERE
        assert list(crew.map(int, (7,), add, [1, 2, 3])) == [(1, 8), (2, 9), (3, 10)]


def add(shared: int, task: int) -> int:
    return shared + task


def complain(shared: int, task: int) -> int:
    if task == 3:
        raise VortexError("task 3 is wrong")
    return task
