"""What a state looks like: pure functions from study, state and gene to pictures.

They run in worker threads, and touch neither VTK nor the page.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_viewer.scene import compose, palette
from vortex_viewer.scene.data import Gene, Spots, StudyData
from vortex_viewer.scene.sample import TissueSampler
from vortex_viewer.scene.slices import Picture, Window, cut
from vortex_viewer.state import Point, ViewState

Bytes = npt.NDArray[np.uint8]


def look(state: ViewState, gene: Gene | None) -> compose.Look:
    """How this state draws expression."""
    window = state.window or (gene.auto if gene is not None else (0.0, 1.0))
    return compose.Look(state.palette, window, state.opacity, state.threshold, state.morphology)


def volume(
    data: StudyData, state: ViewState, gene: Gene | None
) -> tuple[npt.NDArray[np.uint32], Grid] | None:
    """Packed RGBA (z, y, x) of morphology and expression together, and its grid."""
    solid = data.solid()
    shown = look(state, gene)
    if solid is None:
        return None if gene is None else _lattice_volume(gene, shown)
    coded = None
    if gene is not None and state.prediction is not None:
        coded = data.coded(state.prediction, gene.name)
    return compose.volume_rgba(solid.index, coded, shown), solid.grid


def _lattice_volume(gene: Gene, shown: compose.Look) -> tuple[npt.NDArray[np.uint32], Grid]:
    """Expression alone, where a study has no morphology."""
    coded = compose.Coded.of(gene.values, gene.low, gene.high)
    gray = np.full(gene.values.shape, 128, np.uint8)
    gray[~np.isfinite(gene.values)] = 0
    shade = compose.light(gray, gene.grid.spacing_um)
    return compose.volume_rgba(compose.base_index(gray, shade), coded, shown), gene.grid


def sheets(data: StudyData, state: ViewState, gene: Gene | None) -> list[tuple[Grid, Bytes]]:
    """The planes of a stack: grid and RGBA (y, x, 4)."""
    shown = look(state, gene)
    made = []
    for sheet in data.sheets():
        values = None
        if gene is not None and state.prediction is not None:
            axes = [sheet.grid.axis_um(a) for a in range(3)]
            mask = data.prediction(state.prediction).mask
            values = TissueSampler(mask, gene.grid, axes)(gene.values)[0]
        glass = sheet.glass * (0.25 + 0.75 * min(1.0, 2 * state.morphology))
        if values is not None:
            part = (values - shown.window[0]) / (shown.window[1] - shown.window[0])
            cover = np.nan_to_num(compose.fade(part, shown.threshold)) * state.opacity
            glass = np.maximum(glass, np.where(np.isfinite(values), cover, 0.0) * sheet.glass)
        made.append((sheet.grid, compose.picture_rgba(sheet.picture, values, shown, glass)))
    return made


def spots(
    data: StudyData, state: ViewState, gene: Gene | None
) -> tuple[npt.NDArray[np.float64], Bytes, npt.NDArray[np.float64]]:
    """Places (n, 3), colours (n, 3) and diameters (n,) of the measured spots."""
    if not state.spots or state.gene is None:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0)
    found = data.spots(state.gene)
    if not found:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0)
    points = np.vstack([s.points_um for s in found])
    sizes = np.concatenate([np.full(len(s.points_um), s.diameter_um) for s in found])
    values, shown = np.concatenate([s.values for s in found]), look(state, gene)
    return points, _colours(values, shown), sizes * _share(values, shown)


def spots_in_plane(
    data: StudyData, state: ViewState, gene: Gene | None, z_um: float
) -> tuple[Spots, list[str], npt.NDArray[np.float64]] | None:
    """The section that lies in the slice at ``z_um``; its spots' colours and radii."""
    if state.gene is None:
        return None
    best: Spots | None = None
    for found in data.spots(state.gene):
        # within a plane of the image, or within half a spot: a spot is a disc of some thickness
        reach = max(data.frame.spacing_um[0], found.diameter_um) / 2
        away = abs(float(found.points_um[:, 2].mean()) - z_um) if len(found.points_um) else np.inf
        if away <= reach and (
            best is None or away < abs(float(best.points_um[:, 2].mean()) - z_um)
        ):
            best = found
    if best is None:
        return None
    shown = look(state, gene)
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in _colours(best.values, shown)]
    return best, colours, best.diameter_um / 2 * _share(best.values, shown)


def slice_picture(
    data: StudyData, state: ViewState, gene: Gene | None, view: str, place: Point, window: Window
) -> Picture:
    """One orthogonal slice through the crosshair."""
    where = {"xy": place[2], "xz": place[1], "yz": place[0]}[view]
    return cut(data, view, where, window, gene, look(state, gene), state.prediction)


def _share(values: npt.NDArray[Any], shown: compose.Look) -> npt.NDArray[np.float64]:
    """Part of its diameter that a spot is drawn with: small where expression is hidden too."""
    part = (values - shown.window[0]) / (shown.window[1] - shown.window[0])
    return np.asarray(0.35 + 0.65 * compose.fade(part, shown.threshold), np.float64)


def _colours(values: npt.NDArray[Any], shown: compose.Look) -> Bytes:
    part = np.clip((values - shown.window[0]) / (shown.window[1] - shown.window[0]), 0.0, 1.0)
    return palette.table(shown.palette)[np.rint(part * 255).astype(np.uint8)]
