"""Figures for print: plates of genes and views with legend, scale bar, caption and permalink."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vortex_model.errors import VortexError
from vortex_model.progress import Progress, silent
from vortex_viewer import __version__
from vortex_viewer.drawing import look
from vortex_viewer.export.landing import landing
from vortex_viewer.export.marks import colour_bar, length_text, scale_bar
from vortex_viewer.export.pictures import VIEWS, Drawn, Pictures
from vortex_viewer.scene.camera import SIDES
from vortex_viewer.scene.gene import Gene
from vortex_viewer.state import ViewState

FORMATS = ("png", "svg", "pdf")
MM = 1 / 25.4
INK, QUIET = "#111418", "#5b6470"
MAX_PANELS = 64
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Panel:
    """One picture of a plate."""

    gene: Gene | None
    view: str
    drawn: Drawn
    window: tuple[float, float]


def export_figure(
    study: Path,
    dest: Path,
    *,
    genes: Sequence[str] = (),
    views: Sequence[str] = ("3d",),
    state: ViewState | None = None,
    side: str = "corner",
    same_range: bool = False,
    panel_mm: float = 70.0,
    dpi: int = 300,
    link: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Draw a figure; its suffix says the format: PNG, SVG or PDF.

    Parameters
    ----------
    study
        A folder NAME.zarr.
    genes
        One picture each, in every view; the state's gene, or morphology alone, when none.
    views
        Of "3d", "xy", "xz", "yz".
    state
        Palette, windows, crop, camera, crosshair; the study's own start when None.
    side
        Where 3D is seen from: a side of ``scene.camera.SIDES``.
    same_range
        One colour range for all genes instead of each gene's own.
    panel_mm
        Width of one picture on paper.
    dpi
        Pixels an inch of the pictures.
    link
        Where the view can be opened; written under the figure.

    Raises
    ------
    VortexError
        When a view, a side, a format or a size cannot be, or there is nothing to draw.
    UnknownNameError
        When a gene was not predicted.
    """
    final = Path(dest)
    kind = final.suffix.lower().removeprefix(".")
    _check(kind, views, side, panel_mm, dpi)
    with landing(final, overwrite) as draft, Pictures(study, state) as pictures:
        names: list[str | None] = list(genes) or [pictures.state.gene]
        if len(names) * len(views) > MAX_PANELS:
            raise VortexError(
                f"{len(names)} genes in {len(views)} views are {len(names) * len(views)} pictures; "
                f"a figure holds {MAX_PANELS}. Make several."
            )
        panels = _draw(pictures, names, views, side, same_range, panel_mm, dpi, progress)
        progress(0.9, "setting")
        figure = _plate(pictures, panels, len(views), panel_mm, same_range, link)
        _save(figure, draft, kind, dpi, pictures, names, link)
    progress(1.0, f"{final}")
    return final


def _check(kind: str, views: Sequence[str], side: str, panel_mm: float, dpi: int) -> None:
    if kind not in FORMATS:
        raise VortexError(f"A figure cannot be a .{kind}; name it .png, .svg or .pdf.")
    for view in views:
        if view not in VIEWS:
            raise VortexError(f"There is no view {view!r}; choose from {', '.join(VIEWS)}.")
    if not views:
        raise VortexError(f"Name at least one view of {', '.join(VIEWS)}.")
    if side not in SIDES:
        raise VortexError(f"There is no side {side!r}; choose from {', '.join(SIDES)}.")
    if not 15 <= panel_mm <= 1000:
        raise VortexError(f"A picture {panel_mm:g} mm wide cannot be; 15 to 1000 mm can.")
    if not 36 <= dpi <= 1200:
        raise VortexError(f"{dpi} dpi cannot be; 36 to 1200 can.")


def _draw(
    pictures: Pictures,
    names: Sequence[str | None],
    views: Sequence[str],
    side: str,
    same_range: bool,
    panel_mm: float,
    dpi: int,
    progress: Progress,
) -> list[Panel]:
    found = [pictures.gene(name) for name in names]
    shared = None
    known = [g for g in found if g is not None]
    if same_range and known:
        shared = (min(g.auto[0] for g in known), max(g.auto[1] for g in known))
    width = round(panel_mm * MM * dpi)
    size = (width, max(2, round(width * 0.8)))
    panels: list[Panel] = []
    for gene in found:
        for view in views:
            progress(0.9 * len(panels) / (len(found) * len(views)), f"{_title(gene)}, {view}")
            window = pictures.state.window or shared
            state = pictures.state.with_(gene=gene and gene.key, window=window)
            drawn = pictures.draw(view, gene, state, size, side)
            panels.append(Panel(gene, view, drawn, look(state, gene).window))
    return panels


def _title(gene: Gene | None) -> str:
    return "Morphology" if gene is None else gene.name


