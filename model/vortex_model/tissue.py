"""Tissue: where it is, how dense and how stained, on one scale for every section or volume.

Brightfield (red, green, blue) absorbs: glass is bright, and optical density grows with tissue.
All else (light-sheet, microCT) emits or attenuates: background is dark, tissue bright. Ranges are
taken over a whole section or volume, never over a patch, so that absolute intensity survives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Image, Level

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Range = tuple[float, float]

BLACK = 0.04
"""Brightness, as a part of the glass, below which a patch is masked-out or pen, not tissue."""
SAMPLE_VOXELS = 2_000_000
"""A whole section or volume is judged from a pyramid level with at most so many voxels."""
PALE = 0.55
"""Part of Otsu's threshold that counts as stained: Otsu alone splits pale stroma from tumour."""
SLAB_BYTES = 64 << 20
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
"""Haematoxylin and eosin in optical density (red, green, blue): Ruifrok & Johnston 2001."""


# -- brightfield ---------------------------------------------------------------------------


def background(rgb: npt.ArrayLike) -> Floats:
    """Colour of the empty glass: each channel's mode among the bright pixels.

    Parameters
    ----------
    rgb
        Pixels (..., 3) of any type; a whole section, or a fair sample of it.

    Returns
    -------
    (3,) float32, in the units of ``rgb``. Black borders do not count; where tissue fills the
    frame the brightest pixels (lumen, gaps) stand in for the glass.

    Raises
    ------
    VortexError
        When the last axis is not 3, or all is black.
    """
    pixels = np.asarray(rgb, dtype=np.float32)
    if pixels.ndim < 1 or pixels.shape[-1] != 3:
        raise VortexError(f"Brightfield colour needs (..., 3) pixels, not {pixels.shape}.")
    pixels = pixels.reshape(-1, 3)
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    luminance = pixels.mean(axis=1)
    if not luminance.size or luminance.max() <= 0:
        raise VortexError("The image is black all over: there is no glass to measure against.")
    lit = luminance > BLACK * luminance.max()
    top = float(np.percentile(luminance[lit], 99.5))
    bright = pixels[luminance >= 0.8 * top]
    return np.array([_mode(bright[:, c]) for c in range(3)], dtype=np.float32)


def optical_density(rgb: npt.ArrayLike, background: npt.ArrayLike) -> Floats:
    """Beer-Lambert optical density, -log10(pixel / glass), (..., 3) float32.

    Nothing is below 0; black is held at about 2.4 (a 256th of the glass).
    """
    glass = np.maximum(np.asarray(background, dtype=np.float32), 1e-6)
    ratio = np.asarray(rgb, dtype=np.float32) / glass
    ratio = np.clip(ratio, 1.0 / 256.0, 1.0)
    return np.asarray(-np.log10(ratio), dtype=np.float32)


def haematoxylin_eosin(density: npt.ArrayLike) -> Floats:
    """Amounts of haematoxylin and eosin, (..., 2) float32, from optical density (..., 3).

    Colour deconvolution with the reference vectors of Ruifrok & Johnston, Anal Quant Cytol
    Histol 23:291 (2001); what neither stain explains goes to a third, orthogonal, direction.
    """
    unit = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
    rest = np.cross(unit[0], unit[1])
    inverse = np.linalg.inv(np.vstack([unit, rest / np.linalg.norm(rest)]))[:, :2]
    amounts = np.asarray(density, dtype=np.float32) @ inverse.astype(np.float32)
    return np.asarray(np.maximum(amounts, 0.0), dtype=np.float32)


# -- ranges and normalisation ---------------------------------------------------------------


def channel_ranges(image: Image, serial: bool) -> tuple[tuple[Range, ...], ...]:
    """Dark and bright end of every channel, measured on a coarse level.

    Parameters
    ----------
    image
        The morphology.
    serial
        Whether planes were stained and imaged one by one: then each has ranges of its own.

    Returns
    -------
    For every plane (serial), or one entry for the volume: per channel (low, high). Brightfield:
    (0, glass). Else: (mode of the background, 99.5th percentile of the tissue); where there is
    no tissue, high is low + 1.
    """
    level = _coarse_level(image, serial)
    return tuple(_ranges(_sample(level, planes), image.is_rgb) for planes in _groups(level, serial))


def normalise(values: npt.ArrayLike, ranges: Sequence[Range]) -> Floats:
    """Put channels on one scale: low becomes 0, high becomes 1; brighter stays above 1.

    Parameters
    ----------
    values
        (c, ...) in the units that the ranges were measured in.
    ranges
        (low, high) of each channel, from :func:`channel_ranges`.
    """
    array = np.asarray(values, dtype=np.float32)
    if len(ranges) != array.shape[0]:
        raise VortexError(f"{array.shape[0]} channels came with {len(ranges)} ranges.")
    shape = (-1,) + (1,) * (array.ndim - 1)
    low = np.array([r[0] for r in ranges], dtype=np.float32).reshape(shape)
    high = np.array([r[1] for r in ranges], dtype=np.float32).reshape(shape)
    scaled = np.maximum((array - low) / np.maximum(high - low, 1e-6), 0.0)
    return np.asarray(scaled, dtype=np.float32)


