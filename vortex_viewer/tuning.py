"""One visitor's fine-tuning: starts the job, tells the page how far it is, hands on the result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from vortex_viewer.jobs import Job, Status
from vortex_viewer.panels import facts
from vortex_viewer.scene.data import StudyData
from vortex_viewer.work import finetune_apart


class Tuning:
    """At most one fine-tuning at a time; it goes on when the page is closed.

    Parameters
    ----------
    show
        Called in the event loop with what the page shows of the job, and its study.
    done
        Called in the event loop with the new prediction's id, and its study.
    """

    def __init__(
        self,
        show: Callable[[dict[str, Any], StudyData], None],
        done: Callable[[str, StudyData], None],
    ) -> None:
        self._show, self._done = show, done
        self._loop = asyncio.get_running_loop()
        self._job: Job | None = None

    @property
    def active(self) -> bool:
        """Whether a job runs."""
        return self._job is not None and self._job.status.active

    def start(self, data: StudyData, wish: dict[str, Any]) -> None:
        """Fine-tune a study as the visitor wished.

        ``sections``, ``panel``, ``predictor``, ``mode`` (fast, full), ``encoder``, ``minutes``.
        """
        if self.active:
            return
        request = {
            "sections": [str(name) for name in wish.get("sections", [])],
            "panel": str(wish.get("panel", "")),
            "predictor": str(wish.get("predictor", "gp")),
            "mode": str(wish.get("mode", "fast")),
            "encoder": str(wish.get("encoder", "texture")),
            "minutes": float(wish.get("minutes", 5.0)),
        }

        def told(status: Status) -> None:  # in the job's thread, where reading is no matter
            message = facts.job_message(status, data)
            self._loop.call_soon_threadsafe(self._changed, status, message, data)

        work = partial(finetune_apart, data.path, request)
        self._job = Job("Fine-tuning", work, told)
        self._changed(self._job.status, self._job.status.message, data)
        self._job.start()

    def cancel(self) -> None:
        """Stop it at its next report."""
        if self._job is not None:
            self._job.cancel()

    def _changed(self, status: Status, message: str, data: StudyData) -> None:
        told: dict[str, Any] = {
            "phase": status.phase,
            "fraction": status.fraction,
            "message": message,
        }
        told["curve"] = [list(point) for point in status.curve]
        self._show(told, data)
        if status.phase == "done":
            self._done(str(status.result), data)
