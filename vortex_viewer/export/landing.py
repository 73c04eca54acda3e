"""A file or folder that leaves lands whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from vortex_model.errors import VortexError


@contextlib.contextmanager
def landing(dest: Path, overwrite: bool = False) -> Iterator[Path]:
    """A draft beside ``dest`` to write to; it becomes ``dest`` when the block ends well.

    The draft keeps the suffix, by which writers choose their format. Only a file is replaced by
    a file; a folder is replaced only where it is a Zarr group.

    Raises
    ------
    VortexError
        When ``dest`` is there already and may not be replaced.
    """
    final = Path(dest).expanduser().resolve()
    if final.exists():
        if not overwrite:
            raise VortexError(
                f"{final} exists. Choose another name, or pass --overwrite to replace it."
            )
        if final.is_dir() and not (final / "zarr.json").is_file():
            raise VortexError(f"{final} is a folder of something else; choose another name.")
    final.parent.mkdir(parents=True, exist_ok=True)
    draft = final.parent / f".partial-{uuid.uuid4().hex[:8]}-{final.name}"
    try:
        yield draft
        if final.is_dir():
            aside = final.parent / f".partial-old-{uuid.uuid4().hex[:8]}"
            final.rename(aside)
            draft.rename(final)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            draft.replace(final)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)
