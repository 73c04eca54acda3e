"""Registration as a result: from moving micrometres to fixed, and back; images, points, overlay."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vortex_model.errors import VortexError

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Pair = tuple[float, float]

LANDMARK_COLUMNS = ("moving_x_um", "moving_y_um", "fixed_x_um", "fixed_y_um")


@dataclass(frozen=True)
class Plane:
    """A tissue-density image and where it lies.

    Parameters
    ----------
    density
        (y, x) float32, 0 for glass, 1 for dense tissue.
    spacing_um
        Pixel size along y, x.
    origin_um
        Centre of pixel (0, 0) along y, x.
    """

    density: Floats
    spacing_um: Pair
    origin_um: Pair = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.density.ndim != 2 or min(self.density.shape) < 2:
            raise VortexError(f"A plane has axes (y, x), not shape {self.density.shape}.")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing_um):
            raise VortexError(f"Pixel size must be positive micrometres, not {self.spacing_um}.")
        clean = np.nan_to_num(self.density, posinf=0.0, neginf=0.0)
        object.__setattr__(self, "density", np.asarray(clean, dtype=np.float32))


@dataclass(frozen=True)
class Displacement:
    """A smooth bend on the fixed frame: the fixed point p shows what the affine puts at p + u(p).

    Parameters
    ----------
    field_um
        u as (2, y, x): x then y components, in micrometres.
    spacing_um, origin_um
        As of a :class:`Plane`.
    """

    field_um: Floats
    spacing_um: Pair
    origin_um: Pair

    def at(self, points: npt.ArrayLike) -> Points:
        """Shift u at fixed points (n, 2) of (x, y); beyond the field its rim's value."""
        place = (np.asarray(points, np.float64)[:, ::-1] - self.origin_um) / self.spacing_um
        parts = [
            ndimage.map_coordinates(c, place.T, order=1, mode="nearest") for c in self.field_um
        ]
        return np.column_stack(parts).astype(np.float64)

    def folds(self) -> bool:
        """Whether it squeezes tissue to under a third, or turns it inside out."""
        sy, sx = self.spacing_um
        (uxy, uxx), (uyy, uyx) = (np.gradient(c, sy, sx) for c in self.field_um)
        jacobian = (1 + uxx) * (1 + uyy) - uxy * uyx
        return bool(jacobian.min() < 1 / 3)


@dataclass(frozen=True)
class Registration:
    """Where a moving image lies on a fixed one.

    Parameters
    ----------
    matrix
        (3, 3), moving micrometres (x, y, 1) to fixed.
    score
        0 to 1, see :func:`vortex_model.register.assess`; None when it was not measured.
    warning
        A sentence where the match is poor.
    displacement
        A smooth bend on top.
    residual_um
        Root mean square distance left at landmarks, where there were any.
    inverted
        Whether what is dense in one image is pale in the other, within the tissue (two
        modalities may disagree so).
    """

    matrix: Points
    score: float | None = None
    warning: str | None = None
    displacement: Displacement | None = None
    residual_um: float | None = None
    inverted: bool = False

    @classmethod
    def affine(cls, linear: npt.ArrayLike, shift: npt.ArrayLike) -> Registration:
        """From a 2 x 2 matrix and a shift in micrometres."""
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = linear, shift
        return cls(matrix)

    @property
    def mirrored(self) -> bool:
        """Whether the moving image lies face down."""
        return bool(np.linalg.det(self.matrix[:2, :2]) < 0)

    @property
    def rotation_deg(self) -> float:
        """Turn in degrees, -180 to 180, x towards y; after the mirror (x to -x) if there is one."""
        linear = self.matrix[:2, :2] @ (np.diag([-1.0, 1.0]) if self.mirrored else np.eye(2))
        u, _, v = np.linalg.svd(linear)
        turn = u @ v
        return float(np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0])))

    def apply(self, points: npt.ArrayLike) -> Points:
        """Fixed places (n, 2) of moving points (n, 2), x, y in micrometres."""
        where = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        target: Points = where @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        if self.displacement is None:
            return target
        place = target.copy()
        for _ in range(30):  # p + u(p) = target; u is smooth and does not fold, so this contracts
            place = target - self.displacement.at(place)
        return place

    def inverse(self, points: npt.ArrayLike) -> Points:
        """Moving places (n, 2) of fixed points (n, 2), x, y in micrometres."""
        where = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if self.displacement is not None:
            where = where + self.displacement.at(where)
        back = np.linalg.inv(self.matrix)
        return np.asarray(where @ back[:2, :2].T + back[:2, 2], dtype=np.float64)

    def resample(
        self,
        pixels: npt.ArrayLike,
        spacing_um: Pair,
        origin_um: Pair,
        *,
        shape: tuple[int, int],
        onto_spacing_um: Pair,
        onto_origin_um: Pair,
        order: Literal[0, 1] = 1,
        fill: float = 0.0,
    ) -> npt.NDArray[np.float32]:
        """The moving image (y, x) as seen on a lattice of the fixed frame.

        Parameters
        ----------
        pixels, spacing_um, origin_um
            The moving image, its pixel size and the centre of its first pixel, along y, x.
        shape, onto_spacing_um, onto_origin_um
            The lattice, along y, x; a big image is asked for tile by tile.
        order
            0 nearest (labels), 1 linear.
        fill
            What stands outside the moving image.
        """
        rows = np.arange(shape[0]) * onto_spacing_um[0] + onto_origin_um[0]
        cols = np.arange(shape[1]) * onto_spacing_um[1] + onto_origin_um[1]
        y, x = np.meshgrid(rows, cols, indexing="ij")
        place = self.inverse(np.column_stack([x.ravel(), y.ravel()]))[:, ::-1]
        coords = ((place - origin_um) / spacing_um).T.reshape(2, *shape)
        source = np.asarray(pixels, dtype=np.float32)
        seen = ndimage.map_coordinates(source, coords, order=order, mode="constant", cval=fill)
        return np.asarray(seen, dtype=np.float32)


