"""The headless backend of vortex-viewer: any gene of a tissue block in 3D."""

from typing import TYPE_CHECKING, Any

from vortex_model.errors import VortexError

if TYPE_CHECKING:
    from vortex_model.api import Study

__all__ = ["Study", "VortexError"]


def __getattr__(name: str) -> Any:
    # Study brings the whole model along; who only wants an error or a grid should not wait for it.
    if name == "Study":
        from vortex_model.api import Study

        return Study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
