"""PhantomSpec: all that a phantom is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.phantom.genes import NAMES, PROGRAMS
from vortex_model.phantom.style import Style, style_named

Triple = tuple[float, float, float]
LARGEST_VOXEL_UM = 25.0
MOST_SECTIONS = 64


@dataclass(frozen=True)
class PhantomSpec:
    """What a phantom is like; the same spec makes the same bytes.

    Attributes
    ----------
    shape
        Voxels along z, y, x.
    voxel_um
        Size of a voxel along z, y, x, in micrometres.
    seed
        Of everything random in this block.
    sections
        Depths of the measured planes: 0 to 1, a fraction of the block's depth.
    style
        Name in :data:`~vortex_model.phantom.style.STYLES`, or a Style.
    n_genes
        How many genes are measured; the markers come first.
    spot_diameter_um, spot_pitch_um
        Of the hexagonal array of spots; the defaults are Visium's.
    section_um
        Thickness of a measured section, over which a spot sums.
    counts_per_spot
        Counts, over all genes, of a spot of mean RNA content.
    block_shift
        Deviation, in log2, of each gene's level in this block from its usual one.
    section_shift
        Deviation, in log2, of each gene's level in a section from the block's: what handling
        one section apart from another does. It is in the counts, not in the truth.
    truth_um
        Spacing of the lattice on which the true expression is kept.
    name
        The study's name.
    """

    shape: tuple[int, int, int] = (112, 480, 480)
    voxel_um: Triple = (4.0, 3.2, 3.2)
    seed: int = 1
    sections: tuple[float, ...] = (0.3, 0.7)
    style: str | Style = "breast"
    n_genes: int = 1200
    spot_diameter_um: float = 55.0
    spot_pitch_um: float = 100.0
    section_um: float = 10.0
    counts_per_spot: float = 6000.0
    block_shift: float = 0.22
    section_shift: float = 0.1
    truth_um: float = 25.0
    name: str = "phantom"

    def __post_init__(self) -> None:
        for field in ("shape", "voxel_um"):
            if len(getattr(self, field)) != 3:
                raise VortexError(
                    f"A phantom's {field} has three values (z, y, x), not {getattr(self, field)}."
                )
        for field in (
            "spot_diameter_um",
            "spot_pitch_um",
            "section_um",
            "counts_per_spot",
            "truth_um",
        ):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise VortexError(f"A phantom's {field} must be above 0, not {value}.")
        grid = self.grid
        if max(self.voxel_um) > LARGEST_VOXEL_UM:
            raise VortexError(
                f"Voxels of {self.voxel_um} um are too big: no gland or vessel would be seen. "
                f"Use at most {LARGEST_VOXEL_UM:g} um along each axis."
            )
        if min(grid.extent_um[1:]) < 2 * self.spot_pitch_um or grid.extent_um[0] < self.section_um:
            raise VortexError(
                f"The block is {' x '.join(f'{e:g}' for e in grid.extent_um)} um (z, y, x): too "
                f"small for a section of {self.section_um:g} um with spots every "
                f"{self.spot_pitch_um:g} um. Use more voxels, or bigger ones."
            )
        if self.spot_diameter_um > self.spot_pitch_um:
            raise VortexError(
                f"Spots {self.spot_diameter_um:g} um wide overlap at a pitch of "
                f"{self.spot_pitch_um:g} um. Make the pitch at least the diameter."
            )
        if not 0 < len(self.sections) <= MOST_SECTIONS:
            raise VortexError(
                f"A phantom has 1 to {MOST_SECTIONS} sections, not {len(self.sections)}."
            )
        for place in self.sections:
            if not 0.0 <= place <= 1.0:
                raise VortexError(
                    f"A section at {place:g} is outside the block. Give its depth as a fraction "
                    "from 0 (first plane) to 1 (last plane)."
                )
        if len(set(self.planes)) < len(self.sections):
            raise VortexError(
                f"Two of the sections at {self.sections} fall on one plane. Move them apart."
            )
        least = sum(len(p.markers) for p in PROGRAMS)
        if self.n_genes < least:
            raise VortexError(
                f"{self.n_genes} genes are too few: the {len(NAMES)} programs have {least} "
                f"markers. Use at least {least}."
            )
        for field in ("block_shift", "section_shift"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                raise VortexError(f"A phantom's {field} must be 0 or more, not {value}.")
        if self.seed < 0:
            raise VortexError(f"The seed must be 0 or more, not {self.seed}.")
        if isinstance(self.style, str):
            style_named(self.style)

    @property
    def grid(self) -> Grid:
        """The voxels; the block's corner lies at 0."""
        z, y, x = (s / 2 for s in self.voxel_um)
        return Grid(self.shape, self.voxel_um, (z, y, x))

    @property
    def tissue(self) -> Style:
        """The style itself."""
        return style_named(self.style) if isinstance(self.style, str) else self.style

    @property
    def planes(self) -> tuple[int, ...]:
        """The plane nearest to each section."""
        return tuple(min(int(f * self.shape[0]), self.shape[0] - 1) for f in self.sections)
