"""The one door to Dask: tasks for the workers of a scheduler, wherever those are.

Workers see the study under the same path as this process (a shared file system) and run the same
version. Each builds what its tasks share once. A worker that dies costs the tasks that it had in
hand: the scheduler gives them to another, which writes the same bytes.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from vortex_model.crew import HERE, THREADS, Crew, Result, State, Task
from vortex_model.errors import VortexError

PATIENCE_S = 30
AHEAD = 3
"""Tasks that wait at each thread of a worker, so that none stands idle."""
RETRIES = 3
KEPT = 2
"""Shared things of earlier work that a worker keeps."""


@contextlib.contextmanager
def crew_at(address: str | None) -> Iterator[Crew]:
    """Whoever does the work: this process, or the workers of a Dask scheduler.

    Parameters
    ----------
    address
        Such as ``tcp://host:8786``; None for this process.

    Raises
    ------
    VortexError
        When Dask is not installed, nobody answers at the address, or workers run another
        version of vortex-viewer.
    """
    if address is None:
        yield HERE
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise VortexError(
            f"--scheduler needs an extra that cannot be imported here ({error}): "
            "pip install 'vortex-viewer[cluster]'."
        ) from error
    try:
        client = Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise VortexError(
            f"No Dask scheduler answers at {address} ({error or type(error).__name__}). Start one "
            "(dask scheduler), and give the address that it prints: tcp://HOST:8786."
        ) from error
    with client:
        yield Workers(client, address)


class Workers:
    """The workers of a Dask scheduler."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address

    def map(
        self,
        begin: Callable[..., State],
        about: tuple[Any, ...],
        work: Callable[[State, Task], Result],
        tasks: Sequence[Task],
        threads: int = THREADS,
    ) -> Iterator[tuple[Task, Result]]:
        """See :class:`vortex_model.crew.Crew`."""
        from distributed import as_completed

        del threads
        if not len(tasks):
            return
        width = AHEAD * self._threads()
        token = uuid.uuid4().hex
        shared = self._client.submit(_hold, about, key=f"vortex-about-{token}")
        rest = iter(tasks)
        tasks_of: dict[str, Task] = {}

        def more() -> Iterator[Any]:
            for task in rest:
                future = self._client.submit(
                    _do,
                    (token, version("vortex-viewer"), begin, work),
                    shared,
                    task,
                    key=f"vortex-{token}-{len(tasks_of)}",
                    retries=RETRIES,
                )
                tasks_of[future.key] = task
                yield future
                return

        running = as_completed(loop=self._client.loop)
        try:
            for _ in range(width):
                running.update(list(more()))
            for future in running:
                yield tasks_of[future.key], self._result(future)
                future.release()
                running.update(list(more()))
        finally:
            self._client.cancel([*running.futures, shared], force=True)

    def _threads(self) -> int:
        self._client.wait_for_workers(1, timeout=PATIENCE_S)
        return max(1, sum(int(n) for n in self._client.nthreads().values()))

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            return future.result()
        except KilledWorker as error:
            raise VortexError(
                f"A part ended {error.allowed_failures + 1} workers of {self._address} one after "
                "the other, most likely for want of memory. Give workers more memory or fewer "
                "threads, and run it again; what is finished is kept."
            ) from error
        except (FutureCancelledError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a worker's disk: told as such by whoever holds the study
            raise VortexError(
                f"The scheduler at {self._address} was lost ({error}). What is finished is kept: "
                "start it again, then run the same command."
            ) from error


# -- on a worker --------------------------------------------------------------------------------

_lock = threading.Lock()
_shared: OrderedDict[str, Any] = OrderedDict()


def _hold(about: tuple[Any, ...]) -> tuple[Any, ...]:
    return about


def _do(
    order: tuple[str, str, Callable[..., State], Callable[[State, Task], Result]],
    about: tuple[Any, ...],
    task: Task,
) -> Result:
    token, theirs, begin, work = order
    with _lock:
        if token not in _shared:
            mine = version("vortex-viewer")
            if mine != theirs:
                raise VortexError(
                    f"A worker runs vortex-viewer {mine}, this machine {theirs}. "
                    "Install the same version on both."
                )
            threadpool_limits(1, user_api="blas")  # for as long as this worker lives
            _shared[token] = begin(*about)
            while len(_shared) > KEPT:
                _shared.popitem(last=False)
        shared = _shared[token]
    return work(shared, task)
