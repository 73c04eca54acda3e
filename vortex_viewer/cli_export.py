"""vortex-viewer export ...: what leaves a study, one command a kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vortex_model.errors import VortexError
from vortex_viewer import terminal

if TYPE_CHECKING:
    from vortex_viewer.state import ViewState

export = typer.Typer(no_args_is_help=True, help="Write a study out to show it elsewhere.")

StudyPath = Annotated[Path, typer.Argument(help="The study, NAME.zarr.", show_default=False)]
Genes = Annotated[str | None, typer.Option(help="Genes, separated by commas.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
StateFile = Annotated[
    Path | None,
    typer.Option("--state", help="A saved view, JSON: palette, ranges, crop, camera, crosshair."),
]


def names(text: str | None) -> list[str] | None:
    """``C3,C5`` as a list; nothing given stays nothing."""
    return None if text is None else [n.strip() for n in text.split(",") if n.strip()]


def place(out: Path | None, study: Path, *words: str, suffix: str) -> Path:
    """Where something goes: what was typed, else a name made of the study and what it shows."""
    if out is not None:
        return out
    stem = "-".join([study.name.removesuffix(".zarr"), *(w for w in words if w)])
    return Path("".join(c if c.isalnum() or c in "-_.+" else "_" for c in stem) + suffix)


def view(state: Path | None) -> ViewState | None:
    """The saved view in a file."""
    if state is None:
        return None
    from vortex_viewer.state import ViewState

    try:
        return ViewState.loads(state.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise VortexError(f"The saved view {state} cannot be read ({error}).") from error


def pair(text: str, what: str, sign: str = ",") -> tuple[int, int]:
    """Two whole numbers, as typed."""
    try:
        first, second = (int(n) for n in text.split(sign))
    except ValueError as error:
        raise VortexError(f"{what} is {text!r}; give two whole numbers: 1280x720.") from error
    return first, second


@export.command()
def site(
    studies: Annotated[list[Path], typer.Argument(help="Studies, then the folder to make.")],
    genes: Annotated[
        str | None, typer.Option(help="Genes to keep, separated by commas; all by default.")
    ] = None,
    max_size: Annotated[
        float | None, typer.Option(help="Refuse to write more than so many megabytes.")
    ] = None,
    layout: Annotated[
        Literal["shards", "chunks"],
        typer.Option(help="shards: few files; chunks: for hosts without range requests."),
    ] = "shards",
    leave_out: Annotated[
        int, typer.Option(help="How many of the morphology's finest levels to leave out.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export.")] = False,
) -> None:
    """Make a folder that any static host shows, without a server: STUDY... DEST."""
    from vortex_viewer.export import export_site, plan_site

    if len(studies) < 2:
        raise VortexError("Name the studies, then the folder to make: export site A.zarr OUT.")
    *chosen, dest = studies
    kept = names(genes)
    typer.echo(str(plan_site(chosen, genes=kept, layout=layout, leave_out=leave_out)))
    with terminal.progress("Exporting") as report:
        made = export_site(
            chosen,
            dest,
            genes=kept,
            max_size=None if max_size is None else int(max_size * 1e6),
            layout=layout,
            leave_out=leave_out,
            overwrite=overwrite,
            progress=report,
        )
    typer.echo(f"Wrote {made}. Try it: python -m http.server --directory {made}")


@export.command()
def figure(
    study: StudyPath,
    out: Annotated[
        Path | None, typer.Argument(help="NAME.png, .svg or .pdf.", show_default=False)
    ] = None,
    gene: Annotated[
        str | None, typer.Option(help="Genes, one picture each; morphology alone when none.")
    ] = None,
    views: Annotated[str, typer.Option("--view", help="3d, xy, xz, yz; several by commas.")] = "3d",
    side: Annotated[
        str, typer.Option(help="Where 3D is seen from: corner, +x, -x, +y, -y, +z, -z.")
    ] = "corner",
    same_range: Annotated[
        bool, typer.Option("--same-range", help="One colour range for all genes.")
    ] = False,
    panel_mm: Annotated[float, typer.Option(help="Width of one picture, millimetres.")] = 70.0,
    dpi: Annotated[int, typer.Option(help="Pixels an inch.")] = 300,
    site_address: Annotated[
        str | None,
        typer.Option("--site", help="Where an export of this study is served: adds a permalink."),
    ] = None,
    state: StateFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw a figure with legend, scale bar and caption; several genes make a plate."""
    from vortex_viewer.export.address import study_link
    from vortex_viewer.export.figure import export_figure

    chosen = names(gene) or []
    saved = view(state)
    dest = place(out, study, *chosen[:4], suffix=".png")
    link = None if site_address is None else study_link(site_address, study, saved, chosen)
    with terminal.progress("Drawing") as report:
        made = export_figure(
            study,
            dest,
            genes=chosen,
            views=names(views) or [],
            state=saved,
            side=side,
            same_range=same_range,
            panel_mm=panel_mm,
            dpi=dpi,
            link=link,
            overwrite=overwrite,
            progress=report,
        )
    typer.echo(f"Wrote {made}.")


