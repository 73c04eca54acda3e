"""Long work: progress is told, cancel stops it, an error is text."""

import threading

import pytest

from vortex_model.errors import VortexError
from vortex_model.progress import CurvePoint, Progress
from vortex_viewer.jobs import Job, Status


def followed(work: object, **options: float) -> tuple[Job, list[Status]]:
    told: list[Status] = []
    return Job("Fitting", work, told.append, **options), told  # type: ignore[arg-type]


def test_a_job_tells_how_far_it_is_and_what_it_made() -> None:
    def work(progress: Progress) -> int:
        progress(0.25, "one")
        progress(0.5, "two")
        return 42

    job, told = followed(work, interval_s=0.0)
    status = job.start().wait(10)
    assert (status.phase, status.fraction, status.result) == ("done", 1.0, 42)
    assert [(s.fraction, s.message) for s in told] == [(0.25, "one"), (0.5, "two"), (1.0, "Done")]
    assert [s.active for s in told] == [True, True, False]


def test_points_of_a_curve_are_kept_and_never_dropped() -> None:
    def work(progress: Progress) -> None:
        progress(0.1, "begun")
        for step in (1, 2, 3):
            progress(0.2 * step, CurvePoint(f"epoch {step}", step, step / 10))
            progress(0.2 * step, "on")

    job, told = followed(work, interval_s=5.0)
    status = job.start().wait(10)
    assert status.curve == ((1, 0.1), (2, 0.2), (3, 0.3))
    assert [len(s.curve) for s in told] == [0, 1, 2, 3, 3]
    assert told[1].message == "epoch 1" and type(told[1].message) is str


def test_reports_that_come_too_fast_are_dropped_but_never_the_end() -> None:
    def work(progress: Progress) -> None:
        for i in range(1000):
            progress(i / 1000, "step")

    job, told = followed(work, interval_s=5.0)
    job.start().wait(10)
    assert len(told) <= 2
    assert told[-1].phase == "done"


def test_cancel_stops_the_work_at_its_next_report() -> None:
    begun, go_on = threading.Event(), threading.Event()
    after = []

    def work(progress: Progress) -> None:
        progress(0.5, "half")
        begun.set()
        go_on.wait(10)
        progress(0.6, "more")
        after.append("went on")

    job, told = followed(work)
    job.start()
    assert begun.wait(10)
    job.cancel()
    assert job.status.phase == "cancelling"
    go_on.set()
    status = job.wait(10)
    assert status.phase == "cancelled"
    assert status.fraction == 0.5
    assert not after
    assert told[-1].phase == "cancelled"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (VortexError("Section C9 is not there."), "Section C9 is not there."),
        (MemoryError(), "too little memory"),
        (ZeroDivisionError("by zero"), "failed unexpectedly (ZeroDivisionError: by zero)"),
    ],
)
def test_an_error_is_shown_as_text(error: Exception, said: str) -> None:
    def work(progress: Progress) -> None:
        progress(0.3, "going")
        raise error

    job, told = followed(work)
    status = job.start().wait(10)
    assert status.phase == "failed"
    assert said in status.message
    assert "Traceback" not in status.message
    assert told[-1] == status


def test_its_log_keeps_what_was_done_and_not_every_number() -> None:
    def work(progress: Progress) -> None:
        progress(0.0, "reading")
        for token in range(0, 5000, 100):
            progress(token / 5000, f"predicting token {token:,} of 5,000")
        progress(1.0, "writing")

    job, told = followed(work, interval_s=5.0)
    status = job.start().wait(10)
    messages = [message for _, message in status.log]
    assert messages == ["reading", "predicting token 4,900 of 5,000", "writing", "Done"]
    seconds = [when for when, _ in status.log]
    assert seconds == sorted(seconds)
    assert status.seconds >= seconds[-1] >= 0
    assert told[0].log == status.log[:1]
