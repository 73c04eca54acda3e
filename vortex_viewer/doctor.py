"""Tell what works on this machine, and what to do about what does not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "absent", "broken"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "firefox")
EXTRAS = {"spatialdata": "spatialdata", "train": "lightning_fabric", "notebook": "jupyterlab"}


@dataclass(frozen=True)
class Finding:
    """One part of the machine: ``absent`` is a choice not made, ``broken`` has to be mended."""

    part: str
    state: State
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain types."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at all parts; each is tried for real, not only looked up."""
    parts: list[Callable[[], Finding]] = [_python, _torch, _bf16, _rendering, _browser]
    return [look() for look in parts] + [_extra(name) for name in EXTRAS]


def _python() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("python", "ok", f"{sys.version.split()[0]}, {cores} cores")


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        return Finding("torch", "broken", str(error), "pip install torch")
    if torch.cuda.is_available():
        return Finding("torch", "ok", f"{torch.__version__} on {torch.cuda.get_device_name()}")
    return Finding("torch", "ok", f"{torch.__version__} on the CPU (no GPU found)")


def _bf16() -> Finding:
    try:
        import torch
    except (ImportError, OSError, RuntimeError):
        return Finding("bf16", "absent", "torch does not load")
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if fast:
        return Finding("bf16", "ok", "in hardware")
    return Finding("bf16", "absent", "not in hardware; float32 is used")


RENDER = """
import pyvista as pv
plotter = pv.Plotter(off_screen=True, window_size=(64, 64))
plotter.add_mesh(pv.Sphere(), color="white")
picture = plotter.screenshot(None, return_img=True)
assert picture.max() > picture.min(), "the picture is empty"
lines = plotter.render_window.ReportCapabilities().splitlines()
print(next((l.split(":", 1)[1].strip() for l in lines if "renderer string" in l), "unknown"))
"""


def _rendering() -> Finding:
    # In a process of its own: where OpenGL is missing VTK may abort the whole program.
    try:
        run = subprocess.run(
            [sys.executable, "-c", RENDER], capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("3D rendering", "broken", "no picture within two minutes", RENDER_REMEDY)
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"ended with code {run.returncode}"]
        return Finding("3D rendering", "broken", lines[-1][:200], RENDER_REMEDY)
    return Finding("3D rendering", "ok", run.stdout.strip().splitlines()[-1])


RENDER_REMEDY = "install EGL and OpenGL; on Debian: apt-get install libegl1 libgl1"


def _browser() -> Finding:
    for name in BROWSERS:
        place = shutil.which(name)
        if place:
            return Finding("browser", "ok", place)
    return Finding(
        "browser", "absent", "none on this machine", "open the printed address from another one"
    )


def _extra(name: str) -> Finding:
    if importlib.util.find_spec(EXTRAS[name]) is not None:
        return Finding(f"extra: {name}", "ok", "installed")
    return Finding(
        f"extra: {name}", "absent", "not installed", f"pip install 'vortex-viewer[{name}]'"
    )
