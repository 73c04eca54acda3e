"""A first, coarse picture while the fine one is made: where it pays, and only there."""

import shutil

import numpy as np
import pytest

from vortex_model import features as features_module
from vortex_model.encoders import create
from vortex_model.features import Features, compute_features, worth_a_first_look
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.prediction import Prediction
from vortex_model.progress import FirstPicture
from vortex_model.study import Study
from vortex_model.training.finetune import finetune
from vortex_model.training.versions import versions
from vortex_viewer.apart import run_apart


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A phantom in voxels of 1.5 um, with coarser levels, that nothing was predicted in."""
    place = tmp_path_factory.mktemp("first") / "first.zarr"
    spec = PhantomSpec(shape=(64, 192, 192), voxel_um=(1.5,) * 3, seed=3, sections=(0.5,))
    return make_phantom(place, spec)


def test_coarse_features_are_those_of_fewer_voxels_and_wider_tokens(made):
    study = Study.open(made)
    fine = Features.load(study, compute_features(study, "texture"))
    coarse = Features.load(study, compute_features(study, "coarse"))
    assert np.allclose(np.divide(coarse.grid.spacing_um, fine.grid.spacing_um), 2, rtol=0.2)
    told = study.provenance("features", coarse.id)["parameters"]
    assert told["voxels"]["spacing_um"] == [3.0, 3.0, 3.0]  # the coarsest that there is
    assert "wider" not in told  # its lattice says so
    with pytest.raises(Exception, match="takes no options"):
        create("coarse", checkpoint="x")


def test_a_coarse_prediction_comes_first_where_the_fine_one_takes_long(made, tmp_path, monkeypatch):
    study = Study.open(shutil.copytree(made, tmp_path / "first.zarr"))
    for kind in ("features", "predictions"):
        shutil.rmtree(study.path / kind, ignore_errors=True)
    assert not worth_a_first_look(study, create("texture"))  # a small block is quick
    monkeypatch.setattr(features_module, "LONG_VALUES", 1e6)
    assert worth_a_first_look(study, create("texture"))
    told = []

    def progress(fraction, message):
        told.append((fraction, message))

    name = finetune(study, panel="hvg:20", coarse_first=True, progress=progress)
    firsts = [(f, m.made) for f, m in told if isinstance(m, FirstPicture)]
    coarse = firsts[0][1]
    assert [made for _, made in firsts] == [coarse, coarse, name]  # its trust came in between
    assert [f for f, _ in told] == sorted(f for f, _ in told)
    first, fine = Prediction.load(study, coarse), Prediction.load(study, name)
    assert first.genes.index.equals(fine.genes.index)
    assert np.prod(first.grid.shape) < np.prod(fine.grid.shape) / 4
    assert first.genes["reliability"].notna().any()
    assert [v.encoder for v in versions(study)] == ["coarse", "texture"]
    assert study.current_prediction == name
    # once there is something to see, or the features are there, nothing coarse comes first
    told.clear()
    name = finetune(study, panel="hvg:10", coarse_first=True, progress=progress)
    assert [m.made for _, m in told if isinstance(m, FirstPicture)] == [name]
    assert not worth_a_first_look(study, create("texture"))


TELLING = """
from vortex_model.progress import FirstPicture
from vortex_viewer.apart import answer

def tell(request, progress):
    progress(0.1, FirstPicture("look", "coarse"))
    progress(0.5, "going on")
    return "fine"

answer(tell)
"""


def test_the_message_of_a_first_picture_comes_whole_from_another_process(tmp_path, monkeypatch):
    (tmp_path / "telling.py").write_text(TELLING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = []
    result = run_apart("telling", "Telling", {}, lambda fraction, message: told.append(message))
    assert result == "fine"
    (first,) = [m for m in told if isinstance(m, FirstPicture)]
    assert (str(first), first.made) == ("look", "coarse")
