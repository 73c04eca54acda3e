"""A study's only pen: one writer at a time, and what is written lands whole or not at all.

It is written under ``.partial-*`` beside its place, and renamed. What a killed writer left so is
swept away by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import zarr
from filelock import FileLock, Timeout

from vortex_model.errors import StudyError
from vortex_model.provenance import now

LOST = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.EHOSTDOWN)
"""What a system says of a disk that went away."""


class Pen:
    """Who writes a study, a Zarr group on disk, and how it lands there.

    Parameters
    ----------
    path
        The study's folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def held(self, purpose: str) -> Iterator[None]:
        """Hold it; released when the holder ends, even by a kill. A holder may take it again.

        Raises
        ------
        StudyError
            When somebody else holds it: says who, where, since when and for what. Also when the
            disk is full, went away or may not be written.
        """
        lock = FileLock(self._path / ".lock", timeout=0, is_singleton=True)
        holder = self._path / ".holder"
        try:
            with lock:
                first = lock.lock_counter == 1
                if first:
                    me = {"pid": os.getpid(), "host": socket.gethostname()}
                    holder.write_text(json.dumps({**me, "since": now(), "purpose": purpose}))
                    self._sweep()
                try:
                    yield
                finally:
                    if first:
                        holder.unlink(missing_ok=True)
        except Timeout as error:
            raise StudyError(f"{self._path} is being written by {_holder(holder)}.") from error
        except OSError as error:
            told = _disk_trouble(self._path, error)
            if told is None:
                raise
            raise StudyError(told) from error

    def draft(self) -> Path:
        """Where to write what is to :meth:`land`; nothing is there yet."""
        return self._path / f".partial-{uuid.uuid4().hex[:8]}"

    @contextlib.contextmanager
    def landing(self, where: str) -> Iterator[zarr.Group]:
        """A new group to fill; it lands at ``where`` of the study when the block ends well."""
        with self._filled() as (draft, group):
            yield group
            self.land(draft, where)

    @contextlib.contextmanager
    def adding(self, where: str) -> Iterator[zarr.Group]:
        """The same for what is added to the group at ``where``: folders, then the attributes.

        The new group has the attributes of the one that is there. Whoever reads meanwhile finds
        that as it was, or whole.
        """
        with self._filled() as (draft, group):
            group.attrs.update(zarr.open_group(self._path / where, mode="r").attrs.asdict())
            yield group
            for folder in sorted(place for place in draft.iterdir() if place.is_dir()):
                self.land(folder, f"{where}/{folder.name}")
            (draft / "zarr.json").replace(self._path / where / "zarr.json")

    @contextlib.contextmanager
    def _filled(self) -> Iterator[tuple[Path, zarr.Group]]:
        draft = self.draft()
        try:
            yield draft, zarr.open_group(draft, mode="w-", zarr_format=3)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def land(self, draft: Path, where: str) -> None:
        """Put a draft at ``where`` of the study, in place of what is there.

        Raises
        ------
        FileNotFoundError
            When the study is gone; while the pen is held, a StudyError tells of it.
        """
        if not (self._path / "zarr.json").exists():  # zarr would make the folders anew
            raise FileNotFoundError(errno.ENOENT, "the study is no longer there")
        final = self._path / where
        final.parent.mkdir(parents=True, exist_ok=True)
        with replaced(final):
            draft.rename(final)

    def _sweep(self) -> None:
        for left in self._path.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def replaced(final: Path) -> Iterator[None]:
    """Move what is at ``final`` aside while its successor lands; put it back on failure."""
    if not final.exists():
        yield
        return
    aside = final.parent / f".partial-old-{uuid.uuid4().hex[:8]}"
    final.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(final)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _disk_trouble(study: Path, error: OSError) -> str | None:
    """What a user should read about a failed write; None where it is no disk's trouble."""
    again = "Then run the same command again: what is finished is kept."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{study} cannot be written: {error.strerror}. "
            "Copy the study to a place where you may write, or ask its owner."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {study} is full: {error.strerror}. Make room. {again}"
    if error.errno in LOST or not (study / "zarr.json").exists():
        return (
            f"{study} was lost while it was written: {error.strerror or error}. "
            f"See that its disk is there and mounted. {again}"
        )
    return None


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return (
            f"process {who['pid']} on {who['host']} since {who['since']} ({who['purpose']}). "
            "Wait until it is done, or end it"
        )
    except (OSError, ValueError, KeyError):
        return "another process. Wait until it is done"
