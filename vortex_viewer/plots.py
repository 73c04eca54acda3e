"""Plots for notebooks, by HoloViews: a plane of a gene with its measured spots, and reliability."""

from __future__ import annotations

import anndata
import holoviews as hv
import numpy as np
import xarray as xr

from vortex_model.errors import UnknownNameError, VortexError
from vortex_model.expression import normalise
from vortex_model.prediction import Prediction

hv.extension("bokeh")

PALETTE = "magma"


def plane(
    volume: xr.DataArray, z_um: float, *, section: anndata.AnnData | None = None
) -> hv.Overlay:
    """A plane of a gene's volume, true to scale, with the spots of a measured section on it.

    Parameters
    ----------
    volume
        What ``prediction.gene(...)`` gave, (z, y, x).
    z_um
        The depth; the nearest plane of the token lattice is shown.
    section
        A measured section: its spots are drawn in the same colours.

    Raises
    ------
    VortexError
        When the depth is outside the block.
    UnknownNameError
        When the section did not measure the gene.
    """
    depths = volume.z.values
    half = (depths[1] - depths[0]) / 2 if len(depths) > 1 else np.inf
    if not depths[0] - half <= z_um <= depths[-1] + half:
        raise VortexError(
            f"z = {z_um:g} um is outside the block: it reaches from {depths[0]:g} to "
            f"{depths[-1]:g} um."
        )
    name = str(volume.name)
    cut = volume.sel(z=z_um, method="nearest")
    low, high = (float(v) for v in np.nanpercentile(volume.values, [2, 98]))
    value = hv.Dimension(name, unit=volume.attrs["units"], range=(low, high))
    axes = [hv.Dimension("x", unit="um"), hv.Dimension("y", unit="um")]
    shown = hv.Overlay([hv.Image((cut.x.values, cut.y.values, cut.values), axes, value)])
    if section is not None:
        if name not in section.var_names:
            raise UnknownNameError("measured gene", name, list(section.var_names))
        totals = np.asarray(section.X.sum(axis=1), dtype=np.float64).ravel()
        measured = normalise(section[:, [name]].X, totals).toarray()[:, 0]
        x, y = section.obsm["spatial"][:, 0], section.obsm["spatial"][:, 1]
        shown = shown * hv.Points((x, y, measured), axes, value)
    return shown.opts(
        hv.opts.Image(
            cmap=PALETTE,
            colorbar=True,
            data_aspect=1,
            invert_yaxis=True,
            frame_width=420,
            title=f"{name}, z = {float(cut.z):.0f} um",
        ),
        hv.opts.Points(color=name, cmap=PALETTE, line_color="white", size=6),
    )


def reliability(prediction: Prediction, count: int = 30) -> hv.Overlay:
    """Held-out Pearson correlation of the most reliable genes, with its 95 % interval."""
    best = prediction.genes.sort_values("reliability", ascending=False).head(count).iloc[::-1]
    genes, middle = list(best.index), best["reliability"].to_numpy(dtype=float)
    below = middle - best["low"].to_numpy(dtype=float)
    above = best["high"].to_numpy(dtype=float) - middle
    gene, value = hv.Dimension("gene"), hv.Dimension("r", label="held-out Pearson r")
    spans = hv.ErrorBars((genes, middle, below, above), gene, [value, "below", "above"])
    points = hv.Scatter((genes, middle), gene, value)
    return (spans * points).opts(
        hv.opts.ErrorBars(invert_axes=True, line_width=1.5),
        hv.opts.Scatter(invert_axes=True, size=7, frame_width=320, frame_height=16 * count),
    )
