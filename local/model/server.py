"""The offline model's HTTP server: OpenAI's routes, and routes that set its behaviour.

| route | what |
|---|---|
| `POST /v1/chat/completions` · `POST /v1/embeddings` · `GET /v1/models` | as OpenAI's |
| `/v1/files` · `/v1/files/{id}[/content]` · `/v1/batches` · `/v1/batches/{id}[/cancel]` | as OpenAI's |
| `GET /healthz` | alive, and whether the tokeniser is loaded |
| `GET`, `PUT`, `DELETE /offline/behaviour` | latency and faults: read, replace as a whole, reset |
| `GET`, `DELETE /offline/calls` | counters and the last 1,000 calls: read, reset |

It is meant for loopback: any key is welcome. The `/offline` routes ask for a secret (`control_routes`).
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.model import ApiError, count_tokens
from local.model.batch_routes import batch_routes
from local.model.batches import Batches
from local.model.behaviour import (
    EMBEDDINGS,
    TEXT,
    TIMEOUT_SECONDS,
    Behaviour,
    Call,
    Calls,
    Conduct,
    Fault,
    refusal,
    spoil,
)
from local.model.completions import ChatRequest, Completion, Question, Rules, plain_words, understand
from local.model.control_routes import control_routes
from local.model.embeddings import Embedder, EmbeddingRequest, embedding_body
from local.model.files import Files
from local.model.transport import (
    BODY_LIMIT,
    json_response,
    parse,
    pause,
    send_body,
    send_stream,
    understood,
    unless_left,
)

__all__ = ["BODY_LIMIT", "Server", "create_app", "running"]

BACKLOG = 4_096
"""Connections that may wait to be accepted: a load test opens thousands at once."""
SHUTDOWN_SECONDS = 1
"""How long calls in flight may go on when the server stops: a simulated wait is worth no more."""
MODELS = ("checkerboard-offline", "checkerboard-offline-embedding")
"""What the models list says. Any other name is welcome too, and echoed."""


def create_app(rules: Rules, behaviour: Behaviour | None = None, *, secret: str | None = None) -> Starlette:
    """Returns the ASGI app that answers with `rules`, behaving as `behaviour` until told otherwise by who
    knows the `secret`."""
    calls = Calls()
    conduct = Conduct(behaviour or Behaviour())
    embedder = Embedder()
    chat = _Chat(rules, conduct, calls)
    files = Files()
    batches = Batches(files, conduct, chat.answered)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        embedder.start()
        yield
        await batches.close()
        embedder.close()

    async def models(_: Request) -> Response:
        listed = [
            {"id": name, "object": "model", "created": 0, "owned_by": "checkerboard"} for name in MODELS
        ]
        return json_response({"object": "list", "data": listed})

    async def healthz(_: Request) -> Response:
        return json_response({"status": "ok", "embeddings_ready": embedder.ready})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/embeddings", _Embeddings(embedder, conduct, calls), methods=["POST"]),
            Route("/v1/models", models),
            *batch_routes(files, batches),
            Route("/healthz", healthz),
            *control_routes(conduct, calls, secret),
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
        asked = await parse(Request(scope, receive), ChatRequest)
        question = understand(asked, self._rules.KNOWN)
        name = question.schema_name or TEXT
        with self._calls.track(name, question.model, stream=question.stream) as call:
            fault = self._conduct.fault(name, question.blocks)
            await _perhaps_refuse(call, fault, receive)
            seconds = self._conduct.latency(name)
            # A stream gives its first words after half the time and the others over the rest.
            await pause(receive, seconds / 2 if question.stream else seconds)
            completion = Completion(question, self._words(question, fault), int(time.time()))
            cut = fault is not None and fault.kind == "cut_stream"
            if question.stream:
                await send_stream(receive, send, list(completion.events()), seconds=seconds / 2, cut=cut)
            else:
                await send_body(send, completion.body(), cut=cut)
            self._calls.add_tokens(question.prompt_tokens, completion.completion_tokens)
            call.outcome = fault.kind if fault else "answered"

    async def answered(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answers one request of a batch: the HTTP status and the body."""
        try:
            question = understand(understood(orjson.dumps(body), ChatRequest), self._rules.KNOWN)
            name = question.schema_name or TEXT
            with self._calls.track(name, question.model) as call:
                fault = self._conduct.fault(name, question.blocks)
                error = refusal(fault) if fault else None
                call.outcome = fault.kind if fault else "answered"
                if error is not None:
                    raise error
                completion = Completion(question, self._words(question, fault), int(time.time()))
                self._calls.add_tokens(question.prompt_tokens, completion.completion_tokens)
        except ApiError as refused:
            return refused.status, refused.as_json()
        answer: dict[str, Any] = orjson.loads(completion.body())
        return 200, answer

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
        asked = await parse(Request(scope, receive), EmbeddingRequest)
        texts = asked.texts()
        with self._calls.track(EMBEDDINGS, asked.model) as call:
            fault = self._conduct.fault(EMBEDDINGS, {})
            await _perhaps_refuse(call, fault, receive)
            await pause(receive, self._conduct.latency(EMBEDDINGS))
            vectors = await unless_left(receive, self._embedder.embed(texts, asked.dimensions))
            # Writing out a large batch takes long enough to hold up every other call.
            body = await asyncio.to_thread(embedding_body, asked, vectors)
            await send_body(send, body, cut=fault is not None)
            self._calls.add_tokens(sum(map(count_tokens, texts)))
            call.outcome = fault.kind if fault else "answered"


async def _perhaps_refuse(call: Call, fault: Fault | None, receive: Receive) -> None:
    """Raises the error of a fault that leaves no answer, for a `timeout` when its time is over."""
    error = refusal(fault) if fault else None
    if fault is None or error is None:
        return
    call.outcome = fault.kind
    if fault.kind == "timeout":
        await pause(receive, TIMEOUT_SECONDS)
    raise error


async def _api_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise TypeError("this handler is registered for ApiError") from error
    return json_response(error.as_json(), error.status, error.headers)


async def _http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError("this handler is registered for HTTPException") from error
    told = ApiError(error.detail, status=error.status_code)
    return json_response(told.as_json(), told.status, dict(error.headers or {}))


async def _crash(_: Request, __: Exception) -> Response:
    told = ApiError("The offline model failed; its log says why.", status=500, kind="server_error")
    return json_response(told.as_json(), told.status)
