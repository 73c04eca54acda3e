"""Regions: named parts of a block, as tokens of a lattice; kept with the study."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from vortex_model.analysis import shapes
from vortex_model.analysis.sampling import on_lattice
from vortex_model.analysis.shapes import Shape
from vortex_model.analysis.signatures import signature
from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.multiscale_write import write_image
from vortex_model.prediction import Prediction
from vortex_model.study import Study

Mask = npt.NDArray[np.bool_]
MOST = 0.5
"""A token has a label when more than this part of it does."""
MAX_NAME = 80
MAX_TOKENS = 1 << 31


@dataclass(frozen=True, eq=False)
class Region:
    """A named part of a block.

    Attributes
    ----------
    name
        As its maker calls it.
    shape
        What it was drawn as.
    grid
        The token lattice.
    mask
        Its tokens, (z, y, x).
    """

    name: str
    shape: Shape
    grid: Grid
    mask: Mask

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _checked(self.name))

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """Its tokens' places (z, y, x) on the lattice, (n, 3)."""
        return np.argwhere(self.mask)

    @property
    def volume_um3(self) -> float:
        """Volume, tissue or not, in cubic micrometres."""
        return float(self.mask.sum()) * float(np.prod(self.grid.spacing_um))

    def on(self, grid: Grid) -> Region:
        """The region on another lattice: drawn anew, or by nearest token where it cannot be."""
        if grid == self.grid:
            return self
        drawn = _drawn(self.shape, grid)
        if drawn is None:
            points = grid.points()
            near = tuple(self.grid.nearest(points).T)
            drawn = (self.mask[near] & self.grid.contains(points)).reshape(grid.shape)
        return replace(self, grid=grid, mask=drawn)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON types: shape, lattice, and members as packed bits of their bounding box."""
        tokens = self.tokens
        low = tokens.min(axis=0) if len(tokens) else np.zeros(3, dtype=np.int64)
        high = tokens.max(axis=0) + 1 if len(tokens) else low
        part = self.mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        packed = zlib.compress(np.packbits(part).tobytes(), 9)
        return {
            "version": 1,
            "name": self.name,
            "shape": shapes.to_json(self.shape),
            "grid": self.grid.to_json(),
            "start": low.tolist(),
            "stop": high.tolist(),
            "members": base64.b64encode(packed).decode(),
        }

    @classmethod
    def from_record(cls, record: Any) -> Region:
        """The region that :meth:`to_record` wrote.

        Raises
        ------
        VortexError
            When it is none, or a newer program wrote it.
        """
        try:
            if int(record["version"]) > 1:
                raise VortexError("A newer program wrote this region. Update vortex-viewer.")
            grid = Grid.from_json(record["grid"])
            size = [int(b) - int(a) for a, b in zip(record["start"], record["stop"], strict=True)]
            if min(size) < 0 or np.prod(grid.shape, dtype=float) > MAX_TOKENS:
                raise ValueError(f"a box of {size}")
            count = int(np.prod(size))
            unpack = zlib.decompressobj()
            bits = unpack.decompress(base64.b64decode(record["members"]), -(-count // 8) + 1)
            mask = np.zeros(grid.shape, dtype=bool)
            box = tuple(slice(int(a), int(b)) for a, b in zip(*_ends(record), strict=True))
            part = np.unpackbits(np.frombuffer(bits, np.uint8), count=count)
            mask[box] = part.reshape(size).astype(bool)
            return cls(str(record["name"]), shapes.from_json(record["shape"]), grid, mask)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise VortexError(f"This is no region: {error}.") from error


def make_region(name: str, shape: Shape, prediction: Prediction, study: Study) -> Region:
    """Draw a shape on a prediction's lattice.

    Parameters
    ----------
    study
        Where labels and morphology come from, if the shape asks for them.

    Raises
    ------
    UnknownNameError
        When a gene, channel or label image is not there.
    VortexError
        When no token lies inside.
    """
    mask = _mask(shape, prediction, study)
    if not mask.any():
        z, y, x = prediction.grid.spacing_um
        raise VortexError(
            f"Region {name!r} holds no token of the lattice, whose spacing is {x:.3g}, {y:.3g}, "
            f"{z:.3g} um (x, y, z). Draw it larger, or elsewhere."
        )
    return Region(name, shape, prediction.grid, mask)


def region_of(name: str, mask: Mask, grid: Grid) -> Region:
    """A region of given tokens, (z, y, x) of a lattice.

    Raises
    ------
    VortexError
        When the mask is of another shape.
    """
    if mask.shape != grid.shape:
        raise VortexError(f"The mask has {mask.shape} tokens (z, y, x), the lattice {grid.shape}.")
    return Region(name, shapes.Members(), grid, np.asarray(mask, dtype=bool))


# -- with the study -------------------------------------------------------------------------


def saved(study: Study) -> dict[str, Region]:
    """The study's regions by name, in the order of their names."""
    made = [Region.from_record(record) for record in study.records("regions").values()]
    return {region.name: region for region in sorted(made, key=lambda r: r.name.casefold())}


def save(study: Study, region: Region) -> None:
    """Keep a region with the study, in place of one of the same name."""
    study.write_record("regions", _id(region.name), region.to_record())


