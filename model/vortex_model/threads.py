"""How many threads linear algebra may use: one, wherever the work is shared out another way.

BLAS threads wait for one another in a loop. Under a pool of our own, or for many small matrices,
they burn the cores that the others need: a phantom took four times as long, a small fit thirty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

MANY_SPOTS = 2000


@contextlib.contextmanager
def single_threaded_blas(wanted: bool = True) -> Iterator[None]:
    """Keep BLAS to one thread inside the block, where ``wanted``; torch keeps its own."""
    if not wanted:
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def fitting_threads(spots: int) -> contextlib.AbstractContextManager[None]:
    """One thread for small fits, all of them for large ones, whose matrices pay for it."""
    return single_threaded_blas(spots < MANY_SPOTS)
