"""Where this user keeps encoders' weights: a small file that all commands and the app read."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import platformdirs

from vortex_model.errors import VortexError

FILE = "encoders.json"


def settings_file() -> Path:
    """The file; in the user's configuration folder."""
    return platformdirs.user_config_path("vortex-viewer") / FILE


def remembered(name: str) -> Path | None:
    """The checkpoint that was remembered for an encoder.

    Raises
    ------
    VortexError
        When the file of settings cannot be read.
    """
    place = _read().get(name)
    return None if place is None else Path(place)


def remember(name: str, checkpoint: str | Path) -> None:
    """Use these weights from now on whenever this encoder is asked for by name alone.

    Raises
    ------
    VortexError
        When there is no such file, or the settings cannot be written.
    """
    place = Path(checkpoint).expanduser().resolve()
    if not place.exists():
        raise VortexError(f"There is no checkpoint at {place}. Give the path of its weights.")
    _write({**_read(), name: str(place)})


def forget(name: str) -> None:
    """Remember no weights for this encoder any more; the weights themselves stay."""
    _write({k: v for k, v in _read().items() if k != name})


def _read() -> dict[str, str]:
    place = settings_file()
    try:
        found = json.loads(place.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise VortexError(
            f"The settings {place} cannot be read ({error}). Mend or remove the file."
        ) from error
    if not isinstance(found, dict):
        raise VortexError(f"The settings {place} are no JSON object. Mend or remove the file.")
    return {str(k): str(v) for k, v in found.items()}


def _write(settings: dict[str, str]) -> None:
    place = settings_file()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f".partial-{uuid.uuid4().hex[:8]}")
        draft.write_text(json.dumps(settings, indent=1, sort_keys=True) + os.linesep)
        draft.replace(place)
    except OSError as error:
        raise VortexError(
            f"The settings {place} cannot be written ({error}). Give --checkpoint each time, or "
            "make the folder writable."
        ) from error
