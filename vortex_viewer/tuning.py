"""Fine-tuning from pages: one job a study, which every page of the study sees and can cancel."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vortex_model.progress import Progress
from vortex_viewer.jobs import Job, Status
from vortex_viewer.panels import facts
from vortex_viewer.scene.data import StudyData
from vortex_viewer.work import finetune_apart

RECENT_S = 900.0
"""How long a page that opens is still told how a job ended."""
Work = Callable[[Path, dict[str, Any], Progress], str]
Hear = Callable[["Tuned"], None]


@dataclass(frozen=True)
class Tuned:
    """How far the fine-tuning of a study is.

    Attributes
    ----------
    number
        Of the job, on this server.
    status, message
        Its status, and what a page says of it.
    before
        The prediction that was shown where none was named, when the job began.
    when
        Seconds of the server's clock.
    seen
        Whether a page was there to be told.
    """

    number: int
    status: Status
    message: str
    before: str | None
    when: float
    seen: bool

    def shown(self) -> dict[str, Any]:
        """What a page shows of it."""
        return {
            "phase": self.status.phase,
            "fraction": self.status.fraction,
            "message": self.message,
            "curve": [list(point) for point in self.status.curve],
            "log": [list(told) for told in self.status.log],
            "seconds": round(self.status.seconds, 1),
        }


class Tunings:
    """The fine-tunings of a server, at most one a study at a time; pages come and go.

    Parameters
    ----------
    work
        Fine-tunes the study of a folder as wished; returns the prediction's id.
    clock
        Seconds that only grow.
    """

    def __init__(
        self, work: Work = finetune_apart, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work, self.clock = work, clock
        self._told: dict[Path, Tuned] = {}
        self._jobs: dict[Path, Job] = {}
        self._hearers: dict[Path, list[Hear]] = {}
        self._number = 0
        self._lock = threading.Lock()

    def start(self, data: StudyData, wish: dict[str, Any]) -> int | None:
        """Fine-tune a study as a visitor wished; the job's number, None where one runs already.

        ``sections``, ``panel``, ``predictor``, ``mode`` (fast, full), ``encoder``, ``minutes``,
        ``others`` (folders of studies to learn from too).
        """
        request = {
            "sections": [str(name) for name in wish.get("sections", [])],
            "panel": str(wish.get("panel", "")),
            "predictor": str(wish.get("predictor", "gp")),
            "mode": str(wish.get("mode", "fast")),
            "encoder": str(wish.get("encoder", "texture")),
            "minutes": float(wish.get("minutes", 5.0)),
            "others": [str(place) for place in wish.get("others", [])],
        }
        before: list[str | None] = [None]

        def work(progress: Progress) -> str:
            before[0] = data.study.current_prediction
            return self._work(data.path, request, progress)

        def told(status: Status) -> None:  # in the job's thread, where reading is no matter
            self._tell(data, number, status, facts.job_message(status, data), before[0])

        with self._lock:
            running = self._jobs.get(data.path)
            if running is not None and running.status.active:
                return None
            self._number += 1
            number = self._number
            job = self._jobs[data.path] = Job("Fine-tuning", work, told)
        self._tell(data, number, job.status, job.status.message, None)
        job.start()
        return number

    def cancel(self, data: StudyData) -> None:
        """Stop a study's job at its next report."""
        job = self._jobs.get(data.path)
        if job is not None and job.status.active:
            job.cancel()

    def of(self, data: StudyData) -> Tuned | None:
        """How far a study's job is, or how it ended where that is news.

        It is for a while; a mistake only where no page was there to be told.
        """
        told = self._told.get(data.path)
        if told is None or told.status.active:
            return told
        old = self.clock() - told.when > RECENT_S
        return None if old or (told.seen and told.status.phase != "done") else told

    def hear(self, data: StudyData, hear: Hear) -> None:
        """Call ``hear`` with every change of a study's job, **in the job's thread**."""
        with self._lock:
            self._hearers.setdefault(data.path, []).append(hear)

    def leave(self, hear: Hear) -> None:
        """Tell this one no more."""
        with self._lock:
            for hearers in self._hearers.values():
                if hear in hearers:
                    hearers.remove(hear)

    def _tell(
        self, data: StudyData, number: int, status: Status, message: str, before: str | None
    ) -> None:
        with self._lock:
            hearers = list(self._hearers.get(data.path, []))
            told = Tuned(number, status, message, before, self.clock(), bool(hearers))
            self._told[data.path] = told
        for hear in hearers:
            hear(told)


class Tuning:
    """What one page knows of the fine-tuning of the study that it shows.

    Parameters
    ----------
    tunings
        All of the server.
    show
        Called in the event loop with what the page shows of the job.
    done
        Called in the event loop with the id of a prediction that is new, or that there is more to;
        with those whose viewers are to see it; and whether this page began the job and is to see
        it whatever it looks at.
    """

    def __init__(
        self,
        tunings: Tunings,
        show: Callable[[dict[str, Any] | None], None],
        done: Callable[[str, Collection[str | None], bool], None],
    ) -> None:
        self._tunings, self._show, self._done = tunings, show, done
        self._loop = asyncio.get_running_loop()
        self._came = tunings.clock()
        self._data: StudyData | None = None
        self._mine: set[int] = set()
        self._taken = (0, 0)  # a job's number, and how many of its pictures

    def follow(self, data: StudyData) -> None:
        """The page shows this study from now on: what goes on there, or has just ended."""
        self.leave()
        self._data = data
        self._tunings.hear(data, self._heard)
        told = self._tunings.of(data)
        self._show(None if told is None else told.shown())
        if told is not None and told.when >= self._came:  # it may have ended as the page opened
            self._changed(data, told)

    def leave(self) -> None:
        """The page shows no study, or is gone."""
        self._tunings.leave(self._heard)
        self._data = None

    def start(self, wish: dict[str, Any]) -> None:
        """Fine-tune as the visitor wished."""
        if self._data is not None:
            number = self._tunings.start(self._data, wish)
            if number is not None:
                self._mine.add(number)

    def cancel(self) -> None:
        """Stop the study's job."""
        if self._data is not None:
            self._tunings.cancel(self._data)

    def _heard(self, told: Tuned) -> None:
        self._loop.call_soon_threadsafe(self._changed, self._data, told)

    def _changed(self, data: StudyData | None, told: Tuned) -> None:
        if data is None or data is not self._data:
            return
        self._show(told.shown())
        status = told.status
        made = list(status.firsts) if status.active else []
        if status.phase == "done":
            made = [*status.firsts, str(status.result)]
        stage = (told.number, len(made))
        if made and stage > self._taken:
            known = self._taken[1] if self._taken[0] == told.number else 0
            self._taken = stage
            if made[-1] in made[:known]:  # who looks at it still is told that there is more to it
                self._done(made[-1], {made[-1]}, False)
            else:  # whoever looks at the coarse one goes on to the fine one
                self._done(made[-1], {told.before, *made}, told.number in self._mine)
