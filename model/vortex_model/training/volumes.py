"""Reading blocks of morphology at a physical spacing, turned and stretched, as the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vortex_model import tissue
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.networks.canonical import CHANNELS, canonical
from vortex_model.study import Study

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """How a block lies in the study.

    Attributes
    ----------
    centre_um
        (z, y, x) of the study's frame.
    matrix
        (3, 3): micrometres in the block (z, y, x) to micrometres in the study. Where planes were
        cut one by one its first row and column are those of the unit matrix, up to sign.
    """

    centre_um: Matrix
    matrix: Matrix


class Volume:
    """One study's morphology, read by block.

    Parameters
    ----------
    path
        The study.
    voxel_um
        Wanted spacing (z, y, x) of blocks. A scan more than twice as coarse is read at its own
        spacing, all axes alike coarser, rather than blown up.
    consecutive
        Where planes were cut one by one: whether a block's planes are consecutive sections (for
        the slice path), or one section fills the depth of a block (for the 3D encoder, to which
        what does not change along z is a plane).

    Attributes
    ----------
    voxel_um
        Spacing (z, y, x) of blocks as they are read.
    serial
        Whether planes were cut one by one; they are never mixed.
    consecutive
        Whether a block's planes are consecutive sections.

    Raises
    ------
    StudyError
        When the study has no morphology.
    """

    def __init__(
        self, path: Path, voxel_um: tuple[float, float, float], consecutive: bool = False
    ) -> None:
        self.study = Study.open(path)
        image = self.study.morphology
        self.serial = self.study.serial
        self.channels = image.channels
        self.level = image.level_near(min(voxel_um[1:]) if self.serial else min(voxel_um))
        self.ranges = tissue.channel_ranges(image, self.serial)
        grid = self.level.grid
        self.consecutive = self.serial and consecutive
        coarse = max(self.level.grid.spacing_um[1:]) / min(voxel_um[1:])
        self.voxel_um = np.array(voxel_um, dtype=np.float64) * (coarse if coarse > 2 else 1.0)
        if self.consecutive:
            self.voxel_um[0] = grid.spacing_um[0]
        self.image = image
        self._tissue: Matrix | None = None

    @property
    def tissue_um(self) -> Matrix:
        """Centres (z, y, x) of the coarse voxels that are tissue, (n, 3)."""
        if self._tissue is None:
            coarse = 8 * float(self.voxel_um[1:].max())
            mask, grid = tissue.tissue_mask(self.image, coarse, self.serial)
            index = np.argwhere(mask)
            if not len(index):
                raise VortexError(
                    f"{self.study.path} shows no tissue. Leave it out of the recipe, or check "
                    "its morphology."
                )
            self._tissue = index * np.array(grid.spacing_um) + np.array(grid.origin_um)
            self._jitter = np.array(grid.spacing_um) * (0.0 if self.serial else 1.0, 1.0, 1.0)
        return self._tissue

    def place(self, rng: np.random.Generator) -> Matrix:
        """A random place (z, y, x) in the tissue."""
        points = self.tissue_um
        point = points[rng.integers(len(points))]
        return np.asarray(point + (rng.random(3) - 0.5) * self._jitter)

    def plane_near(self, z_um: float) -> int:
        """Number of the plane nearest to a depth."""
        grid = self.level.grid
        index = round((z_um - grid.origin_um[0]) / grid.spacing_um[0])
        return min(max(index, 0), grid.shape[0] - 1)

    def read(self, pose: Pose, shape: tuple[int, int, int]) -> tuple[Floats, Matrix]:
        """A block as the network sees it.

        Returns
        -------
        voxels
            (2, z, y, x), 0 beyond the morphology.
        z_um
            Depth of each plane in the block, (z,).
        """
        offset = (np.arange(shape[0]) - (shape[0] - 1) / 2) * self.voxel_um[0]
        voxels = self._planes(pose, shape) if self.serial else self._block(pose, shape)
        return voxels, offset

    def _block(self, pose: Pose, shape: tuple[int, int, int]) -> Floats:
        cut = _Cut(self.level.grid, pose, self.voxel_um, shape, slice(0, 3))
        out = np.zeros((len(CHANNELS), *shape), dtype=np.float32)
        if cut.empty:
            return out
        raw = np.asarray(self.level.array[(slice(None), *cut.box)], dtype=np.float32)
        for channel, seen in enumerate(canonical(raw, self.channels, self.ranges[0])):
            out[channel] = cut.sample(seen)
        return out

    def _planes(self, pose: Pose, shape: tuple[int, int, int]) -> Floats:
        cut = _Cut(self.level.grid, pose, self.voxel_um, shape, slice(1, 3))
        out = np.zeros((len(CHANNELS), *shape), dtype=np.float32)
        if cut.empty:
            return out
        numbers = self._sections(pose, shape[0])
        for number in np.unique(numbers[numbers >= 0]):
            box = (slice(None), slice(number, number + 1), *cut.box)
            raw = np.asarray(self.level.array[box], dtype=np.float32)
            seen = canonical(raw, self.channels, self.ranges[number])
            for channel in range(len(CHANNELS)):
                out[channel, numbers == number] = cut.sample(seen[channel, 0])
        return out

    def _sections(self, pose: Pose, count: int) -> npt.NDArray[np.int64]:
        """Which section each plane of a block shows; -1 for none."""
        step = 1 if pose.matrix[0, 0] >= 0 else -1
        middle = self.plane_near(float(pose.centre_um[0]))
        if not self.consecutive:
            return np.full(count, middle, dtype=np.int64)
        found = middle + step * (np.arange(count) - count // 2)
        return np.where((found >= 0) & (found < self.level.grid.shape[0]), found, -1)


class _Cut:
    """Which voxels of a level a block needs, and how they are resampled, on some axes."""

    def __init__(
        self, grid: Grid, pose: Pose, voxel_um: Matrix, shape: tuple[int, int, int], axes: slice
    ) -> None:
        spacing = np.array(grid.spacing_um)[axes]
        middle = (pose.centre_um[axes] - np.array(grid.origin_um)[axes]) / spacing
        self._matrix = pose.matrix[axes, axes] * voxel_um[axes] / spacing[:, None]
        self._shape = tuple(shape)[axes]
        half = (np.array(self._shape) - 1) / 2
        reach = np.abs(self._matrix) @ half
        low = np.maximum(np.floor(middle - reach).astype(int) - 1, 0)
        high = np.minimum(np.ceil(middle + reach).astype(int) + 2, np.array(grid.shape[axes]))
        self._start = middle - self._matrix @ half - low
        self.empty = bool((low >= high).any())
        self.box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def sample(self, seen: Floats) -> Floats:
        """The block's voxels, linearly interpolated; 0 beyond the image."""
        found = ndimage.affine_transform(
            seen, self._matrix, self._start, self._shape, order=1, mode="constant"
        )
        return np.maximum(found, 0.0, dtype=np.float32)
