"""What a state looks like: pure functions from study, state and gene to pictures.

They run in worker threads, and touch neither VTK nor the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_model.grid import Grid
from vortex_viewer.scene import compose, mix, palette
from vortex_viewer.scene.data import Spots, StudyData
from vortex_viewer.scene.detail import Detail
from vortex_viewer.scene.formula import difference
from vortex_viewer.scene.gene import Gene
from vortex_viewer.scene.oblique import Plane, cut_plane
from vortex_viewer.scene.sample import PlaceSampler, TissueSampler
from vortex_viewer.scene.slices import Picture, Window, cut
from vortex_viewer.scene.surfaces import Surface, surface
from vortex_viewer.state import Point, Range, ViewState

Bytes = npt.NDArray[np.uint8]
Sampler = TissueSampler | PlaceSampler


def shown(state: ViewState) -> list[str]:
    """What must be loaded of a state: its genes, or the one formula of their difference."""
    if state.gene is None:
        return []
    if differs(state):
        return [difference(state.gene, state.others[0].gene)]
    return [state.gene, *(layer.gene for layer in state.others)]


def several(state: ViewState) -> bool:
    """Whether the first gene does not stand alone in its picture."""
    return bool(state.others) and state.together != "beside"


def alone(state: ViewState, genes: Sequence[Gene], which: int) -> ViewState:
    """The state of one pane of several: its gene alone, in its window."""
    name = shown(state)[which]
    span = looks(state, genes)[which].window
    return state.with_(gene=name, window=span, others=(), together="mixed")


def differs(state: ViewState) -> bool:
    """Whether a state shows the difference of two genes."""
    return state.together == "difference" and bool(state.others)


def window(state: ViewState, gene: Gene, which: int = 0) -> Range:
    """The window of the first gene, or of one of the others."""
    chosen = state.window if which == 0 or state.shared else state.others[which - 1].window
    if chosen is not None:
        return chosen
    low, high = gene.windows[state.preset]
    if which > 0 and state.shared:
        return low, high
    if not differs(state):
        return low, high
    far = max(abs(low), abs(high))
    return -far, far


def look(state: ViewState, gene: Gene | None, which: int = 0) -> compose.Look:
    """How this state draws expression."""
    colours = palette.DIVERGING if differs(state) else state.palette
    span = (0.0, 1.0) if gene is None else window(state, gene, which)
    return compose.Look(
        colours,
        span,
        state.opacity,
        state.threshold,
        state.morphology,
        state.ramp,
        state.mode,
        differs(state),
    )


def looks(state: ViewState, genes: Sequence[Gene]) -> list[compose.Look]:
    """How this state draws each of several genes."""
    made = [look(state, gene, i) for i, gene in enumerate(genes)]
    return [replace(one, window=made[0].window) for one in made] if state.shared else made


def colours(state: ViewState) -> npt.NDArray[np.float32]:
    """The colours of genes that share a picture, (genes, 3), 0 to 1."""
    names = [state.colour, *(layer.colour for layer in state.others)]
    return np.stack([palette.rgb(name) for name in names])


def volume(
    data: StudyData,
    state: ViewState,
    gene: Gene | None,
    more: Sequence[Gene] = (),
    which: Detail | None = None,
) -> tuple[npt.NDArray[np.uint32], Grid] | None:
    """Packed RGBA (z, y, x) of morphology and expression together, and its grid.

    ``more`` are the genes that share the picture with the first one; ``which`` is how finely it is
    drawn, in full where left out.
    """
    made = volume_layers(data, state, gene, more, which)
    if made is None:
        return None
    found, grid = made
    return (found.rgba() if isinstance(found, compose.Layers) else found), grid


def volume_layers(
    data: StudyData,
    state: ViewState,
    gene: Gene | None,
    more: Sequence[Gene] = (),
    which: Detail | None = None,
) -> tuple[compose.Layers | npt.NDArray[np.uint32], Grid] | None:
    """The same, in layers where no more than one gene is shown: they are looked up elsewhere."""
    solid = data.solid(which)
    own = look(state, gene)
    if solid is None:
        return None if gene is None else _lattice_volume(data, gene, own)
    if gene is None or state.prediction is None:
        return compose.volume_layers(solid.index, None, own), solid.grid
    names = shown(state)[: 1 + len(more)]
    coded = [data.coded(state.prediction, name, state.doubt, which) for name in names]
    known = [c for c in coded if c is not None]
    if len(known) == 1:
        return compose.volume_layers(solid.index, known[0], own), solid.grid
    all_looks = looks(state, [gene, *more])
    return mix.volume_mixed(solid.index, known, colours(state), all_looks), solid.grid


def _lattice_volume(data: StudyData, gene: Gene, own: compose.Look) -> tuple[compose.Layers, Grid]:
    """Expression alone, where a study has no morphology."""
    level = gene.level_within(data.max_voxels)
    values, grid = data.values(gene, level), gene.prediction.grids[level]
    coded = compose.Coded.of(values, gene.low, gene.high)
    gray = np.full(values.shape, 128, np.uint8)
    gray[~np.isfinite(values)] = 0
    shade = compose.light(gray, grid.spacing_um)
    return compose.volume_layers(compose.base_index(gray, shade), coded, own), grid


def sheets(
    data: StudyData, state: ViewState, gene: Gene | None, more: Sequence[Gene] = ()
) -> list[tuple[Grid, Bytes]]:
    """The planes of a stack: grid and RGBA (y, x, 4)."""
    genes = [] if gene is None or state.prediction is None else [gene, *more]
    all_looks = looks(state, genes) or [look(state, None)]
    made = []
    for sheet in data.sheets(state.stained):
        axes = [sheet.grid.axis_um(a) for a in range(3)]
        values = [v[0] for v in sampled_on_axes(data, state, genes, axes)]
        glass = sheet.glass * (0.25 + 0.75 * min(1.0, 2 * state.morphology))
        for one, own in zip(values, all_looks, strict=False):
            cover = np.nan_to_num(own.cover(own.part(one)))
            glass = np.maximum(glass, np.where(np.isfinite(one), cover, 0.0) * sheet.glass)
        made.append((sheet.grid, painted(sheet.picture, values, state, all_looks, glass)))
    return made


def surfaces(data: StudyData, state: ViewState, genes: Sequence[Gene]) -> list[Surface]:
    """Where each gene reaches the level that the state asks for; empty in other modes."""
    if state.mode != "surface":
        return []
    made = []
    for which, (gene, own) in enumerate(zip(genes, looks(state, genes), strict=True)):
        low, high = own.window
        if len(genes) > 1:
            ink = colours(state)[which]
        else:
            ink = palette.table(own.palette)[round(40 + 200 * state.level)] / np.float32(255)
        value = low + state.level * (high - low)
        fine = gene.level_within(data.max_voxels)
        values, grid = data.values(gene, fine), gene.prediction.grids[fine]
        found = surface(values, grid, value, np.asarray(ink, np.float32))
        if found is not None:
            made.append(found)
    return made


def sampled_on_axes(
    data: StudyData, state: ViewState, genes: Sequence[Gene], axes: Sequence[Any]
) -> list[npt.NDArray[np.float32]]:
    """Each gene at the crossings of axes (z, y, x), nan outside tissue and in doubt."""
    step = [np.inf if len(a) < 2 else abs(float(a[1] - a[0])) for a in axes]
    return _sampled(data, state, genes, step, lambda mask, grid: TissueSampler(mask, grid, axes))


def sampled_at(
    data: StudyData, state: ViewState, genes: Sequence[Gene], points_um: npt.NDArray[np.float64]
) -> list[npt.NDArray[np.float32]]:
    """Each gene at places (x, y, z), (rows, columns, 3), nan outside tissue and in doubt."""
    step = float(np.linalg.norm(points_um[0, 1] - points_um[0, 0]))
    return _sampled(
        data, state, genes, [step] * 3, lambda mask, grid: PlaceSampler(mask, grid, points_um)
    )


def _sampled(
    data: StudyData,
    state: ViewState,
    genes: Sequence[Gene],
    step_um: Sequence[float],
    sampling: Callable[[npt.NDArray[np.bool_], Grid], Sampler],
) -> list[npt.NDArray[np.float32]]:
    """Each gene on the level whose tokens a picture of this step can tell apart."""
    found: list[npt.NDArray[np.float32]] = []
    sampler: Sampler | None = None
    for name, gene in zip(shown(state), genes, strict=False):
        level = gene.level_for(step_um) if state.doubt is None else 0
        if sampler is None or state.doubt is not None:
            mask = gene.prediction.mask_at(level)
            if state.doubt is not None and state.prediction is not None:
                mask = data.certain(state.prediction, name, state.doubt)
            sampler = sampling(mask, gene.prediction.grids[level])
        found.append(sampler(data.part(gene, sampler.start, sampler.stop, level)))
    return found


def painted(
    morphology: Bytes,
    values: Sequence[npt.NDArray[np.float32]],
    state: ViewState,
    all_looks: Sequence[compose.Look],
    glass: npt.NDArray[np.float32] | None,
) -> Bytes:
    """A flat picture of morphology with no, one or several genes over it."""
    if len(values) > 1:
        return mix.picture_mixed(morphology, values, colours(state), all_looks, glass)
    one = values[0] if values else None
    return compose.picture_rgba(morphology, one, all_looks[0], glass)


def spots(
    data: StudyData, state: ViewState, gene: Gene | None
) -> tuple[npt.NDArray[np.float64], Bytes, npt.NDArray[np.float64]]:
    """Places (n, 3), colours (n, 3) and diameters (n,) of the measured spots."""
    if not state.spots or state.gene is None or state.others:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0)
    found = data.spots(state.gene)
    if not found:
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0)
    points = np.vstack([s.points_um for s in found])
    sizes = np.concatenate([np.full(len(s.points_um), s.diameter_um) for s in found])
    values, own = np.concatenate([s.values for s in found]), look(state, gene)
    return points, _colours(values, own), sizes * _share(values, own)


def spots_in_plane(
    data: StudyData, state: ViewState, gene: Gene | None, z_um: float
) -> tuple[Spots, list[str], npt.NDArray[np.float64]] | None:
    """The section that lies in the slice at ``z_um``; its spots' colours and radii."""
    if state.gene is None or several(state):
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
    own = look(state, gene)
    inks = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in _colours(best.values, own)]
    return best, inks, best.diameter_um / 2 * _share(best.values, own)


