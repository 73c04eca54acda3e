"""What draws on this machine: a graphics card, or the processor in its place."""

from __future__ import annotations

SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swiftshader", "software", "basic render")
SOFTWARE_VOXELS = 6_000_000
"""The 3D view holds no more where the processor draws: a turn stays a turn."""
HARDWARE_VOXELS = 64_000_000
"""What a graphics card turns smoothly, at 4 bytes a voxel."""


def renderer_of(capabilities: str) -> str:
    """Name of what draws, from VTK's report of a window's capabilities; empty where unknown."""
    for line in capabilities.splitlines():
        if "renderer string" in line:
            return line.partition(":")[2].strip()
    return ""


def voxels_for(renderer: str) -> int:
    """How many voxels the 3D view may hold with this renderer; few where it is unknown."""
    return SOFTWARE_VOXELS if draws_slowly(renderer) else HARDWARE_VOXELS


def draws_slowly(renderer: str) -> bool:
    """Whether the processor draws; so it is held where the renderer is unknown."""
    name = renderer.casefold()
    return not name or any(word in name for word in SOFTWARE)
