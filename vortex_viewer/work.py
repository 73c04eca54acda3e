"""Fine-tuning in a process of its own: the page stays quick, and its memory comes back.

``python -m vortex_viewer.work`` reads one JSON request from its input and writes one JSON
record a line: progress, then a result or an error as text. It ends when its input closes, so
that it does not outlive the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from vortex_model.errors import VortexError
from vortex_model.progress import CurvePoint, Progress

NICER = 5
POLL_S = 0.2


def finetune_apart(study: Path, wish: dict[str, Any], progress: Progress) -> str:
    """Fine-tune a study in a child process; returns the prediction's id.

    Parameters
    ----------
    study
        The study's folder.
    wish
        ``sections``, ``panel``, ``predictor``, ``mode``, ``encoder``.

    Raises
    ------
    VortexError
        What the fine-tuning raised, or that the child was killed.
    Cancelled
        When ``progress`` raises it; the child is ended, and what it finished is kept.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "vortex_viewer.work"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps({"study": str(study), **wish}) + "\n")
        child.stdin.flush()
        return _follow(child.stdout, progress, child)
    finally:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _follow(lines: IO[str], progress: Progress, child: subprocess.Popen[str]) -> str:
    told: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in lines:
            told.put(line)
        told.put(None)

    threading.Thread(target=read, name="fine-tuning output", daemon=True).start()
    fraction, message = 0.0, "Starting"
    while True:
        try:
            line = told.get(timeout=POLL_S)
        except queue.Empty:
            progress(fraction, message)  # a cancel is noticed even where the child is silent
            continue
        if line is None:
            code = child.wait()
            why = (
                f"the system ended it (signal {-code}), most likely for want of memory. "
                "Choose fewer sections or genes"
                if code < 0
                else f"it stopped with code {code}. The server's log has the details"
            )
            raise VortexError(f"Fine-tuning did not finish: {why}.")
        record = json.loads(line)
        if "result" in record:
            return str(record["result"])
        if "error" in record:
            raise VortexError(str(record["error"]))
        fraction, message = float(record["fraction"]), str(record["message"])
        if "step" in record:
            progress(fraction, CurvePoint(message, int(record["step"]), float(record["value"])))
        else:
            progress(fraction, message)


def main() -> None:
    """Do what the input asks."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may write records
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(NICER)

    def tell(**record: Any) -> None:
        out.write(json.dumps(record) + "\n")

    def progress(fraction: float, message: str) -> None:
        if isinstance(message, CurvePoint):
            tell(fraction=fraction, message=message, step=message.step, value=message.value)
        else:
            tell(fraction=fraction, message=message)

    from vortex_model.study import Study
    from vortex_model.training.finetune import finetune

    try:
        made = finetune(
            Study.open(request["study"]),
            sections=request["sections"],
            panel=request["panel"],
            predictor=request["predictor"],
            mode=request.get("mode", "fast"),
            encoder=request.get("encoder", "texture"),
            progress=progress,
        )
    except VortexError as error:
        tell(error=str(error))
    except MemoryError:
        tell(error="There is too little memory for this. Choose fewer sections or genes.")
    else:
        tell(result=made)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
