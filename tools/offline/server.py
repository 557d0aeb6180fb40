"""The offline model's HTTP server: OpenAI's routes, and routes that set its behaviour.

| route | what |
|---|---|
| `POST /v1/chat/completions` · `POST /v1/embeddings` · `GET /v1/models` | as OpenAI's |
| `GET /healthz` | alive, and whether the tokeniser is loaded |
| `GET`, `PUT`, `DELETE /offline/behaviour` | latency and faults: read, replace as a whole, reset |
| `GET`, `DELETE /offline/calls` | counters and the last 1,000 calls: read, reset |

It is meant for loopback: any key is welcome and the control routes are open.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson
import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tools.offline import ApiError, count_tokens
from tools.offline.behaviour import (
    EMBEDDINGS,
    TEXT,
    TIMEOUT_SECONDS,
    Behaviour,
    Call,
    Calls,
    ClientLeftError,
    Conduct,
    Fault,
    refusal,
    spoil,
)
from tools.offline.completions import ChatRequest, Completion, Question, Rules, plain_words, understand
from tools.offline.embeddings import Embedder, EmbeddingRequest, embedding_body

BODY_LIMIT = 8 * 1024 * 1024
"""Longest request body, bytes."""
STREAM_BURSTS = 20
"""In how many pieces a slow answer is streamed: a timer for each event would cost far more than
the event, and nobody can see the difference."""
BACKLOG = 4_096
"""Connections that may wait to be accepted: a load test opens thousands at once."""
SHUTDOWN_SECONDS = 1
"""How long calls in flight may go on when the server stops: a simulated wait is worth no more."""
MODELS = ("checkerboard-offline", "checkerboard-offline-embedding")
"""What the models list says. Any other name is welcome too, and echoed."""

Parsed = TypeVar("Parsed", bound=BaseModel)
Result = TypeVar("Result")


def create_app(rules: Rules, behaviour: Behaviour | None = None) -> Starlette:
    """Returns the ASGI app that answers with `rules`, behaving as `behaviour` until told otherwise."""
    calls = Calls()
    conduct = Conduct(behaviour or Behaviour())
    embedder = Embedder()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        embedder.start()
        yield
        embedder.close()

    async def models(_: Request) -> Response:
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "checkerboard"} for name in MODELS
        ]
        return _json({"object": "list", "data": listed})

    async def healthz(_: Request) -> Response:
        return _json({"status": "ok", "embeddings_ready": embedder.ready})

    async def read_behaviour(_: Request) -> Response:
        return _json(conduct.behaviour.model_dump(by_alias=True))

    async def put_behaviour(request: Request) -> Response:
        conduct.set(await _parse(request, Behaviour))
        return await read_behaviour(request)

    async def reset_behaviour(request: Request) -> Response:
        conduct.set(Behaviour())
        return await read_behaviour(request)

    async def read_calls(_: Request) -> Response:
        return _json(calls.as_json())

    async def reset_calls(request: Request) -> Response:
        calls.reset()
        return await read_calls(request)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", _Chat(rules, conduct, calls), methods=["POST"]),
            Route("/v1/embeddings", _Embeddings(embedder, conduct, calls), methods=["POST"]),
            Route("/v1/models", models),
            Route("/healthz", healthz),
            Route("/offline/behaviour", read_behaviour),
            Route("/offline/behaviour", put_behaviour, methods=["PUT"]),
            Route("/offline/behaviour", reset_behaviour, methods=["DELETE"]),
            Route("/offline/calls", read_calls),
            Route("/offline/calls", reset_calls, methods=["DELETE"]),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _crash},
        lifespan=lifespan,
    )


class Server(uvicorn.Server):
    """Serves on a port of its own; `ready` is called with the base URL once connections are accepted."""

    def __init__(self, app: Starlette, host: str, port: int, ready: Callable[[str], None]) -> None:
        self._listener = socket.create_server((host, port), backlog=BACKLOG)
        # asyncio does not switch Nagle's delay off for a listener made by `create_server`, and it
        # costs 40 ms an answer, because head and body are two writes.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready = ready
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            log_level="warning",
            access_log=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen; the app's own start has ended before."""
        await super().startup(sockets)
        if not self.should_exit:
            host, port = self._listener.getsockname()[:2]
            self._ready(f"http://{host}:{port}/v1")

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until a signal or `should_exit`."""
        await super().serve([self._listener])


@asynccontextmanager
async def running(app: Starlette) -> AsyncIterator[str]:
    """Serves `app` on a free port of loopback, in this event loop; yields the base URL."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = Server(app, "127.0.0.1", 0, ready.set_result)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise RuntimeError("the offline model did not start; the log says why")
        yield ready.result()
    finally:
        server.should_exit = True
        await serving


