"""Crops of morphology around places, and the frozen part of an encoder that reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor, nn

from vortex_model import tissue
from vortex_model.encoders.base import Block, Encoder
from vortex_model.encoders.pixels import resample, to_rgb
from vortex_model.encoders.timm_vit import TimmEncoder
from vortex_model.encoders.vortex3d import COARSE, VortexEncoder
from vortex_model.errors import VortexError
from vortex_model.networks.canonical import canonical
from vortex_model.networks.timm_vit import is_vision_transformer
from vortex_model.predictors.base import Floats
from vortex_model.study import Study
from vortex_model.training.cut import cut

Crops = npt.NDArray[np.float32]
CELL_UM = 1500.0
"""Crops whose middles lie in one square of this side are cut from one piece of the image."""
VIEWS = 4
"""How many turns and flips of a crop are learned from."""
TUNABLE = (
    "Full fine-tuning needs an encoder with weights: --encoder uni --checkpoint FILE (or another "
    "of 'vortex-viewer encoders'), or --encoder vortex:FILE from 'vortex-viewer pretrain'."
)


class Trunk(ABC):
    """The frozen part of an encoder, and how it sees a study.

    Attributes
    ----------
    width, tokens
        Width and number of the hidden tokens of a crop.
    name, content
        The encoder's name, and what its numbers depend on.
    device
        Where it runs.
    """

    width: int
    tokens: int
    device: str

    def __init__(self, study: Study, encoder: Encoder) -> None:
        self.name, self.content = encoder.name, dict(encoder.parameters)
        image = study.morphology
        self.planar = study.serial or image.grid.shape[0] == 1
        self.channels = image.channels
        self.ranges = tissue.channel_ranges(image, self.planar)
        planes = image.grid.shape[0]
        levels = [lv for lv in image.levels if not self.planar or lv.grid.shape[0] == planes]
        fit = [lv for lv in levels if max(lv.grid.spacing_um[1:]) <= 1.001 * encoder.spacing_um]
        self.level = fit[-1] if fit else levels[0]

    def crops(self, points_um: Floats) -> Iterator[tuple[npt.NDArray[np.int64], Crops]]:
        """Crops around places (x, y, z), some at a time: numbers of the places, and the crops."""
        order = self._cells(points_um)
        for own in order:
            yield own, self._cut(points_um[own][:, ::-1])

    def view(self, crops: Crops, number: int) -> Crops:
        """The crops turned in their planes, every other one flipped too; 0 is as they are."""
        turned = np.rot90(crops, number, axes=(-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if number % 2 else turned)

    @abstractmethod
    def hidden(self, crops: Crops) -> Tensor:
        """Tokens (n, tokens, width) as they enter the trained part."""

    @abstractmethod
    def last(self) -> nn.Module:
        """The trained part as it was pretrained: last blocks and norm."""

    # -- inner -----------------------------------------------------------------------------

    @abstractmethod
    def _cut(self, centres_um: Floats) -> Crops:
        """Crops around some centres (z, y, x) that lie close together."""

    def _cells(self, points_um: Floats) -> list[npt.NDArray[np.int64]]:
        """Numbers of the places, those close together at a time."""
        key = np.floor(points_um[:, :2] / CELL_UM).astype(np.int64)
        if self.planar:
            plane = self.level.grid.nearest(points_um)[:, :1]
        else:
            plane = np.floor(points_um[:, 2:] / CELL_UM * 4).astype(np.int64)
        _, number = np.unique(np.hstack([plane, key]), axis=0, return_inverse=True)
        return [np.flatnonzero(number == i) for i in range(number.max(initial=-1) + 1)]

    def _piece(self, centres_um: Floats, half_um: Floats) -> Block:
        """The piece of the image that holds crops of this half size around the centres."""
        grid = self.level.grid
        ends = np.stack([centres_um.min(axis=0) - half_um, centres_um.max(axis=0) + half_um])
        low, high = grid.to_index(ends[:, ::-1])
        start = np.clip(np.floor(low).astype(int) - 2, 0, np.array(grid.shape) - 1)
        stop = np.clip(np.ceil(high).astype(int) + 3, start + 1, grid.shape)
        if self.planar:
            place = centres_um[:1, ::-1]
            start[0] = int(grid.nearest(place)[0, 0])
            stop[0] = start[0] + 1
        return cut(self.level, start.tolist(), stop.tolist(), self.channels, self.ranges)


class PlaneTrunk(Trunk):
    """A 2D encoder on the plane of each place."""

    def __init__(self, study: Study, encoder: TimmEncoder, last: int, diameter_um: float) -> None:
        super().__init__(study, encoder)
        weights = encoder.weights
        self._model: Any = weights.model
        if not is_vision_transformer(self._model):
            raise VortexError(
                f"{encoder.name} is a {type(self._model).__name__}; full fine-tuning takes timm's "
                "VisionTransformer or weights of 'vortex-viewer pretrain'. Use --mode fast."
            )
        self._last = _depth(last, len(self._model.blocks), encoder.name)
        self._mean = np.asarray(weights.mean, dtype=np.float32)[:, None, None]
        self._std = np.asarray(weights.std, dtype=np.float32)[:, None, None]
        self.device = weights.device
        voxel = max(self.level.grid.spacing_um[1:])
        self._pixel = encoder.spacing_um if voxel <= 2 * encoder.spacing_um else voxel
        most = weights.input_size // weights.patch
        count = int(np.clip(round(2 * diameter_um / self._pixel / weights.patch), 4, most))
        self._side = count * weights.patch
        self.width, self.tokens = weights.width, count * count + weights.prefix

    def hidden(self, crops: Crops) -> Tensor:
        """As timm's ``forward_features`` up to the trained blocks."""
        model = self._model
        x = torch.from_numpy((crops - self._mean) / self._std).to(self.device)
        with torch.inference_mode():
            tokens = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(x))))
            for block in model.blocks[: len(model.blocks) - self._last]:
                tokens = block(tokens)
        return torch.as_tensor(tokens).clone()

    def last(self) -> nn.Module:
        """The last blocks and norm."""
        blocks = self._model.blocks
        return nn.Sequential(*blocks[len(blocks) - self._last :], self._model.norm)

    def _cut(self, centres_um: Floats) -> Crops:
        half = self._side * self._pixel / 2
        piece = self._piece(centres_um, np.array([0.0, half, half]))
        planes: dict[int, Crops] = {}
        out = []
        for centre in centres_um:
            z = int(piece.grid.nearest(centre[None, ::-1])[0, 0])
            if z not in planes:
                planes[z] = to_rgb(piece, z)
            corner = [centre[1] - half, centre[2] - half]
            out.append(resample(planes[z], piece.grid, corner, self._pixel, self._side))
        return np.stack(out)


