"""What commands print: tables, and progress with time left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich import progress as rich_progress
from rich.console import Console
from rich.table import Table

from vortex_model.progress import Progress


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A progress line on standard error; in a pipe only the stages are told."""
    console = Console(stderr=True)
    if not console.is_terminal:
        last = [""]

        def tell(fraction: float, message: str) -> None:
            percent = f"{100 * fraction:3.0f} %"
            if percent[:2] != last[0]:  # every tenth
                last[0] = percent[:2]
                console.print(f"{title}: {percent} {message}", highlight=False, markup=False)

        yield tell
        return
    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[message]}", markup=False, style="dim"),
    )
    with rich_progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0, message="")
        yield lambda fraction, message: bar.update(task, completed=fraction, message=message)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table on standard output."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in head:
        shown.add_column(title, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console(highlight=False, markup=False).print(shown)