def from_landmarks(path: Path) -> Registration:
    """A registration from pairs of points that a person marked.

    The CSV has the columns ``moving_x_um, moving_y_um, fixed_x_um, fixed_y_um``, one pair a row.
    Three pairs give a similarity (turn, shift, one scale, mirror if that fits better), more give
    an affine, both by least squares; ``residual_um`` tells how well the pairs agree.

    Raises
    ------
    VortexError
        When the file cannot be read, a column or number is wrong, there are fewer than three
        pairs, or they lie on one line.
    """
    table = _landmark_table(Path(path))
    moving, fixed = table[:, :2], table[:, 2:]
    for name, points in (("moving", moving), ("fixed", fixed)):
        spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        if spread[1] < 0.02 * spread[0] or spread[0] == 0:
            raise VortexError(
                f"{path}: the {name} landmarks lie on one line, or on one place; add one beside it."
            )
    fit = _similarity(moving, fixed) if len(table) == 3 else _affine(moving, fixed)
    left = np.linalg.norm(fit.apply(moving) - fixed, axis=1)
    residual = float(np.sqrt((left**2).mean()))
    size = float(np.sqrt(((fixed - fixed.mean(axis=0)) ** 2).sum(axis=1).mean()))
    warning = None
    if residual > 0.1 * size:
        worst = int(left.argmax())
        warning = (
            f"The landmarks disagree by {residual:.0f} um; row {worst + 1} most "
            f"({left[worst]:.0f} um). Check that pair."
        )
    return Registration(fit.matrix, warning=warning, residual_um=residual)


def _landmark_table(path: Path) -> Points:
    wanted = ", ".join(LANDMARK_COLUMNS)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [n.strip() for n in reader.fieldnames or []]
            reader.fieldnames = names
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VortexError(
            f"The landmarks {path} cannot be read: {error}. Give a CSV with the columns {wanted}."
        ) from error
    missing = [c for c in LANDMARK_COLUMNS if c not in names]
    if missing:
        raise VortexError(
            f"{path} has no column {', '.join(missing)}; it needs {wanted} (it has "
            f"{', '.join(names) or 'none'})."
        )
    values = []
    for number, row in enumerate(rows, start=1):
        try:
            values.append([float(row[c]) for c in LANDMARK_COLUMNS])
        except (TypeError, ValueError) as error:
            raise VortexError(f"{path}, row {number}: {row} is not four numbers.") from error
    table = np.array(values, dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(table).all():
        raise VortexError(f"{path} has numbers that are not finite.")
    if len(table) < 3:
        raise VortexError(
            f"{path} has {len(table)} pairs of landmarks; at least three are needed. Two would fit "
            "both the section and its mirror image exactly, and could not show a mistake."
        )
    return table


def _similarity(moving: Points, fixed: Points) -> Registration:
    """Least squares with one scale: Umeyama, IEEE PAMI 13:376 (1991), mirror allowed."""
    a, b = moving - moving.mean(axis=0), fixed - fixed.mean(axis=0)
    u, s, v = np.linalg.svd(b.T @ a)
    linear = (u @ v) * s.sum() / (a**2).sum()
    return Registration.affine(linear, fixed.mean(axis=0) - linear @ moving.mean(axis=0))


def _affine(moving: Points, fixed: Points) -> Registration:
    design = np.column_stack([moving, np.ones(len(moving))])
    solution, *_ = np.linalg.lstsq(design, fixed, rcond=None)
    return Registration.affine(solution[:2].T, solution[2])


def overlay(
    fixed: Plane, moving: Plane, registration: Registration, size: int = 800
) -> npt.NDArray[np.uint8]:
    """Both densities in one picture: fixed green, moving magenta, grey where they agree.

    The pair is told apart with any common colour blindness. A white bar at the lower left is a
    round length: the greatest 1, 2 or 5 times a power of ten under a quarter of the width.

    Returns
    -------
    (y, x, 3) uint8, the longer side ``size`` pixels, on the fixed image's frame.
    """
    extent = [n * s for n, s in zip(fixed.density.shape, fixed.spacing_um, strict=True)]
    step = max(extent) / size
    shape = (max(2, round(extent[0] / step)), max(2, round(extent[1] / step)))
    low = [o - s / 2 + step / 2 for o, s in zip(fixed.origin_um, fixed.spacing_um, strict=True)]
    lattice = {
        "shape": shape,
        "onto_spacing_um": (step, step),
        "onto_origin_um": (low[0], low[1]),
    }
    same = Registration(np.eye(3))
    parts = []
    for plane, how in ((fixed, same), (moving, registration)):
        blur = [max(0.0, 0.4 * (step / s - 1)) for s in plane.spacing_um]
        smooth = ndimage.gaussian_filter(plane.density, blur)
        parts.append(how.resample(smooth, plane.spacing_um, plane.origin_um, **lattice))  # type: ignore[arg-type]
    green, magenta = (np.clip(p, 0.0, 1.0) ** 0.8 for p in parts)
    picture = np.stack([magenta, green, magenta], axis=-1)
    length = 10.0 ** np.floor(np.log10(shape[1] * step / 4))
    length *= max(k for k in (1, 2, 5) if k * length <= shape[1] * step / 4)
    margin, thick = max(1, shape[0] // 40), max(1, shape[0] // 150)
    bottom = shape[0] - margin
    picture[bottom - thick : bottom, margin : margin + round(length / step)] = 1.0
    return np.asarray(np.rint(picture * 255), dtype=np.uint8)
