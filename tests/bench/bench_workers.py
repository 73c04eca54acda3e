"""Two workers against one, each a process bound to one core, on the same features."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from pathlib import Path

from distributed import LocalCluster
from rows import BENCH, Row

from vortex_model.cluster import crew_at
from vortex_model.features import compute_features
from vortex_model.study import Study
from vortex_viewer.demo import make_demo

SIZE = "192,448,448"


def seconds(study: Path, place: Path, workers: int) -> float:
    """Features of a copy of the study by so many workers, started before the clock is."""
    own = Study.open(shutil.copytree(study, place))
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        crew_at(cluster.scheduler_address) as crew,
    ):
        client = cluster.get_client()
        for number, worker in enumerate(client.scheduler_info()["workers"]):
            client.run(pin, number, workers=[worker])
        start = time.perf_counter()
        compute_features(own, crew=crew)
        return time.perf_counter() - start


def pin(number: int) -> None:
    """Keep this worker on one core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def rows(work: Path) -> list[Row]:
    """Measure."""
    os.environ["OMP_NUM_THREADS"] = "1"
    place = work / "workers.zarr"
    make_demo(place, size=SIZE, voxel="5,5,5", sections="0.5", seed=6, predict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = seconds(place, work / "one.zarr", 1)
        two = seconds(place, work / "two.zarr", 2)
    return [
        Row("features by two workers, times as fast as by one", one / two, 1.7, "at least", "",
            f"{BENCH} workers", f"{SIZE} voxels, a core each; {one:.0f} and {two:.0f} s")
    ]  # fmt: skip
