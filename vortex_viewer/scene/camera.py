"""The 3D camera: parallel, turned like a ball in the hand, always a plain value."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from vortex_viewer.state import Camera

Floats = npt.NDArray[np.float64]
Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
MARGIN = 1.12
CORNER = (-0.42, -0.62, -0.66)
"""From the block to the viewer at first: y points down, as in the slices, and low z is near."""
SIDES = {
    "corner": (CORNER, (0.0, -1.0, 0.0)),
    "+x": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "-x": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "+y": ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "-y": ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    "+z": ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "-z": ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0)),
}


def look(box: Box, side: str, aspect: float, depth: float) -> Camera:
    """A camera that sees a whole block (x, y and z ranges, micrometres) from one side.

    Parameters
    ----------
    aspect
        Width of the picture over its height.
    depth
        How far z is stretched.
    """
    back, up = (np.asarray(v, np.float64) for v in SIDES[side])
    back = back / np.linalg.norm(back)
    if abs(float(back @ up)) > 0.95:
        up = np.array([0.0, 0.0, 1.0])
    up = _unit(up - (up @ back) * back)
    right = np.cross(up, back)
    stretch = np.array([1.0, 1.0, depth])
    corners = np.array(list(itertools.product(*box))) * stretch
    middle = corners.mean(axis=0)
    wide = np.ptp((corners - middle) @ right)
    high = np.ptp((corners - middle) @ up)
    height = MARGIN * max(high, wide / max(aspect, 0.1))
    return Camera(_point(middle / stretch), _point(back), _point(up), float(height))


def turn(camera: Camera, right_part: float, up_part: float) -> Camera:
    """Turn the block by a drag, in parts of the picture's height; a whole height is 180 degrees."""
    back, up = np.asarray(camera.back), np.asarray(camera.up)
    right = np.cross(up, back)
    spin = _rotation(up, -right_part * np.pi) @ _rotation(right, up_part * np.pi)
    back, up = _unit(spin @ back), spin @ up
    return Camera(
        camera.focal, _point(back), _point(_unit(up - (up @ back) * back)), camera.height_um
    )


def shift(camera: Camera, right_part: float, up_part: float, depth: float) -> Camera:
    """Move the block by a drag, in parts of the picture's height."""
    back, up = np.asarray(camera.back), np.asarray(camera.up)
    right = np.cross(up, back)
    step = (right * right_part + up * up_part) * camera.height_um / np.array([1.0, 1.0, depth])
    return Camera(_point(np.asarray(camera.focal) - step), camera.back, camera.up, camera.height_um)


def zoom(camera: Camera, factor: float, largest_um: float) -> Camera:
    """Come nearer (factor above 1) or go away."""
    height = float(np.clip(camera.height_um / factor, 1e-3 * largest_um, 20 * largest_um))
    return Camera(camera.focal, camera.back, camera.up, height)


def _rotation(axis: Floats, angle: float) -> Floats:
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))


def _point(vector: Floats) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z