def remove(study: Study, name: str) -> None:
    """Forget a region.

    Raises
    ------
    UnknownNameError
        When the study has none of this name.
    """
    _find(study, name)
    study.remove_record("regions", _id(name))


def rename(study: Study, name: str, new: str) -> None:
    """Give a region another name.

    Raises
    ------
    UnknownNameError
        When the study has none of this name.
    VortexError
        When another region has the new name.
    """
    region = _find(study, name)
    changed = replace(region, name=new)
    if changed.name == name:
        return
    if changed.name in saved(study):
        raise VortexError(f"There is a region {changed.name!r} already; choose another name.")
    save(study, changed)
    study.remove_record("regions", _id(name))


# -- out ------------------------------------------------------------------------------------


def export_labels(regions: Sequence[Region], path: str | os.PathLike[str]) -> Path:
    """Write regions as one OME-Zarr label image: 1 is the first, 2 the second, ...

    Where two overlap, the later one stands. Names are in ``image-label`` ``properties``.

    Raises
    ------
    VortexError
        When there is no region, they lie on different lattices, or something is at ``path``.
    """
    place = Path(path).expanduser()
    if not regions:
        raise VortexError("There is no region to write. Draw one first.")
    if len({region.grid for region in regions}) > 1:
        raise VortexError("The regions lie on different lattices; write those of one prediction.")
    if place.exists():
        raise VortexError(f"{place} exists. Choose another name.")
    numbers = np.zeros(regions[0].grid.shape, dtype=np.uint16)
    for value, region in enumerate(regions, start=1):
        numbers[region.mask] = value
    draft = place.with_name(f".partial-{uuid.uuid4().hex[:8]}-{place.name}")
    try:
        group = zarr.open_group(draft, mode="w-", zarr_format=3)
        source: Any = ArraySource(numbers[None], regions[0].grid, (Channel("regions"),))
        write_image(group, source, place.stem, labels=True)
        ome: Any = group.attrs["ome"]
        names: Any = [{"label-value": v, "name": r.name} for v, r in enumerate(regions, start=1)]
        group.attrs["ome"] = {**ome, "image-label": {"version": "0.5", "properties": names}}
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return place


def token_table(regions: Sequence[Region]) -> pd.DataFrame:
    """Every token of the regions: ``region``, indices ``z y x``, place ``x_um y_um z_um``."""
    parts = []
    for region in regions:
        tokens = region.tokens
        points = region.grid.to_points(tokens)
        columns = dict(zip("zyx", tokens.T, strict=True))
        places = dict(zip(("x_um", "y_um", "z_um"), points.T, strict=True))
        parts.append(pd.DataFrame({"region": region.name, **columns, **places}))
    columns_ = ["region", "z", "y", "x", "x_um", "y_um", "z_um"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns_)


# -- inner workings -------------------------------------------------------------------------


def _mask(shape: Shape, prediction: Prediction, study: Study) -> Mask:
    if isinstance(shape, shapes.Combined):
        first = _mask(shape.first, prediction, study)
        second = _mask(shape.second, prediction, study)
        return _combined(shape.how, first, second)
    if isinstance(shape, shapes.Threshold):
        return _above(shape, prediction, study)
    if isinstance(shape, shapes.LabelOf):
        image = study.label(shape.label)
        share = on_lattice(image, 0, prediction.grid, lambda block: np.isin(block, shape.values))
        return np.asarray(share > MOST)
    if isinstance(shape, shapes.Members):
        raise VortexError("A region of single tokens cannot be drawn anew; use region_of.")
    return shape.mask(prediction.grid)


def _drawn(shape: Shape, grid: Grid) -> Mask | None:
    """The mask on a lattice, where the shape alone says it."""
    if isinstance(shape, shapes.Combined):
        first, second = _drawn(shape.first, grid), _drawn(shape.second, grid)
        return None if first is None or second is None else _combined(shape.how, first, second)
    if isinstance(shape, shapes.Box | shapes.Ellipsoid | shapes.Lasso):
        return shape.mask(grid)
    return None


def _combined(how: str, first: Mask, second: Mask) -> Mask:
    if how == "and":
        return first & second
    return first | second if how == "or" else first & ~second


def _above(shape: shapes.Threshold, prediction: Prediction, study: Study) -> Mask:
    if shape.of == "gene":
        weights = signature(shape.name, list(prediction.genes.index)).weights
        return shape.within(prediction.expression(weights).to_numpy())
    names = [channel.name for channel in study.morphology.channels]
    if shape.name not in names:
        raise UnknownNameError("channel", shape.name, names)
    values = on_lattice(study.morphology, names.index(shape.name), prediction.grid)
    return shape.within(values)


def _find(study: Study, name: str) -> Region:
    regions = saved(study)
    if name not in regions:
        raise UnknownNameError("region", name, list(regions))
    return regions[name]


def _checked(name: str) -> str:
    clean = " ".join(name.split())
    if not clean or len(clean) > MAX_NAME or not clean.isprintable():
        raise VortexError(f"A region's name has 1 to {MAX_NAME} characters; {name[:90]!r} has not.")
    return clean


def _id(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=12).hexdigest()


def _ends(record: Any) -> tuple[list[int], list[int]]:
    return [int(a) for a in record["start"]], [int(b) for b in record["stop"]]