def slice_picture(
    data: StudyData,
    state: ViewState,
    gene: Gene | None,
    view: str,
    place: Point,
    window: Window,
    more: Sequence[Gene] = (),
) -> Picture:
    """One orthogonal slice through the crosshair."""
    where = {"xy": place[2], "xz": place[1], "yz": place[0]}[view]
    genes = [] if gene is None else [gene, *more]
    all_looks = looks(state, genes) or [look(state, None)]

    def values_at(axes: Sequence[Any]) -> list[npt.NDArray[np.float32]]:
        return sampled_on_axes(data, state, genes, axes)

    def paint(flat: Bytes, values: Sequence[Any], glass: Any) -> Bytes:
        return painted(flat, values, state, all_looks, glass)

    return cut(data, view, where, window, values_at, paint, state.stained)


def plane_of(data: StudyData, state: ViewState, place: Point) -> Plane:
    """The oblique slice's plane; the XY slice's where there is none."""
    x, y, z = data.frame.centre_um
    return Plane.tilted((x, y, z), place, state.oblique or (0.0, 0.0))


def oblique_ring(data: StudyData, state: ViewState, place: Point) -> npt.NDArray[np.float64] | None:
    """The corners (n, 3) of what 3D shows of the oblique slice; None where there is none."""
    if state.oblique is None or not state.planes:
        return None
    return plane_of(data, state, place).ring(state.crop_um or data.content)


