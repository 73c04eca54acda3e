"""How long work tells how far it is, and how it is stopped."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[float, str], None]
"""Called with the fraction done (0 to 1) and a short sentence.

To cancel the work, the callable raises :class:`~vortex_model.errors.Cancelled`; long work
reports at least once a second or once a chunk, whichever is rarer.
"""


class CurvePoint(str):
    """A message that also carries a point of a curve, such as a held-out score after a step.

    Whoever knows of it draws the curve; to all others it is the message.

    Attributes
    ----------
    step
        Epoch or step, from 1.
    value
        What the curve shows there.
    """

    step: int
    value: float

    def __new__(cls, message: str, step: int, value: float) -> "CurvePoint":
        """The message ``message`` with its point."""
        made = super().__new__(cls, message)
        made.step, made.value = step, value
        return made


class FirstPicture(str):
    """A message that also says what can be looked at while the work goes on.

    Attributes
    ----------
    made
        Id of a prediction. It may be told again when there is more to it.
    """

    made: str

    def __new__(cls, message: str, made: str) -> "FirstPicture":
        """The message ``message`` with the prediction's id."""
        new = super().__new__(cls, message)
        new.made = made
        return new


def silent(fraction: float, message: str) -> None:
    """The report that nobody reads."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """A progress for one stage of a longer job: its 0..1 becomes ``start``..``stop``."""

    def report(fraction: float, message: str) -> None:
        progress(start + (stop - start) * fraction, message)

    return report
