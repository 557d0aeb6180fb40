"""A name server of the tests' own."""

from __future__ import annotations

import socket
from typing import Any

import pytest


class Names:
    """A name server of `….example` that says something else each time: of each name, its addresses, one list
    an asking. The last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: list[list[str]]) -> None:
        self.asked = 0
        real = socket.getaddrinfo

        def getaddrinfo(host: Any, *rest: Any, **how: Any) -> Any:
            told = names.get(host.partition(".")[0]) if isinstance(host, str) else None
            if told is None:
                return real(host, *rest, **how)
            self.asked += 1
            addresses = told[min(self.asked, len(told)) - 1]
            return [found for address in addresses for found in real(address, *rest, **how)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
