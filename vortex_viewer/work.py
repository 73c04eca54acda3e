"""Fine-tuning in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vortex_model.progress import Progress
from vortex_viewer.apart import answer, expect, run_apart

MODULE = "vortex_viewer.work"


def finetune_apart(study: Path, wish: dict[str, Any], progress: Progress) -> str:
    """Fine-tune a study in a child process; returns the prediction's id.

    Parameters
    ----------
    study
        The study's folder.
    wish
        ``sections``, ``panel``, ``predictor``, ``mode``, ``encoder``, ``minutes``, and
        ``others`` (folders of studies).

    Raises
    ------
    VortexError
        What the fine-tuning raised, or that the child was killed.
    Cancelled
        When ``progress`` raises it; the child is ended, and what it finished is kept.
    """
    request = {"study": str(study), **wish}
    return run_apart(MODULE, "Fine-tuning", request, progress)


def expect_finetuning() -> None:
    """Have a child process ready: somebody looks at what there is to choose."""
    expect(MODULE)


def _load() -> None:
    import vortex_model.training.finetune  # noqa: F401 -- takes a second or two


def _finetune(request: dict[str, Any], progress: Progress) -> str:
    from vortex_model.study import Study
    from vortex_model.training.finetune import finetune

    return finetune(
        Study.open(request["study"]),
        sections=request["sections"],
        panel=request["panel"],
        predictor=request["predictor"],
        mode=request.get("mode", "fast"),
        encoder=request.get("encoder", "texture"),
        minutes=request.get("minutes", 5.0),
        others=[Study.open(other) for other in request.get("others", [])],
        coarse_first=True,
        progress=progress,
    )


if __name__ == "__main__":
    answer(_finetune, _load)