class VolumeTrunk(Trunk):
    """A 3D encoder that this program pretrained, on the block around each place."""

    def __init__(self, study: Study, encoder: VortexEncoder, last: int) -> None:
        super().__init__(study, encoder)
        self._vit = encoder.vit
        self.device = encoder.device
        blocks: Any = self._vit.blocks
        self._blocks: Any = blocks
        self._last = _depth(last, len(blocks), encoder.name)
        coarse = max(self.level.grid.spacing_um[1:]) / encoder.spacing_um
        self._voxel = np.array(encoder.voxel_um) * (coarse if coarse > COARSE else 1.0)
        self._shape = tuple(
            int(t * p) for t, p in zip(encoder.tokens, encoder.vit.patch, strict=True)
        )
        self.width = encoder.vit.width
        with torch.inference_mode():
            blank = torch.zeros(1, encoder.vit.channels, *self._shape, device=self.device)
            self.tokens = int(encoder.vit.begin(encoder.vit.tokenise(blank)[0]).shape[1])

    def hidden(self, crops: Crops) -> Tensor:
        """As the encoder's own forward pass up to the trained blocks."""
        with torch.inference_mode():
            tokens, _ = self._vit.tokenise(torch.from_numpy(crops).to(self.device))
            tokens = self._vit.begin(tokens)
            for block in self._blocks[: len(self._blocks) - self._last]:
                tokens = block(tokens)
        return torch.as_tensor(tokens).clone()

    def last(self) -> nn.Module:
        """The last blocks and norm."""
        return nn.Sequential(*self._blocks[len(self._blocks) - self._last :], self._vit.norm)

    def _cut(self, centres_um: Floats) -> Crops:
        half = np.array(self._shape) * self._voxel / 2
        piece = self._piece(centres_um, half)
        seen = canonical(piece.voxels, piece.channels, piece.scales)
        ratio = self._voxel / np.array(piece.grid.spacing_um)
        first = piece.grid.to_index((centres_um - half + 0.5 * self._voxel)[:, ::-1])
        axes = slice(1, 3) if self.planar else slice(0, 3)
        out = np.zeros((len(centres_um), len(seen), *self._shape), dtype=np.float32)
        for number in range(len(centres_um)):
            for channel, values in enumerate(seen):
                out[number, channel] = ndimage.affine_transform(
                    values[0] if self.planar else values,
                    ratio[axes],
                    first[number][axes],
                    self._shape[axes],
                    order=1,
                    mode="constant",
                )
        return out


def make_trunk(study: Study, encoder: Encoder, last: int, diameter_um: float) -> Trunk:
    """The frozen part of an encoder that full fine-tuning can train on.

    Parameters
    ----------
    last
        How many of its last blocks are trained.
    diameter_um
        Of a spot; a 2D encoder's crop is about twice as wide.

    Raises
    ------
    VortexError
        When the encoder has no weights to tune; says what to get.
    """
    require_tunable(encoder)
    if isinstance(encoder, VortexEncoder):
        return VolumeTrunk(study, encoder, last)
    assert isinstance(encoder, TimmEncoder)
    return PlaneTrunk(study, encoder, last, diameter_um)


def require_tunable(encoder: Encoder) -> None:
    """Refuse an encoder without a network before anything is computed.

    Raises
    ------
    VortexError
        Says what to get.
    """
    if not isinstance(encoder, TimmEncoder | VortexEncoder):
        raise VortexError(f"The encoder {encoder.name} has no network to tune. {TUNABLE}")


def _depth(last: int, blocks: int, name: str) -> int:
    if not 1 <= last <= blocks:
        raise VortexError(f"{name} has {blocks} blocks; train 1 to {blocks} of them, not {last}.")
    return last
