"""One process, one port: Panel, the trame websocket, the gate in front of both."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vortex_viewer.gate import HEALTH, Gate, Healthy, Refusal, Refused, SignIn, SigningIn
from vortex_viewer.state import ViewState

log = logging.getLogger(__name__)
UNUSED_MS = 20_000


def make_server(
    studies: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 5006,
    secret: str | None,
    allowed_origins: Sequence[str] = (),
    prefix: str = "",
    public: bool = False,
    changes: bool | None = None,
    data_origins: Sequence[str] = (),
    max_voxels: int | None = None,
    first: ViewState | None = None,
) -> tuple[Any, str, Any]:
    """A server that listens but does not run yet, the address to open, and what visitors share.

    Parameters
    ----------
    studies
        Folders of studies; opened when first shown.
    host
        Address to listen on; everybody who reaches it and knows the secret may look.
    port
        0 takes a free one.
    secret
        What the address must carry once; a new one when None.
    allowed_origins
        More addresses under which browsers reach this server, behind a proxy; what the proxy
        says of the visitor's scheme (X-Forwarded-Proto) is believed then.
    prefix
        The path under which it is served, such as ``/vortex``; the root when empty.
    public
        Whether whoever reaches it may look, without the secret.
    changes
        Whether visitors may fine-tune, and change what studies keep (versions, views, regions,
        labels); where it is None, unless the server is public.
    data_origins
        Origins of other pages that may read the studies as OME-Zarr; ``*`` for all.
    max_voxels
        How many voxels the 3D view may hold; by what draws here when None.
    first
        What a page shows whose address asks for nothing.
    """
    import panel as pn
    from bokeh.settings import settings
    from tornado.routing import PathMatches, Rule

    from vortex_viewer.house import House
    from vortex_viewer.scene.library import Library
    from vortex_viewer.session import Session
    from vortex_viewer.zarr_http import Data

    secret = secret or secrets.token_urlsafe(16)
    gate = Gate(host, secret, allowed_origins, prefix=prefix, public=public)
    budget = max_voxels or int(os.environ.get("VORTEX_MAX_VOXELS", 0)) or None
    house = House(
        Library([Path(p).expanduser().resolve() for p in studies], budget),
        prefix=gate.prefix,
        public=public,
        changes=not public if changes is None else changes,
    )
    if first is not None:
        house.first = first

    def page() -> Any:
        session = Session(house, pn.state.curdoc)
        loop = asyncio.get_running_loop()

        def gone(_context: Any) -> None:
            asyncio.run_coroutine_threadsafe(session.close(), loop)

        pn.state.on_session_destroyed(gone)
        return session.page()

    settings.perform_document_validation.set_value(False)  # a fifth of a page's making
    pn.extension()
    server = pn.io.server.get_server(
        {"/": page},
        port=port,
        address=host,
        websocket_origin=["localhost"],
        extra_patterns=[*house.relays.patterns(), *house.outbox.patterns()],
        prefix=gate.prefix,
        use_xheaders=bool(allowed_origins),
        title="vortex-viewer",
        show=False,
        start=False,
        keep_alive_milliseconds=20_000,
        check_unused_sessions_milliseconds=5_000,
        unused_session_lifetime_milliseconds=UNUSED_MS,
        websocket_max_message_size=32 << 20,
        session_token_expiration=3600,
        generate_session_ids=True,
    )
    gate.port = server.port
    # the gate checks every host and origin before Bokeh does, and knows the port by now
    server._tornado._websocket_origins = {"*"}
    rules = server._tornado.default_router.rules
    rules.insert(0, Rule(SigningIn(gate), SignIn, {"gate": gate}))
    rules.insert(0, Rule(Refused(gate), Refusal))
    rules.insert(0, Rule(PathMatches(gate.prefix + HEALTH), Healthy))
    house.data = Data.of(gate, house.library, data_origins)
    rules.insert(0, house.data.rule())
    named = "localhost" if host in ("0.0.0.0", "::") else host
    address = f"http://{named}:{server.port}{gate.prefix}/"
    if public:
        return server, address, house
    return server, f"{address}?secret={quote(secret, safe='')}", house


def serve(
    studies: list[Path],
    *,
    host: str = "127.0.0.1",
    port: int = 5006,
    secret: str | None,
    open_browser: bool = False,
    allowed_origins: Sequence[str] = (),
    prefix: str = "",
    public: bool = False,
    changes: bool | None = None,
    data_origins: Sequence[str] = (),
    first: ViewState | None = None,
) -> None:
    """Serve studies until interrupted; prints the address to open.

    See :func:`make_server` for the parameters.

    Raises
    ------
    VortexError
        When the port is taken.
    """
    import sys

    from vortex_model.errors import VortexError

    try:
        server, address, house = make_server(
            studies,
            host=host,
            port=port,
            secret=secret,
            allowed_origins=allowed_origins,
            prefix=prefix,
            public=public,
            changes=changes,
            data_origins=data_origins,
            first=first,
        )
    except OSError as error:
        raise VortexError(
            f"Port {port} on {host} cannot be used ({error.strerror or error}). "
            "Choose another with --port, or 0 for any free one."
        ) from error
    sys.stdout.write(f"vortex-viewer is ready: {address}\n")
    sys.stdout.write(f"The studies as OME-Zarr: {address.split('?')[0]}{house.data.key_path}\n")
    sys.stdout.flush()
    if open_browser:
        import webbrowser

        server.io_loop.add_callback(webbrowser.open, address)
    server.start()
    house.warm()
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
