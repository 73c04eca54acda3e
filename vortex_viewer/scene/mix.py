"""Several genes in one picture: each has a colour and a window; one ray samples them all.

The lights of the genes add up; together they cover at most as much of the tissue as there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_viewer.scene import compose
from vortex_viewer.scene.compose import Coded, Look

SLAB = 1 << 20
"""How many voxels are mixed at a time."""
Colours = npt.NDArray[np.float32]


def volume_mixed(
    base: npt.NDArray[np.uint16], genes: Sequence[Coded], colours: Colours, looks: Sequence[Look]
) -> npt.NDArray[np.uint32]:
    """A volume's packed RGBA, (z, y, x), of several genes; colours (genes, 3), 0 to 1."""
    tables = [_strengths(g, look) for g, look in zip(genes, looks, strict=True)]
    gray, shade = _base_tables()
    tissue, light = compose.lit_tissue(gray, shade), compose.relief(gray, shade)
    body = compose.body_of(gray)
    flat, out = base.ravel(), np.empty(base.size, np.uint32)
    for start in range(0, base.size, SLAB):
        part = slice(start, start + SLAB)
        index = flat[part] >> 6
        shares = [table[g.codes.ravel()[part]] for table, g in zip(tables, genes, strict=True)]
        cover, painted = _mixed(shares, colours)
        if looks[0].mode == "surface":
            cover = np.zeros_like(cover)
            painted = np.zeros_like(painted)
        rgb = tissue[index] * (1.0 - cover[:, None]) + painted * light[index][:, None]
        if looks[0].mode == "maximum":
            alpha = np.maximum(looks[0].morphology * 0.25 * body[index], cover)
        else:
            alpha = compose.dense_and_strong(body[index], cover, looks[0])
        out[part] = compose.pack(rgb, alpha)
    return out.reshape(base.shape)


def picture_mixed(
    morphology: compose.Bytes,
    values: Sequence[npt.NDArray[np.float32]],
    colours: Colours,
    looks: Sequence[Look],
    glass: npt.NDArray[np.float32] | None = None,
) -> compose.Bytes:
    """A flat picture's RGBA (y, x, 4) of several genes over morphology; as ``picture_rgba``."""
    gray = morphology.ndim == 2
    rgb = morphology[..., None] * compose.TINT if gray else morphology.astype(np.float32)
    shares = []
    for one, look in zip(values, looks, strict=True):
        part = look.part(np.nan_to_num(one, nan=look.window[0]))
        shares.append(np.where(np.isfinite(one), look.cover(part) * part, 0.0))
    cover, painted = _mixed(shares, colours)
    light = compose.flat_relief(morphology, rgb)[..., None]
    return compose.opaque(rgb * (1.0 - cover[..., None]) + 255.0 * painted * light, glass)


def _mixed(
    shares: Sequence[npt.NDArray[Any]], colours: Colours
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """How much of the tissue is covered (...), and the light over it (..., 3)."""
    total = np.sum(shares, axis=0)
    painted = sum(s[..., None] * c for s, c in zip(shares, colours, strict=True))
    return np.minimum(total, 1.0), np.asarray(painted / np.maximum(total, 1.0)[..., None])


def _strengths(gene: Coded, look: Look) -> npt.NDArray[np.float32]:
    """Table (65536,): code -> how strongly the gene shows, 0 to 1."""
    value = gene.low + (np.arange(65536) - 1) / 65534.0 * (gene.high - gene.low)
    part = look.part(value)
    table = (look.cover(part) * part).astype(np.float32)
    table[0] = 0.0
    return np.asarray(table, np.float32)


def _base_tables() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Gray and light, 0 to 1, of each of the 1024 indices without expression."""
    index = np.arange(compose.GRAY * compose.LIGHT)
    gray = (index >> 4).astype(np.float32) / (compose.GRAY - 1)
    shade = (index & 15).astype(np.float32) / (compose.LIGHT - 1)
    return gray, shade
