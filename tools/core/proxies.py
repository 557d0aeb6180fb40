"""The proxy of each client: the environment's, but none for this machine itself.

The environment has `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not. The libraries
under the clients send loopback through a proxy too, or fail on kinds of proxies that they do not know; so
each client is given its proxy.
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

_SCHEMES = ("http", "https")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_WITH_PORT = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+):(?P<port>\d+)")


def proxy_for(url: str) -> str | None:
    """Returns the proxy for requests to `url`, with its user and password; None where there is none.

    Raises:
        SetupError: the proxy is of a kind that cannot be used, or no address. The message has no password.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    proxies = getproxies_environment()
    if is_this_machine(host) or _is_exempt(host, parts.port, proxies.get("no", "")):
        return None
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    configured = proxies.get(kind)
    if not configured:
        return None
    proxy = configured if "://" in configured else f"http://{configured}"
    if problem := _problem(proxy):
        raise SetupError(
            f"{kind.upper()}_PROXY names {problem}, which cannot be used to reach {host}. Name an http:// or "
            f"https:// proxy in {parts.scheme.upper()}_PROXY, or put {host} into NO_PROXY."
        )
    return proxy


def exempt_loopback() -> None:
    """Adds this machine to NO_PROXY, for libraries that read the environment, and for processes that are
    started from here."""
    proxies = getproxies_environment()
    listed = [entry.strip() for entry in proxies.get("no", "").split(",") if entry.strip()]
    if set(proxies) <= {"no"} or "*" in listed:
        return
    value = ",".join([*listed, *(host for host in _LOOPBACK if host not in listed)])
    os.environ |= {"NO_PROXY": value, "no_proxy": value}


@contextmanager
def only_proxy_for(url: str) -> Iterator[None]:
    """Leaves no proxy in the environment but that for `url` while the block makes a client that reads it,
    and that fails on kinds of proxies that it does not know.

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
    """Whether a URL's host is this machine, in any notation."""
    name = host.lower().strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return _is_short_loopback(name)
    if isinstance(address, ipaddress.IPv6Address):
        return (
            address.is_loopback
            or address.is_unspecified
            or (address.ipv4_mapped is not None and is_this_machine(str(address.ipv4_mapped)))
        )
    return address.is_loopback or address.is_unspecified


def _is_short_loopback(name: str) -> bool:
    """Whether a host is loopback in the notations that C's libraries read: `127.1`, `0x7f000001`."""
    if not name[:1].isdigit():
        return False
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name)).is_loopback
    except OSError:
        return False


def _is_exempt(host: str, port: int | None, listed: str) -> bool:
    """Whether NO_PROXY names a host: by name, domain, address or network, each with a port or without."""
    return any(_matches(entry.strip().lower(), host, port) for entry in listed.split(",") if entry.strip())


def _matches(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if with_port := _WITH_PORT.fullmatch(entry):
        if int(with_port["port"]) != port:
            return False
        entry = with_port["host"]
    bare = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(bare, strict=False)
    except ValueError:
        domain = bare.removeprefix("*").removeprefix(".")
        return host == domain or host.endswith(f".{domain}")


def _problem(proxy: str) -> str | None:
    """Returns what is wrong with a proxy, without its user and password; None where nothing is wrong."""
    try:
        parts = urlsplit(proxy)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "something that is no address"
    if parts.scheme.lower() not in _SCHEMES:
        return f"a proxy of the kind {parts.scheme[:20]}://"
    return None if host else "something that is no address"
