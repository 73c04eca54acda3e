"""Fine-tuning outlives the page that began it: other pages of the study see it and take it."""

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vortex_model.errors import VortexError
from vortex_model.prediction_record import PredictionRecord, check_prediction, write_prediction
from vortex_model.progress import FirstPicture, Progress
from vortex_model.provenance import Provenance
from vortex_model.trust import SpotPlaces, Trust
from vortex_viewer.panels.facts import gene_table
from vortex_viewer.scene.data import StudyData
from vortex_viewer.tuning import RECENT_S, Tuning, Tunings

COLUMNS = ["reliability", "low", "high"]


class Slow:
    """Work that goes on until it is let go."""

    def __init__(self, made: str) -> None:
        self.made, self.go_on, self.begun = made, threading.Event(), threading.Event()
        self.wishes: list[dict[str, Any]] = []

    def __call__(self, study: Path, wish: dict[str, Any], progress: Progress) -> str:
        self.wishes.append(wish)
        progress(0.4, "Fitting")
        self.begun.set()
        while not self.go_on.wait(0.02):
            progress(0.4, "Fitting")
        return self.made


class Page:
    """What one page was told."""

    def __init__(self, tunings: Tunings, data: StudyData) -> None:
        self.jobs: list[dict[str, Any] | None] = []
        self.done: list[tuple[str, set[str | None], bool]] = []
        self.tuning = Tuning(tunings, self.jobs.append, lambda *end: self.done.append(end))
        self.tuning.follow(data)

    async def until(self, phase: str) -> dict[str, Any]:
        for _ in range(500):
            if self.jobs[-1] is not None and self.jobs[-1]["phase"] == phase:
                return self.jobs[-1]
            await asyncio.sleep(0.01)
        raise AssertionError(f"never {phase}: {self.jobs[-1]}")


@pytest.fixture
def data(phantom: Path) -> StudyData:
    return StudyData(phantom, 1 << 20)


def test_a_page_that_opens_later_sees_the_job_and_takes_its_result(data: StudyData) -> None:
    shown = data.study.current_prediction
    work = Slow(shown)
    tunings = Tunings(work)

    async def visit() -> None:
        first = Page(tunings, data)
        assert first.jobs == [None]
        first.tuning.start({"sections": ["a"], "panel": "hvg:10", "minutes": "2"})
        await asyncio.to_thread(work.begun.wait, 10)
        assert work.wishes[0]["minutes"] == 2.0 and work.wishes[0]["predictor"] == "gp"
        first.tuning.leave()  # the page is closed
        second = Page(tunings, data)
        assert second.jobs[0]["phase"] == "running"
        assert second.jobs[0]["fraction"] == 0.4
        second.tuning.start({})
        assert len(work.wishes) == 1  # one at a time
        work.go_on.set()
        assert "genes are ready" in (await second.until("done"))["message"]
        assert second.done == [(shown, {shown}, False)]
        assert not first.done

    asyncio.run(visit())


def test_pages_take_the_first_picture_and_then_the_fine_one(data: StudyData) -> None:
    fine, let = data.study.current_prediction, threading.Event()

    def work(study: Path, wish: dict[str, Any], progress: Progress) -> str:
        progress(0.1, FirstPicture("a first picture is there", "coarse"))
        progress(0.15, FirstPicture("how far to trust it is known", "coarse"))
        progress(0.3, "encoding")
        let.wait(10)
        progress(0.7, FirstPicture("the picture is there", fine))
        return fine

    async def visit() -> None:
        tunings = Tunings(work, lambda: 0.0)  # every page begins to open before all that
        mine, other = Page(tunings, data), Page(tunings, data)
        mine.tuning.start({})
        while not (len(mine.done) == len(other.done) == 2):
            await asyncio.sleep(0.01)
        assert mine.jobs[-1]["phase"] == "running"
        late = Page(tunings, data)  # opens while the fine one is made
        let.set()
        for page in (mine, other, late):
            await page.until("done")
            await asyncio.sleep(0.05)
        last = Page(tunings, data)
        assert [made for made, _, _ in mine.done] == ["coarse", "coarse", fine, fine]
        assert [own for _, _, own in mine.done] == [True, False, True, False]
        assert not any(own for _, _, own in other.done)
        # whoever looks at the coarse one goes on to the fine one
        assert mine.done[2] == (fine, {fine, "coarse"}, True)
        assert late.done[0] == ("coarse", {fine, "coarse"}, False)
        assert late.done[1] == (fine, {fine, "coarse"}, False)
        assert last.done == [(fine, {fine, "coarse"}, False)]
        # whoever looks at another one by now is left alone
        assert mine.done[3] == late.done[-1] == (fine, {fine}, False)

    asyncio.run(visit())


