"""Which level is read, onto which token lattice, in which parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from vortex_model.encoders.base import Encoder, Encoding, Source, Subject
from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import Image, Level

MOST_TOKENS = 1_000_000
FEWEST_VOXELS = 3
"""A token is at least so many voxels wide, unless the user asks for finer ones."""
WITHOUT_SECTIONS_UM = 40.0
FINEST_TOKEN_UM = 12.0
"""About a cell: finer tokens by default would only repeat their neighbours."""
CHUNK = 16
WIDE_BYTES = 256 << 20
"""How much a part of the second pass may hold."""
EDGE_NAMES = ("distance to edge, log", "distance to edge up to 400 um")

Box = tuple[slice, slice, slice]
Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """What is read, onto which lattice, by which encoding, in which chunks of tokens."""

    level: Level
    lattice: Grid
    factor: tuple[int, int, int]
    subject: Subject
    encoding: Encoding
    unit: tuple[int, int, int]
    chunk: tuple[int, int, int]

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The encoding's channels, and the distance to the tissue's edge."""
        return (*self.encoding.channel_names, *EDGE_NAMES)

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each channel."""
        return (*self.encoding.groups, *("edge" for _ in EDGE_NAMES))

    def units(self) -> list[Box]:
        """Parts of the lattice that are encoded one by one."""
        return self._parts(self.unit)

    def wide_units(self) -> list[Box]:
        """Larger parts for the second pass, whose context is wide: as large as memory allows."""
        size, reach = list(self.unit), self.reach
        while True:
            short = [
                a for a in range(3) if size[a] < self.lattice.shape[a] and (a or not self.planar)
            ]
            if not short:
                return self._parts(size)
            axis = min(short, key=lambda a: size[a])
            grown = [2 * s if a == axis else s for a, s in enumerate(size)]
            if self._wide_bytes(grown, reach) > WIDE_BYTES:
                return self._parts(size)
            size = grown

    @property
    def planar(self) -> bool:
        """Whether planes are encoded one by one."""
        return self.subject.planar

    @property
    def reach(self) -> Sizes:
        """How many tokens (z, y, x) the second pass looks to each side."""
        z, y, x = (
            int(np.ceil(um / step - 1e-6))
            for um, step in zip(self.encoding.context_um, self.lattice.spacing_um, strict=True)
        )
        return z, y, x

    def _wide_bytes(self, size: Sequence[int], reach: Sizes) -> float:
        core = [min(s, n) for s, n in zip(size, self.lattice.shape, strict=True)]
        whole = [min(s + 2 * r, n) for s, r, n in zip(core, reach, self.lattice.shape, strict=True)]
        tokens = 4.0 * self.encoding.token_count * np.prod([float(n) for n in whole])
        return float(tokens + 2.0 * len(self.channel_names) * np.prod([float(n) for n in core]))

    def _parts(self, size: Sequence[int]) -> list[Box]:
        counts = [-(-n // u) for n, u in zip(self.lattice.shape, size, strict=True)]
        return [
            box(
                [i * u for i, u in zip(number, size, strict=True)],
                [
                    min((i + 1) * u, n)
                    for i, u, n in zip(number, size, self.lattice.shape, strict=True)
                ],
            )
            for number in np.ndindex(*counts)
        ]


def box(start: Sequence[int], stop: Sequence[int]) -> Box:
    """Slices (z, y, x)."""
    z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return z, y, x


def plan(
    image: Image,
    encoder: Encoder,
    serial: bool,
    spacing_um: float | None,
    diameters_um: Sequence[float],
) -> Layout:
    """Choose level, token lattice and chunks.

    Raises
    ------
    VortexError
        When ``spacing_um`` is not positive, or finer than a voxel of the image.
    """
    planar = serial or image.grid.shape[0] == 1
    wanted = encoder.spacing_um
    if planar and image.is_rgb:
        wanted = getattr(encoder, "brightfield_um", wanted)
    level = _level(image, wanted, planar)
    voxel = level.grid.spacing_um
    finest = max(image.grid.spacing_um[1:])
    if spacing_um is not None:
        if not spacing_um > 0:
            raise VortexError(f"The token lattice needs a positive spacing, not {spacing_um} um.")
        if spacing_um < finest * 0.999:
            raise VortexError(
                f"A token lattice of {spacing_um:g} um is finer than the voxels "
                f"({finest:g} um). Give at least {finest:g} um."
            )
        factor = _factor(level.grid, spacing_um, planar)
    else:
        factor = _default_factor(level.grid, planar, diameters_um, getattr(encoder, "wider", 1))
    lattice = level.grid.coarsen(factor)
    subject = Subject(image.channels, voxel, lattice.spacing_um, planar, Source(image, level))
    encoding = encoder.prepare(subject)
    unit: list[int] = []
    chunk: list[int] = []
    for axis, (size, f, n) in enumerate(
        zip(encoding.block_voxels, factor, lattice.shape, strict=True)
    ):
        tokens = 1 if planar and axis == 0 else max(4, size // f)
        tokens = tokens // CHUNK * CHUNK if tokens >= CHUNK else 1 << (tokens.bit_length() - 1)
        unit.append(tokens)
        chunk.append(min(tokens, CHUNK, n))
    return Layout(
        level, lattice, factor, subject, encoding, cast(Any, tuple(unit)), cast(Any, tuple(chunk))
    )


def _level(image: Image, spacing_um: float, planar: bool) -> Level:
    """The coarsest level still as fine as the encoder wants; serial planes stay apart."""
    planes = image.grid.shape[0]
    levels = [lv for lv in image.levels if not planar or lv.grid.shape[0] == planes]
    fit = [lv for lv in levels if max(lv.grid.spacing_um[1:]) <= spacing_um * 1.001]
    return fit[-1] if fit else levels[0]


def _factor(voxels: Grid, want_um: float, planar: bool) -> tuple[int, int, int]:
    z, y, x = (
        max(1, min(n, round(want_um / s)))
        for s, n in zip(voxels.spacing_um, voxels.shape, strict=True)
    )
    return (1 if planar else z), y, x


def _default_factor(
    voxels: Grid, planar: bool, diameters_um: Sequence[float], wider: int
) -> tuple[int, int, int]:
    want = min(diameters_um) / 3 if len(diameters_um) else WITHOUT_SECTIONS_UM
    want = wider * max(want, FINEST_TOKEN_UM)
    want = max(want, FEWEST_VOXELS * max(voxels.spacing_um[1:]))
    factor = _factor(voxels, want, planar)
    while np.prod([float(n) for n in voxels.coarsen(factor).shape]) > MOST_TOKENS:
        want *= 1.05
        factor = _factor(voxels, want, planar)
    return factor
