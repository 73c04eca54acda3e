"""Where an encoder's weights are, and how to get them; needs no torch."""

from __future__ import annotations

from pathlib import Path

from vortex_model.encoders import settings
from vortex_model.encoders.catalogue import Known
from vortex_model.errors import VortexError

FILES = ("model.safetensors", "pytorch_model.bin", "model.bin", "pytorch_model_vision.bin")
"""Names of files of weights on the hub, the safest first."""


def find(row: Known, checkpoint: str | Path | None, download: bool) -> Path:
    """Where the weights are: as given, remembered, fetched before, or fetched now.

    Raises
    ------
    VortexError
        When there are none, or they cannot be fetched.
    """
    if checkpoint is not None:
        return Path(checkpoint).expanduser()
    place = settings.remembered(row.name)
    if place is not None and place.exists():
        return place
    place = fetched(row)
    if place is not None:
        return place
    if download:
        return fetch(row)
    raise VortexError(f"{row.name} needs weights, and there are none. {how_to_get(row)}")


def how_to_get(row: Known) -> str:
    """What a user has to do to use an encoder, in a sentence or two."""
    own = "Give --checkpoint FILE (checkpoint=FILE in Python) if you have them"
    if not row.gated:
        return f"{own}, or --download to fetch them ({row.licence})."
    if _has_token():
        return f"{own}, or --download, if you were granted access at {row.page} ({row.licence})."
    return (
        f"{own}; or ask for access at {row.page} ({row.licence}), do 'hf auth login', then "
        "--download."
    )


def fetched(row: Known) -> Path | None:
    """Weights that were fetched from the hub before."""
    from huggingface_hub import try_to_load_from_cache

    for name in FILES:
        place = try_to_load_from_cache(row.hub, name)
        if isinstance(place, str) and Path(place).exists():
            return Path(place)
    return None


def fetch(row: Known) -> Path:
    """Fetch the weights from the hub, safetensors first.

    Raises
    ------
    VortexError
        When access was not granted, or the hub cannot be reached.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    why = ""
    for name in FILES:
        try:
            return Path(hf_hub_download(row.hub, name))
        except LocalEntryNotFoundError as error:
            why = f"the hub cannot be reached ({_first_line(error)})"
            break
        except EntryNotFoundError:
            why = f"the hub has none of {', '.join(FILES)} there"
        except (OSError, ValueError) as error:
            why = _first_line(error)
            break
    raise VortexError(
        f"The weights of {row.name} could not be fetched from {row.page}: {why}. "
        + (
            "They are handed out on request: ask on that page, then do 'hf auth login'; "
            if row.gated
            else "Check the network; "
        )
        + "or give --checkpoint FILE."
    )


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
