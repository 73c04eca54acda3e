"""The one thread in which VTK draws, for all visitors in turn."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

log = logging.getLogger(__name__)
Result = TypeVar("Result")
SETTLE_S = 0.22
"""After this long without a change comes the picture at full ratio."""


class Task:
    """What a visitor's view wants drawn: told by ``touch``, drawn by ``draw`` in the thread.

    ``draw(still)`` is called with false while changes follow each other, and once with true
    when they have settled.
    """

    def __init__(self, draw: Callable[[bool], None]) -> None:
        self.draw = draw
        self.moving = False
        self.wanted = False
        self.still_at: float | None = None


class RenderThread:
    """Runs calls and draws views, one at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._tasks: deque[Task] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], Result]) -> Future[Result]:
        """Run something in the thread, before the next picture."""
        future: Future[Result] = Future()
        with self._wake:
            self._start()
            self._calls.append((work, future))
            self._wake.notify()
        return future

    def add(self, task: Task) -> None:
        """Take a view into the round."""
        with self._wake:
            self._start()
            self._tasks.append(task)

    def remove(self, task: Task) -> None:
        """Forget a view."""
        with self._wake:
            if task in self._tasks:
                self._tasks.remove(task)

    def touch(self, task: Task, *, moving: bool = False) -> None:
        """Ask for a picture: a quick one while ``moving``, else the still one."""
        with self._wake:
            now = time.monotonic()
            if moving:
                task.moving = task.wanted = True
                task.still_at = now + SETTLE_S
            else:
                task.still_at = now
            self._wake.notify()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="render", daemon=True)
            self._thread.start()

    def _next(self) -> tuple[Callable[[], Any], Future[Any]] | tuple[Task, bool] | float | None:
        if self._calls:
            return self._calls.popleft()
        now = time.monotonic()
        soonest: float | None = None
        for _ in range(len(self._tasks)):
            task = self._tasks[0]
            self._tasks.rotate(-1)
            if task.wanted:
                task.wanted = False
                return task, False
            if task.still_at is not None:
                if task.still_at <= now:
                    task.still_at, task.moving = None, False
                    return task, True
                soonest = min(soonest or task.still_at, task.still_at)
        return None if soonest is None else soonest - now

    def _run(self) -> None:
        while True:
            with self._wake:
                step = self._next()
                if step is None or isinstance(step, float):
                    self._wake.wait(step)
                    continue
            first, second = step
            if isinstance(first, Task):
                try:
                    first.draw(bool(second))
                except Exception:  # one visitor's view must not stop the others'
                    log.exception("A 3D view could not be drawn")
                continue
            assert isinstance(second, Future)
            if not second.set_running_or_notify_cancel():
                continue
            try:
                second.set_result(first())
            except BaseException as error:  # noqa: BLE001  it is raised where the result is asked
                second.set_exception(error)
