"""How many threads the linear algebra of a fit may use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

MANY_SPOTS = 2000


@contextlib.contextmanager
def fitting_threads(spots: int) -> Iterator[None]:
    """One thread for small fits, all of them for large ones.

    Matrices of a few hundred spots gain nothing from a second thread. On a busy machine they
    lose much: BLAS threads wait for one another in a loop, and a fine-tuning of 6 s took 156 s.
    """
    with threadpool_limits(limits=1 if spots < MANY_SPOTS else None):
        yield
