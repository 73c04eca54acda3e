"""A request done by a process of its own: the page stays quick, and its memory comes back.

``python -m MODULE`` reads one JSON request from its input and writes one JSON record a line:
progress, then a result or an error as text. It ends when its input closes, so that it does not
outlive the server. One that is expected may wait for its request with its libraries loaded, which
takes a second or two that nobody has to wait for then.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from vortex_model.errors import VortexError
from vortex_model.progress import CurvePoint, FirstPicture, Progress

NICER = 5
"""How far a child stands back behind the pages, and once more for each picture they draw of it."""
POLL_S = 0.2
PATIENCE_S = 5.0
IDLE_S = 600.0
"""A child that was expected ends when it has waited so long: its libraries take memory."""
_expected: dict[str, subprocess.Popen[str]] = {}
_lock = threading.Lock()


def expect(module: str) -> None:
    """Have a child of ``module`` ready: a request is likely to come soon."""
    with _lock:
        child = _expected.get(module)
        if child is not None:
            if child.poll() is None:
                return
            _end(child)
        _expected[module] = _begin(module)


def run_apart(module: str, what: str, request: dict[str, Any], progress: Progress) -> str:
    """Let ``module`` do what a request asks, in a child process; returns its result.

    Parameters
    ----------
    what
        How an error names the work: "The export".

    Raises
    ------
    VortexError
        What the work raised, or that the child was killed.
    Cancelled
        When ``progress`` raises it; the child is ended and leaves nothing half written.
    """
    child = _asked(module, json.dumps(request) + "\n")
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        return _follow(child, child.stdout, what, progress)
    finally:
        _end(child)


def _begin(module: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def _asked(module: str, line: str) -> subprocess.Popen[str]:
    """A child that was given its request: the one that waits, unless it has ended."""
    with _lock:
        child = _expected.pop(module, None)
    if child is not None:
        with contextlib.suppress(OSError):
            _give(child, line)
            if child.poll() is None:
                return child
        _end(child)
    child = _begin(module)
    _give(child, line)
    return child


def _end(child: subprocess.Popen[str]) -> None:
    child.terminate()
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):
            assert pipe is not None
            pipe.close()


def _give(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line)
    child.stdin.flush()


def _follow(child: subprocess.Popen[str], lines: IO[str], what: str, progress: Progress) -> str:
    told: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in lines:
            told.put(line)
        told.put(None)

    threading.Thread(target=read, name=f"{what}: output", daemon=True).start()
    fraction, message = 0.0, "Starting"
    while True:
        try:
            line = told.get(timeout=POLL_S)
        except queue.Empty:
            progress(fraction, message)  # a cancel is noticed even where the child is silent
            continue
        if line is None:
            raise VortexError(f"{what} did not finish: {_why(child.wait())}.")
        record = json.loads(line)
        if "result" in record:
            return str(record["result"])
        if "error" in record:
            raise VortexError(str(record["error"]))
        fraction, message = float(record["fraction"]), str(record["message"])
        if "made" in record:
            progress(fraction, FirstPicture(message, str(record["made"])))
        elif "step" in record:
            progress(fraction, CurvePoint(message, int(record["step"]), float(record["value"])))
        else:
            progress(fraction, message)


def _why(code: int) -> str:
    if code < 0:
        return f"the system ended it (signal {-code}), most likely for want of memory"
    return f"it stopped with code {code}. The server's log has the details"


def answer(
    do: Callable[[dict[str, Any], Progress], str], ready: Callable[[], None] | None = None
) -> None:
    """The child's side: get ready, wait for the request, do what it asks, and tell."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may write records
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # drafts are taken away on the way out
    with contextlib.suppress(OSError):
        os.nice(NICER)
    if ready is not None:
        ready()
    line = sys.stdin.readline() if select.select([sys.stdin], [], [], IDLE_S)[0] else ""
    if not line:  # nobody asked
        return
    request = json.loads(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(**record: Any) -> None:
        out.write(json.dumps(record) + "\n")

    def progress(fraction: float, message: str) -> None:
        if isinstance(message, FirstPicture):
            tell(fraction=fraction, message=message, made=message.made)
            with contextlib.suppress(OSError):
                os.nice(NICER)  # to draw the picture comes before what is left to do
        elif isinstance(message, CurvePoint):
            tell(fraction=fraction, message=message, step=message.step, value=message.value)
        else:
            tell(fraction=fraction, message=message)

    try:
        made = do(request, progress)
    except VortexError as error:
        tell(error=str(error))
    except MemoryError:
        tell(error="There is too little memory for this. Choose less.")
    else:
        tell(result=made)
    os._exit(0)  # all is said; the parent ends the process now, and threads would complain


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
