"""The demo study: a phantom with a prediction, made once and kept for the next start."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import platformdirs

from vortex_model import Study, VortexError
from vortex_model.errors import StudyError
from vortex_model.phantom import PhantomSpec, make_phantom
from vortex_model.prediction import is_checked
from vortex_model.progress import Progress, part, silent


def demo_study(show: Callable[[str], AbstractContextManager[Progress]]) -> Path:
    """The demo's path; it is made when it is not there yet, or was left without a prediction."""
    place = platformdirs.user_data_path("vortex-viewer") / "demo.zarr"
    try:
        study = Study.open(place)
        made = study.current_prediction
        ready = made is not None and is_checked(study, made)
    except StudyError:
        ready = False
    if not ready:
        with show("Making the demo study (once)") as report:
            make_demo(place, overwrite=place.exists(), progress=report)
    return place


def make_demo(
    place: Path,
    *,
    seed: int = 1,
    style: str = "breast",
    size: str | None = None,
    voxel: str | None = None,
    sections: str | None = None,
    predict: bool = True,
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Make a phantom at ``place`` and, unless told not to, fine-tune on its sections.

    Parameters
    ----------
    style
        The kind of tissue, of ``vortex_model.phantom.STYLES``.
    size, voxel
        Three numbers along z, y, x, as typed: ``96,384,384`` voxels, ``5,3,3`` micrometres.
    sections
        Depths of the measured planes as fractions of the block, as typed: ``0.3,0.7``.

    Raises
    ------
    VortexError
        When a number cannot be read, or the phantom cannot be made so.
    """
    options: dict[str, object] = {"seed": seed, "style": style}
    if size is not None:
        options["shape"] = tuple(int(n) for n in numbers("--size", size, 3))
    if voxel is not None:
        options["voxel_um"] = numbers("--voxel", voxel, 3)
    if sections is not None:
        options["sections"] = numbers("--sections", sections)
    share = 0.6 if predict else 1.0
    make_phantom(
        place,
        PhantomSpec(**options),  # type: ignore[arg-type]
        overwrite=overwrite,
        progress=part(progress, 0.0, share),
    )
    if predict:
        Study.open(place).finetune(progress=part(progress, share, 1.0))


def numbers(option: str, text: str, count: int | None = None) -> tuple[float, ...]:
    """``1,2.5`` as numbers.

    Raises
    ------
    VortexError
        When a part is no number, or there are not ``count`` of them.
    """
    try:
        values = tuple(float(part_) for part_ in text.split(","))
    except ValueError:
        raise VortexError(
            f"{option} {text!r}: write numbers with commas between, such as 5,3,3."
        ) from None
    if count is not None and len(values) != count:
        raise VortexError(f"{option} {text!r}: write {count} numbers (z, y, x), such as 5,3,3.")
    return values
