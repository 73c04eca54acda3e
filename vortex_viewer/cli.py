"""vortex-viewer: one command a job, thin."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from vortex_model.errors import Cancelled, VortexError
from vortex_viewer import __version__, terminal
from vortex_viewer.cli_evaluate import evaluate
from vortex_viewer.cli_export import export, names
from vortex_viewer.cli_versions import versions

app = typer.Typer(
    name="vortex-viewer",
    help="Any gene of a tissue block in 3D, in a browser.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyPath = Annotated[Path, typer.Argument(help="The study, NAME.zarr.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a study that is there.")]
EncoderName = Annotated[str, typer.Option(help="What encodes the morphology; see 'encoders'.")]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="The encoder's weights, a file or folder; remembered from then on."),
]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch the encoder's weights from Hugging Face.")
]
PredictorName = Annotated[str, typer.Option(help="gp, ridge, knn, nearest or mean.")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Dask scheduler whose workers do the work: tcp://HOST:8786; see docs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def tell_version(asked: bool) -> None:
    """Print the version and leave, whatever else was typed."""
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=tell_version),
    ] = False,
) -> None:
    """Any gene of a tissue block in 3D, in a browser."""


@app.command()
def serve(
    studies: Annotated[
        list[Path] | None,
        typer.Argument(help="Studies, NAME.zarr; the demo when none is given.", show_default=False),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but loopback opens it to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.")] = 5006,
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="VORTEX_VIEWER_SECRET",
            help="The secret in the address, for links that outlive a restart; new when not given.",
            show_default=False,
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="host[:port] under which a proxy shows this server; repeatable."),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            envvar="VORTEX_VIEWER_PREFIX",
            help="Path under which a proxy shows this server, such as /vortex.",
        ),
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="Let whoever reaches it look, without the secret.")
    ] = False,
    changes: Annotated[
        bool | None,
        typer.Option(
            "--changes/--no-changes",
            help="Whether visitors may fine-tune and change what studies keep: versions, views, "
            "regions, labels. By default they may, unless --public.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="The view to begin with, as the page saved it.", show_default=False),
    ] = None,
    data_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Page that may read the studies as OME-Zarr, such as "
            "https://neuroglancer-demo.appspot.com; repeatable, * for all."
        ),
    ] = None,
) -> None:
    """Show studies in a browser: genes in 3D beside the morphology."""
    from vortex_model.study import Study
    from vortex_viewer.server import serve as run
    from vortex_viewer.state import read_file

    first = None if state is None else read_file(state)
    if studies:
        chosen = studies
        for study in studies:
            Study.open(study)  # what cannot be opened is told before the server starts
    else:
        from vortex_viewer.demo import demo_study

        chosen = [demo_study(terminal.progress)]
    run(
        chosen,
        host=host,
        port=port,
        secret=secret or secrets.token_urlsafe(16),
        open_browser=open_browser,
        allowed_origins=tuple(allow_origin or ()),
        prefix=prefix,
        public=public,
        changes=changes,
        data_origins=tuple(data_origin or ()),
        first=first,
    )


@app.command("import")
def import_(
    manifest: Annotated[Path, typer.Argument(help="The manifest, YAML; see docs/manifest.md.")],
    study: Annotated[
        Path | None,
        typer.Argument(help="Where the study goes, NAME.zarr.", show_default=False),
    ] = None,
    root_dir: Annotated[
        Path | None,
        typer.Option(
            "--root", help="Folder that the manifest's paths start from; its own by default."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for mistakes; list them all.")
    ] = False,
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
) -> None:
    """Make a study from files: a volume or serial sections, and measured sections."""
    from vortex_model import io
    from vortex_model.cluster import crew_at

    if check:
        problems = io.check(manifest, root_dir)
        for problem in problems:
            typer.echo(f"  - {problem}", err=True)
        typer.echo(
            f"{manifest}: " + (f"{len(problems)} problem(s)." if problems else "no problem.")
        )
        raise typer.Exit(1 if problems else 0)
    if study is None:
        raise VortexError("Name the study to make: vortex-viewer import MANIFEST NAME.zarr.")
    with crew_at(scheduler) as crew, terminal.progress("Importing") as report:
        made = io.import_study(
            manifest, study, root=root_dir, overwrite=overwrite, progress=report, crew=crew
        )
    typer.echo(f"Made {made}. Next: vortex-viewer finetune {made}")


@app.command()
def demo(
    study: StudyPath,
    seed: Annotated[int, typer.Option(help="Another seed, another block.")] = 1,
    style: Annotated[str, typer.Option(help="breast, prostate or colorectal.")] = "breast",
    size: Annotated[
        str | None,
        typer.Option(help="Voxels along z, y, x, such as 112,480,480.", show_default=False),
    ] = None,
    voxel: Annotated[
        str | None,
        typer.Option(help="Micrometres a voxel along z, y, x, such as 4,3,3.", show_default=False),
    ] = None,
    sections: Annotated[
        str | None,
        typer.Option(
            help="Depths of the measured sections, as fractions: 0.3,0.7.", show_default=False
        ),
    ] = None,
    finetune: Annotated[
        bool, typer.Option(help="Also predict, so that genes show at once.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Make a phantom: a made-up tissue block whose true 3D expression is known."""
    from vortex_viewer.demo import make_demo

    with terminal.progress("Making the phantom") as report:
        make_demo(
            study,
            seed=seed,
            style=style,
            size=size,
            voxel=voxel,
            sections=sections,
            predict=finetune,
            overwrite=overwrite,
            progress=report,
        )
    typer.echo(f"Made {study}. Next: vortex-viewer serve {study}")


