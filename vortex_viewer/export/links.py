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
    rgb: bool


def neuroglancer(linked: Linked, base: str) -> str:
    """A Neuroglancer state as a link; dimensions in x, y, z order, or its XY pane shows ZY."""
    spacing = linked.grid.spacing_um
    source = f"{base}/{linked.folder}/morphology.ome.zarr/|zarr3:"
    shader = _rgb_shader() if linked.rgb else _shader(linked)
    layers: list[dict[str, object]] = [
        {
            "type": "image",
            "name": "morphology",
            "source": source,
            "localDimensions": {"c'": [1, ""]},
            "channelDimensions": {"c^": [1, ""]},
            "shader": shader,
        }
    ]
    layers += [
        {
            "type": "segmentation",
            "name": name,
            "source": f"{base}/{linked.folder}/morphology.ome.zarr/labels/{name}/|zarr3:",
            "visible": False,
        }
        for name in linked.labels
    ]
    if len(linked.channels) == 1:
        layers[0].pop("channelDimensions")
        layers[0].pop("localDimensions")
    else:
        layers[0].pop("localDimensions")
        layers[0]["source"] = {
            "url": source,
            "transform": {
                "outputDimensions": {
                    "c^": [1, ""],
                    **{a: [s * 1e-6, "m"] for a, s in zip("zyx", spacing, strict=True)},
                },
            },
        }
    z, y, x = ((n - 1) / 2 for n in linked.grid.shape)
    state = {
        "dimensions": {a: [s * 1e-6, "m"] for a, s in zip("xyz", reversed(spacing), strict=True)},
        "position": [x, y, z],
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


def _shader(linked: Linked) -> str:
    lines, terms = [], []
    for number, ((_, colour), (low, high)) in enumerate(
        zip(linked.channels, linked.windows, strict=True)
    ):
        channel = f", channel={number}" if len(linked.channels) > 1 else ""
        lines.append(f"#uicontrol invlerp window{number}(range=[{low:.0f}, {high:.0f}]{channel})")
        lines.append(f'#uicontrol vec3 color{number} color(default="#{colour}")')
        terms.append(f"window{number}() * color{number}")
    return "\n".join([*lines, f"void main() {{ emitRGB({' + '.join(terms)}); }}"])


def _rgb_shader() -> str:
    parts = ", ".join(f"toNormalized(getDataValue({c}))" for c in range(3))
    return f"void main() {{ emitRGB(vec3({parts})); }}"
