"""Which web pages may reach the service.

A browser sends what any page asks it to, to any address, its own machine's too. A service with API keys
leaves that to them: a page does not know one. One without keys answers only under its own names (a page's
server can let its own name point at this machine and then read the answers: DNS rebinding) and takes no
request that another site's page makes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from serve.errors import error_response
from tools.core.errors import ForbiddenError

if TYPE_CHECKING:
    from serve.callers import ApiKeys

ANY = "*"
_PORTS = {"http": 80, "https": 443}
_FOREIGN_HOST = ForbiddenError(
    "Without API keys this service answers only to this machine, under names of its own. The operator makes "
    "keys (`checkerboard keys create NAME`), or names the host in CHECKERBOARD_HOSTS."
)
_FOREIGN_ORIGIN = ForbiddenError(
    "Without API keys this service takes no requests from pages of other sites. The operator "
    "makes keys (`checkerboard keys create NAME`), or names the page's origin in CHECKERBOARD_CORS_ORIGINS."
)


class OriginMiddleware:
    """ASGI middleware in front of a service without API keys: 403 for requests under a foreign name, and
    for those that a page of another site makes."""

    def __init__(self, app: ASGIApp, keys: ApiKeys, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """`hosts` are the names the service answers to; empty: loopback's, at loopback's addresses; `*`: any.
        Pages of `origins` may call, beside its own. Where `keys` are needed, it lets everything pass."""
        self._app = app
        self._keys = keys
        self._hosts = {host.lower() for host in hosts}
        self._origins = set(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or refuses it."""
        if scope["type"] != "http" or self._keys.needed:
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not all(map(self._is_own_host, hosts)) or not (self._hosts or _at_loopback(scope)):
            await error_response(_FOREIGN_HOST)(scope, receive, send)
        elif self._is_foreign_page(headers):
            await error_response(_FOREIGN_ORIGIN)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_own_host(self, host: str) -> bool:
        name = host_name(host)
        return ANY in self._hosts or (name in self._hosts if self._hosts else is_loopback(name))

    def _is_foreign_page(self, headers: dict[bytes, str]) -> bool:
        origin = headers.get(b"origin")
        if origin is None:
            # A page's pictures and scripts come without one; following a link is no page's request.
            site = headers.get(b"sec-fetch-site", "none")
            return site not in ("none", "same-origin") and headers.get(b"sec-fetch-mode") != "navigate"
        return origin not in self._origins and not _same(origin, headers.get(b"host", ""))


def is_own_page(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request was made by one of the service's own pages, or by a person who follows a link.

    A browser adds a cookie to what a page of a sister site asks for, too (`SameSite` is about sites, not
    about origins). What changes something is believed only with a browser's word for it: `Sec-Fetch-Site`,
    or, over plain HTTP, where browsers do not send that, an `Origin` that is the host's.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    same = origin is not None and _same(origin, headers.get("host", ""))
    if method in ("GET", "HEAD"):
        followed = headers.get("sec-fetch-mode") == "navigate"
        return followed or (site in ("none", "same-origin") if site else origin is None or same)
    return site == "same-origin" if site else same


def host_name(host: str) -> str:
    """Returns the name in a `Host` header, lower case, without port, brackets or a last dot."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0].rstrip(".") if ":" in name else name.rstrip(".")


def is_loopback(name: str) -> bool:
    """Whether a name or an address is this machine's own, and nobody else's. What ends in `.localhost` is by
    RFC 6761."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _at_loopback(scope: Scope) -> bool:
    """Whether the connection came in at a loopback address, or by a socket of the file system."""
    address, port = scope.get("server") or (None, None)
    return address is None or port is None or is_loopback(address.removeprefix("::ffff:"))


def _same(origin: str, host: str) -> bool:
    """Whether an origin is that of the `Host` header. The scheme is not compared: it is not known behind a
    proxy that ends TLS."""
    try:
        parts = urlsplit(origin)
        own = urlsplit(f"//{host}")
        port = parts.port or _PORTS.get(parts.scheme)
        return bool(parts.hostname) and (parts.hostname, port) == (
            own.hostname,
            own.port or _PORTS.get(parts.scheme),
        )
    except ValueError:
        return False
