"""What a region is drawn as: box, ellipsoid, lasso carried through depth, threshold, label.

Lengths are micrometres of the study's frame and points are x, y, z, so that a shape keeps its
meaning on any lattice. A token belongs to a shape when its centre does.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from skimage.measure import points_in_poly

from vortex_model.errors import VortexError
from vortex_model.grid import Grid

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Range = tuple[float, float]
Point = tuple[float, float, float]
Axis = Literal["x", "y", "z"]
MAX_CORNERS = 2000


@dataclass(frozen=True)
class Box:
    """All between two planes along each axis, (low, high) in micrometres."""

    x: Range
    y: Range
    z: Range

    def __post_init__(self) -> None:
        for name, (low, high) in (("x", self.x), ("y", self.y), ("z", self.z)):
            if not (np.isfinite([low, high]).all() and low < high):
                raise VortexError(
                    f"The box reaches from {low} to {high} um in {name}; it needs a low end "
                    "below its high end."
                )

    def mask(self, grid: Grid) -> Mask:
        """Tokens of a lattice whose centre is inside, (z, y, x)."""
        z, y, x = (
            (grid.axis_um(a) >= low) & (grid.axis_um(a) <= high)
            for a, (low, high) in enumerate((self.z, self.y, self.x))
        )
        return np.asarray(z[:, None, None] & y[:, None] & x)


@dataclass(frozen=True)
class Ellipsoid:
    """Centre and half-axes (x, y, z), in micrometres."""

    centre: Point
    radii: Point

    def __post_init__(self) -> None:
        if not (np.isfinite([*self.centre, *self.radii]).all() and min(self.radii) > 0):
            raise VortexError(f"An ellipsoid needs radii above 0 um (x, y, z), not {self.radii}.")

    def mask(self, grid: Grid) -> Mask:
        """Tokens of a lattice whose centre is inside, (z, y, x)."""
        z, y, x = (
            ((grid.axis_um(a) - self.centre[2 - a]) / self.radii[2 - a]) ** 2 for a in range(3)
        )
        return np.asarray(z[:, None, None] + y[:, None] + x <= 1.0)


@dataclass(frozen=True)
class Outline:
    """A closed polygon in one plane: where the plane is, and corners in the other two axes.

    Corners are (x, y) in a plane across z, (x, z) across y, (y, z) across x.
    """

    at: float
    corners: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not 3 <= len(self.corners) <= MAX_CORNERS:
            raise VortexError(
                f"An outline needs 3 to {MAX_CORNERS} corners, not {len(self.corners)}."
            )
        if not (np.isfinite(self.at) and np.isfinite(self.corners).all()):
            raise VortexError("An outline's corners must be finite micrometres.")


@dataclass(frozen=True)
class Lasso:
    """Outlines in planes across one axis, carried from ``span[0]`` to ``span[1]`` along it.

    One outline is extruded. Between two, the outline goes over from one to the other by the
    distances to their edges, moved along with their centres (shape-based interpolation: Raya
    and Udupa, IEEE TMI 1990); beyond the first and last it stays as it is.
    """

    axis: Axis
    outlines: tuple[Outline, ...]
    span: Range

    def __post_init__(self) -> None:
        if self.axis not in ("x", "y", "z"):
            raise VortexError(f"A lasso is carried along x, y or z, not {self.axis!r}.")
        if not self.outlines:
            raise VortexError("A lasso needs at least one outline.")
        depths = [outline.at for outline in self.outlines]
        if len(set(depths)) < len(depths):
            raise VortexError("Two outlines of a lasso lie in one plane; leave one out.")
        if not (np.isfinite(self.span).all() and self.span[0] < self.span[1]):
            raise VortexError(f"A lasso's span is {self.span} um; it needs a low and a high end.")
        object.__setattr__(self, "outlines", tuple(sorted(self.outlines, key=lambda o: o.at)))

    def mask(self, grid: Grid) -> Mask:
        """Tokens of a lattice whose centre is inside, (z, y, x)."""
        across = "zyx".index(self.axis)
        first, second = (a for a in (2, 1, 0) if a != across)
        u, v = np.meshgrid(grid.axis_um(first), grid.axis_um(second))
        points = np.column_stack([u.ravel(), v.ravel()])
        planes = np.zeros((grid.shape[across], len(points)), dtype=bool)
        kept: dict[int, Mask] = {}
        for number, depth in enumerate(grid.axis_um(across)):
            if not self.span[0] <= depth <= self.span[1]:
                continue
            below = [i for i, o in enumerate(self.outlines) if o.at <= depth]
            above = [i for i, o in enumerate(self.outlines) if o.at >= depth]
            ends = (below[-1] if below else above[0]), (above[0] if above else below[-1])
            if ends[0] == ends[1]:
                if ends[0] not in kept:
                    corners = np.asarray(self.outlines[ends[0]].corners)
                    kept[ends[0]] = np.asarray(points_in_poly(points, corners), dtype=bool)
                planes[number] = kept[ends[0]]
            else:
                planes[number] = between(
                    self.outlines[ends[0]], self.outlines[ends[1]], float(depth), points
                )
        plane_shape = (grid.shape[second], grid.shape[first])
        return np.asarray(np.moveaxis(planes.reshape(-1, *plane_shape), 0, across))


@dataclass(frozen=True)
class Threshold:
    """Where a gene, a signature or a channel of the morphology lies in a range.

    Attributes
    ----------
    of
        ``gene`` or ``morphology``.
    name
        Gene, formula of genes, or channel.
    above, below
        The range, ends included; None is open.
    """

    of: Literal["gene", "morphology"]
    name: str
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if self.of not in ("gene", "morphology"):
            raise VortexError(f"A threshold is on a gene or the morphology, not {self.of!r}.")
        ends = [e for e in (self.above, self.below) if e is not None]
        if not ends or not np.isfinite(ends).all() or (len(ends) == 2 and ends[0] > ends[1]):
            raise VortexError(
                f"The threshold on {self.name} is from {self.above} to {self.below}; give a "
                "number to be above, or to be below, or both."
            )

    def within(self, values: npt.NDArray[Any]) -> Mask:
        """Where values lie in the range; nan never does."""
        inside: Mask = np.isfinite(values)
        if self.above is not None:
            inside &= values >= self.above
        if self.below is not None:
            inside &= values <= self.below
        return inside


@dataclass(frozen=True)
class LabelOf:
    """Where a label image has one of these values in most of a token."""

    label: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Members:
    """Tokens given one by one; nothing draws them anew."""


@dataclass(frozen=True)
class Combined:
    """Two shapes as one: ``and``, ``or``, or the first ``minus`` the second."""

    how: Literal["and", "or", "minus"]
    first: Shape
    second: Shape

    def __post_init__(self) -> None:
        if self.how not in ("and", "or", "minus"):
            raise VortexError(f"Shapes are combined by and, or, minus; not by {self.how!r}.")


Shape: TypeAlias = Box | Ellipsoid | Lasso | Threshold | LabelOf | Members | Combined
_KINDS: dict[str, type[Any]] = {
    "box": Box,
    "ellipsoid": Ellipsoid,
    "lasso": Lasso,
    "threshold": Threshold,
    "label": LabelOf,
    "members": Members,
    "combined": Combined,
}


def to_json(shape: Shape) -> dict[str, Any]:
    """Plain types, with the ``kind``."""
    kind = next(name for name, own in _KINDS.items() if type(shape) is own)
    if isinstance(shape, Combined):
        parts = {"first": to_json(shape.first), "second": to_json(shape.second)}
        return {"kind": kind, "how": shape.how, **parts}
    return {"kind": kind, **asdict(shape)}


def from_json(record: Any, depth: int = 0) -> Shape:
    """The shape that :func:`to_json` wrote.

    Raises
    ------
    VortexError
        When it is none, or has a value that cannot be.
    """
    try:
        values = dict(record)
        kind = str(values.pop("kind"))
        if kind == "combined":
            if depth > 20:
                raise VortexError("The shape is combined of more than 20 layers.")
            first, second = (from_json(values[n], depth + 1) for n in ("first", "second"))
            return Combined(values["how"], first, second)
        if kind == "lasso":
            outlines = [
                Outline(float(o["at"]), tuple((float(u), float(v)) for u, v in o["corners"]))
                for o in values.pop("outlines")
            ]
            low, high = values.pop("span")
            return Lasso(outlines=tuple(outlines), span=(float(low), float(high)), **values)
        if kind == "label":
            return LabelOf(str(values["label"]), tuple(int(v) for v in values["values"]))
        if kind in ("box", "ellipsoid"):
            values = {n: tuple(float(e) for e in v) for n, v in values.items()}
            sizes = {"box": 2, "ellipsoid": 3}[kind]
            if any(len(v) != sizes for v in values.values()):
                raise ValueError("wrong number of values")
        made: Shape = _KINDS[kind](**values)
    except (KeyError, TypeError, ValueError) as error:
        raise VortexError(
            f"This is no shape of a region: {str(record)[:120]} ({error})."
        ) from error
    return made


def between(low: Outline, high: Outline, depth: float, points: Floats) -> Mask:
    """Whether points (n, 2) of a plane lie within the outline between two others."""
    share = (depth - low.at) / (high.at - low.at)
    ends = [np.asarray(o.corners, dtype=np.float64) for o in (low, high)]
    centres = [(c.min(axis=0) + c.max(axis=0)) / 2 for c in ends]
    middle = (1 - share) * centres[0] + share * centres[1]
    reach = np.max([np.abs(c - m).max(axis=0) for c, m in zip(ends, centres, strict=True)], axis=0)
    near = np.flatnonzero((np.abs(points - middle) <= reach).all(axis=1))
    local = points[near] - middle
    distance = sum(
        weight * _signed_distance(local, corners - centre)
        for weight, corners, centre in zip((1 - share, share), ends, centres, strict=True)
    )
    inside = np.zeros(len(points), dtype=bool)
    inside[near[np.asarray(distance) >= 0]] = True
    return inside


def _signed_distance(points: Floats, corners: Floats) -> Floats:
    """Distance (n,) to a polygon's edge, above 0 inside."""
    nearest = np.full(len(points), np.inf)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        length = float(edge @ edge)
        offset = points - start
        along = np.clip(offset @ edge / length, 0.0, 1.0) if length else np.zeros(len(points))
        rest = offset - along[:, None] * edge
        np.minimum(nearest, (rest**2).sum(axis=1), out=nearest)
    sign = np.where(points_in_poly(points, corners), 1.0, -1.0)
    return np.asarray(sign * np.sqrt(nearest))
