"""Morphology and expression mixed into one colour and one opacity a voxel.

One ray (or one pixel) then samples both at once: finished pictures are never blended, so the
morphology stays visible beneath the expression. The mixing is a table look-up: gray level,
light and expression level form an index, so that a new palette costs one small table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_viewer.scene import palette

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint16]
GRAY, LIGHT, GENE = 64, 16, 64  # levels in the index of a volume's voxel
TINT = np.array([0.86, 0.90, 0.97], dtype=np.float32)  # of unstained morphology
SOFT = 0.12  # part of the window over which expression fades in


@dataclass(frozen=True)
class Look:
    """How expression is drawn over morphology: the part of a ViewState that colours depend on."""

    palette: str
    window: tuple[float, float]
    opacity: float
    threshold: float
    morphology: float


@dataclass(frozen=True)
class Coded:
    """Expression of one gene in 16 bits: 0 is no tissue, 1 to 65535 spans ``low`` to ``high``."""

    codes: Codes
    low: float
    high: float

    @classmethod
    def of(cls, values: npt.NDArray[Any], low: float, high: float) -> Coded:
        """Encode values, nan outside tissue."""
        scale = 65534.0 / max(high - low, 1e-12)
        scaled = (np.clip(values, low, high) - low) * scale + 1.0
        return cls(np.nan_to_num(scaled, nan=0.0).astype(np.uint16), low, high)

    def levels(self, window: tuple[float, float], count: int) -> Bytes:
        """Table (65536,): code -> 0 outside tissue, else 1 to ``count - 1`` over the window."""
        value = self.low + (np.arange(65536) - 1) / 65534.0 * (self.high - self.low)
        part = np.clip((value - window[0]) / (window[1] - window[0]), 0.0, 1.0)
        table = (1 + np.rint(part * (count - 2))).astype(np.uint8)
        table[0] = 0
        return table


def fade(part: npt.NDArray[Any], threshold: float) -> npt.NDArray[Any]:
    """How far expression covers morphology at each part (0 to 1) of the window."""
    if threshold <= 0.0:
        return np.ones_like(part)
    return np.clip((part - threshold) / SOFT, 0.0, 1.0)


def light(gray: Bytes, spacing_um: tuple[float, float, float]) -> Bytes:
    """Baked light from above the viewer's left shoulder, 0 (dark) to 255, shape (z, y, x).

    Shading while rendering costs three times as much without a GPU, and needs a gradient of
    the mixture; the morphology's own shape is what the eye wants.
    """
    from scipy.ndimage import gaussian_filter1d

    smooth = gray.astype(np.float32)
    for axis in range(3):
        if gray.shape[axis] > 3:
            smooth = gaussian_filter1d(smooth, 1.0, axis=axis, truncate=2.0)
    total = np.zeros(gray.shape, np.float32)
    size = np.zeros(gray.shape, np.float32)
    for axis, towards in enumerate((-0.62, -0.60, -0.50)):
        if gray.shape[axis] < 2:
            continue
        slope = np.gradient(smooth, axis=axis)
        slope *= min(spacing_um) / spacing_um[axis]
        total -= slope * towards
        size += slope * slope
    np.sqrt(size, out=size)
    # flat places have no side: they take the middle of the light
    shade = 0.62 + 0.38 * total / (size + 6.0)
    return np.asarray(np.clip(shade, 0.0, 1.0) * 255, dtype=np.uint8)


def base_index(gray: Bytes, shade: Bytes) -> npt.NDArray[np.uint16]:
    """The gray and light part of a voxel's index."""
    index = (gray.astype(np.uint16) >> 2) << 10
    index |= (shade.astype(np.uint16) >> 4) << 6
    return index.astype(np.uint16, copy=False)


