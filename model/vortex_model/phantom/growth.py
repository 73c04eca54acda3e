"""How the phantom's ducts and vessels grow: skeletons of nodes with a radius.

Ducts are branching and annihilating random walks, the model that reproduces the mammary
gland, kidney and prostate (Hannezo et al., Cell 171, 242-255, 2017): tips walk, branch at
random, and stop where they come near another duct.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vortex_model.phantom.style import Style

STEP_UM = 12.0
_CELL_UM = 20.0
_MARGIN_UM = 90.0
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Skeleton:
    """Nodes along the axes of ducts or vessels.

    Attributes
    ----------
    nodes
        (n, 3), z, y, x in micrometres.
    radius, generation, tip_um
        (n,): radius; number of branchings before; distance along the duct to its blind end.
    forks
        (m, 3): where ducts branched.
    """

    nodes: Points
    radius: npt.NDArray[np.float64]
    generation: npt.NDArray[np.float64]
    tip_um: npt.NDArray[np.float64]
    forks: Points


@dataclass
class _Branch:
    number: int
    generation: int
    direction: npt.NDArray[np.float64]
    radius: float
    nodes: list[npt.NDArray[np.float64]]
    radii: list[float]
    kin: frozenset[int]
    ended: bool = False


class _Space:
    """Who owns the space around each duct: so tips see others, and stop."""

    def __init__(self, size_um: tuple[float, float, float]) -> None:
        self.low = np.full(3, -_MARGIN_UM)
        self.high = np.asarray(size_um) + _MARGIN_UM
        shape = np.ceil((self.high - self.low) / _CELL_UM).astype(int) + 1
        self.owner = np.zeros(tuple(shape), dtype=np.int32)

    def inside(self, place: npt.NDArray[np.float64]) -> bool:
        return bool((place >= self.low).all() and (place <= self.high).all())

    def at(self, place: npt.NDArray[np.float64]) -> int:
        z, y, x = ((place - self.low) / _CELL_UM).astype(int)
        return int(self.owner[z, y, x])

    def claim(self, place: npt.NDArray[np.float64], radius: float, owner: int) -> None:
        first = np.maximum(np.ceil((place - radius - self.low) / _CELL_UM).astype(int), 0)
        last = ((place + radius - self.low) / _CELL_UM).astype(int) + 1
        box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        part = self.owner[box]
        if part.size == 0:
            return
        square = np.zeros(part.shape)
        for axis, (a, n) in enumerate(zip(first, part.shape, strict=True)):
            offset = ((a + np.arange(n)) * _CELL_UM + self.low[axis] - place[axis]) ** 2
            square = square + offset.reshape([-1 if k == axis else 1 for k in range(3)])
        part[(square <= radius**2) & (part == 0)] = owner


def grow_glands(
    size_um: tuple[float, float, float], style: Style, rng: np.random.Generator
) -> Skeleton:
    """Fill a block (z, y, x micrometres) with ducts that branch and keep clear of each other."""
    space = _Space(size_um)
    thin, wide = style.gland_radius_um
    branches: list[_Branch] = []
    forks: list[npt.NDArray[np.float64]] = []
    failures = 0
    while failures < 12:
        free = np.flatnonzero(space.owner == 0)
        if len(free) == 0:
            break
        cell = np.asarray(np.unravel_index(rng.choice(free), space.owner.shape))
        root = space.low + cell * _CELL_UM
        if not space.inside(root):
            failures += 1
            continue
        direction = _unit(rng.normal(size=3) + 2.0 * np.asarray(style.axis))
        radius = wide * rng.uniform(0.75, 1.0)
        tips = _begin(branches, None, root, (direction, -direction), (radius, radius))
        grown = _walk(tips, branches, forks, space, style, rng)
        failures = failures + 1 if grown * STEP_UM < 2.5 * wide else 0
    return _skeleton(branches, forks, thin, style.acinus)


def _begin(
    branches: list[_Branch],
    parent: _Branch | None,
    place: npt.NDArray[np.float64],
    directions: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    radii: tuple[float, float],
) -> list[_Branch]:
    """Two branches from one place, which may touch each other and their parent while young."""
    first = len(branches) + 1
    kin = frozenset({0, first, first + 1} | ({parent.number} if parent else set()))
    made = [
        _Branch(
            number=first + k,
            generation=parent.generation + 1 if parent else 0,
            direction=directions[k],
            radius=radii[k],
            nodes=[place],
            radii=[parent.radii[-1] if parent else radii[k]],
            kin=kin,
        )
        for k in range(2)
    ]
    branches += made
    return made


def _walk(
    tips: list[_Branch],
    branches: list[_Branch],
    forks: list[npt.NDArray[np.float64]],
    space: _Space,
    style: Style,
    rng: np.random.Generator,
) -> int:
    """Grow until every tip has ended; returns how many nodes were made."""
    thin, wide = style.gland_radius_um
    axis = np.asarray(style.axis)
    grown = 0
    while tips:
        tip = tips.pop(rng.integers(len(tips)))
        mean_free = (tip.radius + thin + style.gap_um) * 0.75
        for _ in range(400):
            here = tip.nodes[-1]
            young = len(tip.nodes) * STEP_UM < 2.2 * (wide + style.gap_um)
            allowed = tip.kin if young else {0, tip.number}
            ahead = None
            for attempt in range(5):
                turn = style.bend * (1.0 + attempt)
                lean = 0.1 * axis * np.sign(tip.direction @ axis or 1.0)
                way = _unit(tip.direction + turn * rng.normal(size=3) / np.sqrt(3) + lean)
                seen = here + way * mean_free
                if not space.inside(seen) or space.at(seen) in allowed:
                    ahead = way
                    break
            step = None if ahead is None else here + ahead * STEP_UM
            if ahead is None or step is None:
                tip.ended = True
                break
            if not space.inside(step):
                break
            tip.direction = ahead
            tip.nodes.append(step)
            grown += 1
            wobble = 1.0 + 0.12 * rng.normal()
            smoothed = 0.85 * tip.radii[-1] + 0.15 * tip.radius * wobble
            tip.radii.append(float(np.clip(smoothed, thin, wide)))
            space.claim(step, tip.radii[-1] + style.gap_um, tip.number)
            old = len(tip.nodes) * STEP_UM > 1.2 * wide
            if old and rng.random() < style.branching * STEP_UM:
                forks.append(step)
                side = _unit(np.cross(ahead, rng.normal(size=3)))
                spread = rng.uniform(0.5, 0.9)
                ways = (
                    _unit(ahead * np.cos(spread) + side * np.sin(spread)),
                    _unit(ahead * np.cos(spread) - side * np.sin(spread)),
                )
                sizes = tuple(max(thin, tip.radii[-1] * f) for f in rng.uniform(0.78, 0.95, 2))
                tips += _begin(branches, tip, step, ways, (sizes[0], sizes[1]))
                break
    return grown


def _skeleton(
    branches: list[_Branch],
    forks: list[npt.NDArray[np.float64]],
    thin: float,
    acinus: float,
) -> Skeleton:
    nodes, radius, generation, tip = [], [], [], []
    for branch in branches:
        count = len(branch.nodes)
        left = STEP_UM * np.arange(count)[::-1]
        own = np.asarray(branch.radii)
        if branch.ended:
            # A blind end swells into an acinus, then closes as a half sphere.
            own = own * (1.0 + (acinus - 1.0) * np.exp(-((left / (1.6 * thin)) ** 2)))
        nodes.append(np.asarray(branch.nodes))
        radius.append(own)
        generation.append(np.full(count, float(branch.generation)))
        tip.append(left if branch.ended else left + 400.0)
    every = np.concatenate(nodes)
    return Skeleton(
        every,
        np.concatenate(radius),
        np.concatenate(generation),
        np.concatenate(tip),
        np.asarray(forks) if forks else every[:1],
    )


def grow_vessels(
    size_um: tuple[float, float, float],
    style: Style,
    rng: np.random.Generator,
    glands: Skeleton,
) -> Skeleton:
    """Vessels that wind through the stroma between the glands, arterioles to capillaries."""
    low, high = np.full(3, -_MARGIN_UM / 2), np.asarray(size_um) + _MARGIN_UM / 2
    tree = cKDTree(glands.nodes)
    wanted = style.vessels * 1e3 * float(np.prod((high - low) / 1e3))
    nodes: list[npt.NDArray[np.float64]] = []
    radii: list[float] = []
    grown, tries = 0.0, 0
    step = 10.0
    while grown < wanted and tries < 4000:
        tries += 1
        place = low + rng.random(3) * (high - low)
        radius = float(rng.choice([5.0, 7.0, 12.0, 20.0, 30.0], p=[0.3, 0.25, 0.2, 0.15, 0.1]))
        if _clearance(tree, glands, place[None])[0] < radius + 4.0:
            continue
        first = _unit(rng.normal(size=3))
        for way in (first, -first):
            here = place
            for _ in range(60):
                options = np.stack(
                    [_unit(way + 0.45 * rng.normal(size=3) / np.sqrt(3)) for _ in range(6)]
                )
                clear = _clearance(tree, glands, here + 2.0 * step * options)
                best = int(np.argmax(np.minimum(clear, radius + 25.0) + 30.0 * (options @ way)))
                way = options[best]
                here = here + step * way
                if clear[best] < radius or (here < low).any() or (here > high).any():
                    break
                nodes.append(here)
                radii.append(radius * (1.0 + 0.12 * float(rng.normal()) * 0.5))
                grown += step
    if not nodes:
        nodes, radii = [low - 1e3], [5.0]
    place = np.asarray(nodes)
    flat = np.zeros(len(place))
    return Skeleton(place, np.asarray(radii), flat, flat, place[:1])


def _clearance(tree: cKDTree, glands: Skeleton, places: Points) -> npt.NDArray[np.float64]:
    distance, nearest = tree.query(places)
    return np.asarray(distance - glands.radius[nearest])


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
