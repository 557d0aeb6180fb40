"""What a keeper needs to know of a part; `postgres`, `redis` and `model` each are one."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Protocol

from local.servers.state import Running


@dataclass(frozen=True)
class Launch:
    """One way to start the part's server."""

    server: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    """What it is told beside the keeper's own environment, and nobody else may read."""


@dataclass(frozen=True)
class Answer:
    """What a server that is ready to serve says of itself."""

    url: str
    address: str
    version: str


@dataclass(frozen=True)
class Report:
    """What happened on the way to a server that runs; see the same fields of `Running`."""

    passed_over: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Part(Protocol):
    """One embedded server."""

    start_seconds: float
    stop_seconds: float

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        """Prepares the data folder; the ways to start the server, best first.

        Args:
            before: the server that ran last, which users may still know by its address.
            report: receives what is worth telling.

        Raises:
            StartError: when there is no way.
        """
        ...

    def find(self) -> Running | None:
        """A server of this home that runs although no state file tells of it, proven to be ours."""
        ...

    def answer(self, pid: int, output: str) -> Answer | None:
        """What the server says once it is ready to serve, None before.

        Args:
            output: what it has printed since it was started.

        Raises:
            StartError: when it runs, but lacks what the service needs.
        """
        ...

    def ask_to_stop(self, running: Running) -> None:
        """Asks the server to save its data and end, without waiting for it."""
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