# -- where the tissue is --------------------------------------------------------------------


def density(plane: npt.ArrayLike, rgb: bool, ranges: Sequence[Range] | None = None) -> Floats:
    """How dense the tissue is: 0 for glass or background, 1 for the densest percent; for register.

    Parameters
    ----------
    plane
        One plane (c, y, x); red, green, blue where ``rgb``.
    rgb
        Whether it is brightfield colour.
    ranges
        Its :func:`channel_ranges`; measured on the plane itself when left out.

    Returns
    -------
    (y, x) float32. Black borders and non-finite pixels are 0.
    """
    array = np.nan_to_num(np.asarray(plane, dtype=np.float32), posinf=0.0, neginf=0.0)
    if array.ndim != 3 or (rgb and array.shape[0] != 3):
        raise VortexError(f"A plane has axes (c, y, x), colour three channels; not {array.shape}.")
    ranges = _ranges(array[:, None], rgb) if ranges is None else ranges
    if rgb:
        pixels = np.moveaxis(array, 0, -1)
        glass = [high for _, high in ranges]
        signal = optical_density(pixels, glass).mean(axis=-1)
        signal[_black(pixels, glass)] = 0.0
    else:
        signal = np.minimum(normalise(array, ranges), 1.0).mean(axis=0)
    some = signal[signal > 0.02]
    top = float(np.percentile(some, 99)) if some.size else 1.0
    return np.asarray(np.clip(signal / max(top, 1e-6), 0.0, 1.0), dtype=np.float32)


def level_in_plane(image: Image, spacing_um: float, serial: bool) -> Level:
    """The coarsest level whose in-plane spacing is still at most ``spacing_um``.

    Of serial sections only levels whose planes are still apart count.
    """
    levels = _apart(image, serial)
    fit = [level for level in levels if max(level.grid.spacing_um[1:]) <= spacing_um * 1.001]
    return fit[-1] if fit else levels[0]


def tissue_mask(image: Image, spacing_um: float, serial: bool) -> tuple[Mask, Grid]:
    """Where there is tissue, on the pyramid level nearest below ``spacing_um``.

    Read slab by slab. Smoothed density (brightfield: optical density; else: log of intensity
    over the background) above a threshold by Otsu's method; holes under 150 um are filled, and
    specks dropped. Black borders and large black patches are not tissue.

    Parameters
    ----------
    image
        The morphology.
    spacing_um
        The wanted spacing in-plane.
    serial
        Whether each plane gets its own ranges and threshold.

    Returns
    -------
    mask
        (z, y, x) bool.
    grid
        Where its voxels are.
    """
    level = level_in_plane(image, spacing_um, serial)
    coarse = _coarse_level(image, serial)
    ranges = channel_ranges(image, serial)
    thresholds = [
        _threshold(coarse, image.is_rgb, of_group, planes)
        for planes, of_group in zip(_groups(coarse, serial), ranges, strict=True)
    ]
    mask = np.zeros(level.grid.shape, dtype=bool)
    for z, plane in _planes(level):
        which = z if serial else 0
        smooth = _signal(plane, image.is_rgb, ranges[which], level.grid)
        mask[z] = clean(smooth > thresholds[which], level.grid.spacing_um[1:])
    return mask, level.grid


def clean(mask: Mask, spacing_um: Sequence[float], hole_um: float = 150.0) -> Mask:
    """Fill small holes of a plane's mask (y, x) and drop specks.

    A hole is filled when smaller than a disc of ``hole_um``; a piece is a speck when under a
    hundredth of the largest, and under (200 um) squared.
    """
    pixel = float(np.prod(spacing_um))
    labels, count = ndimage.label(~mask)
    if count:
        area = np.bincount(labels.ravel())
        border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        small = area * pixel < np.pi / 4 * hole_um**2
        small[border] = False
        small[0] = True
        mask = small[labels]
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    area = np.bincount(labels.ravel())
    area[0] = 0
    keep = area * pixel >= min(0.01 * area.max() * pixel, 200.0**2)
    keep[0] = False
    return np.asarray(keep[labels], dtype=bool)


# -- inner workings -------------------------------------------------------------------------


