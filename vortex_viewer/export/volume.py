"""One gene as a volume for other programs: OME-Zarr, OME-TIFF or NRRD, spacing in micrometres."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from vortex_model.errors import VortexError
from vortex_model.grid import Grid
from vortex_model.multiscale import ArraySource, Channel
from vortex_model.multiscale_write import write_image
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent
from vortex_model.study import Study
from vortex_viewer import __version__
from vortex_viewer.export.landing import landing
from vortex_viewer.scene.formula import is_formula, weights_of

Format = Literal["ome-zarr", "ome-tiff", "nrrd"]
SUFFIXES = {"ome-zarr": ".ome.zarr", "ome-tiff": ".ome.tif", "nrrd": ".nrrd"}
Floats = npt.NDArray[np.float32]


def export_volume(
    study: Path,
    gene: str,
    dest: Path,
    *,
    kind: Format = "ome-zarr",
    deviation: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write a gene on the token lattice, float32, nan outside tissue.

    Parameters
    ----------
    study
        A folder NAME.zarr.
    gene
        A gene, or a signature's formula after "=".
    dest
        A file, or a folder NAME.ome.zarr.
    kind
        "ome-zarr" (0.5, multiscale), "ome-tiff", or "nrrd".
    deviation
        The predictive standard deviation instead of the expression.

    Raises
    ------
    VortexError
        When the format is unknown, or the study has no prediction.
    UnknownNameError
        When the gene was not predicted.
    """
    if kind not in SUFFIXES:
        raise VortexError(f"There is no format {kind!r}; choose from {', '.join(SUFFIXES)}.")
    opened = Study.open(study)
    prediction = Prediction.load(opened)
    progress(0.0, f"reading {gene}")
    name, units, values = _values(prediction, gene, deviation)
    title = f"{name} standard deviation" if deviation else name
    with landing(dest, overwrite) as draft:
        progress(0.3, f"writing {kind}")
        if kind == "ome-zarr":
            _ome_zarr(draft, values, prediction.grid, title)
        elif kind == "ome-tiff":
            _ome_tiff(draft, values, prediction.grid, title)
        else:
            _nrrd(draft, values, prediction.grid, f"{opened.name}: {title}, {units}")
    progress(1.0, f"{dest}")
    return dest


def _values(prediction: Prediction, gene: str, deviation: bool) -> tuple[str, str, Floats]:
    """Name, units and volume of a gene, or of a signature's formula after "="."""
    if is_formula(gene):
        weights = weights_of(prediction, gene)
        array = prediction.uncertainty(weights) if deviation else prediction.expression(weights)
        name = gene[1:].strip()
    else:
        name = prediction.resolve(gene)
        array = prediction.uncertainty(name) if deviation else prediction.gene(name)
    return name, str(array.attrs["units"]), np.ascontiguousarray(array.values, dtype=np.float32)


def _ome_zarr(place: Path, values: Floats, grid: Grid, title: str) -> None:
    group = zarr.open_group(place, mode="w-", zarr_format=3)
    source: Any = ArraySource(values[None], grid, (Channel(title, color="FF00FF"),))
    write_image(group, source, title)


def _ome_tiff(place: Path, values: Floats, grid: Grid, title: str) -> None:
    z, y, x = grid.spacing_um
    oz, oy, ox = grid.origin_um
    planes = len(values)
    tifffile.imwrite(
        place,
        values,
        ome=True,
        bigtiff=values.nbytes > 2**31,
        photometric="minisblack",
        compression="zlib",
        resolution=(1e4 / x, 1e4 / y),
        resolutionunit="CENTIMETER",
        software=f"vortex-viewer {__version__}",
        metadata={
            "axes": "ZYX",
            "Name": title,
            "Channel": {"Name": [title]},
            "PhysicalSizeX": x,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": y,
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZ": z,
            "PhysicalSizeZUnit": "µm",
            "Plane": {
                "PositionX": [ox] * planes,
                "PositionXUnit": ["µm"] * planes,
                "PositionY": [oy] * planes,
                "PositionYUnit": ["µm"] * planes,
                "PositionZ": [oz + z * i for i in range(planes)],
                "PositionZUnit": ["µm"] * planes,
            },
        },
    )


def _nrrd(place: Path, values: Floats, grid: Grid, content: str) -> None:
    """NRRD 5 as its definition has it: ITK's writer cannot state the unit of a space."""
    spacing, origin = reversed(grid.spacing_um), reversed(grid.origin_um)
    directions = " ".join(
        f"({','.join(repr(s) if i == axis else '0' for i in range(3))})"
        for axis, s in enumerate(spacing)
    )
    sizes = " ".join(str(n) for n in reversed(values.shape))
    safe = content.replace("\n", " ")
    header = [
        "NRRD0005",
        f"# made by vortex-viewer {__version__}",
        f"content: {safe}",
        "type: float",
        "dimension: 3",
        "space dimension: 3",
        f"sizes: {sizes}",
        f"space directions: {directions}",
        f"space origin: ({','.join(repr(o) for o in origin)})",
        'space units: "um" "um" "um"',
        'labels: "x" "y" "z"',
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
    ]
    with place.open("wb") as out:
        out.write("\n".join(header).encode("utf-8") + b"\n\n")
        with gzip.GzipFile(fileobj=out, mode="wb", mtime=0, compresslevel=6) as packed:
            for plane in values:
                packed.write(plane.astype("<f4").tobytes())
