"""vortex-viewer evaluate: how good predictions are, on what was not learned from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from vortex_model.errors import VortexError
from vortex_viewer import terminal

WIDE = 130
Protocol = Literal["sections", "blocks", "depth", "count", "studies"]


def names(text: str | None) -> list[str] | None:
    """``C3,C5`` as a list; nothing given stays nothing."""
    return None if text is None else [n.strip() for n in text.split(",") if n.strip()]


def evaluate(
    study: Annotated[Path, typer.Argument(help="The study, NAME.zarr.", show_default=False)],
    train: Annotated[
        str | None, typer.Option(help="Sections to learn from: C4 or C4,C3.", show_default=False)
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Sections held out: C3,C5.", show_default=False)
    ] = None,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="sections: --train to --test. blocks: within each section. depth: each section "
            "to every other. count: from the nearest 1, 2, ... sections. studies: each study from "
            "those --with it."
        ),
    ] = "sections",
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Another study, for --protocol studies; repeatable."),
    ] = None,
    genes: Annotated[
        list[str] | None,
        typer.Option(help="hvg:N, top:N, all, or gene names; hvg:250 if not given; repeatable."),
    ] = None,
    predictor: Annotated[
        str | None,
        typer.Option(
            help="gp, gp-features, gp-place, ridge, knn, nearest or mean.", metavar="NAME"
        ),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="What encodes the morphology; texture if not given; repeatable."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a plot: FILE.png, .svg or .pdf.", show_default=False)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table to FILE.md.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Dask scheduler whose workers do the work: tcp://HOST:8786; see docs."),
    ] = None,
) -> None:
    """Compare predictions with what was not learned from; intervals and baselines beside."""
    from vortex_model.evaluate import markdown as as_markdown

    asked: dict[str, Any] = {
        "genes": genes or ["hvg:250"],
        "encoder": encoder or ["texture"],
    }
    if plot is not None:
        from vortex_viewer.evaluation_plot import check_name

        check_name(plot)
    with terminal.progress("Evaluating") as report:
        result = _run(study, train, test, protocol, others, predictor, asked, report, scheduler)
    if markdown is not None:
        _write(markdown, as_markdown(result))
    if plot is not None:
        from vortex_viewer.evaluation_plot import draw

        draw(result, plot)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    _show(result)


def _run(
    study: Path,
    train: str | None,
    test: str | None,
    protocol: Protocol,
    others: list[Path] | None,
    predictor: str | None,
    asked: dict[str, Any],
    report: Any,
    scheduler: str | None,
) -> dict[str, Any]:
    from vortex_model import Study

    opened = Study.open(study)
    if protocol != "studies":
        if others:
            raise VortexError("--with belongs to --protocol studies; leave it out, or add that.")
        asked |= {"predictor": predictor or "gp", "protocol": protocol}
        return opened.evaluate(
            names(train), names(test), **asked, progress=report, scheduler=scheduler
        )
    from vortex_model.cluster import crew_at
    from vortex_model.evaluate import evaluate_studies

    if train or test:
        raise VortexError(
            "--protocol studies holds out whole studies; name no sections with --train or --test."
        )
    studies = [opened, *(Study.open(other) for other in others or [])]
    with crew_at(scheduler) as crew:
        return evaluate_studies(
            studies, predictor=predictor or "gp-features", **asked, progress=report, crew=crew
        )


def _show(result: dict[str, Any]) -> None:
    from vortex_model.evaluate import table
    from vortex_model.evaluate.report import TAIL, sentences

    head, rows = table(result)
    alike = [n for n in (1, 2) if len({row[n] for row in rows}) == 1]
    keep = [n for n in range(len(head)) if n not in alike]
    half = next(n for n, column in enumerate(keep) if head[column] == TAIL[0])
    # what a narrow terminal would fold into ribbons stands in two parts
    parts = [keep] if Console().width >= WIDE else [keep[:half], [keep[0], *keep[half:]]]
    for part in parts:
        terminal.table([head[n] for n in part], [[row[n] for n in part] for row in rows])
    for said in sentences(result):
        typer.echo(said)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise VortexError(f"{path} cannot be written: {error.strerror}.") from error
