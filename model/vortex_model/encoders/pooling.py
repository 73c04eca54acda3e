"""Voxels -> tokens -> wider windows: masked means and what is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vortex_model.encoders.base import Floats
from vortex_model.grid import Grid

TINY = np.float32(1e-6)
REACH = 3.0
"""Gaussians end at so many standard deviations."""
WIDE = 3.0
"""From so many tokens on, a window is blurred on a coarser lattice."""


class Pool:
    """Sums over the voxels of each token of a lattice that lies inside a block.

    Parameters
    ----------
    grid
        The block's voxels.
    lattice
        Tokens; each is a whole number of the block's voxels wide, the last one of an image
        perhaps cut.
    tissue
        (z, y, x) bool on ``grid``.
    """

    def __init__(self, grid: Grid, lattice: Grid, tissue: npt.NDArray[np.bool_]) -> None:
        self.shape = lattice.shape
        self._box: list[slice] = []
        self._factor: list[int] = []
        for n, step, token, count, (low, _), (first, _) in zip(
            grid.shape,
            grid.spacing_um,
            lattice.spacing_um,
            lattice.shape,
            grid.bounds_um,
            lattice.bounds_um,
            strict=True,
        ):
            factor = round(token / step)
            start = round((first - low) / step)
            self._box.append(slice(start, min(n, start + factor * count)))
            self._factor.append(factor)
        self._tissue = tissue[tuple(self._box)].astype(np.float32)
        self.count = self._sum(self._tissue)
        """Tissue voxels of each token, (z, y, x)."""
        voxels = self._sum(np.ones_like(self._tissue))
        self.weight: Floats = np.asarray(self.count / voxels, dtype=np.float32)
        """Part of each token that is tissue, (z, y, x)."""

    def mean(self, values: Floats) -> Floats:
        """Mean over each token's tissue voxels, of ``values`` (z, y, x) on the block's grid."""
        part = values[tuple(self._box)] * self._tissue
        return np.asarray(self._sum(part) / np.maximum(self.count, TINY), dtype=np.float32)

    def moments(self, values: Floats) -> tuple[Floats, Floats]:
        """Mean and mean square over each token's tissue voxels."""
        part = values[tuple(self._box)]
        weighted = part * self._tissue
        count = np.maximum(self.count, TINY)
        first = self._sum(weighted) / count
        weighted *= part
        return np.asarray(first), np.asarray(self._sum(weighted) / count)

    def _sum(self, values: Floats) -> Floats:
        for axis, factor in enumerate(self._factor):
            values = _sum_along(values, factor, axis)
        return values


def _sum_along(values: Floats, factor: int, axis: int) -> Floats:
    """Sums of ``factor`` neighbours along an axis; the last sum is of what is left."""
    if factor == 1:
        return values
    n = values.shape[axis]
    whole = n // factor
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    body = values.take(range(whole * factor), axis) if n % factor else values
    total = body.reshape(*before, whole, factor, *after).sum(axis=axis + 1)
    if n % factor:
        rest = values.take(range(whole * factor, n), axis).sum(axis=axis, keepdims=True)
        total = np.concatenate([total, rest], axis)
    return np.asarray(total, dtype=np.float32)


def gaussian(values: Floats, sigma: Sequence[float]) -> Floats:
    """Gaussian blur by ``sigma`` (z, y, x) in voxels; too small a sigma leaves an axis alone."""
    for axis, s in enumerate(sigma):
        if s > 0.25 and values.shape[axis] > 1:
            values = ndimage.gaussian_filter1d(values, s, axis=axis, mode="nearest", truncate=REACH)
    return values


