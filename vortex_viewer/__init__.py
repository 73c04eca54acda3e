"""A browser app to explore the expression of any gene in 3D beside the morphology."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vortex_viewer.notebook import show

__all__ = ["show"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # the command line asks for the version alone, and should not wait for the rest
    if name == "show":
        from vortex_viewer.notebook import show

        return show
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
