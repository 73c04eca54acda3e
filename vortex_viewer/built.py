"""The built pages of ``assets/web``: the static viewer, and what of it only the live app needs."""

from __future__ import annotations

from pathlib import Path

from vortex_model.shipped import shipped

LIVE = "live"
"""Where the viewer's folder holds what only the live app needs."""


def viewer_folder() -> Path:
    """The static viewer, whole with ``LIVE``: in the wheel, or in a checkout under assets/web/dist.

    Raises
    ------
    VortexError
        When it is at neither place.
    """
    return _with_page("", "The static viewer")


def live_folder() -> Path:
    """The page that draws 3D in a visitor's browser.

    Raises
    ------
    VortexError
        When it is at neither place.
    """
    return _with_page(f"{LIVE}/", "The page that draws 3D in the browser")


def _with_page(part: str, what: str) -> Path:
    page = f"{part}index.html"
    return shipped(
        Path(__file__).parent / "web" / page,
        f"web/dist/{page}",
        what=what,
        remedy="Install vortex-viewer again; in a checkout, build it: cd assets/web && npm ci && "
        "npm run build.",
    ).parent
