"""Texture, and beside it what a small network learned from the block's own morphology.

Nothing but the block is needed: no weights, no labels. It takes some minutes on two cores, once
for each study; the network is kept with the features. What it adds to texture on HER2ST is in
docs/accuracy.md.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import hadamard

from vortex_model import tissue
from vortex_model.encoders.base import Block, Floats, Subject
from vortex_model.encoders.pooling import Windows
from vortex_model.encoders.sites import Ranges, sites
from vortex_model.encoders.texture import TextureEncoder, TextureEncoding
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.progress import Progress, part

if TYPE_CHECKING:
    from vortex_model.networks.neighbours import Seer

PAIRS = 180_000
"""Pairs of views that the network sees: about ten minutes on two cores."""
FIELDS = 1500
FINEST_UM = 1.4
"""Width of a pixel, where voxels allow."""
JITTER = 0.3
"""How far two views of a place lie apart, in widths of a view."""
APART = 0.15
"""How far the next plane is in a volume, in widths of a view."""
WINDOWS = (1.3, 2.8)
"""Widths of the windows that features are averaged in, in widths of a view (EVIDENCE.md 3)."""
COMPONENTS = 64
"""Channels kept of the network's; a power of 2."""
BRIGHTEST = 3.0
LEAST = 48
"""An image that is narrower than so many pixels has nothing to learn from."""
PLANES = 2
"""Planes of a volume that are looked at for each token."""


class LearnedEncoder:
    """The texture encoder with features learned on the block itself.

    Parameters
    ----------
    pairs
        Pairs of views that the network learns from.
    seed
        Of everything that is drawn.
    """

    name = "learned"
    code = 1
    spacing_um = TextureEncoder.spacing_um
    brightfield_um = TextureEncoder.brightfield_um

    def __init__(self, *, pairs: int = PAIRS, seed: int = 0) -> None:
        if pairs < 1:
            raise VortexError(f"The encoder learned needs pairs of views, not {pairs}.")
        self._pairs, self._seed = pairs, seed
        self.parameters: Mapping[str, Any] = {
            "pairs": pairs,
            "seed": seed,
            "texture": TextureEncoder.code,
        }

    def prepare(self, subject: Subject) -> LearnedEncoding:
        """Choose the scale that the subject's voxels show."""
        return LearnedEncoding(subject, self._pairs, self._seed)


