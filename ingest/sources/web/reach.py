"""Where a request may go."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Self

import httpx

from tools.errors import DocumentUnreadableError, SourceUnavailableError

_DNS_SECONDS = 20.0
_HOST = re.compile(r"[\w.:-]+")


def origin(url: str) -> str:
    """Returns scheme, host and port of an http or https URL: `https://api.lever.co:443`.

    Raises:
        DocumentUnreadableError: it is none.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise DocumentUnreadableError(f"{url[:200]!r} is no address: {error}") from error
    if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.host) or parsed.userinfo:
        raise DocumentUnreadableError(f"{url[:200]!r} is no address that is read")
    return f"{parsed.scheme}://{parsed.host}:{parsed.port or (443 if parsed.scheme == 'https' else 80)}"


@dataclass(frozen=True, slots=True)
class Reach:
    """A source's own hosts, by origin; and, for what a posting names (`others`), every host whose
    addresses are all public. `loopback`: the source itself is on this machine, so its postings may name
    what is on this machine, too."""

    own: frozenset[str]
    others: bool = False
    loopback: bool = False

    @classmethod
    def of(cls, base: str, *more: str, others: bool = False) -> Self:
        """The reach of a source at `base`, with `more` hosts of its own."""
        return cls(frozenset(map(origin, (base, *more))), others, _is_loopback(httpx.URL(base).host))

    async def address(self, url: str) -> str | None:
        """Returns the address to connect to; None: by name, whatever that resolves to.

        A host is connected to at the address that was checked, so that a name cannot mean another one
        a moment later.

        Raises:
            SourceUnavailableError: the host is not one of the source's own.
            DocumentUnreadableError: its address is not public.
            OSError, TimeoutError: the name has no address now.
        """
        where = origin(url)
        if where in self.own:
            return None
        if not self.others:
            raise SourceUnavailableError(f"{url} is not on the source's own hosts.", url=url)
        parsed = httpx.URL(url)
        async with asyncio.timeout(_DNS_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                parsed.host, parsed.port or parsed.scheme, type=socket.SOCK_STREAM
            )
        addresses = [str(entry[4][0]) for entry in found]
        for address in addresses:
            if not (_is_public(address) or (self.loopback and _is_loopback(address))):
                raise DocumentUnreadableError(f"{parsed.host} is at {address}, which is not public.")
        return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        # An IPv4 address in the clothes of an IPv6 one leads where the former leads.
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None:
            return _is_public(str(inner))
        if parsed in _TRANSLATED:
            return _is_public(str(ipaddress.IPv4Address(parsed.packed[-4:])))
    return parsed.is_global and not parsed.is_multicast


_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
