"""Registered section images on one frame: resampled tile by tile to disk, read as a volume."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from vortex_model import tissue
from vortex_model.grid import Grid
from vortex_model.io.raster import Block, Raster
from vortex_model.io.serial import Section, depth_step, shrink
from vortex_model.io.spec import SerialSpec
from vortex_model.io.transform import Transform
from vortex_model.io.volumes import channels_of
from vortex_model.multiscale import Channel, block_mean
from vortex_model.progress import Progress, part, silent

TILE = 512


@dataclass
class SerialVolume:
    """Registered planes on disk as a volume; a plane between two is the nearest, or a blend."""

    grid: Grid
    channels: tuple[Channel, ...]
    dtype: np.dtype[Any]
    between: Literal["nearest", "linear"]
    depths_um: tuple[float, ...]
    files: list[IO[bytes]] = field(default_factory=list)
    planar: bool = False

    def read(self, channel: int, z: slice, y: slice, x: slice) -> Block:
        """Rows of one channel (z, y, x)."""
        planes = range(*z.indices(self.grid.shape[0]))
        return np.stack([self._plane(channel, k, y)[:, x] for k in planes])

    def _plane(self, channel: int, k: int, y: slice) -> Block:
        place = self.grid.origin_um[0] + k * self.grid.spacing_um[0]
        depths = np.asarray(self.depths_um)
        nearest = int(np.abs(depths - place).argmin())
        above = int(np.searchsorted(depths, place))
        if self.between == "nearest" or above in (0, len(depths)):
            return self._rows(nearest, channel, y)
        low, high = depths[above - 1], depths[above]
        weight = (place - low) / (high - low)
        if abs(place - depths[nearest]) < 0.5 * self.grid.spacing_um[0]:
            return self._rows(nearest, channel, y)
        mixed = (1 - weight) * self._rows(above - 1, channel, y).astype(np.float32)
        mixed += weight * self._rows(above, channel, y)
        blended: Block = np.rint(mixed) if self.dtype.kind in "ui" else mixed
        return blended.astype(self.dtype)

    def _rows(self, number: int, channel: int, y: slice) -> Block:
        _, ny, nx = self.grid.shape
        start, stop, _ = y.indices(ny)
        rows = np.empty((stop - start, nx), self.dtype)
        file = self.files[number]
        file.seek((channel * ny + start) * nx * self.dtype.itemsize)
        file.readinto(rows.data.cast("B"))  # type: ignore[attr-defined]
        return rows

    def close(self) -> None:
        """Let the spooled planes go."""
        for file in self.files:
            file.close()
        self.files.clear()


def build_volume(
    spec: SerialSpec,
    sections: Sequence[Section],
    placed: dict[str, Transform],
    spots_um: dict[str, npt.NDArray[np.float64]],
    progress: Progress = silent,
) -> SerialVolume:
    """Resample every plane onto the common frame, tile by tile, to temporary files.

    Parameters
    ----------
    spots_um
        Outer places (n, 2) of the spots of a plane, in its own micrometres; they stay inside.
    """
    grid = frame(spec, sections, placed, spots_um)
    volume = SerialVolume(
        grid=grid,
        channels=channels_of(spec.channels, sections[0].reopen()),
        dtype=sections[0].dtype,
        between=spec.between,
        depths_um=tuple(s.spec.z_um for s in sections),
    )
    try:
        for number, section in enumerate(sections):
            report = part(progress, number / len(sections), (number + 1) / len(sections))
            volume.files.append(_resample(section, placed[section.name], grid, report))
    except BaseException:
        volume.close()
        raise
    return volume


def frame(
    spec: SerialSpec,
    sections: Sequence[Section],
    placed: dict[str, Transform],
    spots_um: dict[str, npt.NDArray[np.float64]],
) -> Grid:
    """The block that holds every section's tissue and spots, in the reference's micrometres."""
    reference = spec.reference or sections[len(sections) // 2].name
    own = next(s for s in sections if s.name == reference)
    spacing = spec.spacing_um or max(own.um_per_pixel)
    rims = []
    for section in sections:
        corners = _corners(section, spec.frame == "tissue")
        t = np.linspace(0.0, 1.0, 33)[:, None]
        rim = np.vstack(
            [a + t * (b - a) for a, b in zip(corners, np.roll(corners, 1, 0), strict=True)]
        )
        rims.append(placed[section.name].apply(np.vstack([rim, *_list(spots_um, section.name)])))
    low, high = np.vstack(rims).min(axis=0), np.vstack(rims).max(axis=0)
    # Where the reference's own pixels are a whole part of a voxel they are averaged, not blurred.
    phase = [(spacing - s) / 2 for s in own.um_per_pixel[::-1]]
    half = spacing / 2
    first = [
        p + spacing * np.floor((lo + half - p) / spacing) for lo, p in zip(low, phase, strict=True)
    ]
    nx, ny = (
        max(0, int(np.ceil((hi - half - f) / spacing - 1e-9))) + 1
        for hi, f in zip(high, first, strict=True)
    )
    step = depth_step(spec)
    depth = round((spec.planes[-1].z_um - spec.planes[0].z_um) / step) + 1
    return Grid(
        (depth, ny, nx), (step, spacing, spacing), (spec.planes[0].z_um, first[1], first[0])
    )


def _list(spots_um: dict[str, npt.NDArray[np.float64]], name: str) -> list[npt.NDArray[np.float64]]:
    return [spots_um[name]] if name in spots_um else []


def _corners(section: Section, tissue_only: bool) -> npt.NDArray[np.float64]:
    """Corners (4, 2) of the image, or of its tissue with a margin, in its own micrometres."""
    sy, sx = section.um_per_pixel
    y0, x0, y1, x1 = 0.0, 0.0, (section.shape[2] - 1) * sy, (section.shape[3] - 1) * sx
    if tissue_only:
        plane = section.density()
        smooth = ndimage.gaussian_filter(plane.density, max(plane.density.shape) / 400)
        mask = tissue.clean(smooth > threshold_otsu(smooth), plane.spacing_um)
        if mask.any():
            found = np.nonzero(mask)
            margin = 0.05 * max(np.ptp(i) * s for i, s in zip(found, plane.spacing_um, strict=True))
            box = [
                (o + i.min() * s - margin, o + i.max() * s + margin)
                for i, s, o in zip(found, plane.spacing_um, plane.origin_um, strict=True)
            ]
            (ya, yb), (xa, xb) = box
            y0, x0, y1, x1 = max(y0, ya), max(x0, xa), min(y1, yb), min(x1, xb)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _resample(section: Section, transform: Transform, grid: Grid, progress: Progress) -> IO[bytes]:
    """One plane (c, y, x) on the frame, in an unnamed file that goes when it is closed."""
    raster = section.reopen()
    sy, sx = section.um_per_pixel
    ratio = float(np.mean(grid.spacing_um[1:]) / np.mean((sy, sx)))
    best = max(
        ((f, r) for f, r in raster.levels if f <= ratio * 1.01), key=lambda v: v[0], default=None
    )
    if best is not None:
        sy, sx = sy * raster.shape[2] / best[1].shape[2], sx * raster.shape[3] / best[1].shape[3]
        raster = best[1]
        ratio /= best[0]
    source = _Source(raster, (sy, sx), max(1, int(ratio / 2)), _empty(section))
    _, ny, nx = grid.shape
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the volume closes it
    channels = section.shape[0]
    fine = max(1, int(np.ceil(ratio / source.step - 0.01)))
    try:
        for y0 in range(0, ny, TILE):
            progress(y0 / ny, f"resampling {section.name}, row {y0} of {ny}")
            y1 = min(y0 + TILE, ny)
            band = np.empty((channels, y1 - y0, nx), section.dtype)
            for x0 in range(0, nx, TILE):
                x1 = min(x0 + TILE, nx)
                band[:, :, x0:x1] = source.tile(grid, transform, (y0, y1), (x0, x1), fine)
            for c in range(channels):
                file.seek((c * ny + y0) * nx * section.dtype.itemsize)
                file.write(np.ascontiguousarray(band[c]).data)
    except BaseException:
        file.close()
        raise
    return file


def _empty(section: Section) -> npt.NDArray[np.float32]:
    """What stands where a section has no image: its glass, or its dark."""
    small, _, _ = shrink(section.reopen(), section.um_per_pixel, 512)
    if section.rgb:
        return tissue.background(np.moveaxis(small, 0, -1)).astype(np.float32)
    return np.percentile(small.reshape(small.shape[0], -1), 1.0, axis=1).astype(np.float32)


class _Source:
    """A plane's pixels, averaged over ``step`` and looked up at places of the frame."""

    def __init__(
        self,
        raster: Raster,
        um_per_pixel: tuple[float, float],
        step: int,
        empty: npt.NDArray[np.float32],
    ) -> None:
        self._raster, self.step, self._empty = raster, step, empty
        self._spacing = np.array(um_per_pixel) * step
        self._origin = np.array(um_per_pixel) * (step - 1) / 2

    def tile(
        self,
        grid: Grid,
        transform: Transform,
        rows: tuple[int, int],
        cols: tuple[int, int],
        fine: int,
    ) -> Block:
        """(c, y, x) of the frame; each pixel is the mean of ``fine`` x ``fine`` places in it."""
        inner = (np.arange(fine) + 0.5) / fine - 0.5
        _, sy, sx = grid.spacing_um
        _, oy, ox = grid.origin_um
        y = (oy + sy * (np.arange(*rows)[:, None] + inner)).ravel()
        x = (ox + sx * (np.arange(*cols)[:, None] + inner)).ravel()
        place = self._places(transform, y, x)
        shape = (len(self._empty), rows[1] - rows[0], cols[1] - cols[0])
        size = [-(-n // self.step) for n in self._raster.shape[2:]]
        low = np.maximum(np.floor(place.min(axis=(1, 2))).astype(int) - 1, 0)
        high = np.minimum(np.ceil(place.max(axis=(1, 2))).astype(int) + 2, size)
        dtype = self._raster.dtype
        out = np.broadcast_to(self._empty[:, None, None], shape).astype(dtype)
        if (high <= low).any():
            return out
        coords = place - low[:, None, None]
        for c in range(shape[0]):
            region = self._region(c, low, high)
            seen = ndimage.map_coordinates(
                region, coords, order=1, mode="constant", cval=float(self._empty[c])
            )
            seen = seen.reshape(shape[1], fine, shape[2], fine)
            mean = seen.mean(axis=(1, 3))
            out[c] = (np.rint(mean) if dtype.kind in "ui" else mean).astype(dtype)
        return out

    def _places(
        self, transform: Transform, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Pixel coordinates (2, y, x) of the frame's lines y and x, in micrometres.

        The transform is asked at some nodes and interpolated between: exact for an affine, and
        a bend is smooth over the few pixels between two nodes.
        """
        rows, cols = _hat(y), _hat(x)
        yy, xx = np.meshgrid(rows[0], cols[0], indexing="ij")
        own = transform.inverse(np.column_stack([xx.ravel(), yy.ravel()]))[:, ::-1]
        nodes = ((own - self._origin) / self._spacing).T.reshape(2, len(rows[0]), len(cols[0]))
        return np.stack([rows[1] @ part @ cols[1].T for part in nodes])

    def _region(
        self, channel: int, low: npt.NDArray[Any], high: npt.NDArray[Any]
    ) -> npt.NDArray[np.float32]:
        y, x = (
            slice(int(a) * self.step, min(int(b) * self.step, n))
            for a, b, n in zip(low, high, self._raster.shape[2:], strict=True)
        )
        block = self._raster.read(channel, slice(0, 1), y, x).astype(np.float32)
        mean: npt.NDArray[np.float32] = block_mean(block, (1, self.step, self.step))[0]
        return mean


def _hat(
    places: npt.NDArray[np.float64], step: int = 32
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Nodes over some ascending places, and the weights (places, nodes) that interpolate there."""
    count = max(2, len(places) // step + 1)
    edge = 1e-6 if len(places) > 1 else 1.0
    nodes = np.linspace(places[0] - edge, places[-1] + edge, count)
    away = np.abs(places[:, None] - nodes) / (nodes[1] - nodes[0])
    return nodes, np.maximum(0.0, 1.0 - away)
