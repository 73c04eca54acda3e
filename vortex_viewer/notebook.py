"""``vortex_viewer.show(study)``: the app inside a notebook, or beside any Python session."""

from __future__ import annotations

import asyncio
import html
import threading
from pathlib import Path
from typing import Any

from vortex_model.errors import VortexError
from vortex_model.study import Study

START_S = 60.0
# The frame takes the host name of the notebook's own page: between "localhost" and "127.0.0.1" the
# browser would keep the sign-in cookie back.
PAGE = """<div>
<iframe id="{name}" title="vortex-viewer: {title}" style="width:100%;height:{height}px;border:0;\
border-radius:6px;background:#0b0d12"></iframe>
<p style="margin:4px 0;font-size:12px"><a href="{address}" target="_blank">Open in a tab of its \
own</a></p>
<script>
(() => {{
  const here = location.hostname === "127.0.0.1" ? "127.0.0.1" : "localhost";
  document.getElementById("{name}").src = "{address}".replace("127.0.0.1", here);
}})();
</script></div>"""


class Shown:
    """A running app; a notebook draws it in place.

    Attributes
    ----------
    address
        Where to open it, with its secret.
    """

    def __init__(self, path: Path, height: int) -> None:
        self.path, self.height = path, height
        self.address = ""
        self._server: Any = None
        self._error: Exception | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vortex-viewer", daemon=True)
        self._thread.start()
        if not self._started.wait(START_S):
            raise VortexError(f"The viewer did not start within {START_S:.0f} s.")
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        from vortex_viewer.server import make_server

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            self._server, self.address, house = make_server([self.path], port=0, secret=None)
            self._server.start()
        except (OSError, VortexError) as error:
            self._error = error
            return
        finally:
            self._started.set()
        house.warm()
        self._server.io_loop.start()
        self._server.stop()

    def close(self) -> None:
        """End the app."""
        if self._thread.is_alive():
            self._server.io_loop.add_callback(self._server.io_loop.stop)
            self._thread.join(10)

    def __repr__(self) -> str:
        return f"vortex-viewer shows {self.path.name} at {self.address}"

    def _repr_html_(self) -> str:
        return PAGE.format(
            name=f"vortex-{id(self):x}",
            title=html.escape(self.path.name, quote=True),
            address=html.escape(self.address, quote=True),
            height=self.height,
        )


def show(study: Study | str | Path, *, height: int = 760) -> Shown:
    """Show a study in this notebook, or at the address of what is returned.

    Parameters
    ----------
    study
        A study, or its path.
    height
        Height of the view in the notebook, in pixels.

    Raises
    ------
    VortexError
        When there is no such study.
    """
    path = study.path if isinstance(study, Study) else Study.open(study).path
    return Shown(path, height)
