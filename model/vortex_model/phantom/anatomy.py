"""The made-up tissue itself: glands, vessels, tumour, immune aggregates, as fields of a place.

Nothing is kept per voxel: skeletons and a few numbers describe the block, and any lattice of
places is worked out on demand, so memory does not grow with the block.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from vortex_model.phantom.growth import Skeleton, grow_glands, grow_vessels
from vortex_model.phantom.noise import Axes, Floats, linear, smooth
from vortex_model.phantom.style import Style

CLASSES = (
    "background",
    "stroma",
    "luminal epithelium",
    "basal layer",
    "lumen",
    "vessel wall",
    "blood",
    "tumour",
    "tumour lumen",
    "necrosis",
    "immune",
    "muscle",
    "fat",
)
BACKGROUND, STROMA, LUMINAL, BASAL, LUMEN, WALL, BLOOD = range(7)
TUMOUR, TUMOUR_LUMEN, NECROSIS, IMMUNE, MUSCLE, FAT = range(7, 13)

STEP_UM = 10.0
_BLOCK = 32
_CACHE_BYTES = 96 << 20
_FAR_UM = 250.0


@dataclass(frozen=True)
class Fields:
    """What the tissue is at some places, each (z, y, x).

    Attributes
    ----------
    label
        Index into :data:`CLASSES`, uint8.
    gland
        Distance to the nearest gland's outer wall, negative inside, in micrometres.
    radius
        Radius of the nearest gland, in micrometres.
    generation, tip, fork
        Of the nearest gland: how often it has branched, and the distances to its blind end
        and to the nearest branching point, in micrometres.
    vessel
        Distance to the nearest vessel's wall, negative inside, in micrometres.
    vessel_radius
        Radius of the nearest vessel, in micrometres.
    tumour
        Distance to the tumour's margin, negative inside, in micrometres.
    nest
        How deep in a nest of tumour cells (above 0), no unit.
    immune
        Distance to the nearest immune aggregate's edge, negative inside, in micrometres.
    """

    label: npt.NDArray[np.uint8]
    gland: Floats
    radius: Floats
    generation: Floats
    tip: Floats
    fork: Floats
    vessel: Floats
    vessel_radius: Floats
    tumour: Floats
    nest: Floats
    immune: Floats


class Anatomy:
    """A block of made-up tissue.

    Parameters
    ----------
    size_um
        Size of the block along z, y, x; it starts at 0.
    style
        What kind of tissue.
    seed
        The same seed gives the same tissue, whatever the voxels.
    """

    def __init__(self, size_um: tuple[float, float, float], style: Style, seed: int) -> None:
        self.size_um = size_um
        self.style = style
        self.seed = seed
        rng = np.random.default_rng([seed, 1])
        self.tumour_centre, self.tumour_radius = self._place_tumour(rng)
        self.glands = grow_glands(size_um, style, np.random.default_rng([seed, 2]))
        self.vessels = grow_vessels(size_um, style, np.random.default_rng([seed, 3]), self.glands)
        self._gland_tree, self._gland_lift = _power_tree(self.glands)
        self._vessel_tree, self._vessel_lift = _power_tree(self.vessels)
        self._fork_tree = cKDTree(self.glands.forks)
        self.aggregates = self._place_aggregates(np.random.default_rng([seed, 4]))
        self._cache: OrderedDict[tuple[int, int, int], Floats] = OrderedDict()
        self._lock = Lock()

    def fields(self, axes: Axes) -> Fields:
        """The tissue at a lattice of places; ``axes`` are z, y, x in micrometres."""
        style, seed = self.style, self.seed
        gland, radius, generation, tip, fork, vessel, vessel_radius = self._coarse(axes)
        z, y, x = (a.astype(np.float32) for a in axes)
        place = (z[:, None, None], y[None, :, None], x[None, None, :])

        gland += 0.11 * style.gland_radius_um[0] * smooth(seed + 11, 45.0, axes)
        vessel += 1.2 * smooth(seed + 12, 25.0, axes)

        tumour, nest = self._tumour(place, axes)
        nest -= np.clip((16.0 - vessel) / 10.0, 0.0, None)
        spared = tumour > -25.0 + 30.0 * smooth(seed + 16, 60.0, axes)

        immune = np.full(gland.shape, _FAR_UM, dtype=np.float32)
        for centre, size in self._aggregates_near(axes):
            np.minimum(immune, _distance(place, centre) - np.float32(size), out=immune)
        immune += 16.0 * smooth(seed + 17, 28.0, axes)

        label = np.full(gland.shape, STROMA, dtype=np.uint8)
        if style.fat > 0:
            fatty = smooth(seed + 18, 150.0, axes) + np.clip((gland - 60.0) / 60.0, -2.0, 0.8)
            label[(fatty > 1.9 - 2.4 * style.fat) & (gland > 22) & (tumour > 45)] = FAT
        muscle = smooth(seed + 19, (60.0, 60.0, 90.0), axes) > 2.2 - 2.6 * style.muscle
        label[muscle & (label == STROMA) & (gland > 12.0)] = MUSCLE
        label[(immune < 0) & (label != FAT)] = IMMUNE

        depth = -gland
        thickness = style.epithelium_um * (1.0 + 0.22 * smooth(seed + 20, 26.0, axes))
        thickness += style.fold_um * np.clip(smooth(seed + 21, 17.0, axes) - 0.9, 0.0, None)
        inside = (depth > 0) & spared
        label[inside] = LUMINAL
        label[inside & (depth < style.basal_um)] = BASAL
        label[inside & (depth > style.basal_um + thickness)] = LUMEN

        cells = (nest > 0) & ~(inside & (tumour > 0))
        label[cells] = TUMOUR
        holes = smooth(seed + 22, 17.0, axes) > 1.5 - 0.6 * np.clip(
            smooth(seed + 23, 90.0, axes), -2.0, 1.0
        )
        label[cells & holes & (nest > 0.35)] = TUMOUR_LUMEN
        starved = vessel + 18.0 * smooth(seed + 24, 40.0, axes) > style.necrosis_um
        label[cells & starved & (nest > 0.85) & (tumour < -60)] = NECROSIS

        wall = np.clip(0.32 * vessel_radius, 2.0, 9.0)
        label[vessel < 0] = WALL
        label[vessel < -wall] = BLOOD
        label[self._outside(place, axes)] = BACKGROUND
        return Fields(
            label, gland, radius, generation, tip, fork, vessel, vessel_radius, tumour, nest, immune
        )

    # -- inner -----------------------------------------------------------------------------

    def _place_tumour(
        self, rng: np.random.Generator
    ) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        depth, height, width = self.size_um
        radius = self.style.tumour * 0.5 * (height + width)
        at = 0.28 + 0.1 * rng.random(2)
        flip = rng.random(2) < 0.5
        at = np.where(flip, 1.0 - at, at)
        centre = (depth * rng.uniform(0.35, 0.65), height * at[0], width * at[1])
        return centre, (max(radius * 0.8, 0.6 * depth), radius, radius)

    def _tumour(self, place: tuple[Floats, Floats, Floats], axes: Axes) -> tuple[Floats, Floats]:
        seed = self.seed
        shape = tuple(len(a) for a in axes)
        if self.style.tumour <= 0:
            return np.full(shape, _FAR_UM, np.float32), np.full(shape, -9.0, np.float32)
        scaled = [
            (p - np.float32(c)) / np.float32(r)
            for p, c, r in zip(place, self.tumour_centre, self.tumour_radius, strict=True)
        ]
        radius = min(self.tumour_radius)
        tumour = (np.sqrt(sum(s * s for s in scaled)) - 1.0).astype(np.float32) * np.float32(radius)
        tumour += 0.16 * radius * smooth(seed + 13, 0.45 * radius, axes)
        tumour += 22.0 * smooth(seed + 14, 45.0, axes)
        # Solid in the core, islands at the margin, single cords beyond it.
        grain = smooth(seed + 15, 42.0, axes) + 0.35 * smooth(seed + 25, 16.0, axes)
        threshold = np.interp(tumour, [-160.0, -50.0, 10.0, 70.0], [-0.75, -0.25, 0.6, 2.9])
        return tumour, grain - threshold.astype(np.float32)

    def _place_aggregates(
        self, rng: np.random.Generator
    ) -> list[tuple[tuple[float, float, float], float]]:
        area = self.size_um[1] * self.size_um[2] / 1e6
        count = rng.poisson(self.style.immune * area * max(1.0, self.size_um[0] / 400.0))
        found: list[tuple[tuple[float, float, float], float]] = []
        for _ in range(60 * count):
            if len(found) >= count:
                break
            place = rng.random(3) * self.size_um
            near = np.sqrt(
                sum(
                    ((p - c) / r) ** 2
                    for p, c, r in zip(place, self.tumour_centre, self.tumour_radius, strict=True)
                )
            )
            wanted = 0.9 < near < 1.5 if self.style.tumour > 0 and rng.random() < 0.7 else near > 1
            distance, nearest = self._gland_tree.query([*place, 0.0])
            clear = distance - self.glands.radius[nearest] > 15.0
            if wanted and clear:
                found.append(((place[0], place[1], place[2]), float(rng.uniform(45, 105))))
        return found

    def _aggregates_near(self, axes: Axes) -> list[tuple[tuple[float, float, float], float]]:
        """Those that are the nearest somewhere in a box: a large block holds hundreds."""
        if not self.aggregates:
            return []
        centres = np.array([centre for centre, _ in self.aggregates])
        sizes = np.array([size for _, size in self.aggregates])
        low = np.array([a[0] for a in axes]) - centres
        high = centres - np.array([a[-1] for a in axes])
        nearest = np.sqrt((np.maximum(np.maximum(low, high), 0.0) ** 2).sum(axis=1)) - sizes
        farthest = np.sqrt((np.maximum(-low, -high) ** 2).sum(axis=1)) - sizes
        # a micrometre more, so that rounding leaves none out
        keep = np.flatnonzero(nearest <= farthest.min() + 1.0)
        return [self.aggregates[int(k)] for k in keep]

    def _outside(self, place: tuple[Floats, Floats, Floats], axes: Axes) -> npt.NDArray[np.bool_]:
        half = [s / 2 for s in self.size_um]
        y = np.abs(place[1] - np.float32(half[1])) / np.float32(half[1])
        x = np.abs(place[2] - np.float32(half[2])) / np.float32(half[2])
        reach = (y**5 + x**5) ** np.float32(0.2)
        rough = 0.028 * smooth(self.seed + 26, (300.0, 0.25 * half[1], 0.25 * half[2]), axes)
        rough += (4.0 / half[1]) * smooth(self.seed + 27, 30.0, axes)
        return np.asarray(reach + rough > self.style.outline)

    def _coarse(self, axes: Axes) -> tuple[Floats, ...]:
        low = [int(np.floor(a[0] / STEP_UM)) for a in axes]
        high = [int(np.floor(a[-1] / STEP_UM)) + 1 for a in axes]
        out = np.empty((7, *(h - b + 1 for b, h in zip(low, high, strict=True))), np.float32)
        first = [b // _BLOCK for b in low]
        last = [h // _BLOCK for h in high]
        for bz in range(first[0], last[0] + 1):
            for by in range(first[1], last[1] + 1):
                for bx in range(first[2], last[2] + 1):
                    block = self._block((bz, by, bx))
                    into, take = [slice(None)], [slice(None)]
                    for b, start, stop in zip((bz, by, bx), low, high, strict=True):
                        begin, end = max(b * _BLOCK, start), min((b + 1) * _BLOCK, stop + 1)
                        into.append(slice(begin - start, end - start))
                        take.append(slice(begin - b * _BLOCK, end - b * _BLOCK))
                    out[tuple(into)] = block[tuple(take)]
        start_um = [b * STEP_UM for b in low]
        return tuple(linear(field, start_um, STEP_UM, axes) for field in out)

    def _block(self, key: tuple[int, int, int]) -> Floats:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        axes = [(k * _BLOCK + np.arange(_BLOCK)) * STEP_UM for k in key]
        z, y, x = np.meshgrid(*axes, indexing="ij")
        points = np.column_stack([z.ravel(), y.ravel(), x.ravel(), np.zeros(z.size)])
        block = np.empty((7, z.size), dtype=np.float32)
        lifted, near = self._gland_tree.query(points)
        radius = self.glands.radius[near]
        block[0] = np.sqrt(np.maximum(lifted**2 - self._gland_lift[near] ** 2, 0.0)) - radius
        block[1] = radius
        block[2] = self.glands.generation[near]
        block[3] = self.glands.tip_um[near]
        block[4] = self._fork_tree.query(points[:, :3])[0]
        lifted, near = self._vessel_tree.query(points)
        radius = self.vessels.radius[near]
        block[5] = np.sqrt(np.maximum(lifted**2 - self._vessel_lift[near] ** 2, 0.0)) - radius
        block[6] = radius
        made = block.reshape(7, *z.shape)
        with self._lock:
            self._cache[key] = made
            while len(self._cache) * made.nbytes > _CACHE_BYTES:
                self._cache.popitem(last=False)
        return made


def _distance(place: tuple[Floats, Floats, Floats], centre: tuple[float, float, float]) -> Floats:
    return np.asarray(
        np.sqrt(sum((p - np.float32(c)) ** 2 for p, c in zip(place, centre, strict=True))),
        dtype=np.float32,
    )


def _power_tree(skeleton: Skeleton) -> tuple[cKDTree, npt.NDArray[np.float64]]:
    """A tree whose nearest node is the one with the least d^2 - r^2 (a power diagram).

    A fourth coordinate sqrt(R^2 - r^2) adds R^2 - r^2 to every squared distance, so that a
    wide duct wins over a thin one that is as near.
    """
    widest = skeleton.radius.max()
    lift = np.sqrt(widest**2 - skeleton.radius**2)
    return cKDTree(np.column_stack([skeleton.nodes, lift])), lift
