"""The address of a view in an exported site, as assets/web/src/state.js reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from vortex_model.errors import VortexError
from vortex_model.study import Study
from vortex_viewer.state import ViewState

VERSION = 1


def site_link(base: str, study: str, state: ViewState) -> str:
    """A link that opens this view in an export.

    Parameters
    ----------
    base
        Where the export is served, such as ``https://me.github.io/block``.
    study
        The study's id in the export (its folder under ``studies``).

    Raises
    ------
    VortexError
        When ``base`` is no address of the web.
    """
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.fragment:
        raise VortexError(
            f"{base!r} is no address of a site. Give where the export is served, such as "
            "https://me.github.io/block."
        )
    blank = ViewState()
    fields = [f"version={VERSION}", f"study={quote(study, safe='')}"]
    for name in ("gene", "palette", "opacity", "threshold", "morphology", "depth"):
        value = getattr(state, name)
        if value is not None and value != getattr(blank, name):
            text = value if isinstance(value, str) else _number(value)
            fields.append(f"{name}={quote(text, safe='')}")
    if state.window is not None:
        fields.append(f"window={_numbers(state.window)}")
    if state.cursor_um is not None:
        fields.append(f"cursor_um={_numbers(state.cursor_um)}")
    if state.crop_um is not None:
        fields.append(f"crop_um={_numbers([v for pair in state.crop_um for v in pair])}")
    if state.camera is not None:
        c = state.camera
        fields.append(f"camera={_numbers([*c.focal, *c.back, *c.up, c.height_um])}")
    if not state.planes:
        fields.append("planes=false")
    root = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('index.html').rstrip('/')}/"
    return f"{root}#{'&'.join(fields)}"


def _numbers(values: Sequence[float]) -> str:
    return ",".join(_number(v) for v in values)


def _number(value: float) -> str:
    return f"{value:.6g}"


def study_link(base: str, study: Path, state: ViewState | None, genes: Sequence[str]) -> str:
    """The link of a study in an export of its own, at a gene."""
    seen = state or ViewState()
    if genes:
        seen = seen.with_(gene=genes[0])
    return site_link(base, slug(Study.open(study).name), seen)


def slug(name: str) -> str:
    """A study's id in an export, by its name."""
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "study"
