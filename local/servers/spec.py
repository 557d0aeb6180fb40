"""What the supervisor needs to know of a server; `postgres`, `redis` and `model` each have a spec."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Protocol

from local.servers.files import Running


@dataclass(frozen=True)
class Launch:
    """One way to start the server: a program and its arguments."""

    program: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    """Variables beside the supervisor's own, such as secrets."""


@dataclass(frozen=True)
class Ready:
    """How a server that is ready to serve is reached."""

    url: str
    address: str
    version: str


@dataclass(frozen=True)
class Report:
    """What happened before a server ran; see the same fields of `Running`."""

    rejected: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class ServerSpec(Protocol):
    """How one server is started, found, asked whether it is ready, and stopped."""

    start_seconds: float
    stop_seconds: float

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        """Prepares the data folder and returns the ways to start the server, best first.

        Args:
            before: the server that ran last; users may still have its address.
            report: receives what was rejected, and warnings.

        Raises:
            StartError: there is no way.
        """
        ...

    def find(self) -> Running | None:
        """Returns a server of this home that runs although no state file names it."""
        ...

    def ready(self, pid: int, output: str) -> Ready | None:
        """Returns how the server is reached once it is ready to serve; None before.

        Args:
            output: what it has printed since it was started.

        Raises:
            StartError: it runs, but lacks what the service needs.
        """
        ...

    def request_stop(self, running: Running) -> None:
        """Tells the server to save its data and end, without waiting for it."""
        ...


def connects(address: str, seconds: float = 1.0) -> bool:
    """Whether something accepts connections at a Unix socket's path or at `host:port`."""
    try:
        if address.startswith("/"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(seconds)
                client.connect(address)
        else:
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), seconds).close()
    except OSError:
        return False
    return True
