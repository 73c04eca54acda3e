"""Who may come in: every request and websocket is checked here, before any handler.

Three checks, in order. The Host must be a name of this server, so that a page that rebinds its
DNS name to this machine is refused. The Origin, where a browser sends one, must be this
server's, so that other pages cannot drive it. And the visitor must have opened the printed
address once, whose secret became a cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import RequestHandler

from vortex_model.errors import VortexError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
PARAMETER = "secret"
HEALTH = "/healthz"


class Gate:
    """What this server is called, and its secret.

    Parameters
    ----------
    host
        The address that it listens on.
    secret
        What the printed address carries.
    allowed_origins
        More addresses under which it is reached (behind a proxy): ``https://name``,
        ``name:port``.
    prefix
        The path under which it is reached, such as ``/vortex``.
    public
        Whether whoever reaches it may look, without the secret; hosts and origins are checked
        all the same.
    """

    def __init__(
        self,
        host: str,
        secret: str,
        allowed_origins: Iterable[str] = (),
        *,
        prefix: str = "",
        public: bool = False,
    ) -> None:
        self.host, self.secret, self.public = host, secret, public
        self.prefix = clean_prefix(prefix)
        self.port = 0
        self._more = {_netloc(o) for o in allowed_origins}
        # the cookie is not the secret: a stolen cookie does not outlive this process
        self._token = hmac.new(secrets.token_bytes(32), secret.encode(), hashlib.sha256).hexdigest()

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies do not know ports, so the name does."""
        return f"vortex_{self.port}"

    def names(self) -> set[str]:
        """The values of Host that are this server's own."""
        hosts = set(LOOPBACK)
        if not self._is_loopback:
            hosts |= {socket.gethostname().lower(), socket.getfqdn().lower(), self.host.lower()}
        return {f"{h}:{self.port}" for h in hosts} | self._more

    @property
    def _is_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server."""
        host = host.lower()
        if host in self.names():
            return True
        if self._is_loopback:
            return False
        # a bare address cannot have been rebound: only names can
        name, _, port = host.rpartition(":")
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return port == str(self.port)

    def refusal(self, request: HTTPServerRequest) -> str | None:
        """Why a request is refused; None lets it in."""
        host = request.headers.get("Host", "")
        if not self.knows_host(host):
            return (
                f"This server is not called {host!r}. Open the address that it printed, or start "
                "it with --allow-origin to serve it under another name."
            )
        origins = request.headers.get_list("Origin")
        for origin in origins:
            if urlsplit(origin).netloc.lower() not in {host.lower(), *self._more}:
                return f"Pages of {origin} may not talk to this server."
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and (
            request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            return "Pages of other sites may not load anything from this server."
        if self.public or self._signed_in(request) or self.opens(request):
            return None
        return (
            "This page needs the address that vortex-viewer printed when it started, with its "
            "secret. Copy it from the terminal."
        )

    def opens(self, request: HTTPServerRequest) -> bool:
        """Whether a request carries the printed secret."""
        given = request.query_arguments.get(PARAMETER, [b""])[-1]
        return (
            request.method == "GET"
            and request.path in (f"{self.prefix}/", self.prefix)
            and hmac.compare_digest(given, self.secret.encode())
        )

    def signing_in(self, request: HTTPServerRequest) -> bool:
        """Whether to answer with the cookie: a good host, a good origin, and the secret."""
        return self.refusal(request) is None and self.opens(request)

    def _signed_in(self, request: HTTPServerRequest) -> bool:
        morsel = request.cookies.get(self.cookie)
        return morsel is not None and hmac.compare_digest(
            morsel.value.encode(), self._token.encode()
        )

    def sign_in(self, handler: RequestHandler) -> None:
        """Give the visitor the cookie."""
        handler.set_cookie(
            self.cookie,
            self._token,
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
            path=f"{self.prefix}/",
        )


class Refused(Matcher):
    """Matches what the gate refuses."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Tornado's question."""
        reason = self._gate.refusal(request)
        return None if reason is None else {"target_kwargs": {"reason": reason}}


class SigningIn(Matcher):
    """Matches the printed address."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Tornado's question."""
        return {} if self._gate.signing_in(request) else None


class Refusal(RequestHandler):
    """Says no, and why."""

    def initialize(self, reason: str) -> None:
        """Tornado's constructor."""
        self._why = reason

    def prepare(self) -> None:
        """Answer at once, whatever was asked."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self._why + "\n")


class SignIn(RequestHandler):
    """Turns the printed secret into a cookie, and drops it from the address."""

    def initialize(self, gate: Gate) -> None:
        """Tornado's constructor."""
        self._gate = gate

    def get(self) -> None:
        """Cookie and redirect."""
        self._gate.sign_in(self)
        rest = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            if name != PARAMETER
            for value in values
        ]
        self.set_header("Referrer-Policy", "no-referrer")
        self.redirect(f"{self._gate.prefix}/" + (f"?{urlencode(rest)}" if rest else ""))


class Healthy(RequestHandler):
    """Tells a container's keeper that the event loop answers; the one page without a gate."""

    def get(self) -> None:
        """Nothing about the studies leaves here."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("ok\n")


def clean_prefix(prefix: str) -> str:
    """A path as routes need it: a slash before it and none behind; empty for the root.

    Raises
    ------
    VortexError
        When it holds what a path of a route cannot.
    """
    inner = prefix.strip("/")
    if not inner:
        return ""
    if not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)*", inner, re.ASCII):
        raise VortexError(
            f"The path {prefix!r} cannot be served. Use letters, digits, '-', '_' and '/', "
            "such as --prefix /vortex."
        )
    return f"/{inner}"


def _netloc(origin: str) -> str:
    return (urlsplit(origin).netloc or origin).lower().rstrip("/")
