"""A study at a glance: a small picture of its middle and the facts that tell it from others."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image as Pillow

from vortex_model.errors import VortexError
from vortex_viewer.panels.facts import study_facts
from vortex_viewer.scene.data import StudyData
from vortex_viewer.scene.library import Library

VOXELS = 4_000_000
WIDTH, HEIGHT = 192, 128


def card(library: Library, name: str) -> dict[str, Any]:
    """Title, description, facts and picture of a study, or why it cannot be shown."""
    try:
        data = library.open(name)
        made = data.newest_prediction()
        told = study_facts(data, None)
        genes = "none yet" if made is None else f"{len(data.prediction(made).genes):,}"
        rows = [[label, value] for label, value, *_ in told["facts"]]
        return {
            "title": told["title"],
            "description": told["description"],
            "facts": [*rows, ["Genes in 3D", genes]],
            "picture": data.kept("gallery picture", lambda: picture(data)),
        }
    except VortexError as error:
        return {"title": name, "description": str(error), "facts": [], "picture": None}


def picture(data: StudyData) -> str | None:
    """The middle plane of the morphology as a PNG's data address; None where there is none."""
    if data.image is None:
        return None
    level = data.image.level_within(VOXELS)
    plane = int(level.grid.nearest([data.middle])[0][0])
    shown = data.shown(np.asarray(level.array[:, plane]))
    image = Pillow.fromarray(shown)
    # a pixel is as wide as it is high in micrometres
    _, high, wide = level.grid.extent_um
    image = image.resize((max(1, round(image.height * wide / high)), image.height))
    image.thumbnail((WIDTH * 2, HEIGHT * 2))
    held = io.BytesIO()
    image.save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()
