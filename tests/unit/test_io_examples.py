"""The manifests under docs/examples, on the real data."""

from pathlib import Path

import numpy as np
import pytest

from vortex_model import io
from vortex_model.study import Study

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize("name", sorted(p.stem for p in EXAMPLES.glob("*.yaml")))
def test_every_example_is_without_mistake(shared_data, name):
    assert io.check(EXAMPLES / f"{name}.yaml", shared_data) == []


def test_the_mouse_brain(shared_data, tmp_path):
    io.import_study(EXAMPLES / "mouse_brain.yaml", tmp_path / "s.zarr", root=shared_data)
    study = Study.open(tmp_path / "s.zarr")
    assert study.morphology.grid.shape == (270, 193, 271)
    assert study.morphology.grid.spacing_um == (50, 40, 40)
    assert study.info.notes["orientation"] == "psl"


def test_the_tumour(shared_data, tmp_path):
    io.import_study(EXAMPLES / "tumor_lsfm.yaml", tmp_path / "s.zarr", root=shared_data)
    array = Study.open(tmp_path / "s.zarr").morphology.levels[0].array
    first = np.load(sorted((shared_data / "tumor_lsfm" / "vessel").glob("*.npy"))[2])
    np.testing.assert_array_equal(array[1, 2], first)
