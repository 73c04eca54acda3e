"""``vortex:PATH``: a 3D vision transformer that this program pretrained, run densely in windows.

torch is imported when such an encoder is made, not before.
"""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vortex_model.encoders.base import Block, Floats, Subject
from vortex_model.encoders.pixels import area_matrix
from vortex_model.encoders.pooling import Windows
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.torchvision_shim import WithTimm

if TYPE_CHECKING:
    import torch

Matrix = npt.NDArray[np.float64]
BATCH = 8
LEAST_BLOCK, LEAST_PLANE = 96, 1024
"""Sides of a block in voxels, below which reading and writing would take longer than encoding."""
PRECISIONS = ("auto", "float32", "bfloat16")
COARSE = 2.0
"""Voxels more than so many times as coarse as the network's are taken as they are."""


class VortexEncoder(WithTimm):
    """A pretrained 3D vision transformer.

    Parameters
    ----------
    path
        ``encoder.safetensors`` or ``vortex.safetensors`` of a pretraining run, its ``.json``
        beside it.
    context_um
        Windows over which tokens are averaged, beside the token itself.
    overlap
        Fraction of a window's side, below 1, that it shares with its neighbours; of what two
        windows see, each keeps the half that lies nearer to its own middle. 0 encodes every voxel
        once, at the cost that a token beside a window's border sees one side of it.
    precision
        ``float32``; ``bfloat16``, whose tokens agree with it to a cosine of 0.999 and better; or
        ``auto``: bfloat16 where the processor or the GPU multiplies in it.
    backend
        What runs the network: ``torch``, or ``openvino``, faster on a processor (an extra).

    Raises
    ------
    VortexError
        When the weights cannot be read, an option makes no sense, or the backend is not
        installed.
    """

    code = 2

    def __init__(
        self,
        path: str | Path,
        *,
        context_um: Sequence[float] = (200.0,),
        overlap: float = 0.0,
        precision: str = "auto",
        backend: str = "torch",
    ) -> None:
        import torch

        from vortex_model.encoders import backends
        from vortex_model.networks.pretrained import load_vit
        from vortex_model.networks.weights import fast_bfloat16

        if precision not in PRECISIONS:
            raise UnknownNameError("precision", precision, PRECISIONS)
        backends.check(backend, precision)
        if not 0 <= overlap < 1:
            raise VortexError(f"overlap is a fraction from 0 to below 1, not {overlap}.")
        if any(not w > 0 for w in context_um):
            raise VortexError(f"context_um holds widths above 0 um, not {list(context_um)}.")
        place = Path(path).expanduser()
        vit, record = load_vit(place)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        if precision == "auto":
            fast = backends.has_bfloat16() if backend == "openvino" else fast_bfloat16()
            precision = "bfloat16" if fast else "float32"
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.vit = vit.to(self.device)  # what full fine-tuning takes further
        self.compiled = (
            backends.Compiled(self.vit, _patches, precision) if backend == "openvino" else None
        )
        same = self.dtype == torch.float32 or self.compiled is not None
        self.seer = self.vit if same else copy.deepcopy(self.vit).to(self.dtype)
        self.overlap = overlap
        self.tokens: tuple[int, int, int] = tuple(record["config"]["tokens"])
        self.voxel_um: tuple[float, float, float] = tuple(record["voxel_um"])
        self.name = f"vortex:{place}"
        self.spacing_um = float(min(self.voxel_um[1:]))
        self.windows_um = tuple(float(w) for w in context_um)
        self.parameters: Mapping[str, Any] = {
            "weights": record["weights"],
            "context_um": list(self.windows_um),
            "overlap": overlap,
            "precision": precision,
            # Left out where it is the default, so that features made before it are found again.
            **({} if backend == "torch" else {"backend": backend}),
        }

    def prepare(self, subject: Subject) -> VortexEncoding:
        """Set up windows for the subject."""
        return VortexEncoding(self, subject)


