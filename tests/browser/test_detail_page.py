"""3D is as fine as its budget allows: a crop is drawn anew, finer, once its slider rests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from studies import GRID, predict
from visiting import Visitor, running

from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.study import Study, StudyInfo

VIEW = "iframe.scene"
FINE = Grid((80, 192, 256), (5.0, 5.0, 5.0), (2.5, 2.5, 2.5))


def fine_block(path: Path) -> Path:
    """The block of ``studies.py`` in voxels half as wide."""
    assert FINE.bounds_um == GRID.bounds_um
    with Study.create(path, StudyInfo(name="fine", modality="light-sheet")) as study:
        tissue = np.zeros(FINE.shape, np.uint16)
        tissue[8:-8, 20:-20, 24:-24] = 900
        tissue += np.random.default_rng(1).integers(0, 60, FINE.shape).astype(np.uint16)
        channel = (Channel("nuclei", "nuclear", "00FFFF"),)
        study.write_morphology(ArraySource(tissue[None], FINE, channel))
        predict(study)
    return path


def test_a_crop_is_drawn_finer_and_the_whole_block_coarser_again(
    visitors: Callable[..., Visitor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VORTEX_MAX_VOXELS", "1200000")  # of 3,932,160
    study = fine_block(tmp_path / "fine.zarr")
    with running([study], tmp_path) as server:
        visitor = visitors()
        visitor.go(server.address)
        visitor.page.get_by_role("button", name="XY", exact=True).click()
        visitor.show("LEFT")
        visitor.wait_said("detail", "1")
        whole = visitor.still(VIEW)
        visitor.page.get_by_role("tab", name="Crop").click()
        visitor.page.get_by_label("x to, micrometres").fill("300")
        visitor.page.get_by_label("x to, micrometres").press("Enter")
        visitor.wait_said("detail", "0")
        part = visitor.still(VIEW)
        # what is left is as bright as before; beside it there is nothing but frames
        high, wide = part.shape[0], part.shape[1]
        rows = slice(round(0.3 * high), round(0.45 * high))
        kept, gone = (
            slice(round(a * wide), round(b * wide)) for a, b in ((0.08, 0.22), (0.3, 0.45))
        )
        assert part[rows, kept].mean() == pytest.approx(whole[rows, kept].mean(), rel=0.15)
        assert part[rows, gone].mean() < 0.3 * whole[rows, gone].mean()
        visitor.page.get_by_role("button", name="Show the whole block").click()
        visitor.wait_said("detail", "1")
