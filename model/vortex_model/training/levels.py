"""Levels by depth: a gene that differs between sections as a whole, interpolated in between.

Predictors learn what varies within a section. What distinguishes one depth from another, and is
invisible within any plane, is in the sections' means alone; without it such genes are missed
altogether (docs/accuracy.md, the phantom's depth genes).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vortex_model.expression import Measured, normalise
from vortex_model.predictors.base import Floats, Places
from vortex_model.training.lattice import Mask, Volume, section_depths
from vortex_model.training.model import Model


def level_factors(
    measured: Measured, genes: Sequence[str], mean: Floats, depth_um: Floats, mask: Mask
) -> tuple[Volume, Floats]:
    """Factors and loadings that bring each depth to its section's mean, linear in between.

    Beyond the outermost sections their own level holds. With fewer than two depths, or sections
    that are no planes of constant z, there is nothing to interpolate and no factor comes back.

    Parameters
    ----------
    mean
        What the prediction adds to every place, (genes,).
    depth_um
        z of the lattice's planes.
    mask
        Tissue, (z, y, x).

    Returns
    -------
    factors, loadings
        (depths, z, y, x), zero outside tissue, and (depths, genes).
    """
    places, levels = section_levels(measured, genes)
    if len(places) < 2:
        return np.zeros((0, *mask.shape), np.float32), np.zeros((0, len(genes)))
    weights = np.array([np.interp(depth_um, places, hat) for hat in np.eye(len(places))])
    factors = (weights[:, :, None, None] * mask).astype(np.float32)
    return factors, levels - mean


def section_levels(measured: Measured, genes: Sequence[str]) -> tuple[Floats, Floats]:
    """Depths (d,) of the sections and each gene's mean there, (d, genes); none if not flat."""
    numbers = np.unique(measured.section)
    depths, flat = section_depths(measured)
    places, group = np.unique(depths.round(3), return_inverse=True)
    if not flat:
        return np.zeros(0), np.zeros((0, len(genes)))
    index = {g: i for i, g in enumerate(measured.genes)}
    matrix = normalise(measured.counts[:, [index[g] for g in genes]], measured.totals)
    own = [np.asarray(matrix[measured.section == s].mean(axis=0)).ravel() for s in numbers]
    levels = [
        np.mean([own[i] for i in np.flatnonzero(group == d)], axis=0) for d in range(len(places))
    ]
    return places, np.array(levels)


def expression_at(model: Model, measured: Measured, places: Places) -> Floats:
    """What a prediction from these spots says of some places, levels by depth included.

    Returns
    -------
    numpy.ndarray
        Normalised expression, (n, genes of the model).
    """
    found = model.expression(places)
    depths, levels = section_levels(measured, model.basis.genes)
    if len(depths) > 1:
        weights = [np.interp(places.points_um[:, 2], depths, hat) for hat in np.eye(len(depths))]
        found += np.array(weights).T @ (levels - model.basis.mean)
    return found
