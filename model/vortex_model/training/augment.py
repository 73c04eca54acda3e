"""Augmentations that a tissue scan allows: turns, tilts, stretching, intensity, thickness."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vortex_model.training.recipe import Augment

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


def random_matrix(
    settings: Augment, rng: np.random.Generator, *, serial: bool, cubic: bool, square: bool
) -> Matrix:
    """A random pose's matrix (3, 3) over (z, y, x).

    Parameters
    ----------
    serial
        Planes were cut one by one: z stays z, up to its sign.
    cubic, square
        Whether the block has the same size along all axes, or along y and x: quarter turns then
        change no sizes.
    """
    matrix = np.eye(3)
    if settings.turn:
        orders = list(permutations(range(3))) if cubic and not serial else [(0, 1, 2)]
        if square and len(orders) == 1:
            orders.append((0, 2, 1))
        order = orders[rng.integers(len(orders))]
        matrix = np.eye(3)[list(order)] * rng.choice([-1.0, 1.0], size=3)
    angle = np.radians(settings.tilt_degrees)
    tilt = rng.uniform(-angle, angle, size=3) * (1.0, 0.0 if serial else 1.0, 0.0 if serial else 1)
    matrix = Rotation.from_rotvec(tilt).as_matrix() @ matrix
    stretch = np.exp(rng.uniform(-settings.anisotropy, settings.anisotropy, size=3))
    if serial:
        stretch[0] = 1.0
    return np.asarray(matrix * stretch)


def change_intensity(voxels: Floats, settings: Augment, rng: np.random.Generator) -> Floats:
    """Voxels (c, z, y, x) of another stain, exposure and optical thickness."""
    count = len(voxels)
    gain = np.exp(rng.normal(0.0, settings.gain, size=count)).astype(np.float32)
    gamma = np.exp(rng.normal(0.0, settings.gamma, size=count)).astype(np.float32)
    noise = rng.standard_normal(voxels.shape, dtype=np.float32) * np.float32(settings.noise)
    thick = rng.random() < settings.blur_depth
    if thick and voxels.shape[1] > 2:
        voxels = ndimage.uniform_filter1d(voxels, 3, axis=1, mode="nearest")
    curve = np.power(voxels, gamma[:, None, None, None]) * gain[:, None, None, None]
    return np.maximum(curve + noise, 0.0, dtype=np.float32)
