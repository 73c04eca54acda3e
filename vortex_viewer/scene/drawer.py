"""Who draws the 3D view: this machine, or the visitor's browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vortex_viewer.scene.graphics import draws_slowly

WISHES = ("auto", "server", "browser")
"""What a visitor may ask for; the first is what is done for those who do not ask."""
BROWSER_VOXELS = 32_000_000
"""A browser holds no more: 4 bytes a voxel for its graphics card, and 7 to make those of."""


@dataclass(frozen=True)
class Graphics:
    """What a browser says of what it draws with.

    Attributes
    ----------
    renderer
        Its name; empty where the browser does not tell.
    webgl2
        Whether it draws volumes at all.
    slow
        Whether the browser itself warns that a picture will take long.
    side
        How many voxels a volume may have along an axis.
    lost
        Whether it has stopped drawing since: its driver failed, or it has too little memory.
    """

    renderer: str
    webgl2: bool
    slow: bool
    side: int
    lost: bool = False

    @classmethod
    def of(cls, said: Any) -> Graphics:
        """From a page's message; of one that says nothing, nothing is expected."""
        said = said if isinstance(said, dict) else {}
        side = said.get("side")
        return cls(
            str(said.get("renderer") or "")[:200],
            said.get("webgl2") is True,
            said.get("slow") is True,
            side if isinstance(side, int) else 0,
        )

    @property
    def card(self) -> bool:
        """Whether a graphics card draws; a name that is not told may be one."""
        known_slow = bool(self.renderer) and draws_slowly(self.renderer)
        return self.webgl2 and not self.lost and not self.slow and not known_slow


@dataclass(frozen=True)
class Drawer:
    """Who draws, and the words for it."""

    local: bool
    why: str


def choose(
    wish: str,
    server: str,
    browser: Graphics | None,
    *,
    panes: int = 1,
    shape: tuple[int, ...] = (),
) -> Drawer:
    """Who draws a picture of so many panes and, in the largest, a volume of this shape.

    Parameters
    ----------
    wish
        One of :data:`WISHES`.
    server
        Name of what draws on this machine (``graphics.renderer_of``); empty where unknown.
    browser
        What the browser has; None while it has not said.
    """
    card = not draws_slowly(server)
    here = "the server's graphics card" if card else "the server's processor"
    if wish == "server":
        return Drawer(False, here)
    if wish != "browser" and card:
        return Drawer(False, here)
    if browser is None or (wish != "browser" and not (browser.card or browser.lost)):
        return Drawer(False, f"{here}: no graphics card here or there")
    lack = _lack(browser, panes, shape)
    if lack is not None:
        return Drawer(False, f"{here}: {lack}")
    if browser.card:
        return Drawer(True, "this browser's graphics card")
    return Drawer(True, "this browser's processor: it has no graphics card, so turning is coarse")


def _lack(browser: Graphics, panes: int, shape: tuple[int, ...]) -> str | None:
    """Why a browser cannot draw this; None where it can."""
    if not browser.webgl2:
        return "this browser has no WebGL 2"
    if browser.lost:
        return "this browser has stopped drawing; choose again to try again"
    if panes > 1:
        return "panes side by side are drawn there"
    if max(shape, default=0) > browser.side:
        return f"this browser holds at most {browser.side} voxels along an axis"
    voxels = 1
    for n in shape:
        voxels *= n
    if voxels > BROWSER_VOXELS:
        return (
            f"this view's {voxels / 1e6:.0f} million voxels are more than the "
            f"{BROWSER_VOXELS / 1e6:.0f} million that a browser is given"
        )
    return None