def test_any_page_of_the_study_cancels_it_and_can_begin_anew(data: StudyData) -> None:
    work = Slow(data.study.current_prediction)
    tunings = Tunings(work)

    async def visit() -> None:
        first, second = Page(tunings, data), Page(tunings, data)
        first.tuning.start({})
        await asyncio.to_thread(work.begun.wait, 10)
        second.tuning.cancel()
        await first.until("cancelled")
        await second.until("cancelled")
        work.go_on.set()
        second.tuning.start({})
        await second.until("done")
        assert [mine for *_, mine in second.done] == [True]
        await first.until("done")
        assert [mine for *_, mine in first.done] == [False]

    asyncio.run(visit())


def test_how_it_ended_is_told_for_a_while_and_taken_by_no_later_page(data: StudyData) -> None:
    now = [100.0]
    work = Slow(data.study.current_prediction)
    work.go_on.set()
    tunings = Tunings(work, lambda: now[0])

    async def visit() -> None:
        first = Page(tunings, data)
        first.tuning.start({})
        await first.until("done")
        now[0] += RECENT_S / 2
        late = Page(tunings, data)
        assert late.jobs[0]["phase"] == "done"
        await asyncio.sleep(0.05)
        assert not late.done  # it found the study as it is since
        now[0] += RECENT_S
        assert Page(tunings, data).jobs == [None]

    asyncio.run(visit())


def test_a_mistake_is_told_to_the_next_page_only_where_nobody_saw_it(data: StudyData) -> None:
    def wrong(_study: Path, _wish: dict[str, Any], _progress: Progress) -> str:
        raise VortexError("No gene is named 'X'.")

    async def visit() -> None:
        tunings = Tunings(wrong)
        first = Page(tunings, data)
        first.tuning.start({})
        assert (await first.until("failed"))["message"] == "No gene is named 'X'."
        assert Page(tunings, data).jobs == [None]

        alone = Tunings(wrong)
        alone.start(data, {})
        for _ in range(500):
            if not alone.of(data).status.active:
                break
            await asyncio.sleep(0.01)
        assert Page(alone, data).jobs[0]["message"] == "No gene is named 'X'."

    asyncio.run(visit())


def test_what_is_found_out_of_a_prediction_later_is_seen(phantom: Path, tmp_path: Path) -> None:
    data = StudyData(Path(shutil.copytree(phantom, tmp_path / "later.zarr")), 1 << 20)
    made = data.prediction(data.study.current_prediction)
    genes, shape = made.genes.index[:3], (1, *made.grid.shape)
    table = pd.DataFrame({"mean": 1.0, **dict.fromkeys(COLUMNS, np.nan)}, index=genes)
    flat = np.zeros(shape, np.float32)
    record = PredictionRecord(
        flat, flat, made.mask, np.ones((1, 3)), table, made.grid, checked=False
    )
    name = write_prediction(data.study, Provenance("predictions", {}, {"early": 1}, 1), record)
    early = data.prediction(name)
    assert data.prediction(name) is early and not early.checked
    trust = Trust(None, SpotPlaces(np.zeros((1, 3)), np.zeros(1, np.int64)), None, ("Mind this.",))
    check_prediction(data.study, name, flat + 4, table[COLUMNS].fillna(0.5), trust)
    late = data.prediction(name)
    assert late.checked and late.warnings == ("Mind this.",)
    assert list(late.genes["reliability"]) == [0.5] * 3
    assert np.nanmax(late.uncertainty(genes[0])) == pytest.approx(2, rel=0.01)
    assert data.prediction(name) is late
    assert gene_table(data, name).warnings == ("Mind this.",)
