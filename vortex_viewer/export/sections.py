"""Measured sections as AnnData, with the prediction at every spot in a layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import UNITS, normalise
from vortex_model.prediction import Prediction
from vortex_model.progress import Progress, silent
from vortex_model.study import Study
from vortex_viewer import __version__
from vortex_viewer.export.landing import landing

LAYER = "predicted"


def export_sections(
    study: Path,
    dest: Path,
    *,
    sections: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[Path]:
    """Write each section as ``dest/NAME.h5ad``.

    ``X`` holds raw counts of the genes that were measured and predicted,
    ``layers["normalised"]`` and ``layers["predicted"]`` both in the prediction's units,
    ``obs["counts"]`` the spot's counts over all genes, ``obsm["spatial"]`` x, y, z in micrometres,
    ``var`` each gene's reliability with its interval. A spot outside the predicted tissue is nan
    in the layer.

    Parameters
    ----------
    dest
        A folder; it is made when it is not there.
    sections, genes
        Names; all when None.

    Raises
    ------
    VortexError
        When the study has no section or no prediction, or a section shares no gene with it.
    UnknownNameError
        When there is no such section, or a gene was not predicted.
    """
    opened = Study.open(study)
    if not opened.section_names:
        raise VortexError(f"{opened.name} has no measured section to export.")
    prediction = Prediction.load(opened)
    chosen = list(sections) if sections else opened.section_names
    for name in chosen:
        if name not in opened.section_names:
            raise UnknownNameError("section", name, opened.section_names)
    wanted = [prediction.resolve(g) for g in genes] if genes else list(prediction.genes.index)
    Path(dest).mkdir(parents=True, exist_ok=True)
    made = []
    for number, name in enumerate(chosen):
        progress(number / len(chosen), f"section {name}")
        data = with_prediction(opened, prediction, name, wanted)
        place = Path(dest) / f"{name}.h5ad"
        with landing(place, overwrite) as draft:
            data.write_h5ad(draft, compression="gzip")
        made.append(place)
    progress(1.0, f"{dest}")
    return made


def with_prediction(
    study: Study, prediction: Prediction, name: str, genes: Sequence[str]
) -> anndata.AnnData:
    """One section (spots by genes) with the layers "normalised" and "predicted"."""
    data = study.section(name)
    index = {str(g).casefold(): i for i, g in enumerate(data.var_names)}
    shared = [g for g in genes if g.casefold() in index]
    if not shared:
        raise VortexError(
            f"Section {name} measured none of the {len(genes)} genes; choose others with --genes."
        )
    counts = data.X[:, [index[g.casefold()] for g in shared]].copy()
    totals = np.asarray(data.X.sum(axis=1), dtype=np.float64).ravel()
    points = np.asarray(data.obsm["spatial"], dtype=np.float64)
    table = prediction.genes.loc[shared]
    made = anndata.AnnData(
        counts,
        obs=data.obs.copy().assign(counts=totals),
        var=pd.DataFrame(
            {
                "reliability": table["reliability"].astype(float),
                "reliability_low": table["low"].astype(float),
                "reliability_high": table["high"].astype(float),
            },
            index=pd.Index(shared, name="gene"),
        ),
        obsm={"spatial": points},
    )
    made.layers["normalised"] = normalise(counts, totals).astype(np.float32)
    made.layers[LAYER] = prediction.profile(points)[shared].to_numpy(dtype=np.float32)
    made.uns["vortex"] = {
        "study": study.name,
        "section": name,
        "prediction": prediction.id,
        "units": UNITS,
        "spatial_units": "micrometer",
        "spot_diameter_um": float(data.uns["vortex"]["spot_diameter_um"]),
        "made_by": f"vortex-viewer {__version__}",
    }
    return made
