"""From a spec to a study: morphology, classes, measured sections, and the truth beside them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import xarray as xr
import zarr

from vortex_model.errors import StudyError, UnknownNameError
from vortex_model.expression import TARGET_SUM, UNITS
from vortex_model.grid import Grid
from vortex_model.phantom import anatomy as an
from vortex_model.phantom.anatomy import Anatomy
from vortex_model.phantom.drawing import Labels, LightSheet
from vortex_model.phantom.genes import NAMES, draw_counts, profiles, programs
from vortex_model.phantom.noise import Axes, Floats
from vortex_model.phantom.spec import PhantomSpec
from vortex_model.progress import Progress, part, silent
from vortex_model.study import Provenance, Study, StudyInfo
from vortex_model.threads import single_threaded_blas

CODE = 2
"""Raised by hand whenever the same spec would give other numbers."""
_SAMPLE_UM = 8.0
_CHUNK = 16


def make_phantom(
    path: str | os.PathLike[str],
    spec: PhantomSpec | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Make a phantom study at ``path``.

    Memory stays flat: everything is worked out by tile.

    Raises
    ------
    StudyError
        When something is at ``path`` and ``overwrite`` is false.
    """
    spec = spec or PhantomSpec()
    style = spec.tissue
    info = StudyInfo(
        name=spec.name,
        modality="light-sheet",
        organ=style.organ,
        species="made up",
        description=(
            "A made-up block of tissue with a tumour: every gene's true expression is known."
        ),
        source=f"vortex_model.phantom, seed {spec.seed}",
        licence="CC0-1.0",
        notes={f"class {number}": name for number, name in enumerate(an.CLASSES)},
    )
    with Study.create(path, info, overwrite=overwrite) as study, single_threaded_blas():
        progress(0.0, "growing glands and vessels")
        anatomy = Anatomy(spec.grid.extent_um, style, spec.seed)
        study.write_morphology(LightSheet(anatomy, spec.grid), part(progress, 0.02, 0.75))
        study.write_label(
            "classes",
            Labels(anatomy, spec.grid),
            part(progress, 0.75, 0.85),
            classes={v: name for v, name in enumerate(an.CLASSES) if v},
        )
        loadings, table = _write_truth(study, anatomy, spec, part(progress, 0.85, 0.95))
        for number, plane in enumerate(spec.planes):
            progress(0.95 + 0.05 * number / len(spec.planes), f"measuring section {number + 1}")
            section = measure(anatomy, spec, plane, number, loadings, table)
            study.write_section(
                f"S{number + 1}",
                section,
                spot_diameter_um=spec.spot_diameter_um,
                record={"phantom": True, "plane": plane, "thickness_um": spec.section_um},
            )
        progress(1.0, "done")
    return Path(path)


def measure(
    anatomy: Anatomy,
    spec: PhantomSpec,
    plane: int,
    number: int,
    loadings: Floats,
    table: pd.DataFrame,
) -> anndata.AnnData:
    """Counts of one section at spots on a hexagonal array, where there is tissue."""
    z_um = float(spec.grid.axis_um(0)[plane])
    points = hexagons(spec)
    amounts, inside = at_spots(anatomy, points, z_um, spec)
    points, amounts = points[inside > 0.5], amounts[inside > 0.5]
    rate = amounts @ loadings.astype(np.float64)
    counts = draw_counts(rate, spec.counts_per_spot, spec.section_shift, spec.seed, number)
    return anndata.AnnData(
        X=sp.csr_matrix(counts.astype(np.float32)),
        obs=pd.DataFrame(index=[f"spot{i + 1}" for i in range(len(points))]),
        var=pd.DataFrame(index=table.index.astype(str)),
        obsm={"spatial": np.column_stack([points, np.full(len(points), z_um)])},
    )


def hexagons(spec: PhantomSpec) -> npt.NDArray[np.float64]:
    """Spot centres (x, y), in micrometres, that lie wholly in the block."""
    _, height, width = spec.grid.extent_um
    pitch, edge = spec.spot_pitch_um, spec.spot_diameter_um / 2
    points = []
    for row, y in enumerate(np.arange(edge, height - edge, pitch * np.sqrt(0.75))):
        start = edge + (pitch / 2 if row % 2 else 0.0)
        points += [(x, y) for x in np.arange(start, width - edge, pitch)]
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


