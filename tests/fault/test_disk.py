"""A disk that fills up or goes away: a clear sentence, and the work goes on from there."""

import shutil
import subprocess
from pathlib import Path

import pytest

from vortex_model.errors import StudyError
from vortex_model.features import compute_features
from vortex_model.study import Study


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a real file system of so many MiB, where this user may."""
    mounted = []

    def make(mib: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        asked = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(place)], capture_output=True
        )
        if asked.returncode:
            pytest.skip("this user may not mount a small disk")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        if place.is_mount():
            subprocess.run(["umount", "-l", str(place)], check=True)


def fresh(phantom: Path, place: Path) -> Study:
    study = Study.open(shutil.copytree(phantom, place))
    for kind in ("predictions", "features"):
        for name in study.derived_ids(kind):
            study.remove_derived(kind, name)
    return study


def stored(study: Study, name: str) -> dict[str, bytes]:
    folder = study.path / "features" / name
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "zarr.json"
    }


def test_a_full_disk_is_told_and_the_run_goes_on(phantom, small_disk, small_parts, tmp_path):
    elsewhere = fresh(phantom, tmp_path / "elsewhere.zarr")
    expected = stored(elsewhere, compute_features(elsewhere, spacing_um=18.0))
    disk = small_disk(400)
    study = fresh(phantom, disk / "s.zarr")
    used = shutil.disk_usage(disk).used // 2**20
    subprocess.run(["mount", "-o", f"remount,size={used + 3}m", str(disk)], check=True)
    with pytest.raises(StudyError, match=r"disk of .*s\.zarr is full.*Make room.*same command"):
        compute_features(study, spacing_um=18.0)
    assert not study.derived_ids("features")  # nothing half-made is shown
    begun = next(study.path.glob(".resume-features-*"))
    assert any((begun / "tokens").rglob("c/*"))
    Study.open(study.path)  # and the study opens
    subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
    name = compute_features(study, spacing_um=18.0)
    assert stored(study, name) == expected


def test_a_store_that_goes_away_is_told(phantom, small_disk, small_parts):
    disk = small_disk(300)
    study = fresh(phantom, disk / "s.zarr")

    def gone(fraction: float, message: str) -> None:
        if "encoded" in message and study.path.exists():
            subprocess.run(["umount", "-l", str(disk)], check=True)

    with pytest.raises(StudyError, match=r"was lost while it was written.*mounted"):
        compute_features(study, progress=gone)
    assert not (study.path / "features").exists()
