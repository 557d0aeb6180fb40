"""Where a request may go: which hosts, and that they are at public addresses.

A name is resolved here, every address that it has is checked, and the connection goes to an address that was
checked: whoever owns the name may have it lead elsewhere a moment later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import httpx

from ingest.errors import DocumentUnreadableError, SourceUnavailableError

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
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
class AllowedHosts:
    """A source's own hosts, by origin, `base` first among them. With `others`, for the addresses in postings,
    every other host too."""

    base: str
    own: frozenset[str]
    others: bool = False

    @classmethod
    def of(cls, base: str, *more: str, others: bool = False) -> Self:
        """Returns the hosts of a source at `base`, with `more` hosts of its own."""
        return cls(base, frozenset(map(origin, (base, *more))), others)

    async def require_through_proxy(self, url: str, networks: Networks = ()) -> None:
        """Checks a host that a proxy is to be asked for by name.

        The source's own is not resolved: here, behind the proxy, it may have no address. Raises as
        `addresses`.
        """
        if origin(url) not in self.own:
            await self.addresses(url, networks)

    async def addresses(self, url: str, networks: Networks = ()) -> list[str]:
        """Returns the addresses of a host, any of which may be connected to: all are public.

        One in `networks` does as well for a host of the source's own, and for another one where the source
        itself is in these networks: what a posting of a public board names is never within.

        Raises:
            SourceUnavailableError: the host may not be asked, or is the source's own and not at a public
                address.
            DocumentUnreadableError: the host of something in a posting is not at a public address.
            OSError, TimeoutError: the name has no address now.
        """
        own = origin(url) in self.own
        if not own and not self.others:
            raise SourceUnavailableError(f"{url} is not on the source's own hosts.")
        found = await _resolved(url)
        inside = [address for address in found if not _is_public(address)]
        if inside and networks and (own or await self._is_within()):
            inside = [address for address in inside if not _is_in(address, networks)]
        if not inside:
            return found
        problem = f"{httpx.URL(url).host} is at {inside[0]}, which is not public."
        if own:
            raise SourceUnavailableError(
                f"{problem} If the source is meant to be there, name the network in "
                "CHECKERBOARD_SOURCE_NETWORKS."
            )
        raise DocumentUnreadableError(problem)

    async def _is_within(self) -> bool:
        """Whether the source itself is at an address that is not public."""
        try:
            return not all(map(_is_public, await _resolved(self.base)))
        except (OSError, TimeoutError):
            return False  # nowhere, as far as can be seen


async def _resolved(url: str) -> list[str]:
    parsed = httpx.URL(url)
    async with asyncio.timeout(_DNS_SECONDS):
        resolved = await asyncio.get_running_loop().getaddrinfo(
            parsed.raw_host.decode("ascii"), parsed.port or parsed.scheme, type=socket.SOCK_STREAM
        )
    return list(dict.fromkeys(str(entry[4][0]) for entry in resolved))


def _is_in(address: str, networks: Networks) -> bool:
    if "%" in address:  # a zone: an address of this link
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)


def _is_public(address: str) -> bool:
    """Whether an address is public by IANA's registries. An IPv6 address that leads to an IPv4 one is as
    public as that."""
    if "%" in address:  # a zone: an address of this link
        return False
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if inner := _within(parsed):
            return all(_is_public(str(v4)) for v4 in inner)
        if parsed not in _UNICAST:
            return False
    return parsed.is_global and not any(parsed in network for network in _SPECIAL)


def _within(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Returns the IPv4 addresses that an IPv6 one is another way to."""
    last = ipaddress.IPv4Address(address.packed[-4:])
    if address.ipv4_mapped or address in _TRANSLATED:
        return [last]
    inner = [address.sixtofour] if address.sixtofour else list(address.teredo or ())
    # ISATAP has the IPv4 address behind these four bytes, in any network.
    return [*inner, last] if address.packed[8:12] in _ISATAP else inner


_SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # one cloud's services for its machines: no registry has it
        "192.0.0.0/24",  # protocol assignments; one cloud's metadata are at 192.0.0.192
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4, deprecated
        "192.175.48.0/24",  # AS112
        "224.0.0.0/4",  # multicast
        "2001::/23",  # protocol assignments
        "2002::/16",  # 6to4 that leads nowhere
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
"""Networks that are not for everybody and that Python's `is_global` takes for public in some versions."""
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that is given out of IPv6."""
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe")
