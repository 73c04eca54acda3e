"""What all visitors of a server share; nothing in it is a visitor's choice."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from vortex_model.errors import VortexError
from vortex_viewer.links import Shelf
from vortex_viewer.outbox import Outbox
from vortex_viewer.relay import Relays
from vortex_viewer.scene.graphics import renderer_of
from vortex_viewer.scene.library import Library
from vortex_viewer.scene.render import RenderThread
from vortex_viewer.scene.stage import Stage
from vortex_viewer.scene.stream import warm as warm_stream
from vortex_viewer.state import ViewState
from vortex_viewer.tuning import Tunings
from vortex_viewer.zarr_http import Data

LOOKING = (
    "This server is for looking: nothing is learned here, and nothing kept with a study. For that, "
    "run vortex-viewer on your own machine, or ask the host to start it with --changes."
)


@dataclass
class House:
    """What all visitors of a server share; nothing in it is a visitor's choice."""

    library: Library
    prefix: str = ""
    """The path under which the server is reached; empty is the root."""
    first: ViewState = field(default_factory=ViewState)
    """What a page shows whose address asks for nothing."""
    shelf: Shelf = field(default_factory=Shelf)
    renderer: RenderThread = field(default_factory=RenderThread)
    relays: Relays = field(default_factory=Relays)
    outbox: Outbox = field(default_factory=Outbox)
    tunings: Tunings = field(default_factory=Tunings)
    public: bool = False
    """Whether anybody may look: then nothing is written beside the studies by exports."""
    changes: bool = True
    """Whether visitors may fine-tune, and change what studies keep."""
    data: Data | None = None
    """The studies as OME-Zarr; None where nothing listens."""
    workers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(4, thread_name_prefix="view")
    )

    @property
    def fixed(self) -> str | None:
        """Why visitors may not change a study; None where they may."""
        return None if self.changes else LOOKING

    def warm(self) -> None:
        """Load what the first page needs while nobody waits for it yet."""
        self.workers.submit(warm_stream)
        known = self.renderer.call(self._what_draws)
        if self.library.names:

            def begin() -> None:
                known.result()
                self.open_first()

            self.workers.submit(begin)

    def _what_draws(self) -> None:
        stage = Stage()
        stage.window.Render()  # nothing is known of a driver before its first picture
        self.library.draw_by(renderer_of(stage.window.ReportCapabilities()))
        stage.close()

    def open_first(self) -> None:
        """Read what the first page shows; made once, whoever asks."""
        with contextlib.suppress(VortexError):  # the page says what is wrong with it
            data = self.library.open(self.library.names[0])
            data.solid()
            data.sheets()