def at_spots(
    anatomy: Anatomy, points: npt.NDArray[np.float64], z_um: float, spec: PhantomSpec
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean programs (n, k) over each spot's disc and the section's thickness; tissue share (n,)."""
    radius = spec.spot_diameter_um / 2
    z = z_um + spec.section_um * np.asarray([-1.0, 0.0, 1.0]) / 3.0
    amounts = np.zeros((len(points), len(NAMES)))
    share = np.zeros(len(points))
    for index, (x, y) in enumerate(points):
        offsets = np.arange(-radius + 2.5, radius, 5.0)
        axes: Axes = (z, y + offsets, x + offsets)
        fields = anatomy.fields(axes)
        disc = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2
        amounts[index] = programs(anatomy, fields, axes)[:, :, disc].mean(axis=(1, 2))
        share[index] = (fields.label[:, disc] != an.BACKGROUND).mean()
    return amounts, share


def _write_truth(
    study: Study, anatomy: Anatomy, spec: PhantomSpec, progress: Progress
) -> tuple[Floats, pd.DataFrame]:
    want = spec.truth_um
    grid = spec.grid.lattice((want, want, want))
    made: dict[str, Any] = {}

    def fill(group: zarr.Group) -> None:
        shape = (len(NAMES), *grid.shape)
        chunks = (len(NAMES), *(min(_CHUNK, n) for n in grid.shape))
        array = group.create_array(
            "programs",
            shape=shape,
            dtype=np.float32,
            chunks=chunks,
            dimension_names=("program", "z", "y", "x"),
        )
        mask = group.create_array(
            "mask", shape=grid.shape, dtype=bool, chunks=chunks[1:], dimension_names=("z", "y", "x")
        )
        total, count = np.zeros(len(NAMES)), 0
        starts = [
            (z, y, x)
            for z in range(0, grid.shape[0], _CHUNK)
            for y in range(0, grid.shape[1], _CHUNK)
            for x in range(0, grid.shape[2], _CHUNK)
        ]
        for done, start in enumerate(starts):
            progress(done / len(starts), f"true expression, part {done + 1} of {len(starts)}")
            stop = [min(s + _CHUNK, n) for s, n in zip(start, grid.shape, strict=True)]
            box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            amounts, tissue = _lattice_means(anatomy, grid.crop(start, stop))
            inside = tissue > 0.5
            array[(slice(None), *box)] = amounts * inside
            mask[box] = inside
            total += amounts[:, inside].sum(axis=1)
            count += int(inside.sum())
        table, loadings = profiles(spec.n_genes, spec.seed, spec.block_shift, total / max(count, 1))
        group.create_array("loadings", data=loadings, dimension_names=("program", "gene"))
        columns = table.reset_index()
        group.attrs["truth"] = {
            "grid": grid.to_json(),
            "units": UNITS,
            "programs": list(NAMES),
            "genes": {name: columns[name].tolist() for name in columns.columns},
        }
        made.update(table=table, loadings=loadings)

    record = asdict(spec)
    record["style"] = asdict(spec.tissue)
    study.write_derived(Provenance("truth", {}, record, CODE), fill)
    return made["loadings"], made["table"]


def _lattice_means(anatomy: Anatomy, grid: Grid) -> tuple[Floats, Floats]:
    """Means of programs (k, z, y, x) and tissue share (z, y, x) over each voxel of a lattice."""
    repeats = [max(1, round(s / _SAMPLE_UM)) for s in grid.spacing_um]
    axes: Axes = tuple(  # type: ignore[assignment]
        (
            grid.axis_um(a)[:, None]
            + grid.spacing_um[a] * ((np.arange(r) + 0.5) / r - 0.5)[None, :]
        ).ravel()
        for a, r in enumerate(repeats)
    )
    fields = anatomy.fields(axes)

    def mean(field: Floats) -> Floats:
        n = grid.shape
        split = field.reshape(
            *field.shape[:-3], n[0], repeats[0], n[1], repeats[1], n[2], repeats[2]
        )
        return np.asarray(split.mean(axis=(-5, -3, -1)), dtype=np.float32)

    tissue = mean((fields.label != an.BACKGROUND).astype(np.float32))
    return mean(programs(anatomy, fields, axes)), tissue


def true_genes(study: Study) -> pd.DataFrame:
    """The phantom's genes: index name; ``program``, ``sees`` and ``marker`` (see genes.Program).

    Raises
    ------
    StudyError
        When the study is no phantom.
    """
    record = _truth(study).attrs["truth"]
    return pd.DataFrame(cast(dict[str, Any], record)["genes"]).set_index("gene")


def true_expression(study: Study, gene: str) -> xr.DataArray:
    """A gene's true expression in a phantom, in the units of a prediction.

    Returns
    -------
    xarray.DataArray
        (z, y, x), nan outside tissue, with coordinates in micrometres; ``attrs`` hold
        ``units``, ``program`` and ``sees``.

    Raises
    ------
    StudyError
        When the study is no phantom.
    UnknownNameError
        When it has no such gene.
    """
    group = _truth(study)
    record = cast(dict[str, Any], group.attrs["truth"])
    names = record["genes"]["gene"]
    folded = {name.casefold(): index for index, name in enumerate(names)}
    if gene.casefold() not in folded:
        raise UnknownNameError("gene", gene, names)
    index = folded[gene.casefold()]
    loadings = np.asarray(cast("zarr.Array[Any]", group["loadings"])[:])
    array = cast("zarr.Array[Any]", group["programs"])
    mask = np.asarray(cast("zarr.Array[Any]", group["mask"])[:])
    grid = Grid.from_json(record["grid"])
    weights = np.stack([loadings[:, index], loadings.sum(axis=1)])
    volume = np.full(grid.shape, np.nan, dtype=np.float32)
    for z in range(0, grid.shape[0], array.chunks[1]):
        part_ = np.asarray(array[:, z : z + array.chunks[1]])
        own, total = np.tensordot(weights, part_, axes=1)
        inside = mask[z : z + array.chunks[1]] & (total > 0)
        share = np.divide(own, total, out=np.zeros_like(own), where=inside)
        volume[z : z + array.chunks[1]] = np.where(inside, np.log1p(TARGET_SUM * share), np.nan)
    return xr.DataArray(
        volume,
        dims=("z", "y", "x"),
        coords={a: (a, v, {"units": "micrometer"}) for a, v in grid.coords().items()},
        name=names[index],
        attrs={
            "units": UNITS,
            "program": record["genes"]["program"][index],
            "sees": record["genes"]["sees"][index],
        },
    )


def _truth(study: Study) -> zarr.Group:
    made = study.derived_ids("truth")
    if not made:
        raise StudyError(f"{study.name} is no phantom: its true expression is not known.")
    return study.derived("truth", made[-1])
