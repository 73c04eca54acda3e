"""What a study holds, in words and numbers that the page and the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vortex_model.study import Study


def describe(place: Path | Study) -> dict[str, Any]:
    """Name, size in millimetres, voxels, sections, features and predictions of a study."""
    study = place if isinstance(place, Study) else Study.open(place)
    info = study.info
    record: dict[str, Any] = {"name": info.name, "modality": info.modality}
    record |= {
        key: value
        for key in ("organ", "species", "description", "source", "licence")
        if (value := getattr(info, key))
    }
    if study.has_morphology:
        image = study.morphology
        z, y, x = image.grid.shape
        depth, height, width = (mm / 1000 for mm in image.grid.extent_um)
        record["size_mm"] = f"{width:.2f} x {height:.2f} x {depth:.2f}"
        record["voxels"] = f"{x} x {y} x {z}"
        sz, sy, sx = image.grid.spacing_um
        record["voxel_um"] = f"{sx:g} x {sy:g} x {sz:g}"
        record["channels"] = ", ".join(c.name for c in image.channels)
    record["sections"] = ", ".join(
        f"{name} ({study.section(name).n_obs} spots)" for name in study.section_names
    )
    record["features"] = ", ".join(
        study.provenance("features", name)["parameters"].get("encoder", name)
        for name in study.derived_ids("features")
    )
    record["predictions"] = len(study.derived_ids("predictions"))
    return record