class LearnedEncoding:
    """The encoder set up for one subject; it has to :meth:`learn` before it encodes."""

    threads = True

    def __init__(self, subject: Subject, pairs: int, seed: int, label: str = "learned") -> None:
        from vortex_model.networks.neighbours import REACH, STRIDE, VIEW

        self._subject, self._pairs, self._seed = subject, pairs, seed
        self._texture = TextureEncoding(subject)
        voxel = max(subject.voxel_um[1:])
        # a power of 2, so that blocks begin at a whole pixel
        self._factor = 2 ** int(np.clip(round(np.log2(FINEST_UM / voxel)), 0, 2))
        self._pixel_um = self._factor * voxel
        self._stride = STRIDE
        source = subject.source
        side = min(source.level.grid.shape[1:]) if source is not None else 0
        self._width = COMPONENTS if side >= LEAST * self._factor else 0
        view = VIEW * self._pixel_um
        own = max(subject.token_um[1:])
        widths = sorted({max(own, w * view) for w in WINDOWS})
        self._windows = Windows(subject.token_um, widths, subject.planar)
        reach = (REACH + STRIDE) * self._pixel_um if self._width else 0.0
        z, y, x = self._texture.halo_um
        self.halo_um = (z, max(y, reach), max(x, reach))
        wide = self._windows.reach_um(subject.token_um) if self._width else (0.0, 0.0, 0.0)
        z, y, x = (max(a, b) for a, b in zip(self._texture.context_um, wide, strict=True))
        self.context_um = (z, y, x)
        self.token_count = self._texture.token_count + self._width
        labels = [f"{label}: {w:.3g} um" for w in widths] if self._width else []
        self.channel_names = (
            *self._texture.channel_names,
            *(f"{one}, component {n + 1}" for one in labels for n in range(self._width)),
        )
        self.groups = (
            *self._texture.groups,
            *(one for one in labels for _ in range(self._width)),
        )
        self.block_voxels = self._texture.block_voxels
        self._lock = threading.Lock()
        self._known: dict[str, Floats] | None = None
        self._seer: Seer | None = None

    def learn(self, progress: Progress) -> bytes:
        """Teach the network on the block; what it knows, as safetensors."""
        from safetensors.numpy import save

        from vortex_model.networks import neighbours

        progress(0.0, "reading fields of tissue to learn from")
        fields = self.fields(FIELDS, neighbours.field_pixels())
        if not len(fields):
            return save({})
        weights = self._taught(fields, part(progress, 0.02, 0.98))
        seer = neighbours.Seer(weights)
        return save({**weights, **_components(seer, fields, self._stride)})

    def fields(self, most: int, side: int) -> npt.NDArray[np.uint8]:
        """Square fields of tissue, each twice: from its own plane, and from the next one.

        Parameters
        ----------
        most
            How many there are at most.
        side
            Pixels along each; fewer where the image is narrower.

        Returns
        -------
        (places, 2, channels, y, x), as :class:`~vortex_model.networks.neighbours.Lesson` has them;
        none where the image is too narrow to learn from.
        """
        from vortex_model.networks import neighbours

        subject = self._subject
        if not self._width or subject.source is None:
            return np.zeros((0, 2, 1, 0, 0), np.uint8)
        level = subject.source.level
        jump = APART * neighbours.VIEW * self._pixel_um / subject.voxel_um[0]
        apart = 1 if subject.planar else max(1, round(jump))
        side = min(side, min(level.grid.shape[1:]) // self._factor)
        pairs = sites(subject.source, subject, side * self._factor, self._factor, most, apart)
        return np.stack(
            [
                np.stack([_quantised(self._pixels(s.read(level), s.ranges)) for s in both])
                for both in pairs
            ]
        )

    def _taught(self, fields: npt.NDArray[np.uint8], progress: Progress) -> Mapping[str, Floats]:
        from vortex_model.networks import neighbours

        jitter = JITTER * neighbours.VIEW
        lesson = neighbours.Lesson(fields, jitter, self._pairs, seed=self._seed)
        return neighbours.learn(lesson, progress)

    def know(self, learned: bytes) -> None:
        """Take up what :meth:`learn` gave."""
        from safetensors.numpy import load

        self._known, self._seer = load(learned), None

    def encode(self, block: Block, lattice: Grid) -> Floats:
        """Texture's tokens, then the network's."""
        tokens = self._texture.encode(block, lattice)
        if not self._width:
            return tokens
        return np.concatenate([tokens, self._seen(block, lattice)])

    def context(self, tokens: Floats, weight: Floats) -> Iterator[Floats]:
        """Texture's features; then the means of the network's in each window."""
        count = self._texture.token_count
        yield from self._texture.context(tokens[:count], weight)
        if self._width:
            for number in range(len(self._windows.widths_um)):
                yield from self._windows.means(number, tokens[count:], weight)

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which opens the network anew."""
        return {**self.__dict__, "_lock": None, "_seer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    # -- inner -----------------------------------------------------------------------------

    def _network(self) -> tuple[Seer, Floats, Floats]:
        if self._known is None:
            raise VortexError("The encoder learned was asked to encode before it had learned.")
        with self._lock:
            if self._seer is None:
                from vortex_model.networks.neighbours import Seer

                own = {n: v for n, v in self._known.items() if not n.startswith("components.")}
                self._seer = Seer(own)
        return self._seer, self._known["components.centre"], self._known["components.project"]

    def _pixels(self, voxels: Floats, ranges: Ranges) -> Floats:
        """Optical density or intensity (c, y, x) of 0 to 3 in the network's pixels."""
        if self._subject.is_rgb:
            density = tissue.optical_density(np.moveaxis(voxels, 0, -1), [h for _, h in ranges])
            seen = np.moveaxis(density, -1, 0)
        else:
            seen = tissue.normalise(voxels, ranges)
        return np.clip(coarser(seen, self._factor), 0.0, BRIGHTEST).astype(np.float32)

    def _seen(self, block: Block, lattice: Grid) -> Floats:
        """The network's tokens (component, z, y, x)."""
        out = np.zeros((self._width, *lattice.shape), dtype=np.float32)
        deep = round(lattice.spacing_um[0] / block.grid.spacing_um[0])
        first = round(
            (lattice.bounds_um[0][0] - block.grid.bounds_um[0][0]) / block.grid.spacing_um[0]
        )
        for z in range(lattice.shape[0]):
            planes = range(first + z * deep, min(first + (z + 1) * deep, block.grid.shape[0]))
            some = np.unique(np.linspace(planes[0], planes[-1], min(PLANES, len(planes))).round())
            total, weight = np.zeros(out[:, 0].shape), np.zeros(out.shape[2:])
            for plane in some.astype(int):
                if block.tissue[plane].any():
                    values, share = self._plane(block, plane, lattice)
                    total, weight = total + values, weight + share
            out[:, z] = total / np.maximum(weight, 1e-9)
        return out

    def _plane(self, block: Block, plane: int, lattice: Grid) -> tuple[Floats, Floats]:
        """Sums (component, y, x) over the tissue of each token, and how much there is (y, x)."""
        assert self._subject.source is not None
        seer, centre, project = self._network()
        whole = self._subject.source.level.grid
        image = self._pixels(block.voxels[:, plane], block.scales)
        inside = block.tissue[plane].astype(np.float32)
        unit = self._stride * self._factor
        # Cells lie the same way wherever the block begins.
        start = [
            round((a[0] - b[0]) / s)
            for a, b, s in zip(
                block.grid.bounds_um[1:], whole.bounds_um[1:], whole.spacing_um[1:], strict=True
            )
        ]
        before = [s % unit for s in start]
        after = [-(b + n) % unit for b, n in zip(before, inside.shape, strict=True)]
        f = self._factor
        ends = [
            (b // f, (-(b // f) - n) % self._stride)
            for b, n in zip(before, image.shape[1:], strict=True)
        ]
        found = seer(np.pad(image, [(0, 0), *ends], mode="edge"))
        share = np.pad(inside, list(zip(before, after, strict=True)))
        rows, columns = (n // unit for n in share.shape)
        share = share.reshape(rows, unit, columns, unit).mean(axis=(1, 3))
        found = found[:, :rows, :columns]
        cells = np.tensordot(project.T, found - centre[:, None, None], axes=1)
        down, across = (
            _overlap(
                (s - b) * step + low[0], n, unit * step, token[0], count, size
            )
            for s, b, n, step, low, token, count, size in zip(
                start, before, (rows, columns), whole.spacing_um[1:], whole.bounds_um[1:],
                lattice.bounds_um[1:], lattice.shape[1:], lattice.spacing_um[1:], strict=True,
            )
        )  # fmt: skip
        total = np.einsum("uy,vx,cyx->cuv", down, across, cells * share, optimize=True)
        return total, np.einsum("uy,vx,yx->uv", down, across, share, optimize=True)


def coarser(image: Floats, factor: int) -> Floats:
    """An image (c, y, x) with pixels so many times as wide; the last are filled by their edge."""
    if factor == 1:
        return image
    rest = [(0, 0), *((0, -n % factor) for n in image.shape[1:])]
    whole = np.pad(image, rest, mode="edge")
    c, y, x = whole.shape
    parts = whole.reshape(c, y // factor, factor, x // factor, factor)
    return np.asarray(parts.mean(axis=(2, 4)), dtype=np.float32)


def _overlap(
    low: float, cells: int, cell: float, first: float, tokens: int, token: float
) -> Floats:
    """Length that each token shares with each cell along an axis, (tokens, cells)."""
    a = low + cell * np.arange(cells)
    b = first + token * np.arange(tokens)[:, None]
    both = np.minimum(a + cell, b + token) - np.maximum(a, b)
    return np.asarray(np.maximum(both, 0.0), dtype=np.float32)


def _quantised(pixels: Floats) -> Any:
    from vortex_model.networks.neighbours import QUANTUM

    return np.rint(pixels * QUANTUM).astype(np.uint8)


def _components(seer: Seer, fields: Any, stride: int) -> dict[str, Floats]:
    """The directions in which fields differ most, turned so that all vary alike.

    Features are brought to unit variance one by one later on. In principal components that
    would make the faintest as loud as the strongest; their Hadamard mixture keeps all distances.
    """
    from vortex_model.networks.neighbours import QUANTUM

    some = fields[:: max(1, len(fields) // 128), 0]
    side = some.shape[-1] // stride * stride
    rows = []
    for field in some:
        found = seer(field[:, :side, :side].astype(np.float32) / np.float32(QUANTUM))
        whole = found.shape[1] // 4 * 4
        if whole:
            found = found[:, :whole, :whole]
            found = found.reshape(len(found), whole // 4, 4, whole // 4, 4).mean(axis=(2, 4))
        rows.append(found.reshape(len(found), -1).T)
    values = np.concatenate(rows).astype(np.float64)
    centre = values.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov((values - centre).T))
    leading = vectors[:, ::-1][:, :COMPONENTS]
    mixed = leading @ (hadamard(COMPONENTS) / np.sqrt(COMPONENTS))
    return {
        "components.centre": centre.astype(np.float32),
        "components.project": mixed.astype(np.float32),
    }


OPTIONS = tuple(inspect.signature(LearnedEncoder).parameters)
"""Names of the options of a ``learned`` encoder."""
