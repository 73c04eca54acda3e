"""Drawing that keeps up: what is asked for during a drawing is drawn once, after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from vortex_model.errors import VortexError

log = logging.getLogger(__name__)


class Latest:
    """Runs one piece of drawing again and again while asked to, never twice at a time.

    Parameters
    ----------
    work
        What draws.
    failed
        Called with words where it fails.
    pause_s
        How long each drawing waits for what else may be asked for: what need not follow every
        move of a drag leaves the machine to what must.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[None]],
        failed: Callable[[str], None],
        pause_s: float = 0.0,
    ) -> None:
        self._work, self._failed, self._pause_s = work, failed, pause_s
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Draw what is true now; asked during a drawing, draw once more after it."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    @property
    def stale(self) -> bool:
        """Whether something else has been asked for since the present drawing began."""
        return self._wanted

    async def wait(self) -> None:
        """Until all that was asked is drawn."""
        if self._task is not None:
            await asyncio.shield(self._task)

    def stop(self) -> None:
        """Draw no more."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._wanted:
            if self._pause_s:
                await asyncio.sleep(self._pause_s)
            self._wanted = False
            try:
                await self._work()
            except VortexError as error:
                self._failed(str(error))
            except Exception as error:  # told to the visitor, and logged whole
                log.exception("Drawing failed")
                self._failed(f"Drawing failed ({type(error).__name__}: {error}).")
