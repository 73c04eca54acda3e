"""Turntable movies: a whole turn of the 3D view as MP4, with colour bar, scale bar and name."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vortex_model.errors import VortexError
from vortex_model.progress import Progress, silent
from vortex_viewer import __version__
from vortex_viewer.drawing import look
from vortex_viewer.export.landing import landing
from vortex_viewer.export.marks import colour_bar, scale_bar
from vortex_viewer.export.pictures import Drawn, Pictures
from vortex_viewer.scene import camera as cameras
from vortex_viewer.scene.gene import Gene
from vortex_viewer.state import Camera, ViewState

Bytes = npt.NDArray[np.uint8]
DPI = 100
LARGEST = 3840


def export_movie(
    study: Path,
    dest: Path,
    *,
    gene: str | None = None,
    state: ViewState | None = None,
    seconds: float = 8.0,
    frames_per_s: int = 25,
    size: tuple[int, int] = (1280, 720),
    quality: int = 18,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Film one whole turn about the picture's upright axis; the end joins the beginning.

    Parameters
    ----------
    study
        A folder NAME.zarr.
    dest
        The movie, NAME.mp4 (H.264, plays in browsers and slides).
    gene
        The state's gene, or morphology alone, when None.
    seconds
        How long a turn takes.
    size
        Width and height in pixels, even numbers.
    quality
        0 (without loss) to 51; 18 looks like the original.

    Raises
    ------
    VortexError
        When the encoder is missing, or an option cannot be.
    UnknownNameError
        When the gene was not predicted.
    """
    _check(dest, seconds, frames_per_s, size, quality)
    av = _encoder()
    count = max(2, round(seconds * frames_per_s))
    with landing(dest, overwrite) as draft, Pictures(study, state) as pictures:
        progress(0.0, "opening")
        shown = pictures.gene(gene or pictures.state.gene)
        now = pictures.state.with_(gene=shown and shown.key)
        pictures.set_scene(shown, now)
        start = _whole(pictures, size)
        marks = _marks(pictures, shown, now, pictures.solid(start, size))
        with av.open(str(draft), "w", format="mp4", options={"movflags": "faststart"}) as film:
            film.metadata["title"] = f"{pictures.data.info.name}, {_name(shown)}"
            film.metadata["comment"] = f"vortex-viewer {__version__} {now.dumps()}"
            stream = film.add_stream("libx264", rate=Fraction(frames_per_s))
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(quality), "preset": "medium"}
            for number in range(count):
                progress(number / count, f"picture {number + 1} of {count}")
                camera = cameras.turn(start, 2.0 * number / count, 0.0)
                pixels = _over(pictures.solid(camera, size).pixels, marks)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                for packet in stream.encode(frame):
                    film.mux(packet)
            for packet in stream.encode():
                film.mux(packet)
    progress(1.0, f"{dest}")
    return dest


def _check(
    dest: Path, seconds: float, frames_per_s: int, size: tuple[int, int], quality: int
) -> None:
    if dest.suffix.lower() != ".mp4":
        raise VortexError(f"A movie is an MP4; name it {dest.with_suffix('.mp4').name}.")
    if not 0.1 <= seconds <= 600:
        raise VortexError(f"A turn of {seconds:g} s cannot be; 0.1 to 600 s can.")
    if not 1 <= frames_per_s <= 120:
        raise VortexError(f"{frames_per_s} pictures a second cannot be; 1 to 120 can.")
    if any(n % 2 or not 16 <= n <= LARGEST for n in size):
        raise VortexError(
            f"A movie of {size[0]} x {size[1]} pixels cannot be encoded; give even numbers from "
            f"16 to {LARGEST}."
        )
    if not 0 <= quality <= 51:
        raise VortexError(f"A quality of {quality} cannot be; 0 (best) to 51 can.")


def _encoder() -> Any:
    try:
        import av
    except ImportError as error:
        raise VortexError(
            "Movies need an encoder: pip install 'vortex-viewer[movie]' (PyAV)."
        ) from error
    if "libx264" not in av.codecs_available:
        raise VortexError("This build of PyAV lacks libx264; install PyAV's own wheel from PyPI.")
    return av


def _name(gene: Gene | None) -> str:
    return "morphology" if gene is None else gene.name


def _whole(pictures: Pictures, size: tuple[int, int]) -> Camera:
    """The first camera, far enough off that no corner leaves the picture in a turn."""
    camera = pictures.camera("corner", size)
    if pictures.state.camera is not None:
        return camera
    box = pictures.state.crop_um or pictures.data.content
    stretch = (1.0, 1.0, pictures.depth)
    corner = np.array([(high - low) * s / 2 for (low, high), s in zip(box, stretch, strict=True)])
    reach = 2.0 * float(np.linalg.norm(corner))
    # turning about its upright axis the block keeps its height; its width is at most its diagonal
    return replace(camera, height_um=max(camera.height_um, 1.02 * reach * size[1] / size[0]))


def _marks(pictures: Pictures, gene: Gene | None, state: ViewState, drawn: Drawn) -> Bytes:
    """Name, colour bar and scale bar as one picture (y, x, rgba), the same for all frames."""
    height, width = drawn.pixels.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.patch.set_alpha(0)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.patch.set_alpha(0)
    points = max(7.0, height / 60)
    scale_bar(axes, drawn.pixels.shape, drawn.um_per_pixel, points)
    margin = 0.03
    figure.text(margin, 0.94, pictures.data.info.name, color="#c9d1dc", fontsize=points, va="top")
    if gene is not None:
        figure.text(
            margin, 0.895, gene.name, color="white", fontsize=1.6 * points, weight="bold", va="top"
        )
        place = figure.add_axes((margin + 0.02, 0.11, 0.22, 0.018))
        bar = colour_bar(
            figure,
            place,
            state.palette,
            look(state, gene).window,
            gene.units,
            0.85 * points,
            "left",
        )
        bar.ax.tick_params(colors="#c9d1dc")
        bar.ax.xaxis.label.set_color("#c9d1dc")
        bar.outline.set_edgecolor("#c9d1dc")
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[:height, :width].copy()  # type: ignore[no-untyped-call]


def _over(pixels: Bytes, marks: Bytes) -> Bytes:
    alpha = marks[..., 3:].astype(np.float32) / 255.0
    mixed = pixels * (1.0 - alpha) + marks[..., :3] * alpha
    return np.ascontiguousarray(np.rint(mixed).astype(np.uint8))
