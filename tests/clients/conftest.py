"""What the other programs open: one study, its export, and hosts for both."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from cubes import GRID, voxels
from export_study import GENES, plant_prediction
from static_host import hosted

from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import Study, StudyInfo
from vortex_viewer.export import export_site


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block of cubes with two channels, labels, a section and a prediction."""
    place = tmp_path_factory.mktemp("clients") / "cubes.zarr"
    with Study.create(place, StudyInfo("Cubes", modality="light-sheet")) as made:
        channels = (Channel("nuclei", "nuclear", "00E5FF"), Channel("ramp", color="FF8800"))
        made.write_morphology(ArraySource(voxels(), GRID, channels))
        classes = np.zeros((1, *GRID.shape), np.uint8)
        classes[0, :, :50, :60] = 3
        made.write_label("halves", ArraySource(classes, GRID, (Channel("halves"),)))
        random = np.random.default_rng(1)
        places = np.column_stack(
            [random.uniform(60, 280, 30), random.uniform(110, 390, 30), np.full(30, 82.0)]
        )
        made.write_section(
            "S1",
            anndata.AnnData(
                random.poisson(4, (30, len(GENES))).astype(np.float32),
                var=pd.DataFrame(index=GENES),
                obs=pd.DataFrame(index=[f"spot{i}" for i in range(30)]),
                obsm={"spatial": places},
            ),
            spot_diameter_um=20.0,
        )
    plant_prediction(place, GRID, (10, 25, 30))
    return place


@pytest.fixture(scope="session")
def site(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export."""
    return export_site([study], tmp_path_factory.mktemp("site") / "site")


@pytest.fixture(scope="session")
def host() -> Iterator[Callable[[Path], str]]:
    """Serves folders; each call returns an address."""
    with contextlib.ExitStack() as running:
        yield lambda folder: running.enter_context(hosted(folder))


@pytest.fixture(scope="session")
def chromium(play: object) -> Iterator[object]:
    """Chromium that draws WebGL by the processor."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not installed (on Debian: apt-get install chromium)")
    one = play.chromium.launch(
        executable_path=found,
        args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
              "--enable-unsafe-swiftshader", "--disable-background-networking"],
    )  # fmt: skip
    yield one
    one.close()