def blur(values: Floats, sigma: Sequence[float], least: float = 4.0) -> Floats:
    """Gaussian blur (z, y, x); from a sigma of ``least`` on along half as many voxels.

    Blocks that start at multiples of ``ALIGN`` voxels agree, as long as sigma is below
    ``least * ALIGN``.
    """
    axes = [a for a, s in enumerate(sigma) if s >= least and values.shape[a] > 1]
    if not axes:
        return gaussian(values, sigma)
    small, inner = values, list(sigma)
    for axis in axes:
        small = _halve(small, axis)
        # Means of two voxels and the linear way back add a variance of one voxel together.
        inner[axis] = float(np.sqrt(sigma[axis] ** 2 - 1.0)) / 2
    small = blur(small, inner, least)
    for axis in axes:
        small = _double(small, axis, values.shape[axis])
    return small


def _halve(values: Floats, axis: int) -> Floats:
    """Means of two along an axis; an odd last one stays itself."""
    n = values.shape[axis]
    even = values.take(range(0, n - n % 2, 2), axis)
    odd = values.take(range(1, n, 2), axis)
    mean = (even + odd) / 2
    joined = np.concatenate([mean, values.take([n - 1], axis)], axis) if n % 2 else mean
    return np.asarray(joined, dtype=np.float32)


def _double(values: Floats, axis: int, length: int) -> Floats:
    """Twice as many along an axis, linear in between; the first ``length`` of them."""
    n = values.shape[axis]
    near = values * np.float32(0.75)
    far = values * np.float32(0.25)
    before = near + far.take(np.maximum(np.arange(n) - 1, 0), axis)
    after = near + far.take(np.minimum(np.arange(n) + 1, n - 1), axis)
    both = np.stack([before, after], axis + 1)
    shape = [*values.shape[:axis], 2 * n, *values.shape[axis + 1 :]]
    return np.asarray(both.reshape(shape).take(range(length), axis), dtype=np.float32)


class Windows:
    """Masked Gaussian means of tokens, one window width after the other.

    Parameters
    ----------
    token_um
        Spacing (z, y, x) of the tokens.
    widths_um
        Width of each window: that of a box of equal variance. The first is the token itself.
    planar
        Whether windows stay in their plane.
    """

    def __init__(self, token_um: Sequence[float], widths_um: Sequence[float], planar: bool) -> None:
        self.widths_um = tuple(widths_um)
        self._sigma = []
        for width in self.widths_um:
            sigma = [np.sqrt(max(0.0, width**2 - t**2) / 12.0) / t for t in token_um]
            if planar:
                sigma[0] = 0.0
            self._sigma.append(tuple(sigma))

    def reach_um(self, token_um: Sequence[float]) -> tuple[float, float, float]:
        """How far (z, y, x) the widest window sees."""
        z, y, x = (
            max(np.ceil(REACH * s[axis]) + 1 if s[axis] > 0.25 else 0 for s in self._sigma) * t
            for axis, t in enumerate(token_um)
        )
        return float(z), float(y), float(x)

    def means(self, number: int, tokens: Floats, weight: Floats) -> Iterator[Floats]:
        """Each token channel's mean (z, y, x) over one window of the tokens that are tissue."""
        sigma = self._sigma[number]
        total = np.maximum(blur(weight, sigma, WIDE), TINY)
        for channel in tokens:
            yield np.asarray(blur(channel * weight, sigma, WIDE) / total, dtype=np.float32)


def eigenvalues2(yy: Floats, yx: Floats, xx: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues of symmetric 2x2 matrices, larger first."""
    half = (yy + xx) / 2
    root = np.sqrt(((yy - xx) / 2) ** 2 + yx**2)
    return np.asarray(half + root), np.asarray(np.maximum(half - root, 0))


def eigenvalues3(tensor: Floats) -> Floats:
    """Eigenvalues (3, ...), largest first, of symmetric matrices (zz, yy, xx, zy, zx, yx)."""
    zz, yy, xx, zy, zx, yx = tensor
    matrix = np.stack(
        [np.stack([zz, zy, zx], -1), np.stack([zy, yy, yx], -1), np.stack([zx, yx, xx], -1)], -2
    )
    found = np.linalg.eigvalsh(matrix)
    return np.asarray(np.maximum(np.moveaxis(found, -1, 0)[::-1], 0), dtype=np.float32)
