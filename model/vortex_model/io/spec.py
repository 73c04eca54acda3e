"""What a manifest asks for, as typed records; no file has been opened yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vortex_model.io.raster import Options
from vortex_model.multiscale import Channel
from vortex_model.study import StudyInfo

Matrix = list[list[float]]


@dataclass(frozen=True)
class ChannelSpec:
    """One channel: what is known of it, and its own files where it has some."""

    channel: Channel
    path: str = ""
    index: int | None = None


@dataclass(frozen=True)
class ImageSpec:
    """An image file, a folder or pattern of planes, or one of these a channel."""

    where: str
    path: str
    format: str
    spacing_um: tuple[float, float, float] | None
    override: bool
    origin_um: tuple[float, float, float] | None
    channels: tuple[ChannelSpec, ...]
    options: Options
    orientation: str = ""
    name: str = ""


@dataclass(frozen=True)
class PointPlane:
    """One plane of a point set: the value that marks its rows, and where it lies."""

    value: str
    z_um: float


@dataclass(frozen=True)
class PointsSpec:
    """Points (nuclei) of several planes, to be drawn as density and mean values."""

    where: str
    path: Path | None
    x: str
    y: str
    plane: str
    values: tuple[str, ...]
    require: tuple[str, ...]
    um_per_unit: float
    spacing_um: tuple[float, float, float]
    radius_um: float
    bounds_um: tuple[tuple[float, float], tuple[float, float]] | None
    planes: tuple[PointPlane, ...]
    between: Literal["nearest", "linear"]


@dataclass(frozen=True)
class RegisterSpec:
    """Registration by the images."""

    model: str = "affine"
    mirror: bool = True
    to: str = ""


@dataclass(frozen=True)
class PoseSpec:
    """How micrometres of a plane or section become micrometres of the study."""

    kind: Literal["none", "affine", "landmarks", "register"]
    affine: Matrix | None = None
    landmarks: Path | None = None
    register: RegisterSpec = field(default_factory=RegisterSpec)
    image: str = ""
    um_per_pixel: tuple[float, float] | None = None


@dataclass(frozen=True)
class PlaneSpec:
    """One section image of a serial stack."""

    where: str
    name: str
    image: str
    um_per_pixel: tuple[float, float] | None
    z_um: float
    pose: PoseSpec


@dataclass(frozen=True)
class SerialSpec:
    """Section images that become one registered volume."""

    where: str
    spacing_um: float | None
    z_spacing_um: float | None
    reference: str
    between: Literal["nearest", "linear"]
    frame: Literal["tissue", "images"]
    channels: tuple[ChannelSpec, ...]
    planes: tuple[PlaneSpec, ...]
    options: Options


@dataclass(frozen=True)
class SectionSpec:
    """One measured section."""

    where: str
    name: str
    format: str
    paths: Mapping[str, Path]
    columns: Mapping[str, str]
    select: Mapping[str, str]
    spot_diameter_um: float | None
    um_per_unit: float | None
    z_um: float | None
    plane: str
    pose: PoseSpec
    layer: str
    spatial: str
    duplicate_genes: str
    off_image: str
    unplaced: str
    bin_um: float | None = None
    min_quality: float | None = None


@dataclass(frozen=True)
class Manifest:
    """A whole manifest."""

    info: StudyInfo
    root: Path
    volume: ImageSpec | None
    points: PointsSpec | None
    serial: SerialSpec | None
    sections: tuple[SectionSpec, ...]
    labels: tuple[ImageSpec, ...]
