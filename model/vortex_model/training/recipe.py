"""Recipe: everything that a pretraining run depends on, read from YAML and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.networks.config import NetworkConfig

Part = TypeVar("Part")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Augment:
    """What a tissue scan allows; 0 or false switches a change off.

    Attributes
    ----------
    turn
        Quarter turns and flips: in-plane, and in 3D where voxels and blocks are cubes.
    tilt_degrees
        Up to this angle beside them (in-plane only where planes were cut one by one).
    anisotropy
        Each axis is stretched by up to exp(+-this).
    blur_depth
        How often thicker optical sections are imitated, 0 to 1.
    gain, gamma
        Each channel's intensity is multiplied by exp(N(0, gain)) and raised to
        exp(N(0, gamma)).
    noise
        Standard deviation of noise that is added.
    """

    turn: bool = True
    tilt_degrees: float = 15.0
    anisotropy: float = 0.15
    blur_depth: float = 0.2
    gain: float = 0.15
    gamma: float = 0.1
    noise: float = 0.01


@dataclass(frozen=True)
class Masked:
    """The first stage: masked autoencoding of morphology alone.

    Attributes
    ----------
    steps
        How many optimiser steps; 0 skips the stage.
    hidden
        Fraction of patches that are hidden.
    width, depth, heads
        Of the decoder that is thrown away.
    """

    steps: int = 1000
    hidden: float = 0.75
    width: int = 128
    depth: int = 2
    heads: int = 4
    learning_rate: float = 3e-4


@dataclass(frozen=True)
class Aligned:
    """The second stage: regression and alignment on measured spots.

    Attributes
    ----------
    steps
        How many optimiser steps; 0 skips the stage.
    panel
        Genes of each study, as :func:`vortex_model.expression.select_genes` reads it; the network
        knows the union.
    hold_out
        ``STUDY/SECTION``, by the names in the studies: never trained on. Their curve is told and
        logged at each checkpoint.
    scgpt
        Folder of an scGPT checkpoint to start the expression encoder from.
    """

    steps: int = 1000
    panel: str = "hvg:250"
    hold_out: tuple[str, ...] = ()
    scgpt: str | None = None
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class Recipe:
    """A pretraining run.

    Attributes
    ----------
    studies
        Study folders or globs, relative to the recipe's own folder.
    network
        Settings of :class:`~vortex_model.networks.config.NetworkConfig`; ``size`` names a size.
    voxel_um
        Spacing (z, y, x) at which morphology is read.
    batch
        Blocks an optimiser step, over all processes and accumulated parts.
    accumulate
        Parts that a step is computed in, one after the other.
    weight_decay, warmup, clip
        Of AdamW; fraction of a stage in which the rate rises; norm that gradients are clipped to.
    precision
        ``auto``: bfloat16 autocast on a GPU that has it, else float32.
    workers
        Processes that read blocks; 0 reads between the steps.
    checkpoint_every
        Steps from checkpoint to checkpoint.
    weights_2d
        A timm ViT's 2D weights (``.safetensors``) to inflate before the first stage.
    """

    name: str
    studies: tuple[str, ...]
    network: Mapping[str, Any] = field(default_factory=dict)
    voxel_um: tuple[float, float, float] = (4.0, 4.0, 4.0)
    seed: int = 0
    batch: int = 32
    accumulate: int = 1
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip: float = 1.0
    precision: str = "auto"
    workers: int = 0
    checkpoint_every: int = 100
    weights_2d: str | None = None
    augment: Augment = Augment()
    masked: Masked = Masked()
    aligned: Aligned = Aligned()

    def __post_init__(self) -> None:
        problems = []
        if not self.studies:
            problems.append("studies: name at least one study folder")
        if self.precision not in PRECISIONS:
            problems.append(f"precision: {self.precision!r} is none of {', '.join(PRECISIONS)}")
        if len(self.voxel_um) != 3 or min(self.voxel_um) <= 0:
            problems.append(f"voxel_um: {self.voxel_um} are not three sizes (z, y, x) above 0")
        for name in ("batch", "accumulate", "checkpoint_every"):
            if int(getattr(self, name)) < 1:
                problems.append(f"{name}: {getattr(self, name)} is below 1")
        if self.batch % max(1, self.accumulate):
            problems.append(f"batch: {self.batch} is no multiple of accumulate {self.accumulate}")
        if self.seed < 0 or self.workers < 0:
            problems.append(
                f"seed and workers: {self.seed}, {self.workers}; neither can be below 0"
            )
        if self.masked.steps < 0 or self.aligned.steps < 0:
            problems.append("steps: cannot be below 0")
        if self.masked.steps + self.aligned.steps < 1:
            problems.append("steps: both stages have 0 steps; give at least one some")
        if problems:
            raise VortexError(f"Recipe {self.name}: " + "; ".join(problems) + ".")

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a YAML recipe.

        Raises
        ------
        VortexError
            When it is not there, no YAML, or a setting is missing or wrong.
        UnknownNameError
            When a setting is not known.
        """
        try:
            record = yaml.safe_load(path.read_text())
        except OSError as error:
            raise VortexError(f"The recipe {path} cannot be read: {error.strerror}.") from error
        except yaml.YAMLError as error:
            raise VortexError(f"The recipe {path} is no YAML: {error}") from error
        if not isinstance(record, dict) or "studies" not in record:
            raise VortexError(f"The recipe {path} names no 'studies'. See model/recipes/.")
        record = {"name": path.stem, **record}
        for name, kind in (("augment", Augment), ("masked", Masked), ("aligned", Aligned)):
            if name in record:
                record[name] = _part(kind, record[name], f"recipe setting of {name}")
        recipe = _part(cls, record, "recipe setting")
        recipe.config()
        return recipe

    def config(self, rank: int | None = None, align: bool = True) -> NetworkConfig:
        """The network's shape; ``rank`` as far as the genes have one."""
        settings = {"size": "tiny", **self.network}
        size = settings.pop("size")
        config = NetworkConfig.of(size, **settings)
        return config.but(align=config.align and align, rank=rank or config.rank)

    def hash(self, contents: Mapping[str, Any]) -> str:
        """Hash of all that the weights depend on: settings and the studies' contents."""
        record = asdict(self)
        for name in ("studies", "workers", "checkpoint_every", "name"):
            del record[name]
        text = json.dumps([record, contents], sort_keys=True, default=list)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def paths(self, folder: Path) -> list[Path]:
        """The study folders, sorted by name within each glob.

        Raises
        ------
        VortexError
            When a pattern finds none.
        """
        found: list[Path] = []
        for pattern in self.studies:
            absolute = Path(pattern).expanduser()
            base = Path(absolute.anchor) if absolute.is_absolute() else folder
            relative = str(absolute.relative_to(base) if absolute.is_absolute() else absolute)
            parts = sorted(base.glob(relative))
            if not parts:
                raise VortexError(f"Recipe {self.name}: no study is at {base / relative}.")
            found += [p for p in parts if p not in found]
        return found


def _part(kind: type[Part], record: Any, what: str) -> Part:
    if not isinstance(record, dict):
        raise VortexError(f"A {what} is written as 'name: value' lines, not as {record!r}.")
    types = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]
    for name, value in record.items():
        if name not in types:
            raise UnknownNameError(what, str(name), list(types))
        plain = types[name]
        good = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
        }.get(plain, True)
        if not good:
            raise VortexError(f"The {what} {name} is {value!r}, which is no {plain}.")
    plain_record = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return kind(**plain_record)
