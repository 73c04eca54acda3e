"""Long work off the event loop: progress, cancel, an error as text."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from vortex_model.errors import Cancelled, VortexError
from vortex_model.progress import CurvePoint, FirstPicture, Progress

Phase = Literal["running", "cancelling", "done", "cancelled", "failed"]
Work = Callable[[Progress], Any]
LONGEST_LOG = 60
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """How far a job is."""

    title: str
    phase: Phase = "running"
    fraction: float = 0.0
    message: str = "Starting"
    result: Any = None
    curve: tuple[tuple[int, float], ...] = ()
    """Points (step, value) of what it told as a curve, such as the held-out score."""
    log: tuple[tuple[float, str], ...] = ()
    """What it told and when, in seconds from its start; of messages that differ in their numbers
    alone, the last, at the time of the first."""
    firsts: tuple[str, ...] = ()
    """What can be looked at while it works: ids of predictions, each again when there is more."""
    seconds: float = 0.0
    """How long it has been at work."""

    @property
    def active(self) -> bool:
        """Whether it still works."""
        return self.phase in ("running", "cancelling")


class Job:
    """One piece of long work in a thread of its own.

    Parameters
    ----------
    title
        What it does, for people.
    work
        Called with a progress; what it returns is the result. It stops where the progress
        raises ``Cancelled``.
    on_change
        Called with each new status, **in the job's thread**; pass it on to the event loop.
    interval_s
        Reports that follow each other faster than this are dropped.
    """

    def __init__(
        self,
        title: str,
        work: Work,
        on_change: Callable[[Status], None],
        interval_s: float = 0.25,
    ) -> None:
        self.status = Status(title)
        self._work, self._on_change, self._interval_s = work, on_change, interval_s
        self._cancel = threading.Event()
        self._told = 0.0
        self._begin = time.monotonic()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"job {title}", daemon=True)

    def start(self) -> Job:
        """Begin; returns itself."""
        self._begin = time.monotonic()
        self._thread.start()
        return self

    def cancel(self) -> None:
        """Ask it to stop; it does at its next report."""
        self._cancel.set()
        with self._lock:
            if self.status.phase == "running":
                self.status = replace(self.status, phase="cancelling", message="Stopping")
        self._on_change(self.status)

    def wait(self, timeout_s: float | None = None) -> Status:
        """Wait for its end; returns the status that it has then."""
        self._thread.join(timeout_s)
        return self.status

    def _report(self, fraction: float, message: str) -> None:
        if self._cancel.is_set():
            raise Cancelled
        fraction = min(1.0, max(0.0, fraction))
        curve = self.status.curve
        if isinstance(message, CurvePoint):
            curve = (*curve, (message.step, message.value))
        firsts = self.status.firsts
        if isinstance(message, FirstPicture):
            firsts = (*firsts, message.made)
        grown = curve is not self.status.curve or firsts is not self.status.firsts
        now = time.monotonic()
        with self._lock:
            self.status = replace(
                self.status,
                fraction=fraction,
                message=str(message),
                curve=curve,
                firsts=firsts,
                **self._noted(message),
            )
        if grown or now - self._told >= self._interval_s:
            self._told = now
            self._on_change(self.status)

    def _end(self, phase: Phase, message: str, result: Any = None) -> None:
        fraction = 1.0 if phase == "done" else self.status.fraction
        with self._lock:
            self.status = replace(
                self.status,
                phase=phase,
                message=message,
                fraction=fraction,
                result=result,
                **self._noted(message),
            )
        self._on_change(self.status)

    def _noted(self, message: str) -> dict[str, Any]:
        """The log with one message more, and the time."""
        seconds, told = time.monotonic() - self._begin, self.status.log
        if told and _kind(told[-1][1]) == _kind(message):
            told = (*told[:-1], (told[-1][0], str(message)))
        else:
            told = (*told, (round(seconds, 1), str(message)))
        return {"log": told[-LONGEST_LOG:], "seconds": seconds}

    def _run(self) -> None:
        try:
            result = self._work(self._report)
        except Cancelled as error:
            self._end("cancelled", str(error))
        except VortexError as error:
            self._end("failed", str(error))
        except MemoryError:
            self._end(
                "failed", "There is too little memory for this. Choose fewer sections or genes."
            )
        except Exception as error:  # the last line of defence: told, and logged whole
            log.exception("The job %r failed", self.status.title)
            self._end(
                "failed",
                f"{self.status.title} failed unexpectedly ({type(error).__name__}: {error}). "
                "The server's log has the details.",
            )
        else:
            self._end("done", "Done", result)


def _kind(message: str) -> str:
    """A message without its numbers."""
    return re.sub(r"[\d.,]+", "#", message)