@app.command()
def features(
    study: StudyPath,
    encoder: EncoderName = "texture",
    spacing: Annotated[
        float | None,
        typer.Option(help="Micrometres between tokens; derived when not given."),
    ] = None,
    checkpoint: Checkpoint = None,
    download: Download = False,
    scheduler: Scheduler = None,
) -> None:
    """Encode the morphology once; resumes where a stopped run left off."""
    from vortex_model import Study
    from vortex_viewer.weights import settle

    settle(encoder, checkpoint, download)
    with terminal.progress("Encoding") as report:
        made = Study.open(study).features(
            encoder, spacing_um=spacing, progress=report, scheduler=scheduler
        )
    shape = " x ".join(str(n) for n in made.grid.shape)
    typer.echo(f"{len(made.channel_names)} features on {shape} tokens (z, y, x).")


@app.command()
def finetune(
    study: StudyPath,
    sections: Annotated[
        str | None,
        typer.Option(help="Sections to learn from: C3,C4; all when not given."),
    ] = None,
    panel: Annotated[
        str, typer.Option(help="hvg:N, top:N, all, or genes separated by commas.")
    ] = "hvg:1000",
    predictor: PredictorName = "gp",
    encoder: EncoderName = "texture",
    mode: Annotated[
        Literal["fast", "full"],
        typer.Option(help="fast: frozen features. full: the encoder is tuned too."),
    ] = "fast",
    minutes: Annotated[float, typer.Option(help="Time that full may take for tuning.")] = 5.0,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Another measured study to learn from too; repeatable."),
    ] = None,
    coarse_first: Annotated[
        bool,
        typer.Option("--coarse-first", help="First a coarse prediction, where fine takes long."),
    ] = False,
    checkpoint: Checkpoint = None,
    download: Download = False,
    scheduler: Scheduler = None,
) -> None:
    """Learn from measured sections; predict every gene of the panel in the whole block."""
    from vortex_model import Study
    from vortex_viewer.weights import settle

    settle(encoder, checkpoint, download)
    with terminal.progress("Fine-tuning") as report:
        made = Study.open(study).finetune(
            names(sections),
            panel=panel,
            predictor=predictor,
            encoder=encoder,
            mode=mode,
            minutes=minutes,
            others=[Study.open(other) for other in others or ()],
            coarse_first=coarse_first,
            progress=report,
            scheduler=scheduler,
        )
    best = made.genes.sort_values("reliability", ascending=False).head(8)
    typer.echo(f"Prediction {made.id}: {len(made.genes)} genes. The most reliable:")
    terminal.table(
        ["gene", "held-out Pearson r", "95 % interval"],
        [
            [str(gene), f"{row.reliability:.2f}", f"{row.low:.2f} to {row.high:.2f}"]
            for gene, row in best.iterrows()
        ],
    )
    for warning in made.warnings:
        typer.echo(f"Note: {warning}", err=True)


app.command()(evaluate)


@app.command()
def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe, YAML; see model/recipes.")],
    out: Annotated[Path, typer.Argument(help="Folder of the run: weights, logs, checkpoint.")],
    devices: Annotated[int, typer.Option(help="How many devices share the work.")] = 1,
) -> None:
    """Pretrain a 3D encoder on many studies; a stopped run goes on from its checkpoint."""
    from vortex_model.training.pretrain import pretrain as run

    with terminal.progress("Pretraining") as report:
        weights = run(recipe, out, report, devices=devices)
    typer.echo(f"Wrote {weights}. Next: vortex-viewer features STUDY --encoder vortex:{weights}")


app.command()(versions)
app.add_typer(export, name="export")


@app.command()
def encoders(
    name: Annotated[
        str | None, typer.Argument(help="One of them, to be told in full.", show_default=False)
    ] = None,
    checkpoint: Checkpoint = None,
    download: Download = False,
    forget: Annotated[bool, typer.Option("--forget", help="Forget where its weights are.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the image encoders, and which of them can be used now; bring weights for one."""
    from vortex_viewer import weights

    if name is not None:
        weights.settle(name, checkpoint, download, forget)
    elif checkpoint is not None or download or forget:
        raise VortexError("Name the encoder too: vortex-viewer encoders uni --checkpoint FILE.")
    record = weights.encoder_list(name)
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    elif name is not None:
        terminal.table(["", name], [[k, str(v)] for k, v in record[0].items() if k != "name"])
    else:
        terminal.table(
            ["encoder", "usable now", "licence", "pixels", "um a pixel"],
            [
                [r["name"], weights.state(r), r["licence"]]
                + [str(r["input_size"] or "any"), f"{r['um_per_pixel']:g}"]
                for r in record
            ],
        )
        typer.echo("What one needs, and all that is known of it: vortex-viewer encoders NAME")


@app.command()
def info(study: StudyPath, as_json: AsJson = False) -> None:
    """Tell what a study holds."""
    from vortex_viewer.describe import describe

    record = describe(study)
    if as_json:
        typer.echo(json.dumps(record, indent=2))
        return
    terminal.table(["", record["name"]], [[k, str(v)] for k, v in record.items() if k != "name"])


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Tell what works on this machine: device, rendering, browser, extras."""
    from vortex_viewer.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([f.to_json() for f in findings], indent=2))
    else:
        terminal.table(
            ["part", "state", "found", "what to do"],
            [[f.part, f.state, f.found, f.remedy] for f in findings],
        )
    raise typer.Exit(1 if any(f.state == "broken" for f in findings) else 0)


def main() -> None:
    """Run a command; a user's mistake ends in one clear sentence and exit code 1."""
    try:
        app()
    except Cancelled as stop:
        sys.stderr.write(f"{stop}\n")
        sys.exit(130)
    except VortexError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)
