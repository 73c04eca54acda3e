"""A point set (segmented nuclei) drawn as morphology: density, and mean values around."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import IO

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.io.counts import numbers, reading, separator, shown
from vortex_model.io.limits import DECODED_GIB, check_decoded
from vortex_model.io.schema import Problems, nearest
from vortex_model.io.spec import PointPlane, PointsSpec
from vortex_model.io.stack import SerialVolume
from vortex_model.multiscale import Channel
from vortex_model.progress import Progress, silent

DENSITY = Channel("nuclei per mm2", "nuclear", "00FFFF")
_COLORS = ("FF00FF", "FFFF00", "00FF00", "FF8000")
_THINNEST = 0.02
"""Mean values are drawn where at least this part of the peak density of one point is."""


def read_points(spec: PointsSpec, problems: Problems) -> pd.DataFrame | None:
    """The rows of the planes, with x and y in micrometres; None when mistakes were noted."""
    if spec.path is None or not (spec.x and spec.y and spec.plane and spec.planes):
        return None
    wanted = [spec.x, spec.y, spec.plane, *spec.values, *spec.require]
    before = len(problems.found)
    try:
        with reading(spec.path):
            sep = separator(spec.path)
            known = [str(c) for c in pd.read_csv(spec.path, sep=sep, nrows=0).columns]
            for column in wanted:
                if column not in known:
                    problems.add(
                        spec.where,
                        f"{spec.path} has no column {column!r}; it has {shown(known, 12)}."
                        f"{nearest(column, known)}",
                    )
            if len(problems.found) > before:
                return None
            table = pd.read_csv(
                spec.path, sep=sep, usecols=list(dict.fromkeys(wanted)), dtype=str,
                keep_default_na=False,
            )  # fmt: skip
    except VortexError as error:
        problems.add(spec.where, str(error))
        return None
    values = sorted(set(table[spec.plane]))
    for plane in spec.planes:
        if plane.value not in values:
            problems.add(
                f"{spec.where}.planes",
                f"no row has {spec.plane} {plane.value!r}.{nearest(plane.value, values)} "
                f"There are {shown(values, 12)}.",
            )
    for column in spec.require:
        table = table.loc[(table[column] != "").to_numpy(dtype=bool)]
    out = pd.DataFrame({"plane": table[spec.plane]})
    for name, column in (("x", spec.x), ("y", spec.y)):
        out[name] = numbers(table, column, spec.path) * spec.um_per_unit
    for column in spec.values:
        out[f"value {column}"] = numbers(table, column, spec.path)
    finite = np.isfinite(out[["x", "y"]].to_numpy(dtype=np.float64)).all(axis=1)
    out = out.loc[finite]
    if spec.bounds_um is not None:
        (x0, x1), (y0, y1) = spec.bounds_um
        out = out[out["x"].between(x0, x1) & out["y"].between(y0, y1)]
    for plane in spec.planes:
        if plane.value in values and not (out["plane"] == plane.value).any():
            problems.add(
                f"{spec.where}.planes",
                f"{plane.value!r} has no point left within 'bounds_um' and 'require'. Widen them.",
            )
    steps = np.diff([p.z_um for p in spec.planes])
    if len(steps) and steps.min() < spec.spacing_um[0] * 0.999:
        problems.add(
            f"{spec.where}.spacing_um",
            f"is {spec.spacing_um[0]:g} um along z, but two planes are {steps.min():g} um apart. "
            "Give a spacing no larger than that.",
        )
    return None if len(problems.found) > before else out


def points_grid(spec: PointsSpec, points: pd.DataFrame) -> Grid:
    """The block that holds the points, or the given bounds."""
    if spec.bounds_um is not None:
        (x0, x1), (y0, y1) = spec.bounds_um
    else:
        margin = 3 * spec.radius_um
        x0, x1 = float(points["x"].min()) - margin, float(points["x"].max()) + margin
        y0, y1 = float(points["y"].min()) - margin, float(points["y"].max()) + margin
    sz, sy, sx = spec.spacing_um
    z0, z1 = spec.planes[0].z_um, spec.planes[-1].z_um
    shape = (
        round((z1 - z0) / sz) + 1,
        max(1, round((y1 - y0) / sy)),
        max(1, round((x1 - x0) / sx)),
    )
    return Grid(shape, spec.spacing_um, (z0, y0 + sy / 2, x0 + sx / 2))


def draw_points(
    spec: PointsSpec, points: pd.DataFrame, progress: Progress = silent
) -> SerialVolume:
    """Draw every plane to a temporary file.

    The density is a sum of Gaussians of ``radius_um``, in points per square millimetre; a value
    is the mean over points with the same weights (Nadaraya 1964, Watson 1964).

    Raises
    ------
    VortexError
        When a plane would not fit in memory.
    """
    grid = points_grid(spec, points)
    _, ny, nx = grid.shape
    check_decoded(
        (1 + len(spec.values), ny, nx), np.float32, "One plane of points", DECODED_GIB,
        "Give a larger spacing_um, or smaller bounds_um",
    )  # fmt: skip
    colors = [_COLORS[n % len(_COLORS)] for n in range(len(spec.values))]
    extra = [Channel(f"mean {v}", "other", c) for v, c in zip(spec.values, colors, strict=True)]
    volume = SerialVolume(
        grid=grid,
        channels=(DENSITY, *extra),
        dtype=np.dtype(np.float32),
        between=spec.between,
        depths_um=tuple(p.z_um for p in spec.planes),
    )
    try:
        for number, plane in enumerate(spec.planes):
            progress(number / len(spec.planes), f"drawing {plane.value}")
            volume.files.append(_spooled(_draw(spec, plane, points, grid)))
    except BaseException:
        volume.close()
        raise
    return volume


def _draw(
    spec: PointsSpec, plane: PointPlane, points: pd.DataFrame, grid: Grid
) -> list[npt.NDArray[np.float32]]:
    own = points[points["plane"] == plane.value]
    x, y = own["x"].to_numpy(), own["y"].to_numpy()
    place = grid.to_index(np.column_stack([x, y, np.full(len(own), plane.z_um)]))[:, 1:]
    _, sy, sx = grid.spacing_um
    sigma = (spec.radius_um / sy, spec.radius_um / sx)
    count = _splat(place, np.ones(len(own)), grid.shape[1:], sigma)
    peak = 1.0 / (2 * np.pi * sigma[0] * sigma[1])
    thick = count > _THINNEST * min(1.0, peak)
    drawn = [(count / (sy * sx * 1e-6)).astype(np.float32)]
    for column in spec.values:
        values = own[f"value {column}"].to_numpy()
        known = np.isfinite(values)
        weight = _splat(place[known], np.ones(int(known.sum())), grid.shape[1:], sigma)
        total = _splat(place[known], values[known], grid.shape[1:], sigma)
        mean = np.divide(total, weight, out=np.zeros_like(total), where=thick & (weight > 0))
        drawn.append(mean.astype(np.float32))
    return drawn


def _splat(
    place: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    shape: Sequence[int],
    sigma: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Weights shared among the four nearest pixels (y, x), then blurred."""
    out = np.zeros(tuple(shape), dtype=np.float64)
    low = np.floor(place).astype(int)
    part = place - low
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
            row, col = low[:, 0] + dy, low[:, 1] + dx
            ok = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
            np.add.at(out, (row[ok], col[ok]), weights[ok] * share[ok])
    blurred: npt.NDArray[np.float64] = ndimage.gaussian_filter(out, sigma, mode="constant")
    return blurred


def _spooled(channels: list[npt.NDArray[np.float32]]) -> IO[bytes]:
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the volume closes it
    for channel in channels:
        file.write(np.ascontiguousarray(channel).data)
    return file
