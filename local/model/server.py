"""The offline model's HTTP server: OpenAI's routes, and routes that set latency and faults.

| route | what |
|---|---|
| `POST /v1/chat/completions` · `POST /v1/embeddings` · `GET /v1/models` | as OpenAI's |
| `/v1/files` · `/v1/files/{id}[/content]` · `/v1/batches` · `/v1/batches/{id}[/cancel]` | as OpenAI's |
| `GET /healthz` | alive, whether the tokeniser is loaded, how multilingual-e5-small is and its process |
| `GET`, `PUT`, `DELETE /offline/behaviour` | latency and faults: read, replace as a whole, reset |
| `GET`, `DELETE /offline/calls` | counters and the last 1,000 calls: read, reset |

It is meant for loopback: any key is accepted. Any web page and any process of this machine can send a request
to a port of loopback, so the `/offline` routes ask for a secret that the starter chose, in `Authorization:
Bearer SECRET`. Started without one, they are closed.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.model import SECRET_VARIABLE, e5
from local.model.batches import Batches, Files, batch_routes
from local.model.completions import ChatRequest, ChatTask, Completion, Rules, plain_answer, read_task
from local.model.e5_process import E5Process
from local.model.embeddings import Embedded, Embedder, EmbeddingRequest, embedding_body
from local.model.faults import (
    EMBEDDINGS,
    TEXT,
    TIMEOUT_SECONDS,
    Call,
    Calls,
    Fault,
    FaultConfig,
    FaultInjector,
    corrupt,
    error_of,
)
from local.model.protocol import (
    BODY_LIMIT,
    ApiError,
    json_response,
    read_request,
    run_while_connected,
    send_body,
    send_stream,
    sleep,
    validated,
)

__all__ = ["BODY_LIMIT", "Server", "create_app", "running"]

BACKLOG = 4_096
"""Connections that may wait to be accepted: a load test opens thousands at once."""
SHUTDOWN_SECONDS = 1
"""How long calls in flight may go on when the server stops."""
MODELS = ("checkerboard-offline", "checkerboard-offline-embedding", e5.MODEL)
"""The models list. Any other name is accepted too, and echoed; only the last embeds by meaning."""

Handler = Callable[[Request], Awaitable[Response]]
Starts = Literal["e5", "morphemes"]


def create_app(
    rules: Rules,
    config: FaultConfig | None = None,
    *,
    secret: str | None = None,
    starts: Starts = "morphemes",
) -> Starlette:
    """Returns the ASGI app that answers with `rules`, with the latency and faults of `config` until others
    are set by a request that has the `secret`. What embeds is loaded at the start if `starts` names it and it
    is installed, and else when it is first asked for."""
    calls = Calls()
    faults = FaultInjector(config or FaultConfig())
    embedder, sentences = Embedder(), E5Process()
    chat = _Chat(rules, faults, calls)
    files = Files()
    batches = Batches(files, faults, chat.answer)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        starting = None
        if starts == "e5" and e5.installed():
            starting = asyncio.create_task(sentences.start())
        else:
            embedder.start()
        yield
        if starting is not None:
            starting.cancel()
        await batches.close()
        embedder.close()
        sentences.close()

    async def models(_: Request) -> Response:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "checkerboard"} for name in MODELS]
        return json_response({"object": "list", "data": data})

    async def healthz(_: Request) -> Response:
        own = {"state": sentences.state, "pid": sentences.pid}
        return json_response({"status": "ok", "embeddings_ready": embedder.ready, "e5": own})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/embeddings", _Embeddings(embedder, sentences, faults, calls), methods=["POST"]),
            Route("/v1/models", models),
            *batch_routes(files, batches),
            Route("/healthz", healthz),
            *_control_routes(faults, calls, secret),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _internal_error},
        lifespan=lifespan,
    )


class Server(uvicorn.Server):
    """Serves on its own listener; calls `ready` with the base URL once connections are accepted."""

    def __init__(self, app: Starlette, host: str, port: int, ready: Callable[[str], None]) -> None:
        self._listener = socket.create_server((host, port), backlog=BACKLOG)
        # asyncio leaves Nagle's delay on for a listener made by `create_server`: 40 ms an answer, because
        # head and body are two writes.
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

    def __init__(self, rules: Rules, faults: FaultInjector, calls: Calls) -> None:
        self._rules = rules
        self._faults = faults
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await read_request(Request(scope, receive), ChatRequest)
        task = read_task(request, self._rules.KNOWN)
        name = task.schema_name or TEXT
        with self._calls.track(name, task.model, stream=task.stream) as call:
            fault = self._faults.fault(name, task.blocks)
            await _raise_error(call, fault, receive)
            seconds = self._faults.latency(name)
            # A stream has its first event after half the time and the others over the rest.
            await sleep(receive, seconds / 2 if task.stream else seconds)
            completion = self._completion(task, fault)
            cut = fault is not None and fault.kind == "cut_stream"
            if task.stream:
                await send_stream(receive, send, list(completion.events()), seconds=seconds / 2, cut=cut)
            else:
                await send_body(send, completion.body(), cut=cut)
            self._calls.add_tokens(task.prompt_tokens, completion.completion_tokens)
            call.outcome = fault.kind if fault else "answered"

    async def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answers one request of a batch: the HTTP status and the body."""
        try:
            task = read_task(validated(orjson.dumps(body), ChatRequest), self._rules.KNOWN)
            name = task.schema_name or TEXT
            with self._calls.track(name, task.model) as call:
                fault = self._faults.fault(name, task.blocks)
                call.outcome = fault.kind if fault else "answered"
                if fault and (error := error_of(fault)):
                    raise error
                completion = self._completion(task, fault)
                self._calls.add_tokens(task.prompt_tokens, completion.completion_tokens)
        except ApiError as error:
            return error.status, error.as_json()
        answer: dict[str, Any] = orjson.loads(completion.body())
        return 200, answer

    def _completion(self, task: ChatTask, fault: Fault | None) -> Completion:
        return Completion(task, self._text(task, fault), int(time.time()))

    def _text(self, task: ChatTask, fault: Fault | None) -> str:
        if task.schema_name is None:
            return plain_answer(task, self._rules.KNOWN)
        answer = self._rules.answer(task.schema_name, task.blocks)
        if fault is not None:
            answer = corrupt(answer, fault.kind, task.blocks)
        text = orjson.dumps(answer).decode()
        # An object without its end is no JSON, wherever it is cut.
        return text[: len(text) * 2 // 3] if fault is not None and fault.kind == "invalid_json" else text


class _Embeddings:
    """`POST /v1/embeddings`, as an ASGI app."""

    def __init__(self, embedder: Embedder, sentences: E5Process, faults: FaultInjector, calls: Calls) -> None:
        self._embedder = embedder
        self._sentences = sentences
        self._faults = faults
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await read_request(Request(scope, receive), EmbeddingRequest)
        texts = request.texts()
        with self._calls.track(EMBEDDINGS, request.model) as call:
            fault = self._faults.fault(EMBEDDINGS, {})
            await _raise_error(call, fault, receive)
            await sleep(receive, self._faults.latency(EMBEDDINGS))
            embedded = await run_while_connected(receive, self._embed(request, texts))
            # Writing out a large batch takes long enough to hold up every other call.
            body = await asyncio.to_thread(embedding_body, request, embedded)
            await send_body(send, body, cut=fault is not None)
            self._calls.add_tokens(embedded.tokens)
            call.outcome = fault.kind if fault else "answered"

    async def _embed(self, request: EmbeddingRequest, texts: list[str]) -> Embedded:
        if request.model != e5.MODEL:
            return await self._embedder.embed(texts, request.dimensions)
        if request.dimensions not in (None, e5.DIMENSIONS):
            message = f"{e5.MODEL} has {e5.DIMENSIONS} dimensions."
            raise ApiError(message, param="dimensions")
        return await self._sentences.embed(texts)


async def _raise_error(call: Call, fault: Fault | None, receive: Receive) -> None:
    """Raises the error of a fault that leaves no answer; for a `timeout`, when its time is over."""
    error = error_of(fault) if fault else None
    if fault is None or error is None:
        return
    call.outcome = fault.kind
    if fault.kind == "timeout":
        await sleep(receive, TIMEOUT_SECONDS)
    raise error


def _control_routes(faults: FaultInjector, calls: Calls, secret: str | None) -> list[Route]:
    async def read_config(_: Request) -> Response:
        return json_response(faults.config.model_dump(by_alias=True))

    async def put_config(request: Request) -> Response:
        faults.set(await read_request(request, FaultConfig))
        return await read_config(request)

    async def reset_config(request: Request) -> Response:
        faults.set(FaultConfig())
        return await read_config(request)

    async def read_calls(_: Request) -> Response:
        return json_response(calls.as_json())

    async def reset_calls(request: Request) -> Response:
        calls.reset()
        return await read_calls(request)

    def guarded(path: str, handler: Handler, method: str = "GET") -> Route:
        async def handle(request: Request) -> Response:
            _check_secret(request, secret)
            return await handler(request)

        return Route(path, handle, methods=[method])

    return [
        guarded("/offline/behaviour", read_config),
        guarded("/offline/behaviour", put_config, "PUT"),
        guarded("/offline/behaviour", reset_config, "DELETE"),
        guarded("/offline/calls", read_calls),
        guarded("/offline/calls", reset_calls, "DELETE"),
    ]


def _check_secret(request: Request, secret: str | None) -> None:
    if secret is None:
        raise ApiError(
            f"The controls are closed: the offline model was started without {SECRET_VARIABLE}.",
            status=403,
            code="controls_closed",
        )
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), secret.encode()):
        raise ApiError(
            f"The controls ask for `Authorization: Bearer` and the {SECRET_VARIABLE} of who started this.",
            status=401,
            code="invalid_secret",
            headers={"WWW-Authenticate": "Bearer"},
        )


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for it
    return json_response(error.as_json(), error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    headers = dict(error.headers or {})
    return await _api_error(request, ApiError(error.detail, status=error.status_code, headers=headers))


async def _internal_error(request: Request, _: Exception) -> Response:
    message = "The offline model failed; its log says why."
    return await _api_error(request, ApiError(message, status=500, kind="server_error"))
