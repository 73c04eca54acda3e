"""A block that a program which swaps axes, spacings or places cannot get right."""

import numpy as np

from vortex_model.grid import Grid

GRID = Grid((40, 100, 120), (4.0, 3.0, 2.0), (2.0, 101.5, 51.0))
"""No two axes alike in size, spacing or origin: a program that swaps them is found out."""
CORNERS = {(5, 10, 10): 1000, (5, 10, 100): 2000, (5, 80, 10): 3000, (30, 10, 10): 4000}
"""Middles (z, y, x) of cubes, and their values in the first channel; all else is 100."""


def voxels() -> np.ndarray:
    """Two channels: cubes whose value tells where they stand, and a ramp along x."""
    made = np.full((2, *GRID.shape), 100, np.uint16)
    for (z, y, x), value in CORNERS.items():
        made[0, z - 5 : z + 5, y - 8 : y + 8, x - 8 : x + 8] = value
    made[1] = np.linspace(0, 4000, GRID.shape[2]).astype(np.uint16)
    return made
