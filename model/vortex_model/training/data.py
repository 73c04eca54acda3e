"""Training samples in an order that the seed and the sample's number alone decide.

A sample knows nothing of those before it, so that a resumed run, or one of several processes,
reads what a single run would have read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vortex_model.errors import VortexError
from vortex_model.networks.config import NetworkConfig
from vortex_model.networks.sentences import Tokeniser
from vortex_model.training.augment import change_intensity, random_matrix
from vortex_model.training.recipe import Recipe
from vortex_model.training.spots import Spots
from vortex_model.training.volumes import Pose, Volume

Sample = dict[str, npt.NDArray[np.generic]]
Batch = dict[str, Tensor]
MASKED, ALIGNED = 1, 2


class _Samples(Dataset[Sample], ABC):
    """What both stages share: studies, augmentations, and a generator a sample."""

    stage: int

    def __init__(self, volumes: Sequence[Volume], recipe: Recipe, config: NetworkConfig) -> None:
        self.volumes = list(volumes)
        self.recipe = recipe
        self.config = config
        self.shape = config.voxels

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self.recipe.seed, self.stage, number])
        return self.draw(rng)

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Sample:
        """One sample."""

    def matrix(self, volume: Volume, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """A random pose's matrix for this study."""
        _, y, x = extent = tuple(np.array(self.shape) * volume.voxel_um)
        return random_matrix(
            self.recipe.augment,
            rng,
            serial=volume.serial,
            cubic=bool(np.allclose(extent, extent[0]) and len(set(self.shape)) == 1),
            square=bool(np.isclose(y, x) and self.shape[1] == self.shape[2]),
        )

    def read(self, volume: Volume, pose: Pose, rng: np.random.Generator) -> Sample:
        """A block with another intensity, and the depth of its planes."""
        voxels, z_um = volume.read(pose, self.shape)
        changed = change_intensity(voxels, self.recipe.augment, rng)
        return {"volume": changed, "z_um": z_um.astype(np.float32)}


class MorphologySamples(_Samples):
    """Blocks anywhere in the tissue of all studies, each study as often as the next."""

    stage = MASKED

    def draw(self, rng: np.random.Generator) -> Sample:
        """A block, and noise that decides which patches are hidden."""
        volume = self.volumes[rng.integers(len(self.volumes))]
        pose = Pose(volume.place(rng), self.matrix(volume, rng))
        sample = self.read(volume, pose, rng)
        z, y, x = self.config.tokens
        planes = self.shape[0] if self.config.path == "slices" else 1
        noise = (planes, y * x) if self.config.path == "slices" else (1, z * y * x)
        drawn = rng.random(noise, dtype=np.float32)
        if volume.serial and not volume.consecutive:
            # What fills the depth would be copied from above or below: hide whole columns.
            column = rng.random((1, y * x), dtype=np.float32)
            drawn = np.tile(column, z) + np.float32(1e-4) * drawn
        sample["noise"] = drawn
        return sample


class SpotSamples(_Samples):
    """Blocks around measured spots, each study as often as the next; the spot lies anywhere."""

    stage = ALIGNED

    def __init__(
        self, volumes: Sequence[Volume], recipe: Recipe, config: NetworkConfig, spots: Spots
    ) -> None:
        super().__init__(volumes, recipe, config)
        self.spots = spots
        self._of_study = [np.flatnonzero(spots.study == s) for s in np.unique(spots.study)]

    def draw(self, rng: np.random.Generator) -> Sample:
        """A block, the token that its spot lies in, and the spot's number."""
        own = self._of_study[rng.integers(len(self._of_study))]
        number = int(own[rng.integers(len(own))])
        volume = self.volumes[int(self.spots.study[number])]
        matrix = self.matrix(volume, rng)
        grid, patch = np.array(self.config.tokens), np.array(self.config.patch)
        # The window stays inside the block wherever the block is as wide as the window.
        margin = np.minimum(np.array(self.config.window) // 2, (grid - 1) // 2)
        token = rng.integers(margin, grid - margin)
        voxel = (token + rng.random(3)) * patch - 0.5
        spot = self.spots.points_um[number]
        middle = (grid * patch - 1) / 2
        if volume.serial and not volume.consecutive:
            voxel[0] = middle[0]  # a section fills the depth: its spot lies in every layer
        elif volume.consecutive:
            voxel[0] = np.floor(voxel[0] + 0.5)
            middle[0] = (grid[0] * patch[0]) // 2
            spot = spot.copy()
            plane = volume.level.grid
            spot[0] = plane.origin_um[0] + plane.spacing_um[0] * volume.plane_near(spot[0])
        centre = spot - matrix @ ((voxel - middle) * volume.voxel_um)
        sample = self.read(volume, Pose(centre, matrix), rng)
        sample["centre"] = token.astype(np.int64)
        sample["spot"] = np.array(number)
        return sample


@dataclass(frozen=True)
class Collate:
    """Samples -> a batch of tensors; measured expression is looked up here."""

    spots: Spots | None = None
    tokeniser: Tokeniser | None = None
    numbers: npt.NDArray[np.int64] | None = None
    counted: bool = False

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack, and add what was measured at the spots."""
        batch = {
            name: torch.from_numpy(np.stack([s[name] for s in samples]))
            for name in samples[0]
            if name != "spot"
        }
        if self.spots is None:
            return batch
        which = np.array([int(s["spot"]) for s in samples])
        spots = self.spots
        block = torch.arange(len(samples))[:, None]
        batch["centres"] = torch.cat([block, batch.pop("centre")], dim=1)
        batch["scores"] = torch.from_numpy(spots.scores[which])
        if self.tokeniser is not None and self.numbers is not None:
            said = self.tokeniser(self.numbers, spots.counts[which], spots.totals[which])
            batch |= {"genes": said.genes, "values": said.values, "padding": said.padding}
        if self.counted:
            batch["counts"] = torch.from_numpy(spots.counts[which])
            batch["totals"] = torch.from_numpy(spots.totals[which])
            batch["measured"] = torch.from_numpy(spots.measured[spots.study[which]])
        return batch


class _Numbers:
    """Sample numbers of one process, part by part of each step."""

    def __init__(self, recipe: Recipe, steps: range, rank: int, world: int) -> None:
        if recipe.batch % (recipe.accumulate * world):
            raise VortexError(
                f"A batch of {recipe.batch} does not divide into {recipe.accumulate} parts on "
                f"{world} processes. Change batch, accumulate or the number of devices."
            )
        self.recipe, self.steps, self.rank = recipe, steps, rank
        self.size = recipe.batch // (recipe.accumulate * world)
        self.world = world

    def __len__(self) -> int:
        return len(self.steps) * self.recipe.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            for part in range(self.recipe.accumulate):
                first = step * self.recipe.batch + (part * self.world + self.rank) * self.size
                yield list(range(first, first + self.size))


def batches(
    samples: _Samples, collate: Collate, steps: range, rank: int = 0, world: int = 1
) -> Iterator[Batch]:
    """The batches of some steps, ``accumulate`` a step, of one process."""
    workers = samples.recipe.workers
    loader: DataLoader[Sample] = DataLoader(
        samples,
        batch_sampler=_Numbers(samples.recipe, steps, rank, world),
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    yield from loader


def contents(volumes: Sequence[Volume], sections: bool) -> Mapping[str, object]:
    """Content hashes of what the studies hold."""
    return {
        v.study.name: {
            "morphology": v.image.content,
            "sections": {
                n: str(v.study.section(n).uns["vortex"]["content"])
                for n in (v.study.section_names if sections else [])
            },
        }
        for v in volumes
    }
