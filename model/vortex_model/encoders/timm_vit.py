"""``timm:NAME``: any timm vision transformer, run densely, plane by plane.

torch and timm are imported when such an encoder is made, not before.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vortex_model.encoders.base import Block, Floats, Subject
from vortex_model.encoders.pixels import area_matrix, resample, to_rgb
from vortex_model.encoders.pooling import Pool, Windows
from vortex_model.encoders.timm_weights import Weights, load
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.torchvision_shim import WithTimm

if TYPE_CHECKING:
    import torch

PATHOLOGY_UM = 0.5
SMALL_INPUT = 384
HALO_PATCHES = 2
BATCH = 8
PRECISIONS = ("float32", "bfloat16")
POOLINGS = ("patches", "tile")


class TimmEncoder(WithTimm):
    """A timm vision transformer with weights of the user's.

    Parameters
    ----------
    name
        timm's name of the model, or ``hf-hub:OWNER/NAME``.
    checkpoint
        Weights: a ``.safetensors`` or torch file, or a folder as the hub has it (its
        ``config.json`` is read for architecture, normalisation and licence).
    download
        Whether to fetch the weights from the hub, where no checkpoint is given.
    um_per_pixel
        Micrometres a pixel that the model was trained on; most pathology models: 0.5. Where the
        image's voxels are more than twice as coarse, a pixel is a voxel.
    tile
        Side of an input in pixels; default: the model's own, doubled when under 384.
    planes
        How many planes of a volume are encoded for each layer of tokens.
    context_um
        Windows over which tokens are averaged, beside the token itself.
    precision
        ``float32``, or ``bfloat16`` for matrix products.
    pooling
        ``patches``: each token of the lattice is the mean of the patch tokens in it, every pixel
        encoded once. ``tile``: it is one vector of a tile around it, pooled as the model's card
        says; dear, as tiles overlap.
    backend
        What runs the model: ``torch``, or ``openvino``, faster on a processor (an extra).
    model_args
        Further arguments of ``timm.create_model``, such as ``{"init_values": 1e-5}``.

    Raises
    ------
    UnknownNameError
        When timm has no such model.
    VortexError
        When there are no weights, they do not fit, an option makes no sense, or the backend is
        not installed.
    """

    code = 1

    def __init__(
        self,
        name: str,
        *,
        checkpoint: str | Path | None = None,
        download: bool = False,
        um_per_pixel: float = PATHOLOGY_UM,
        tile: int | None = None,
        planes: int = 1,
        context_um: Sequence[float] = (200.0,),
        precision: str = "float32",
        pooling: str = "patches",
        backend: str = "torch",
        model_args: Mapping[str, Any] | None = None,
    ) -> None:
        weights = load(name, checkpoint, download, dict(model_args or {}))
        self._set_up(
            f"timm:{name}",
            weights,
            um_per_pixel,
            tile,
            planes,
            context_um,
            precision,
            pooling,
            backend,
        )

    def _set_up(
        self,
        name: str,
        weights: Weights,
        um_per_pixel: float,
        tile: int | None,
        planes: int,
        context_um: Sequence[float],
        precision: str,
        pooling: str,
        backend: str,
    ) -> None:
        from vortex_model.encoders.backends import Compiled, at_size, check

        if not um_per_pixel > 0:
            raise VortexError(f"um_per_pixel must be above 0, not {um_per_pixel}.")
        if planes < 1:
            raise VortexError(f"planes must be 1 or more, not {planes}.")
        if precision not in PRECISIONS:
            raise VortexError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
        if pooling not in POOLINGS:
            raise VortexError(f"pooling {pooling!r}: choose one of {', '.join(POOLINGS)}.")
        check(backend, precision)
        if any(not w > 0 for w in context_um):
            raise VortexError(f"context_um holds widths above 0 um, not {list(context_um)}.")
        self.weights = weights
        patch = weights.patch
        doubled = pooling == "patches" and weights.input_size < SMALL_INPUT
        side = (tile or weights.input_size * (2 if doubled else 1)) // patch * patch
        least = 2 * HALO_PATCHES * patch if pooling == "patches" else 0
        if side <= least:
            raise VortexError(
                f"A tile of {tile} pixels is too small for patches of {patch}: give at least "
                f"{least + patch}."
            )
        self.name = name
        self.spacing_um = float(um_per_pixel)
        self.tile, self.planes, self.precision = side, planes, precision
        self.compiled = None
        if backend == "openvino":
            self.compiled = Compiled(at_size(weights.model, side), _features, precision)
        self.pooling = pooling
        self.windows_um = tuple(float(w) for w in context_um)
        self.origin: Mapping[str, str] = weights.origin
        self.parameters: Mapping[str, Any] = {
            "weights": weights.content,
            "model_args": weights.arguments,
            "mean": list(weights.mean),
            "std": list(weights.std),
            "um_per_pixel": self.spacing_um,
            "tile": side,
            "planes": planes,
            "context_um": list(self.windows_um),
            "precision": precision,
            # Left out where it is the default, so that features made before it are found again.
            **({} if pooling == "patches" else {"pooling": pooling}),
            **({} if backend == "torch" else {"backend": backend}),
        }

    def prepare(self, subject: Subject) -> TimmEncoding:
        """Set up pixels and windows for the subject."""
        return TimmEncoding(self, subject)


class TimmEncoding:
    """A timm encoder set up for one subject."""

    threads = False  # torch has threads of its own

    def __init__(self, encoder: TimmEncoder, subject: Subject) -> None:
        self._encoder, self._subject = encoder, subject
        voxel = max(subject.voxel_um[1:])
        wanted = encoder.spacing_um
        self._pixel_um = wanted if voxel <= 2 * wanted else voxel
        own = max(subject.token_um[1:])
        widths = (own, *(w for w in encoder.windows_um if w > own))
        self._windows = Windows(subject.token_um, widths, subject.planar)
        self.context_um = self._windows.reach_um(subject.token_um)
        whole = encoder.pooling == "tile"
        self.token_count = encoder.weights.embedding if whole else encoder.weights.width
        labels = [f"{w:.3g} um" for w in widths]
        self.channel_names = tuple(f"{i} in {w}" for w in labels for i in range(self.token_count))
        self.groups = tuple(w for w in labels for _ in range(self.token_count))
        patch = encoder.weights.patch
        self._halo = encoder.tile // 2 if whole else HALO_PATCHES * patch
        margin = self._halo * self._pixel_um + 2 * voxel
        self.halo_um = (0.0, margin, margin)
        inner = encoder.tile if whole else encoder.tile - 2 * self._halo
        core = max(inner, 1024) * self._pixel_um / voxel
        self.block_voxels = (1 if subject.planar else 32, int(core), int(core))

    def encode(self, block: Block, lattice: Grid) -> Floats:
        """Patch tokens of some planes, laid on the lattice."""
        out = np.zeros((self.token_count, *lattice.shape), dtype=np.float32)
        whole = self._encoder.pooling == "tile"
        tissue = Pool(block.grid, lattice, block.tissue).weight > 0 if whole else None
        for layer in range(lattice.shape[0]):
            planes = self._planes_of(layer, block.grid, lattice)
            for z in planes:
                if tissue is not None:
                    out[:, layer] += self._tiles(block, z, lattice, tissue[layer])
                else:
                    out[:, layer] += self._plane(block, z, lattice)
            out[:, layer] /= len(planes)
        return out

    def context(self, tokens: Floats, weight: Floats) -> Iterator[Floats]:
        """The tokens themselves, and their means over each window."""
        for number in range(len(self._windows.widths_um)):
            yield from self._windows.means(number, tokens, weight)

    # -- inner -----------------------------------------------------------------------------

    def _planes_of(self, layer: int, grid: Grid, lattice: Grid) -> list[int]:
        """Which planes of the block stand for a layer of tokens: spread evenly over it."""
        factor = max(1, round(lattice.spacing_um[0] / grid.spacing_um[0]))
        first = round((lattice.bounds_um[0][0] - grid.bounds_um[0][0]) / grid.spacing_um[0])
        low = first + layer * factor
        high = min(low + factor, grid.shape[0])
        count = min(self._encoder.planes, high - low)
        return [low + int((i + 0.5) * (high - low) / count) for i in range(count)]

    def _tiles(self, block: Block, z: int, lattice: Grid, tissue: npt.NDArray[np.bool_]) -> Floats:
        """One vector (embedding, y, x) a token of one plane, from a tile around it."""
        out = np.zeros((self.token_count, *tissue.shape), dtype=np.float32)
        rgb, places = to_rgb(block, z), np.argwhere(tissue)
        half = self._encoder.tile * self._pixel_um / 2
        for first in range(0, len(places), BATCH):
            some = places[first : first + BATCH]
            corners = [
                [lattice.axis_um(a + 1)[i] - half for a, i in enumerate(place)] for place in some
            ]
            tiles = np.stack(
                [
                    resample(rgb, block.grid, corner, self._pixel_um, self._encoder.tile)
                    for corner in corners
                ]
            )
            out[:, some[:, 0], some[:, 1]] = self._run(tiles, pooled=True).T
        return out

    def _plane(self, block: Block, z: int, lattice: Grid) -> Floats:
        """Tokens (token, y, x) of one plane of the block."""
        patch = self._encoder.weights.patch
        step = self._pixel_um * patch
        size = [int(np.ceil(e / step - 1e-6)) for e in lattice.extent_um[1:]]
        low = [b[0] for b in lattice.bounds_um[1:]]
        tissue = self._tissue(block, z, low, size, step)
        patches = self._patches(to_rgb(block, z), block.grid, low, size, tissue)
        # A patch without tissue counts only where a token has no other.
        weight = np.maximum(tissue, 1e-3)
        rows = area_matrix(size[0], step, lattice.shape[1], lattice.spacing_um[1])
        columns = area_matrix(size[1], step, lattice.shape[2], lattice.spacing_um[2])
        total = rows @ weight @ columns.T
        summed = np.einsum("ty,cyx,sx->cts", rows, patches * weight, columns, optimize=True)
        return np.asarray(summed / np.maximum(total, 1e-9), dtype=np.float32)

    @staticmethod
    def _tissue(
        block: Block, z: int, low: Sequence[float], size: Sequence[int], step: float
    ) -> Floats:
        """Whether each patch's middle is tissue, (y, x)."""
        places = [
            np.clip(np.rint((lo + (np.arange(n) + 0.5) * step - o) / s).astype(int), 0, count - 1)
            for lo, n, o, s, count in zip(
                low,
                size,
                block.grid.origin_um[1:],
                block.grid.spacing_um[1:],
                block.grid.shape[1:],
                strict=True,
            )
        ]
        return np.asarray(block.tissue[z][np.ix_(*places)], dtype=np.float32)

    def _patches(
        self,
        rgb: Floats,
        grid: Grid,
        low: Sequence[float],
        size: Sequence[int],
        tissue: Floats,
    ) -> Floats:
        """Patch tokens (token, y, x) of a plane, tile by tile, each with its halo."""
        patch = self._encoder.weights.patch
        inner = (self._encoder.tile - 2 * self._halo) // patch
        out = np.zeros((self.token_count, *size), dtype=np.float32)
        corners = [
            (y, x)
            for y in range(0, size[0], inner)
            for x in range(0, size[1], inner)
            if tissue[y : y + inner, x : x + inner].any()
        ]
        pixel = self._pixel_um
        for first in range(0, len(corners), BATCH):
            some = corners[first : first + BATCH]
            tiles = np.stack(
                [
                    resample(
                        rgb,
                        grid,
                        [
                            lo + (c * patch - self._halo) * pixel
                            for lo, c in zip(low, corner, strict=True)
                        ],
                        pixel,
                        self._encoder.tile,
                    )
                    for corner in some
                ]
            )
            halo = self._halo // patch
            for (y, x), tokens in zip(some, self._forward(tiles), strict=True):
                part = tokens[:, halo : halo + inner, halo : halo + inner]
                part = part[:, : size[0] - y, : size[1] - x]
                out[:, y : y + part.shape[1], x : x + part.shape[2]] = part
        return out

    def _forward(self, tiles: Floats) -> Floats:
        """Patch tokens (tile, token, y, x) of RGB tiles (tile, 3, y, x) in 0..1."""
        found = self._run(tiles, pooled=False)
        side = self._encoder.tile // self._encoder.weights.patch
        return np.moveaxis(found.reshape(len(found), side, side, -1), -1, 1)

    def _run(self, tiles: Floats, pooled: bool) -> Floats:
        """Patch tokens (tile, patch, width), or one vector (tile, embedding), of RGB tiles."""
        import torch

        weights = self._encoder.weights
        mean = np.asarray(weights.mean, dtype=np.float32)[:, None, None]
        std = np.asarray(weights.std, dtype=np.float32)[:, None, None]
        normal, compiled = (tiles - mean) / std, self._encoder.compiled
        given = torch.from_numpy(normal if compiled is None else compiled(normal))
        given = given.to(weights.device)
        autocast = torch.autocast(
            given.device.type,
            dtype=torch.bfloat16,
            enabled=self._encoder.precision == "bfloat16",
        )
        with torch.inference_mode(), autocast:
            tokens = _features(weights.model, given) if compiled is None else given
            tokens = weights.pool(tokens) if pooled else tokens[:, weights.prefix :]
        found: npt.NDArray[np.float32] = tokens.float().cpu().numpy()
        return found


def _features(model: Any, batch: torch.Tensor) -> torch.Tensor:
    """All tokens (tile, prefix + patch, width) of a batch."""
    tokens: torch.Tensor = model.forward_features(batch)
    return tokens


OPTIONS = tuple(n for n in inspect.signature(TimmEncoder).parameters if n != "name")
"""Names of the options of a timm encoder."""