@export.command()
def movie(
    study: StudyPath,
    out: Annotated[Path | None, typer.Argument(help="NAME.mp4.", show_default=False)] = None,
    gene: Annotated[
        str | None, typer.Option(help="The gene; morphology alone when none is named.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long a whole turn takes.")] = 8.0,
    fps: Annotated[int, typer.Option(help="Pictures a second.")] = 25,
    size: Annotated[str, typer.Option(help="Width x height in pixels, even.")] = "1280x720",
    quality: Annotated[int, typer.Option(help="0 is without loss, 51 is worst.")] = 18,
    state: StateFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Film a whole turn of the 3D view as MP4."""
    from vortex_viewer.export.movie import export_movie

    with terminal.progress("Filming") as report:
        made = export_movie(
            study,
            place(out, study, gene or "", suffix=".mp4"),
            gene=gene,
            state=view(state),
            seconds=seconds,
            frames_per_s=fps,
            size=pair(size, "The size", "x"),
            quality=quality,
            overwrite=overwrite,
            progress=report,
        )
    typer.echo(f"Wrote {made}.")


@export.command()
def table(
    study: StudyPath,
    what: Annotated[
        Literal["genes", "spots", "regions"],
        typer.Argument(help="genes, spots, or regions (classes of a label image)."),
    ],
    out: Annotated[
        Path | None, typer.Argument(help="NAME.csv or NAME.parquet.", show_default=False)
    ] = None,
    genes: Genes = None,
    labels: Annotated[str | None, typer.Option(help="The label image of regions.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a table of genes, spots or regions, as CSV or Parquet."""
    from vortex_viewer.export.table import export_table

    with terminal.progress("Writing") as report:
        made = export_table(
            study,
            what,
            place(out, study, what, suffix=".csv"),
            genes=names(genes),
            labels=labels,
            overwrite=overwrite,
            progress=report,
        )
    typer.echo(f"Wrote {made}.")


@export.command()
def volume(
    study: StudyPath,
    out: Annotated[Path | None, typer.Argument(help="Where.", show_default=False)] = None,
    gene: Annotated[str, typer.Option(help="The gene.")] = "",
    kind: Annotated[
        Literal["ome-zarr", "ome-tiff", "nrrd"], typer.Option("--format", help="The format.")
    ] = "ome-zarr",
    deviation: Annotated[
        bool, typer.Option("--deviation", help="The predictive standard deviation instead.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write one gene as a volume, spacing in micrometres, nan outside tissue."""
    from vortex_viewer.export.volume import SUFFIXES, export_volume

    if not gene:
        raise VortexError("Name the gene: export volume STUDY --gene KRT8.")
    dest = place(out, study, gene, "deviation" if deviation else "", suffix=SUFFIXES[kind])
    with terminal.progress("Writing") as report:
        made = export_volume(
            study, gene, dest, kind=kind, deviation=deviation, overwrite=overwrite, progress=report
        )
    typer.echo(f"Wrote {made}.")


@export.command()
def sections(
    study: StudyPath,
    out: Annotated[Path | None, typer.Argument(help="A folder.", show_default=False)] = None,
    chosen: Annotated[
        str | None, typer.Option("--sections", help="Sections, separated by commas; all else.")
    ] = None,
    genes: Genes = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the measured sections as AnnData, predictions in a layer."""
    from vortex_viewer.export.sections import export_sections

    with terminal.progress("Writing") as report:
        made = export_sections(
            study,
            place(out, study, "sections", suffix=""),
            sections=names(chosen),
            genes=names(genes),
            overwrite=overwrite,
            progress=report,
        )
    typer.echo("Wrote " + ", ".join(str(p) for p in made) + ".")
