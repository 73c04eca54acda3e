"""LINKS.md: how other programs open what was exported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from vortex_model.grid import Grid

PLACEHOLDER = "https://HOST/PATH"


@dataclass(frozen=True)
class Linked:
    """One study's images: folder, name, grid, channels (name, RRGGBB), windows, labels."""

    folder: str
    name: str
    grid: Grid
    channels: list[tuple[str, str]]
    windows: list[tuple[float, float]]
    labels: list[str]


def neuroglancer(linked: Linked, base: str) -> str:
    """A Neuroglancer state as a link; dimensions in x, y, z order, or its XY pane shows ZY.

    A layer for each channel, added up: its chunks hold one channel, and a layer that mixes
    channels would need all of them in a chunk.
    """
    image = f"{base}/{linked.folder}/morphology.ome.zarr"
    layers: list[dict[str, object]] = [
        {
            "type": "image",
            "name": name,
            "source": f"{image}/|zarr3:",
            "localPosition": [number],
            "blend": "additive",
            "shader": _shader(colour, window),
        }
        for number, ((name, colour), window) in enumerate(
            zip(linked.channels, linked.windows, strict=True)
        )
    ]
    layers += [
        {
            "type": "segmentation",
            "name": name,
            "source": f"{image}/labels/{name}/|zarr3:",
            "visible": False,
        }
        for name in linked.labels
    ]
    spacing = linked.grid.spacing_um
    middle = [
        (low + high) / 2 / s for (low, high), s in zip(linked.grid.bounds_um, spacing, strict=True)
    ]
    state = {
        "dimensions": {a: [s * 1e-6, "m"] for a, s in zip("xyz", reversed(spacing), strict=True)},
        "position": middle[::-1],
        "layers": layers,
        "layout": "4panel",
    }
    return "https://neuroglancer-demo.appspot.com/#!" + quote(
        json.dumps(state, separators=(",", ":")), safe=""
    )


def vole(linked: Linked, base: str) -> str:
    """A Vol-E link."""
    url = f"{base}/{linked.folder}/morphology.ome.zarr"
    return f"https://vole.allencell.org/viewer?url={quote(url, safe='')}"


def page(studies: list[Linked]) -> str:
    """The text of LINKS.md."""
    rows = [
        "# Links",
        "",
        f"Put this folder on a host and replace `{PLACEHOLDER}` by its address:",
        "",
        "```",
        f"sed -i 's#{PLACEHOLDER}#https://me.github.io/my-export#g;"
        f"s#{quote(PLACEHOLDER, safe='')}#https%3A%2F%2Fme.github.io%2Fmy-export#g' LINKS.md",
        "```",
        "",
        f"- The viewer: {PLACEHOLDER}/index.html",
        "",
        "Other programs read the images from the host, so it must allow that: the header "
        "`Access-Control-Allow-Origin: *` (GitHub Pages and Hugging Face send it). Images are "
        "OME-Zarr 0.5 with names, micrometres, colours and windows.",
        "",
    ]
    for linked in studies:
        z, y, x = linked.grid.shape
        sz, sy, sx = linked.grid.spacing_um
        channels = ", ".join(name for name, _ in linked.channels)
        image = f"{PLACEHOLDER}/{linked.folder}/morphology.ome.zarr"
        rows += [
            f"## {linked.name}",
            "",
            f"{x} x {y} x {z} voxels of {sx:g} x {sy:g} x {sz:g} um; channels: {channels}.",
            "",
            f"- [Neuroglancer]({neuroglancer(linked, PLACEHOLDER)})",
            f"- [Vol-E]({vole(linked, PLACEHOLDER)})",
            f"- ome-zarr-py, napari, QuPath and others: `{image}`",
        ]
        rows += [f"- labels: `{image}/labels/{name}`" for name in linked.labels]
        rows.append("")
    return "\n".join(rows)


def _shader(colour: str, window: tuple[float, float]) -> str:
    low, high = window
    return "\n".join(
        [
            f"#uicontrol invlerp window(range=[{low:.0f}, {high:.0f}])",
            f'#uicontrol vec3 color color(default="#{colour}")',
            "void main() { emitRGB(window() * color); }",
        ]
    )
