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
    ramp: tuple[tuple[float, float], ...] | None = None
    mode: str = "composite"
    diverging: bool = False

    def part(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Where values lie in the window, 0 to 1."""
        low, high = self.window
        return np.clip((values - low) / (high - low), 0.0, 1.0)

    def cover(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """How strongly expression covers morphology, 0 to 1, at each part of the window."""
        # a difference is strong at both ends, and nothing in the middle
        part = np.abs(2.0 * part - 1.0) if self.diverging else part
        if self.ramp is None:
            return np.asarray(self.opacity * fade(part, self.threshold))
        places, heights = zip(*self.ramp, strict=True)
        return np.asarray(np.interp(part, places, heights))


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
    cover = np.where(shown, look.cover(part), 0.0)[None, None, :]
    colour = palette.table(look.palette)[np.rint(part * 255).astype(int)] / 255.0
    tissue = lit_tissue(gray, shade)
    # expression keeps some of the tissue's light and dark, so that structure shows through it
    painted = colour[None, None] * relief(gray, shade)[..., None]
    body = body_of(gray)
    if look.mode == "maximum":
        # the strongest voxel of a ray is seen alone: its colour is the value, without light
        alpha = np.maximum(look.morphology * 0.25 * body, cover * (0.15 + 0.85 * part))
        rgb = np.where(cover[..., None] > 0, colour[None, None], tissue)
        return pack(rgb, alpha)
    if look.mode == "surface":
        cover = np.zeros_like(cover)
    rgb = tissue * (1.0 - cover[..., None]) + painted * cover[..., None]
    strength = cover * (0.10 + 0.90 * _weight(part, look)[None, None, :] ** 1.5)
    return pack(rgb, dense_and_strong(body, strength, look))


def lit_tissue(gray: npt.NDArray[Any], shade: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Colour of morphology alone, (..., 3)."""
    lit = 0.35 + 0.65 * shade
    return np.asarray((0.25 + 0.75 * gray)[..., None] * lit[..., None] * TINT)


def relief(gray: npt.NDArray[Any], shade: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How light expression is where the tissue has this gray and light."""
    return np.asarray((0.58 + 0.42 * gray) * (0.55 + 0.45 * shade))


def body_of(gray: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How much tissue there is, 0 to 1."""
    return np.clip((gray - 0.10) / 0.75, 0.0, 1.0)


def dense_and_strong(
    body: npt.NDArray[Any], strength: npt.NDArray[Any], look: Look
) -> npt.NDArray[Any]:
    """Opacity of tissue with expression of this strength in it."""
    dense = look.morphology * (0.10 * body + 0.55 * body**2)
    return np.asarray(np.maximum(dense, 0.6 * strength * (0.15 + 0.85 * body)))


def _weight(part: npt.NDArray[Any], look: Look) -> npt.NDArray[Any]:
    return np.abs(2.0 * part - 1.0) if look.diverging else part


def pack(rgb: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Colours (..., 3) and opacities, 0 to 1, as one RGBA word each, flattened."""
    rgba = np.empty((*np.broadcast_shapes(rgb.shape[:-1], alpha.shape), 4), np.uint8)
    rgba[..., :3] = np.clip(rgb, 0.0, 1.0) * 255
    rgba[..., 3] = np.clip(alpha, 0.0, 1.0) * 255
    packed: npt.NDArray[np.uint32] = rgba.reshape(-1, 4).view(np.uint32).ravel()
    return packed


@dataclass(frozen=True)
class Layers:
    """What a volume's RGBA is looked up from.

    ``base`` (z, y, x) holds gray and light, ``levels`` (z, y, x) expression, None without;
    ``table`` (65536,) the packed RGBA of both together.
    """

    base: npt.NDArray[np.uint16]
    levels: Bytes | None
    table: npt.NDArray[np.uint32]

    def rgba(self) -> npt.NDArray[np.uint32]:
        """A volume's packed RGBA, (z, y, x)."""
        index = self.base if self.levels is None else self.base | self.levels
        return np.asarray(np.take(self.table, index), np.uint32)


def volume_layers(base: npt.NDArray[np.uint16], gene: Coded | None, look: Look) -> Layers:
    """A volume's layers, for whoever looks the colours up elsewhere."""
    levels = None if gene is None else gene.levels(look.window, GENE)[gene.codes]
    return Layers(base, levels, volume_table(look, gene is not None))


def volume_rgba(
    base: npt.NDArray[np.uint16], gene: Coded | None, look: Look
) -> npt.NDArray[np.uint32]:
    """A volume's packed RGBA, (z, y, x)."""
    return volume_layers(base, gene, look).rgba()


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
        part = look.part(values)
        known = np.isfinite(part)
        part = np.where(known, part, 0.0)
        cover = np.where(known, look.cover(part), 0.0)[..., None]
        colour = palette.table(look.palette)[np.rint(part * 255).astype(np.uint8)]
        rgb = rgb * (1.0 - cover) + colour * (flat_relief(morphology, rgb)[..., None] * cover)
    return opaque(rgb, glass)


def flat_relief(morphology: Bytes, rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How light expression is in each pixel of a flat picture."""
    if morphology.ndim == 2:
        return np.asarray(0.60 + 0.40 * (morphology.astype(np.float32) / 255.0))
    # a stained section is dark where there is tissue: its darkness is the relief
    return np.asarray(0.45 + 0.55 * (rgb.mean(axis=-1) / 255.0))


def opaque(rgb: npt.NDArray[Any], glass: npt.NDArray[np.float32] | None) -> Bytes:
    """Colours (y, x, 3), 0 to 255, with the opacity of each pixel; opaque when None."""
    out = np.empty((*rgb.shape[:2], 4), np.uint8)
    out[..., :3] = np.clip(rgb, 0.0, 255.0)
    out[..., 3] = 255 if glass is None else np.clip(glass, 0.0, 1.0) * 255
    return out