def oblique_picture(
    data: StudyData,
    state: ViewState,
    gene: Gene | None,
    place: Point,
    window: Window,
    more: Sequence[Gene] = (),
) -> Picture:
    """The oblique slice through the crosshair; ``window`` is in its pane's coordinates."""
    genes = [] if gene is None else [gene, *more]
    all_looks = looks(state, genes) or [look(state, None)]

    def values_at(points: Any) -> list[npt.NDArray[np.float32]]:
        return sampled_at(data, state, genes, points)

    def paint(flat: Bytes, values: Sequence[Any], glass: Any) -> Bytes:
        return painted(flat, values, state, all_looks, glass)

    plane = plane_of(data, state, place)
    return cut_plane(data, plane, window, values_at, paint, state.stained)


def _share(values: npt.NDArray[Any], own: compose.Look) -> npt.NDArray[np.float64]:
    """Part of its diameter that a spot is drawn with: small where expression is hidden too."""
    return np.asarray(0.35 + 0.65 * np.minimum(1.0, own.cover(own.part(values)) * 1.2), np.float64)


def _colours(values: npt.NDArray[Any], own: compose.Look) -> Bytes:
    part = own.part(values)
    return np.asarray(palette.table(own.palette)[np.rint(part * 255).astype(np.uint8)])
