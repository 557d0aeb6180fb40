"""Which proxy a client goes through: what the environment says, but never to this machine itself.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not, are meant for the world outside.
The libraries under the clients send loopback through a proxy too, or fail on an import for a kind of proxy
that they do not know; so each client here is told which proxy is its own.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from tools.core.errors import SetupError

_USABLE = ("http", "https")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+):(?P<port>\d+)")


def proxy_for(url: str) -> str | None:
    """Returns the proxy for requests to `url`, with its user and password where it has some; None: it is
    asked directly.

    Raises:
        SetupError: the proxy is of a kind that cannot be used, or no address. The message has no password.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    proxies = getproxies_environment()
    if is_this_machine(host) or _excepted(host, parts.port, proxies.get("no", "")):
        return None
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    named = proxies.get(kind)
    if not named:
        return None
    proxy = named if "://" in named else f"http://{named}"
    if problem := _problem(proxy):
        raise SetupError(
            f"{kind.upper()}_PROXY names {problem}, which cannot be used to reach {host}. Name an http:// or "
            f"https:// proxy in {parts.scheme.upper()}_PROXY, or put {host} into NO_PROXY."
        )
    return proxy


def exempt_loopback() -> None:
    """Adds this machine to NO_PROXY, for libraries that read the environment themselves, and for processes
    that are started from here."""
    proxies = getproxies_environment()
    listed = [entry.strip() for entry in proxies.get("no", "").split(",") if entry.strip()]
    if set(proxies) <= {"no"} or "*" in listed:
        return
    value = ",".join([*listed, *(host for host in _LOOPBACK if host not in listed)])
    os.environ |= {"NO_PROXY": value, "no_proxy": value}


@contextmanager
def only_proxy_for(url: str) -> Iterator[None]:
    """Has the environment name no proxy but that for `url`, for the making of a client that looks there, and
    fails on what it does not know.

    Raises:
        SetupError: as `proxy_for`.
    """
    proxy = proxy_for(url)
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    for name in kept:
        del os.environ[name]
    if proxy is not None:
        os.environ[f"{urlsplit(url).scheme}_proxy"] = proxy
    try:
        yield
    finally:
        os.environ.pop(f"{urlsplit(url).scheme}_proxy", None)
        os.environ |= kept


def is_this_machine(host: str) -> bool:
    """Whether a host of a URL is this machine, in whatever way it is written."""
    name = host.lower().strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _in_short(name)
    if isinstance(address, ipaddress.IPv6Address):
        return (
            address.is_loopback
            or address.is_unspecified
            or (address.ipv4_mapped is not None and is_this_machine(str(address.ipv4_mapped)))
        )
    return address.is_loopback or address.is_unspecified


def _in_short(name: str) -> bool:
    """Whether a host is an address of loopback as C's libraries read it: `127.1`, `0x7f000001`."""
    if not name[:1].isdigit():
        return False
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name)).is_loopback
    except OSError:
        return False


def _excepted(host: str, port: int | None, listed: str) -> bool:
    """Whether NO_PROXY names a host: by name, domain, address or network, each with a port or without."""
    return any(_names(entry.strip().lower(), host, port) for entry in listed.split(",") if entry.strip())


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if (found := _WITH_PORT.fullmatch(entry)) is not None:
        if int(found["port"]) != port:
            return False
        entry = found["host"]
    bare = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(bare, strict=False)
    except ValueError:
        domain = bare.removeprefix("*").removeprefix(".")
        return host == domain or host.endswith(f".{domain}")


def _problem(proxy: str) -> str | None:
    """Returns what is wrong with a proxy, without its user and password; None where nothing is."""
    try:
        parts = urlsplit(proxy)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "something that is no address"
    if parts.scheme.lower() not in _USABLE:
        return f"a proxy of the kind {parts.scheme[:20]}://"
    return None if host else "something that is no address"
