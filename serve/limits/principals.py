"""Who is limited, and to what: a key by its name, everybody without one by the address they come from.

The address is the connection's, or, behind a proxy that is trusted, what that says it is
(CHECKERBOARD_TRUSTED_PROXIES, `serve/app.py`). It goes into Redis as a pseudonym.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from fastapi import Request
from starlette.types import Scope

from serve.callers import NO_LIMITS, ApiKeys
from serve.keys.store import Limits
from serve.signatures import Signatures
from tools.core.api_keys import RESERVED
from tools.core.settings import Settings

VISITORS = Limits(requests_per_minute=300, runs_at_once=100)
"""Of an address, where a service is let out and its settings say nothing. That of a university or of a mobile
network stands for hundreds of people, who ask for a project every few minutes each and search in between: two
hundred of them make some hundred requests a minute, and half as many runs that take a minute. It is no more
than the fortieth part of the places for runs."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that are the subscriber's; below it they may take any."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is limited."""

    name: str
    """`key:` and the name of a key, or `address:` and a pseudonym of an address."""
    limits: Limits

    @property
    def by(self) -> str:
        """`key` or `address`."""
        return self.name.partition(":")[0]


class Principals:
    """Says of whoever calls by whom they are limited, and to what."""

    def __init__(self, settings: Settings, keys: ApiKeys) -> None:
        self._keys = keys
        of_keys = Limits(
            settings.key_requests_per_minute,
            settings.key_runs_at_once,
            settings.key_tokens_per_day,
            settings.key_usd_per_month,
        )
        of_visitors = Limits(
            settings.visitor_requests_per_minute,
            settings.visitor_runs_at_once,
            settings.visitor_tokens_per_day,
            settings.visitor_usd_per_month,
        )
        self._of_keys = _set(of_keys)
        self._of_addresses = _set(_over(of_visitors, VISITORS))
        # Where everybody comes from this machine's own address, that has the limits that were set alone.
        self._at_home = _set(of_visitors)
        self._has_hosts = bool(settings.hosts)

    def of(self, owner: str | None, scope: Scope) -> Principal | None:
        """Returns who is limited where `owner` calls (None or empty: nobody in particular); None where nobody
        is."""
        if owner and not owner.startswith(RESERVED):
            limits = _over(self._keys.limits_of(owner), self._of_keys)
            return None if limits == NO_LIMITS else Principal(f"key:{owner}", limits)
        limits = self._of_addresses if self._keys.needed or self._has_hosts else self._at_home
        if limits == NO_LIMITS:
            return None
        client = scope.get("client")
        address = _subscriber(client[0]) if client else "local"
        signatures: Signatures = scope["app"].state.app_context.signatures
        return Principal(f"address:{signatures.pseudonym(address)}", limits)


def principal_of(request: Request) -> Principal | None:
    """Returns who is limited for a request; None where nothing limits them."""
    principals: Principals = request.app.state.principals
    return principals.of(getattr(request.state, "owner", None), request.scope)


def _set(limits: Limits) -> Limits:
    """Returns limits of the settings, in which 0 is none."""
    return Limits(
        limits.requests_per_minute or None,
        limits.runs_at_once or None,
        limits.tokens_per_day or None,
        limits.usd_per_month or None,
    )


def _over(own: Limits, default: Limits) -> Limits:
    """Returns `own`, with what it leaves open taken from `default`."""
    return Limits(
        default.requests_per_minute if own.requests_per_minute is None else own.requests_per_minute,
        default.runs_at_once if own.runs_at_once is None else own.runs_at_once,
        default.tokens_per_day if own.tokens_per_day is None else own.tokens_per_day,
        default.usd_per_month if own.usd_per_month is None else own.usd_per_month,
    )


def _subscriber(host: str) -> str:
    """Returns what stands for one subscriber of a network: an IPv4 address, or the first half of an IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host  # what a proxy calls somebody whose address it does not tell
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
