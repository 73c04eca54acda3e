"""Who does the parts of long work: the threads of this process, or whoever is handed in.

Work is cut into tasks that do not depend on one another and leave their results on disk, or
return little. Everybody runs the same functions on the same parts with one thread of linear
algebra, so the bytes do not depend on who did what.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from vortex_model.threads import single_threaded_blas

State = TypeVar("State")
Task = TypeVar("Task")
Result = TypeVar("Result")
THREADS = 2


class Crew(Protocol):
    """Does tasks."""

    def map(
        self,
        begin: Callable[..., State],
        about: tuple[Any, ...],
        work: Callable[[State, Task], Result],
        tasks: Sequence[Task],
        threads: int = THREADS,
    ) -> Iterator[tuple[Task, Result]]:
        """Do every task once; yields task and result as they come, in no certain order.

        Parameters
        ----------
        begin, about
            ``begin(*about)``, once a process, is what all tasks share.
        work
            ``work(shared, task)``; a function of a module, and safe to call again.
        threads
            How many tasks this process may do at once; where the crew is elsewhere, its own
            number counts.

        Raises
        ------
        Exception
            What ``begin`` or ``work`` raised.
        """
        ...


class Here:
    """The threads of one process: results in the order of the tasks, few of them held."""

    def map(
        self,
        begin: Callable[..., State],
        about: tuple[Any, ...],
        work: Callable[[State, Task], Result],
        tasks: Sequence[Task],
        threads: int = THREADS,
    ) -> Iterator[tuple[Task, Result]]:
        """See :class:`Crew`."""
        if not len(tasks):
            return
        count = min(threads, os.cpu_count() or 1)
        with single_threaded_blas():
            shared = begin(*about)
            if count == 1:
                for task in tasks:
                    yield task, work(shared, task)
                return
            with ThreadPoolExecutor(count) as pool:
                waiting: deque[tuple[Task, Future[Result]]] = deque()
                try:
                    for task in tasks:
                        waiting.append((task, pool.submit(work, shared, task)))
                        if len(waiting) > count:
                            own, future = waiting.popleft()
                            yield own, future.result()
                    while waiting:
                        own, future = waiting.popleft()
                        yield own, future.result()
                finally:
                    for _, future in waiting:
                        future.cancel()


HERE = Here()
