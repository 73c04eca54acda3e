"""Weights of encoders as commands deal with them: brought, checked, remembered, listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vortex_model.encoders import available, create, forget, remember
from vortex_model.encoders.catalogue import KNOWN
from vortex_model.errors import UnknownNameError, VortexError


def settle(
    encoder: str, checkpoint: Path | None, download: bool = False, forgotten: bool = False
) -> None:
    """Take weights for an encoder, so that every command and the app's button can use them.

    They are loaded once here, so that a wrong file is told before anything is computed.

    Raises
    ------
    VortexError
        When they do not fit, cannot be fetched, or the encoder takes none.
    """
    if forgotten:
        forget(encoder)
    if download and encoder not in KNOWN:
        raise VortexError(
            f"--download is for {', '.join(KNOWN)}; {encoder} is none of them. "
            "Give --checkpoint FILE."
        )
    if checkpoint is None and not download:
        return
    options: dict[str, Any] = {"download": True} if download else {}
    create(encoder, **options | ({"checkpoint": checkpoint} if checkpoint else {}))
    if checkpoint is not None:
        remember(encoder, checkpoint)


def encoder_list(name: str | None = None) -> list[dict[str, Any]]:
    """All encoders that are known by name, or the one of this name, as plain types.

    Raises
    ------
    UnknownNameError
        When there is none of this name.
    """
    rows = [row.to_json() for row in available()]
    if name is None:
        return rows
    found = [row for row in rows if row["name"] == name]
    if not found:
        raise UnknownNameError("encoder", name, [str(row["name"]) for row in rows])
    return found


def state(row: dict[str, Any]) -> str:
    """Whether an encoder of the list can be used now, in a few words."""
    if row["usable"]:
        return "yes"
    if not row["page"]:
        return "with your weights"
    return "weights on request" if row["gate"] else "needs weights"
