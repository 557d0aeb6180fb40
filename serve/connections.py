"""One connection: what it may take its time over, and what is said when it takes longer.

The parser has no limits of its own: half a request, or an answer that nobody reads, would stay open
for ever, and a few thousand of them are all the connections that a process may have.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tools.core.errors import InvalidRequestError, RequestTimeoutError, ServiceError

logger = logging.getLogger(__name__)

HEAD_SECONDS = 10.0
"""How long a request's head may take, from the connection or its first byte: it is one packet or two."""
BODY_SECONDS = 30.0
"""How long a body may take. The largest that is read, 1 MB, needs 33 kB a second: less than any phone has."""
HEAD_BYTES = 65_536
"""Longest head: the parser would collect headers for as long as they come."""
UNREAD_SECONDS = 30.0
"""How long a client may read nothing of what waits for it."""
SLOWEST_READER = 1_000
"""Bytes a second that a client has to read of what waits for it."""


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits, which `patrol` holds it to about once a second.

    Between two requests uvicorn's own keep-alive limit of 5 seconds ends it.
    """

    _awaited: float | None = None
    """Since when the client owes the rest of a request (seconds, monotonic); None: it owes nothing."""
    receiving = False
    """Whether the body of a request is awaited: somebody waits for it already."""
    _begun = False
    """Whether something of the request that is awaited has come."""
    _head_bytes = 0
    _unread: tuple[float, int] | None = None
    """When we last looked, and how many bytes of our answers the client had not taken then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected; it owes a request."""
        super().connection_made(transport)
        self._awaited = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        super().data_received(data)
        if self.receiving or self.transport.is_closing():
            return
        if self._awaited is None and self.cycle.response_complete:
            # Bytes before a request, such as empty lines, have ended the keep-alive limit.
            self._awaited = time.monotonic()
        if self._awaited is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, InvalidRequestError(_LONG_HEAD))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun = True
        if self._awaited is None:
            self._awaited = time.monotonic()

    def on_headers_complete(self) -> None:
        """Its body is awaited."""
        self.receiving, self._head_bytes, self._awaited = True, 0, time.monotonic()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is whole."""
        self.receiving, self._begun, self._awaited = False, False, None
        super().on_message_complete()

    def patrol(self, late: float = 0.0) -> None:
        """Ends the connection where its client has used up its time. `late`: for how many seconds since the
        last look the worker has read nothing, because it was late."""
        now = time.monotonic()
        if self._awaited is not None:
            self._awaited += late
        if self._unread is not None:
            self._unread = self._unread[0] + late, self._unread[1]
        if self.flow.read_paused and self._awaited is not None:
            self._awaited = now  # what is not read is not awaited
        limit = BODY_SECONDS if self.receiving else HEAD_SECONDS
        if self._awaited is not None and now - self._awaited > limit:
            self.turn_away(RequestTimeoutError())
        self._patrol_reader(now)

    def _patrol_reader(self, now: float) -> None:
        pending = self.transport.get_write_buffer_size()
        if not pending:
            self._unread = None
        elif self._unread is None:
            self._unread = now, pending
        elif now - self._unread[0] > UNREAD_SECONDS:
            if pending > self._unread[1] - SLOWEST_READER * UNREAD_SECONDS:
                logger.info("a client does not read its answer", extra={"client": self.client})
                self.transport.abort()
            self._unread = now, pending

    def turn_away(self, error: ServiceError) -> None:
        """Ends a connection whose request has not wholly arrived; an earlier one is still answered."""
        if self._awaited is None or self.transport.is_closing():
            return
        running = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline or (running and not self.receiving):
            return
        if self._begun:
            logger.info("a request did not arrive", extra={"client": self.client, "code": error.code})
        if self.receiving:
            answered = self.cycle.response_started
            # Whoever waits for the body learns that the client is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        else:
            answered = not self._begun
        if answered:
            self.transport.close()
        else:
            self._refuse(error.http_status, error)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused like any other request."""
        self._refuse(HTTPStatus.BAD_REQUEST, InvalidRequestError(msg))

    def _refuse(self, status: int, error: ServiceError) -> None:
        body = orjson.dumps({"error": error.as_json()})
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


_LONG_HEAD = f"The request's head is too long; at most {HEAD_BYTES} bytes are read."