class _Chat:
    """`POST /v1/chat/completions`, as an ASGI app: it has to see the client leave."""

    def __init__(self, rules: Rules, conduct: Conduct, calls: Calls) -> None:
        self._rules = rules
        self._conduct = conduct
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await _parse(Request(scope, receive), ChatRequest)
        question = understand(asked, self._rules.KNOWN)
        name = question.schema_name or TEXT
        with self._calls.track(name, question.model, stream=question.stream) as call:
            fault = self._conduct.fault(name, question.blocks)
            await _perhaps_refuse(call, fault, receive)
            seconds = self._conduct.latency(name)
            # A stream gives its first words after half the time and the others over the rest.
            await _pause(receive, seconds / 2 if question.stream else seconds)
            completion = Completion(question, self._words(question, fault), int(time.time()))
            cut = fault is not None and fault.kind == "cut_stream"
            if question.stream:
                await _stream(receive, send, list(completion.events()), seconds=seconds / 2, cut=cut)
            else:
                await _send(send, completion.body(), cut=cut)
            self._calls.add_tokens(question.prompt_tokens, completion.completion_tokens)
            call.outcome = fault.kind if fault else "answered"

    def _words(self, question: Question, fault: Fault | None) -> str:
        if question.schema_name is None:
            return plain_words(question, self._rules.KNOWN)
        answer = self._rules.answer(question.schema_name, question.blocks)
        if fault is not None:
            answer = spoil(answer, fault.kind, question.blocks)
        words = orjson.dumps(answer).decode()
        # An object without its end is no JSON, wherever it is cut.
        return words[: len(words) * 2 // 3] if fault is not None and fault.kind == "invalid_json" else words


class _Embeddings:
    """`POST /v1/embeddings`, as an ASGI app."""

    def __init__(self, embedder: Embedder, conduct: Conduct, calls: Calls) -> None:
        self._embedder = embedder
        self._conduct = conduct
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await _parse(Request(scope, receive), EmbeddingRequest)
        texts = asked.texts()
        with self._calls.track(EMBEDDINGS, asked.model) as call:
            fault = self._conduct.fault(EMBEDDINGS, {})
            await _perhaps_refuse(call, fault, receive)
            await _pause(receive, self._conduct.latency(EMBEDDINGS))
            vectors = await _unless_left(receive, self._embedder.embed(texts, asked.dimensions))
            # Writing out a large batch takes long enough to hold up every other call.
            body = await asyncio.to_thread(embedding_body, asked, vectors)
            await _send(send, body, cut=fault is not None)
            self._calls.add_tokens(sum(map(count_tokens, texts)))
            call.outcome = fault.kind if fault else "answered"


async def _perhaps_refuse(call: Call, fault: Fault | None, receive: Receive) -> None:
    """Raises the error of a fault that leaves no answer, for a `timeout` when its time is over."""
    error = refusal(fault) if fault else None
    if fault is None or error is None:
        return
    call.outcome = fault.kind
    if fault.kind == "timeout":
        await _pause(receive, TIMEOUT_SECONDS)
    raise error


async def _left(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pause(receive: Receive, seconds: float) -> None:
    """Waits; a client that leaves is noticed at once, as `ClientLeftError`.

    The wait is the server's own wait for the connection's end under a time limit, so that a
    sleeping call costs one timer: no thread, no further task.
    """
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            await _left(receive)
    except TimeoutError:
        return
    raise ClientLeftError


async def _unless_left(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Returns what `work` returns; cancels it with `ClientLeftError` when the client leaves first."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientLeftError
    finally:
        working.cancel()
        leaving.cancel()


async def _send(send: Send, body: bytes, *, cut: bool) -> None:
    """Sends a JSON answer; `cut` breaks off in the middle of the promised length."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if cut:
        # Returning while more is promised is how an ASGI app makes its server drop the connection.
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    else:
        await send({"type": "http.response.body", "body": body})


async def _stream(receive: Receive, send: Send, events: list[bytes], *, seconds: float, cut: bool) -> None:
    """Sends server-sent events spread over `seconds`; `cut` breaks off in the middle of one."""
    headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if cut:
        half = b"".join(events[: len(events) // 2 + 1])
        await send({"type": "http.response.body", "body": half[:-9], "more_body": True})
        return
    size = len(events) if seconds <= 0 else -(-len(events) // STREAM_BURSTS)
    for start in range(0, len(events), size):
        burst = b"".join(events[start : start + size])
        await send({"type": "http.response.body", "body": burst, "more_body": True})
        await _pause(receive, seconds * size / len(events))
    await send({"type": "http.response.body", "body": b""})


async def _parse(request: Request, model: type[Parsed]) -> Parsed:
    """Reads the body of a request.

    Raises:
        ApiError: 413 for a body above 8 MB, 400 for one that is not what `model` says.
    """
    too_long = ApiError(f"The body is longer than {BODY_LIMIT} bytes.", status=413, code="body_too_long")
    if int(request.headers.get("content-length", 0)) > BODY_LIMIT:
        raise too_long
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            raise too_long
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        raise ApiError(f"{param or 'body'}: {first['msg']}", param=param, code=first["type"]) from error


def _json(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


async def _api_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise TypeError("this handler is registered for ApiError") from error
    return _json(error.as_json(), error.status, error.headers)


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError("this handler is registered for HTTPException") from error
    told = ApiError(error.detail, status=error.status_code)
    return _json(told.as_json(), told.status, dict(error.headers or {}))


async def _crash(_: Request, __: Exception) -> Response:
    told = ApiError("The offline model failed; its log says why.", status=500, kind="server_error")
    return _json(told.as_json(), told.status)
