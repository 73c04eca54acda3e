"""vortex-viewer versions: the models that a study keeps, listed, compared, restored, deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from vortex_model.errors import VortexError
from vortex_viewer import terminal

SHOWN = 10


def versions(
    study: Annotated[Path, typer.Argument(help="The study, NAME.zarr.", show_default=False)],
    compare: Annotated[
        str | None, typer.Option(help="Two versions, gene by gene: ID,ID.", show_default=False)
    ] = None,
    restore: Annotated[
        str | None, typer.Option(help="Show this version from now on.", show_default=False)
    ] = None,
    delete: Annotated[
        str | None, typer.Option(help="Delete this version.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models that a study keeps; compare, restore or delete one. An ID's start will do."""
    from vortex_model import Study
    from vortex_model.training import versions as kept

    opened = Study.open(study)
    if restore is not None:
        typer.echo(f"Version {kept.restore(opened, restore)} is shown from now on.")
    if delete is not None:
        typer.echo(f"Version {kept.delete(opened, delete)} is deleted.")
    if compare is not None:
        pair = [part.strip() for part in compare.split(",") if part.strip()]
        if len(pair) != 2:
            raise VortexError(f"--compare takes two versions, such as 1a2b,3c4d, not {compare!r}.")
        table = kept.compare(opened, *pair)
        if as_json:
            plain = table.astype(object).where(table.notna(), None)
            typer.echo(json.dumps(plain.reset_index(names="gene").to_dict("records"), indent=2))
            return
        told = kept.summary(table)
        some = table.dropna()
        ends = some if len(some) <= 2 * SHOWN else some.iloc[[*range(SHOWN), *range(-SHOWN, 0)]]
        terminal.table(
            ["gene", pair[0], pair[1], "difference"],
            [[f"mean of {told['genes']}", *map(_number, _means(told))]]
            + [[str(g), *(_number(float(v)) for v in row)] for g, row in ends.iterrows()],
        )
        return
    rows = kept.versions(opened)
    if as_json:
        typer.echo(json.dumps([row.to_json() for row in rows], indent=2))
        return
    terminal.table(
        ["version", "made", "mode", "encoder", "predictor", "from", "genes", "mean r"],
        [
            [row.id[:8] + (" (shown)" if row.current else ""), row.made[:16].replace("T", " ")]
            + [row.mode, row.encoder, row.predictor, ", ".join(row.sections)]
            + [str(row.genes), _number(row.reliability)]
            for row in rows
        ],
    )


def _means(told: dict[str, float | None]) -> list[float | None]:
    return [told["first"], told["second"], told["difference"]]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
