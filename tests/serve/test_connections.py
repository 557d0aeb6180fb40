"""Clients that leave, dawdle or do not listen: each costs a line in the log at most, and a limited time."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import GENERATE, hold, nothing_in_flight

LIMIT = 0.3
POST = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
INVOKE = POST % b"/generate/invoke"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: what is left is thrown away, and the other side is told by a reset."""
POSTS = (
    "/generate/invoke",
    "/generate/stream",
    "/regenerate/batch",
    "/generate/stream_events",
    "/prompts/reload",
)


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(f"serve.connections.{name}", LIMIT)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes."""
    async with asyncio.timeout(time_limit()):
        return await reader.read()


def error_in(answer: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the error of an answer that closes its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-half",
        INVOKE + b"content-length: 100\r\n\r\n",
        INVOKE + b'content-length: 100\r\n\r\n{"input"',
        INVOKE + b"transfer-encoding: chunked\r\n\r\n5\r\n{",
        INVOKE + b"content-length: 100\r\nexpect: 100-continue\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HT",
    ],
    ids=["a byte", "head", "no body", "body", "chunk", "expecting", "second head"],
)
@pytest.mark.usefixtures("short_limits")
async def test_a_request_that_does_not_arrive_is_given_up(address: str, sent: bytes) -> None:
    async with connected(address) as (reader, writer):
        writer.write(sent)
        answer = (await rest(reader)).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The first request of two was whole.
        status, error = error_in(answer.rpartition(b'{"status":"ok"}')[2])
    assert (status, error["code"]) == (408, "request_timeout")


@pytest.mark.parametrize(
    ("sent", "drop"),
    [
        (b"GET /healthz HTTP/1.1\r\nx-half: ", b"x"),
        (INVOKE + b"content-length: 5000\r\n\r\n", b"x"),
        (INVOKE + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n", b"x"),
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", b"\r\n"),
        (b"", b"\r\n"),
    ],
    ids=["head", "body", "chunks", "a body that is not read", "empty lines after", "empty lines before"],
)
@pytest.mark.usefixtures("short_limits")
async def test_a_drip_does_not_keep_a_connection_open(address: str, sent: bytes, drop: bytes) -> None:
    async with connected(address) as (reader, writer):
        writer.write(sent)
        closed = asyncio.create_task(rest(reader))
        while not closed.done():
            writer.write(drop)
            await asyncio.wait({closed}, timeout=LIMIT / 3)
        # An answer may be lost to the reset that a drop gets which comes too late.
        assert closed.exception() is None or isinstance(closed.exception(), ConnectionError)


@pytest.mark.usefixtures("short_limits")
async def test_a_connection_that_asks_for_nothing_is_closed_without_a_word(address: str) -> None:
    async with connected(address) as (reader, _):
        assert await rest(reader) == b""


@pytest.mark.usefixtures("short_limits")
async def test_a_run_may_take_longer_than_its_request(client: httpx.AsyncClient, offline: Offline) -> None:
    await offline.behave(latency={"mean_seconds": scaled(1), "deviation_seconds": 0})
    assert (await client.post("/generate/invoke", json={"input": GENERATE})).status_code == 200


async def test_a_head_without_end_is_refused(address: str) -> None:
    async with connected(address) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        writer.write(b"".join(b"x-%d: %s\r\n" % (number, b"x" * 90) for number in range(700)))
        status, error = error_in(await rest(reader))
    assert (status, error["code"]) == (431, "invalid_request")


async def test_what_is_no_http_gets_an_error_like_any_other(address: str) -> None:
    async with connected(address) as (reader, writer):
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        status, error = error_in(await rest(reader))
    assert (status, error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "sent",
    [
        b"content-length: 5000\r\n\r\n{",
        b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"content-length: 5000\r\n\r\n",
    ],
)
@pytest.mark.parametrize("reset", [False, True], ids=["leaves", "resets"])
async def test_a_client_that_breaks_off_an_upload_is_one_quiet_line(  # noqa: PLR0917 - fixtures
    address: str,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    sent: bytes,
    reset: bool,
) -> None:
    caplog.set_level(logging.INFO)
    async with connected(address) as (_, writer):
        writer.write(POST % path.encode() + b"authorization: Bearer x\r\n" + sent)
        await writer.drain()
        await arrived(client)
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
    await arrived(client)
    ours = [record for record in caplog.records if record.name.startswith(("serve.", "uvicorn.error"))]
    said = [record for record in caplog.records if record.levelno > logging.INFO] + ours
    assert len(said) <= 1, [record.getMessage() for record in said]
    assert not any(record.levelno > logging.INFO or record.exc_info for record in said)


async def arrived(client: httpx.AsyncClient) -> None:
    """Returns after the server has seen what was sent before: it has done some turns of its loop since."""
    for _ in range(3):
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.usefixtures("short_limits")
async def test_who_reads_nothing_holds_no_connection(address: str, client: httpx.AsyncClient) -> None:
    """The socket's own buffers take a lot: so it asks for a lot, one after the other."""
    url = httpx.URL(address)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((url.host, url.port))
        deaf.setblocking(False)
        ask = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError):  # reset, once it was given up
            async with asyncio.timeout(time_limit()):
                while True:
                    await loop.sock_sendall(deaf, ask * 50)
    assert (await client.get("/healthz")).status_code == 200


async def test_a_stream_whose_client_resets_stops_its_run_without_a_traceback(
    address: str, client: httpx.AsyncClient, offline: Offline, caplog: pytest.LogCaptureFixture
) -> None:
    await hold(offline, "JobVerdicts")
    body = json.dumps({"input": GENERATE}).encode()
    async with connected(address) as (reader, writer):
        writer.write(POST % b"/generate/stream" + b"content-length: %d\r\n\r\n" % len(body) + body)
        await reader.readuntil(b"node_started")
        await offline.working_on("JobVerdicts")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        await nothing_in_flight(offline, within=scaled(3))
    await arrived(client)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