def _plate(
    pictures: Pictures,
    panels: Sequence[Panel],
    views: int,
    panel_mm: float,
    same_range: bool,
    link: str | None,
) -> Figure:
    columns = views if views > 1 else min(len(panels), max(1, round(len(panels) ** 0.5 + 0.25)))
    rows = -(-len(panels) // columns)
    any_gene = any(p.gene is not None for p in panels)
    high = max(p.drawn.pixels.shape[0] / p.drawn.pixels.shape[1] for p in panels)
    picture_mm = panel_mm * min(high, 0.8)
    head, bar, gap, edge = 6.0, (9.5 if any_gene else 1.0), 3.0, 4.0
    words = _caption(pictures, panels, same_range)
    wide = 2 * edge + columns * panel_mm + (columns - 1) * gap
    lines = _wrap(words, wide - 2 * edge)
    foot = 3.4 * (len(lines) + (1 if link else 0)) + 4.0
    tall = edge + rows * (head + picture_mm + bar) + foot
    figure = Figure(figsize=(wide * MM, tall * MM), facecolor="white")
    FigureCanvasAgg(figure)

    def box(left: float, top: float, width: float, height: float) -> Rectangle:
        return left / wide, 1 - (top + height) / tall, width / wide, height / tall

    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        left = edge + column * (panel_mm + gap)
        top = edge + row * (head + picture_mm + bar)
        x, y, w, _ = box(left, top, panel_mm, head)
        figure.text(x, y + 1.2 / tall, _title(panel.gene), fontsize=9, weight="bold", color=INK)
        figure.text(
            x + w, y + 1.2 / tall, _trust(pictures, panel), fontsize=6.5, color=QUIET, ha="right"
        )
        axes = figure.add_axes(box(left, top + head, panel_mm, picture_mm))
        axes.imshow(panel.drawn.pixels, interpolation="none")
        axes.set_axis_off()
        axes.set_anchor("N")
        scale_bar(axes, panel.drawn.pixels.shape, panel.drawn.um_per_pixel)
        if panel.gene is not None:
            height, width = panel.drawn.pixels.shape[:2]
            under = top + head + min(picture_mm, panel_mm * height / width) + 1.2
            place = figure.add_axes(box(left + 0.12 * panel_mm, under, 0.76 * panel_mm, 1.8))
            colour_bar(figure, place, pictures.state.palette, panel.window, panel.gene.units, 6.0)
    line = 3.4 / tall
    at = (foot - 2.5) / tall
    for text in lines:
        at -= line
        figure.text(edge / wide, at + line / 4, text, fontsize=6.5, color=INK)
    if link:
        figure.text(
            edge / wide, at - line * 0.75, link, fontsize=5.5, color="#2f5fb3", url=link, gid="link"
        )
    return figure


def _trust(pictures: Pictures, panel: Panel) -> str:
    parts = [panel.view.upper() if panel.view != "3d" else "3D"]
    if panel.gene is not None:
        assert pictures.state.prediction is not None
        table = pictures.data.prediction(pictures.state.prediction).genes
        columns = ["reliability", "low", "high"]
        # a formula has no row, and where there were too few spots nothing is known
        known = table.loc[table.index == panel.gene.name, columns].to_numpy(dtype=float)
        score, low, high = known[0] if len(known) else (np.nan,) * 3
        if np.isfinite(score):
            parts.append(f"r {score:.2f} [{low:.2f}, {high:.2f}]")
    return " · ".join(parts)


def _caption(pictures: Pictures, panels: Sequence[Panel], same_range: bool) -> str:
    data = pictures.data
    info = data.info
    z, y, x = data.frame.extent_um
    said = [p for p in (info.modality, info.organ, info.species) if p and p != "other"]
    size = " x ".join(length_text(float(f"{v:.3g}")) for v in (x, y, z))
    words = [f"{info.name}{' (' + ', '.join(said) + ')' if said else ''}, {size}."]
    cuts = {"xy": 2, "xz": 1, "yz": 0}
    shown = dict.fromkeys(p.view for p in panels)
    words += [
        f"{view.upper()} at {'xyz'[cuts[view]]} = {pictures.cursor[cuts[view]]:.0f} µm."
        for view in shown
        if view in cuts
    ]
    stretched = [p.drawn.stretch for p in panels if p.drawn.stretch != 1.0]
    if stretched:
        words.append(f"z is stretched {stretched[0]:g} times.")
    if any(p.gene is not None for p in panels):
        assert pictures.state.prediction is not None
        words.append(f"Predicted expression, prediction {pictures.state.prediction[:12]}; ")
        words[-1] += "colours span " + (
            "one range for all genes" if same_range else "each gene's own range"
        )
        words[-1] += "; r: Pearson correlation on held-out spots with its 95 % interval."
    words.append(f"vortex-viewer {__version__}.")
    return " ".join(words)


def _wrap(text: str, width_mm: float) -> list[str]:
    most = max(24, int(width_mm / 1.32))  # letters of 6.5 points
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > most:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _save(
    figure: Figure,
    place: Path,
    kind: str,
    dpi: int,
    pictures: Pictures,
    names: Sequence[str | None],
    link: str | None,
) -> None:
    title = f"{pictures.data.info.name}: {', '.join(n for n in names if n) or 'morphology'}"
    made = f"vortex-viewer {__version__}"
    state = pictures.state.dumps()
    about: dict[str, Any]
    if kind == "png":
        about = {"Title": title, "Software": made, "Description": state, "Source": link or ""}
    elif kind == "svg":
        about = {"Title": title, "Creator": made, "Description": state, "Date": None}
        about |= {"Source": link} if link else {}
    else:
        about = {"Title": title, "Creator": made, "Subject": state, "CreationDate": None}
    # words stay words in SVG and PDF, and the same figure has the same bytes
    plain = {"svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "vortex-viewer"}
    with mpl.rc_context(plain), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(place, dpi=dpi, metadata=about, format=kind)
