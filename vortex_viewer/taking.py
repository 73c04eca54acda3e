"""One visitor's exports: starts the job, tells the page how far it is, offers what came out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vortex_model.progress import Progress
from vortex_viewer.jobs import Job, Status
from vortex_viewer.leaving import export_apart
from vortex_viewer.outbox import Outbox

Show = Callable[[dict[str, Any]], None]
WAIT_S = 0.2


class Taking:
    """At most one export at a time; what it made can be fetched as long as the visitor stays.

    Parameters
    ----------
    outbox
        Where files wait, shared by all visitors.
    show
        Called in the event loop with what the page shows of the job.
    """

    def __init__(self, outbox: Outbox, show: Show) -> None:
        self._outbox, self._show = outbox, show
        self._loop = asyncio.get_running_loop()
        self._job: Job | None = None
        self._folder: Path | None = None
        self._closed = threading.Event()
        self._kept = False

    @property
    def active(self) -> bool:
        """Whether a job runs."""
        return self._job is not None and self._job.status.active

    def start(self, title: str, request: dict[str, Any], keep: Path | None = None) -> None:
        """Make what a request asks for, to be fetched; or in the folder ``keep``, to stay."""
        if self.active:
            return
        self._kept = keep is not None

        def work(progress: Progress) -> Path:
            folder = keep or self._own_folder()
            with_place = {**request, "folder": str(folder), "keep": keep is not None}
            while not self._outbox.turns.acquire(timeout=WAIT_S):
                progress(0.0, "Waiting for other exports")
            try:
                return export_apart(with_place, progress)
            finally:
                self._outbox.turns.release()
                if self._closed.is_set():
                    self._clear()

        def told(status: Status) -> None:  # in the job's thread
            if not self._closed.is_set():
                self._loop.call_soon_threadsafe(self._changed, status)

        self._job = Job(title, work, told)
        self._changed(self._job.status)
        self._job.start()

    def cancel(self) -> None:
        """Stop it."""
        if self._job is not None:
            self._job.cancel()

    def close(self) -> None:
        """The visitor is gone: nobody fetches anything any more; a kept folder is finished."""
        self._closed.set()
        if self.active and not self._kept:
            self.cancel()  # the job clears up behind itself
        else:
            self._clear()

    def _own_folder(self) -> Path:
        if self._folder is None:
            self._folder = self._outbox.open()
        return self._folder

    def _clear(self) -> None:
        if self._folder is not None:
            self._outbox.close(self._folder)

    def _changed(self, status: Status) -> None:
        told: dict[str, Any] = {
            "title": status.title,
            "phase": status.phase,
            "fraction": status.fraction,
            "message": status.message,
        }
        if status.phase == "done":
            made = Path(status.result)
            if self._kept:
                told["folder"] = str(made)
            else:
                told |= {"href": self._outbox.offer(made), "name": made.name}
                told["bytes"] = made.stat().st_size
        self._show(told)