class VortexEncoding:
    """The encoder set up for one subject.

    Windows are as large as those it was trained on; the middle of each is kept, all of it where
    they do not overlap. A section that was cut by itself fills the depth of its windows.
    """

    threads = False  # torch has threads of its own

    def __init__(self, encoder: VortexEncoder, subject: Subject) -> None:
        self._encoder, self._planar = encoder, subject.planar
        coarse = max(subject.voxel_um[1:]) / encoder.spacing_um
        self._voxel_um = np.array(encoder.voxel_um) * (coarse if coarse > COARSE else 1.0)
        self._patch = np.array(encoder.vit.patch)
        self._grid = np.array(encoder.tokens)
        self._halo = np.rint(self._grid * encoder.overlap / 2).astype(np.int64)
        self._halo = np.minimum(self._halo, (self._grid - 1) // 2)
        if self._planar:
            self._halo[0] = 0
        self._inner = self._grid - 2 * self._halo
        own = max(subject.token_um[1:])
        widths = (own, *(w for w in encoder.windows_um if w > own))
        self._windows = Windows(subject.token_um, widths, subject.planar)
        self.context_um = self._windows.reach_um(subject.token_um)
        self.token_count = encoder.vit.width
        labels = [f"{w:.3g} um" for w in widths]
        self.channel_names = tuple(f"{i} in {w}" for w in labels for i in range(self.token_count))
        self.groups = tuple(w for w in labels for _ in range(self.token_count))
        step = self._patch * self._voxel_um
        # The last patch of a block may begin inside it and end a patch further.
        z, y, x = (self._halo + 1) * step + 2 * np.array(subject.voxel_um)
        self.halo_um = (0.0 if self._planar else z, y, x)
        whole = np.ceil(2 * self._inner * step / np.array(subject.voxel_um)).astype(int)
        least = LEAST_PLANE if self._planar else LEAST_BLOCK
        y, x = (max(int(n), least) for n in whole[1:])
        self.block_voxels = (1 if self._planar else max(int(whole[0]), least), y, x)

    def encode(self, block: Block, lattice: Grid) -> Floats:
        """Tokens of overlapping windows, laid on the lattice."""
        from vortex_model.networks.canonical import canonical

        seen = canonical(block.voxels, block.channels, block.scales)
        step = self._patch * self._voxel_um
        size = np.maximum(np.ceil(np.array(lattice.extent_um) / step - 1e-6).astype(int), 1)
        if self._planar:
            size[0] = 1
        tissue = self._tissue(block, lattice, size, step)
        patches = self._patches(seen, block.grid, lattice, size, tissue)
        weight = np.maximum(tissue, 1e-3)  # a patch without tissue counts where there is no other
        depth = (
            np.ones((lattice.shape[0], 1), np.float32)
            if self._planar
            else area_matrix(size[0], step[0], lattice.shape[0], lattice.spacing_um[0])
        )
        rows, columns = (
            area_matrix(size[a], step[a], lattice.shape[a], lattice.spacing_um[a]) for a in (1, 2)
        )
        laid = [
            np.einsum("tz,uy,vx,czyx->ctuv", depth, rows, columns, values, optimize=True)
            for values in (patches * weight, weight[None])
        ]
        return np.asarray(laid[0] / np.maximum(laid[1], 1e-9), dtype=np.float32)

    def context(self, tokens: Floats, weight: Floats) -> Iterator[Floats]:
        """The tokens themselves, and their means over each window."""
        for number in range(len(self._windows.widths_um)):
            yield from self._windows.means(number, tokens, weight)

    # -- inner -----------------------------------------------------------------------------

    def _tissue(
        self, block: Block, lattice: Grid, size: npt.NDArray[np.int64], step: Matrix
    ) -> Floats:
        """Whether the middle of each patch is tissue, (z, y, x)."""
        places = []
        for axis in range(3):
            middle = lattice.bounds_um[axis][0] + (np.arange(size[axis]) + 0.5) * step[axis]
            origin, spacing = block.grid.origin_um[axis], block.grid.spacing_um[axis]
            index = np.rint((middle - origin) / spacing).astype(int)
            places.append(np.clip(index, 0, block.grid.shape[axis] - 1))
        return np.asarray(block.tissue[np.ix_(*places)], dtype=np.float32)

    def _patches(
        self,
        seen: Floats,
        grid: Grid,
        lattice: Grid,
        size: npt.NDArray[np.int64],
        tissue: Floats,
    ) -> Floats:
        """Patch tokens (token, z, y, x) from the lattice's lower edge on."""
        out = np.zeros((self.token_count, *size), dtype=np.float32)
        inner = np.array([1 if self._planar else self._inner[0], *self._inner[1:]])
        # The last window ends where the patches end, so that it does not reach beyond the block.
        starts = (
            sorted({min(c, max(n - step, 0)) for c in range(0, n, step)})
            for n, step in zip(size.tolist(), inner.tolist(), strict=True)
        )
        corners = []
        for corner in itertools.product(*starts):
            kept = tuple(slice(c, c + n) for c, n in zip(corner, inner, strict=True))
            if tissue[kept].any():
                corners.append((np.array(corner), kept))
        for first in range(0, len(corners), BATCH):
            some = corners[first : first + BATCH]
            found = self._forward(
                np.stack([self._window(seen, grid, lattice, corner) for corner, _ in some])
            )
            for (_, kept), tokens in zip(some, found, strict=True):
                z, y, x = (slice(h, h + n) for h, n in zip(self._halo, self._inner, strict=True))
                part = tokens[:, z, y, x]
                if self._planar:
                    part = part.mean(axis=1, keepdims=True)
                room = out[(slice(None), *kept)]
                room[...] = part[:, : room.shape[1], : room.shape[2], : room.shape[3]]
        return out

    def _window(
        self, seen: Floats, grid: Grid, lattice: Grid, corner: npt.NDArray[np.int64]
    ) -> Floats:
        """Voxels (2, z, y, x) of one window, 0 beyond the block."""
        shape = self._grid * self._patch
        low = np.array([b[0] for b in lattice.bounds_um])
        low = low + (corner - self._halo) * self._patch * self._voxel_um
        spacing = np.array(grid.spacing_um)
        start = (low + 0.5 * self._voxel_um - np.array(grid.origin_um)) / spacing
        ratio = self._voxel_um / spacing
        first = np.rint(start).astype(int)
        if not self._planar and np.allclose(ratio, 1) and np.allclose(start, first, atol=1e-3):
            return _cut(seen, first, shape)  # the block's own voxels
        if self._planar:
            planes = [
                ndimage.affine_transform(
                    channel[0], ratio[1:], start[1:], tuple(shape[1:]), order=1, mode="constant"
                )
                for channel in seen
            ]
            return np.repeat(np.stack(planes)[:, None], shape[0], axis=1)
        return np.stack(
            [
                ndimage.affine_transform(
                    channel, ratio, start, tuple(shape), order=1, mode="constant"
                )
                for channel in seen
            ]
        )

    def _forward(self, windows: Floats) -> Floats:
        """Patch tokens (window, token, z, y, x) of windows (window, 2, z, y, x)."""
        import torch

        if self._encoder.compiled is not None:
            return np.moveaxis(self._encoder.compiled(windows), -1, 1)
        with torch.inference_mode():
            batch = torch.from_numpy(windows).to(self._encoder.device, self._encoder.dtype)
            tokens = _patches(self._encoder.seer, batch)
        found: npt.NDArray[np.float32] = tokens.float().cpu().numpy()
        return np.moveaxis(found, -1, 1)


def _patches(vit: Any, batch: torch.Tensor) -> torch.Tensor:
    """Patch tokens (window, z, y, x, width) of a batch."""
    tokens: torch.Tensor = vit(batch).patches
    return tokens


def _cut(seen: Floats, first: npt.NDArray[np.int64], shape: npt.NDArray[np.int64]) -> Floats:
    """Voxels (channel, z, y, x) from ``first`` on, 0 beyond the block."""
    out = np.zeros((len(seen), *shape), dtype=np.float32)
    low = np.maximum(first, 0)
    high = np.minimum(first + shape, seen.shape[1:])
    if (high > low).all():
        there = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        out[(slice(None), *there)] = seen[(slice(None), *here)]
    return out


OPTIONS = tuple(n for n in inspect.signature(VortexEncoder).parameters if n != "path")
"""Names of the options of a ``vortex:`` encoder."""