def volume_table(look: Look, with_gene: bool) -> npt.NDArray[np.uint32]:
    """Table (65536,): index of a voxel -> its RGBA, packed."""
    gray = np.linspace(0.0, 1.0, GRAY, dtype=np.float32)[:, None, None]
    shade = np.linspace(0.0, 1.0, LIGHT, dtype=np.float32)[None, :, None]
    level = np.arange(GENE)
    part = np.clip((level - 1) / (GENE - 2), 0.0, 1.0).astype(np.float32)
    shown = (level > 0) & with_gene
    cover = np.where(shown, look.opacity * fade(part, look.threshold), 0.0)[None, None, :]
    colour = palette.table(look.palette)[np.rint(part * 255).astype(int)] / 255.0
    lit = 0.35 + 0.65 * shade
    tissue = (0.25 + 0.75 * gray)[..., None] * lit[..., None] * TINT
    # expression keeps some of the tissue's light and dark, so that structure shows through it
    relief = (0.58 + 0.42 * gray) * (0.55 + 0.45 * shade)
    painted = colour[None, None] * relief[..., None]
    rgb = tissue * (1.0 - cover[..., None]) + painted * cover[..., None]
    body = np.clip((gray - 0.10) / 0.75, 0.0, 1.0)
    dense = look.morphology * (0.10 * body + 0.55 * body**2)
    strength = cover * (0.10 + 0.90 * part[None, None, :] ** 1.5) * (0.15 + 0.85 * body)
    alpha = np.maximum(dense * np.ones_like(cover), 0.6 * strength)
    return pack(rgb, alpha)


def pack(rgb: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Colours (..., 3) and opacities, 0 to 1, as one RGBA word each, flattened."""
    rgba = np.empty((*np.broadcast_shapes(rgb.shape[:-1], alpha.shape), 4), np.uint8)
    rgba[..., :3] = np.clip(rgb, 0.0, 1.0) * 255
    rgba[..., 3] = np.clip(alpha, 0.0, 1.0) * 255
    packed: npt.NDArray[np.uint32] = rgba.reshape(-1, 4).view(np.uint32).ravel()
    return packed


def volume_rgba(
    base: npt.NDArray[np.uint16], gene: Coded | None, look: Look
) -> npt.NDArray[np.uint32]:
    """A volume's packed RGBA, (z, y, x)."""
    table = volume_table(look, gene is not None)
    index = base if gene is None else base | gene.levels(look.window, GENE)[gene.codes]
    return np.asarray(np.take(table, index), np.uint32)


def picture_rgba(
    morphology: Bytes,
    values: npt.NDArray[np.float32] | None,
    look: Look,
    glass: npt.NDArray[np.float32] | None = None,
) -> Bytes:
    """A flat picture's RGBA (y, x, 4) of morphology, gray (y, x) or colour (y, x, 3).

    Parameters
    ----------
    values
        Expression, nan outside tissue, (y, x); None is morphology alone.
    glass
        Opacity of each pixel, 0 to 1; opaque when None.
    """
    gray = morphology.ndim == 2
    rgb = morphology[..., None] * TINT if gray else morphology.astype(np.float32)
    if values is not None:
        part = np.clip((values - look.window[0]) / (look.window[1] - look.window[0]), 0.0, 1.0)
        known = np.isfinite(part)
        part = np.where(known, part, 0.0)
        cover = np.where(known, look.opacity * fade(part, look.threshold), 0.0)[..., None]
        colour = palette.table(look.palette)[np.rint(part * 255).astype(np.uint8)]
        if gray:
            relief = 0.60 + 0.40 * (morphology.astype(np.float32) / 255.0)
        else:
            # a stained section is dark where there is tissue: its darkness is the relief
            relief = 0.45 + 0.55 * (rgb.mean(axis=-1) / 255.0)
        rgb = rgb * (1.0 - cover) + colour * (relief[..., None] * cover)
    out = np.empty((*morphology.shape[:2], 4), np.uint8)
    out[..., :3] = np.clip(rgb, 0.0, 255.0)
    out[..., 3] = 255 if glass is None else np.clip(glass, 0.0, 1.0) * 255
    return out
