"""Where files lie that come with the program: in the wheel beside a package, else in a checkout."""

from __future__ import annotations

from pathlib import Path

from vortex_model.errors import VortexError

ASSETS = Path(__file__).parents[2] / "assets"
"""Of a checkout; an installation has none."""


def shipped(beside: Path, asset: str, *, what: str, remedy: str) -> Path:
    """A file or folder that comes with the program.

    Parameters
    ----------
    beside
        Where a wheel puts it, within the package that it belongs to.
    asset
        Where a checkout has it, within ``assets``.
    what
        What a user calls it, such as "The static viewer".
    remedy
        What to do when it is missing.

    Raises
    ------
    VortexError
        When it is in neither place.
    """
    places = (beside, ASSETS / asset)
    for place in places:
        if place.exists():
            return place
    raise VortexError(
        f"{what} is missing from this installation: neither {places[0]} nor {places[1]} is "
        f"there. {remedy}"
    )