def _mode(values: npt.NDArray[Any]) -> float:
    """The peak of a lightly smoothed histogram."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return low
    counts, edges = np.histogram(values, bins=256, range=(low, high))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 2.0)
    peak = int(smooth.argmax())
    return float((edges[peak] + edges[peak + 1]) / 2)


def _apart(image: Image, serial: bool) -> list[Level]:
    """Levels finest first; of serial sections only those whose planes are still apart."""
    planes = image.grid.shape[0]
    return [level for level in image.levels if not serial or level.grid.shape[0] == planes]


def _coarse_level(image: Image, serial: bool) -> Level:
    """The finest level with few enough voxels to be judged at once (of a plane, if serial)."""
    levels = _apart(image, serial)
    for level in levels:
        z, y, x = level.grid.shape
        if y * x * (1 if serial else z) <= SAMPLE_VOXELS:
            return level
    return levels[-1]


def _groups(level: Level, serial: bool) -> list[range]:
    """The planes that are judged together."""
    count = level.grid.shape[0]
    return [range(z, z + 1) for z in range(count)] if serial else [range(count)]


def _sample(level: Level, planes: range) -> npt.NDArray[Any]:
    return np.asarray(level.array[:, planes.start : planes.stop])


def _ranges(voxels: npt.NDArray[Any], rgb: bool) -> tuple[Range, ...]:
    """(low, high) per channel of (c, z, y, x)."""
    if rgb:
        if not voxels.any():
            return ((0.0, 1.0),) * 3
        return tuple((0.0, float(b)) for b in background(np.moveaxis(voxels, 0, -1)))
    return tuple(_emission_range(channel) for channel in voxels)


def _emission_range(channel: npt.NDArray[Any]) -> Range:
    values = channel[np.isfinite(channel)].astype(np.float32)
    if not values.size or values.max() <= values.min():
        low = float(values.min()) if values.size else 0.0
        return low, low + 1.0
    # The background is the fullest bin of the darker half; a log scale keeps it sharp.
    floor = float(np.percentile(values, 0.1))
    scale = max(float(np.percentile(values, 99.5)) - floor, 1e-6) / 256.0
    folded = np.log1p(np.maximum(values - floor, 0.0) / scale)
    darker = folded[folded <= np.percentile(folded, 50)]
    low = floor + scale * float(np.expm1(_mode(darker)))
    cut = floor + scale * float(np.expm1(_otsu(folded)))
    tissue = values[values > cut]
    high = float(np.percentile(tissue if tissue.size else values, 99.5))
    return low, high if high > low else low + 1.0


def _black(pixels: npt.NDArray[Any], glass: Sequence[float]) -> Mask:
    """Masked-out borders and black pen: black patches, not black dots, of (..., y, x, 3)."""
    dark = (np.asarray(pixels) <= BLACK * np.asarray(glass, dtype=np.float32)).all(axis=-1)
    if not dark.any():
        return np.asarray(dark)
    planes = dark.reshape(-1, *dark.shape[-2:])
    grown = [
        ndimage.binary_dilation(
            ndimage.binary_erosion(p, np.ones((3, 3), bool), border_value=1), np.ones((5, 5), bool)
        )
        for p in planes
    ]
    return np.asarray(grown, dtype=bool).reshape(dark.shape)


def _signal(
    plane: npt.NDArray[Any], rgb: bool, ranges: Sequence[Range], grid: Grid
) -> npt.NDArray[np.float32]:
    """What the threshold is put on: smoothed optical density, or log intensity; (y, x)."""
    sigma = [max(1.0, 12.0 / s) if rgb else 1.0 for s in grid.spacing_um[1:]]
    if rgb:
        pixels = np.moveaxis(plane, 0, -1)
        glass = [high for _, high in ranges]
        value = optical_density(pixels, glass).mean(axis=-1)
        value[_black(pixels, glass)] = 0.0
    else:
        scaled = normalise(np.nan_to_num(plane.astype(np.float32)), ranges).mean(axis=0)
        value = np.log1p(256.0 * scaled)
    return np.asarray(ndimage.gaussian_filter(value, sigma), dtype=np.float32)


def _threshold(level: Level, rgb: bool, ranges: Sequence[Range], planes: range) -> float:
    voxels = _sample(level, planes)
    values = np.concatenate(
        [_signal(voxels[:, z], rgb, ranges, level.grid).ravel() for z in range(voxels.shape[1])]
    )
    return (PALE if rgb else 1.0) * _otsu(values)


def _otsu(values: npt.NDArray[Any]) -> float:
    low, high = np.percentile(values, [0.1, 99.9])
    if high <= low:
        return float(high)
    counts, edges = np.histogram(values, bins=256, range=(float(low), float(high)))
    centres = (edges[1:] + edges[:-1]) / 2
    weight = np.cumsum(counts)[:-1].astype(float)
    total = float(counts.sum())
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = sums[:-1] / weight
        right = (sums[-1] - sums[:-1]) / (total - weight)
        between = weight * (total - weight) * (right - left) ** 2
    return float(edges[1:-1][int(np.nanargmax(between))])


def _planes(level: Level) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Each plane (c, y, x) of a level, read in slabs so that a chunk is decoded few times."""
    array = level.array
    plane = int(array.shape[0] * array.shape[2] * array.shape[3]) * np.dtype(array.dtype).itemsize
    step = int(np.clip(SLAB_BYTES // max(plane, 1), 1, 64))
    for z0 in range(0, array.shape[1], step):
        slab = np.asarray(array[:, z0 : z0 + step])
        for offset in range(slab.shape[1]):
            yield z0 + offset, slab[:, offset]
