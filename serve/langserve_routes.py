"""LangServe at /generate and /regenerate: its protocol, behind routes that declare their bodies."""

# Without `from __future__ import annotations`: FastAPI reads the types that are passed to `_router`.
import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Header, HTTPException, Request, Response, Security
from fastapi.routing import APIRoute
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.schema import StreamEvent
from langserve import APIHandler
from langserve.api_handler import _update_config_with_defaults
from langserve.callbacks import AsyncEventAggregatorCallback
from langserve.serialization import Serializer
from pydantic import BaseModel
from structlog.contextvars import bind_contextvars

from graph.sessions.sessions import ANYONE, PROGRESS_MESSAGES, Caller, Run, Sessions
from serve.admission import admit
from serve.callers import BEARER, MAX_IDEMPOTENCY_KEY, caller_of
from serve.context import AppContext
from serve.errors import CLIENT_CLOSED_REQUEST, responses
from serve.limits.holds import Door, Hold, Holds
from serve.limits.state import HOLDS, with_headers
from serve.run_models import (
    MAX_BATCH,
    BatchResponse,
    GenerateBatchRequest,
    GenerateEventsRequest,
    GenerateInput,
    GenerateRequest,
    RegenerateBatchRequest,
    RegenerateEventsRequest,
    RegenerateInput,
    RegenerateRequest,
    RunResponse,
    event_stream,
)
from serve.runs.events import LAST
from serve.server_sent import one_line_json
from tools.core.contracts import Answer
from tools.core.errors import InvalidRequestError

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY,
        description="asked again with the same key, a request gets the same answer and is paid for once",
    ),
]
REQUEST_ERRORS = (401, 408, 413, 415, 422, 429, 500, 503)
"""Statuses of a request that is refused; a stream has all other errors in its events."""
RUN_ERRORS = (*REQUEST_ERRORS, 409, 502)


class EventStream(Response):
    """Names the media type of a stream for the OpenAPI description."""

    media_type = "text/event-stream"


class StrictRoute(APIRoute):
    """A route that reads a body strictly, one that may be left out if it came."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            body = self.body_field if request.method == "POST" else None
            if body is not None and (body.field_info.is_required() or await request.body()):
                await _read_body(request)
            return with_headers(request, await handle(request))

        return checked


class JsonRoute(StrictRoute):
    """A route that finds the caller as well."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def found(request: Request) -> Response:
            request.state.caller = await caller_of(request)
            return await handle(request)

        return found


class RunRoute(APIRoute):
    """A route that finds the caller, reads the body strictly, counts its runs and has a place for each, and
    stops the work when the client leaves."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            caller = request.state.caller = await caller_of(request)
            if request.method == "GET":
                return await handle(request)
            body = await _read_body(request)
            if caller.idempotency_key is not None and request.url.path.endswith("/batch"):
                problem = "names one request; send a batch's inputs one by one"
                raise InvalidRequestError(fields=[{"field": "Idempotency-Key", "problem": problem}])
            runs = _runs(body)
            await Door(request).hold(runs)
            await admit(request, _context(request).admission, runs)
            return with_headers(request, await _while_connected(request, handle(request)))

        return checked


async def _read_body(request: Request) -> Any:
    """Returns the body. Refuses what FastAPI would stumble over: its parser of JSON accepts invalid UTF-8,
    NaN and Infinity, and unlimited nesting.

    Raises:
        InvalidRequestError: the body is no JSON.
        HTTPException: it is not declared to be JSON: a page of another site can send that without a CORS
            preflight.
    """
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(fields=[{"field": "body", "problem": f"not JSON: {error}"}]) from error
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/([\w.-]+\+)?json", kind):
        raise HTTPException(415, "Send the body as JSON, with the header `Content-Type: application/json`.")
    return body


def _runs(body: Any) -> int:
    """Returns how many runs a body asks for. It has not been validated yet."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    return min(len(inputs), MAX_BATCH) if isinstance(inputs, list) else 1


def _context(request: Request) -> AppContext:
    context: AppContext = request.app.state.app_context
    return context


async def _while_connected(request: Request, answering: Coroutine[Any, Any, Response]) -> Response:
    """Awaits an answer, but cancels it when the client leaves.

    Starlette reports a client that has left to streaming responses only. The body is read beforehand, so
    the next message of the connection is its end.
    """
    await request.body()
    answer = asyncio.ensure_future(answering)
    disconnected = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answer, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await asyncio.wait({answer})
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return answer.result()
    finally:
        answer.cancel()
        disconnected.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class SessionRunnable(Runnable[Any, dict[str, Any]]):
    """A LangChain runnable over `Sessions.generate` or `Sessions.regenerate`: what LangServe serves.

    `ainvoke` returns the answer; `astream` yields the progress events while the nodes work, the
    answer being the data of the last. A failure is raised by the former and is the last event of
    the latter. The caller is in the config's `configurable`, where no request can put one.
    """

    name: str

    def __init__(self, name: str, start: Callable[[Any, Caller], Run]) -> None:
        self.name = name
        self._start = start

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:  # noqa: A002
        """Not offered: the service is asynchronous all the way."""
        raise TypeError("this runnable is asynchronous: use ainvoke or astream")

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - the name is LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the answer.

        Raises:
            ServiceError: as the run's `error` event says.
        """
        caller = _caller(config)

        async def answer(value: Any) -> dict[str, Any]:
            run = self._start(value, caller)
            if (hold := _hold(config, run)) is None:
                return await run.answer()
            try:
                return await run.answer()
            finally:
                # Whoever has the answer may ask again. Of a run that was left it is done when it has ended.
                if run.has_ended:
                    await hold.settle()

        return await self._acall_with_config(answer, input, _unheard(config))

    async def astream(
        self,
        input: Any,  # noqa: A002 - the name is LangChain's
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Yields the progress events."""
        caller = _caller(config)

        async def inputs() -> AsyncIterator[Any]:
            yield input

        async def progress(values: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
            async for value in values:
                run = self._start(value, caller)
                hold = _hold(config, run)
                async for event in run:
                    if hold is not None and event["type"] in LAST:
                        await hold.settle()
                    yield event

        async for event in self._atransform_stream_with_config(inputs(), progress, _unheard(config)):
            yield event

    async def astream_events(self, *args: Any, **kwargs: Any) -> AsyncIterator[StreamEvent]:  # type: ignore[override]
        """Yields LangChain's own events of the run and of its nodes; the prompts and the answers of
        the model in between are not for clients."""
        async for event in super().astream_events(*args, **kwargs):
            if event["name"] in PROGRESS_MESSAGES or not event["parent_ids"]:
                yield event


def _unheard(config: RunnableConfig | None) -> RunnableConfig:
    """Returns a config without the listener that LangServe adds and nobody asks: it would copy what goes into
    each node and comes out of it."""
    own = RunnableConfig(**(config or {}))
    callbacks = own.get("callbacks")
    if isinstance(callbacks, list):
        own["callbacks"] = [
            callback for callback in callbacks if not isinstance(callback, AsyncEventAggregatorCallback)
        ]
    return own


def _caller(config: RunnableConfig | None) -> Caller:
    caller: Caller = (config or {}).get("configurable", {}).get("caller", ANYONE)
    return caller


def _hold(config: RunnableConfig | None, run: Run) -> Hold | None:
    """Returns what a run holds of its caller's limits; None where nothing limits them."""
    holds: Holds | None = (config or {}).get("configurable", {}).get(HOLDS)
    return None if holds is None else holds.next(run)


def _configurable(request: Request) -> dict[str, Any]:
    """Returns what a run is told of its request."""
    return {"caller": request.state.caller, HOLDS: request.scope["state"].get(HOLDS)}


class PlainJson(Serializer):
    """LangServe's serializer for answers that are JSON already: nothing in them needs a closer look.

    Only `stream_events` shows more: the inputs, which are models.
    """

    def dumpd(self, obj: Any) -> Any:
        """Returns `obj`."""
        return obj

    def dumps(self, obj: Any) -> bytes:
        """Returns `obj` as JSON that is one line to every reader of event streams."""
        return one_line_json(obj)

    def loadd(self, obj: Any) -> Any:
        """Returns `obj`."""
        return obj


class RunHandler(APIHandler):
    """LangServe's handler, without its second look at what it is given and gives: the route has validated
    the body, and an answer is JSON already. `request.state.body` is the body as the route's model."""

    async def _get_config_and_input(
        self, request: Request, *_: Any, endpoint: str | None = None, **__: Any
    ) -> tuple[RunnableConfig, Any]:
        """Returns the config of a run and its input. Nothing of a request's own config is taken."""
        own = RunnableConfig(configurable=_configurable(request))
        config = _update_config_with_defaults(self._run_name, own, request, endpoint=endpoint)
        bind_contextvars(run_id=str(config["run_id"]))
        return config, request.state.body.input

    async def invoke(self, request: Request, **_: Any) -> Response:
        """Runs to the end and answers, in the form of `RunResponse`."""
        config, value = await self._get_config_and_input(request, endpoint="invoke")
        output = await self._runnable.ainvoke(value, config)
        metadata: dict[str, Any] = {"run_id": str(config["run_id"]), "feedback_tokens": []}
        answer = orjson.dumps({"output": output, "metadata": metadata})
        return Response(answer, media_type="application/json")


def _with_caller(config: dict[str, Any], request: Request) -> dict[str, Any]:
    return {**config, "configurable": _configurable(request)}


def install(app: FastAPI) -> None:
    """Adds the routes of both runnables to `app`. Sessions are there when it has started.

    No `configurable` key is taken from a request, so that nobody can name another thread,
    checkpoint or namespace.
    """

    def sessions() -> Sessions:
        context: AppContext = app.state.app_context
        return context.sessions

    generate = SessionRunnable(
        "generate", lambda value, caller: sessions().generate(value.profile, value.language, caller)
    )
    regenerate = SessionRunnable(
        "regenerate", lambda value, caller: sessions().regenerate(value.session_id, value, caller)
    )
    app.include_router(
        _router(generate, GenerateInput, GenerateRequest, GenerateBatchRequest, GenerateEventsRequest)
    )
    app.include_router(
        _router(
            regenerate, RegenerateInput, RegenerateRequest, RegenerateBatchRequest, RegenerateEventsRequest
        )
    )


def _router(
    runnable: SessionRunnable,
    input_type: type[BaseModel],
    request_model: type[BaseModel],
    batch_model: type[BaseModel],
    events_model: type[BaseModel],
) -> APIRouter:
    """Returns the routes of one runnable. Bodies are validated by their models, which say what is wrong
    and where, and then handed to LangServe, which runs them and speaks its protocol."""
    name = runnable.name
    failures = responses(*RUN_ERRORS, *((404,) if input_type is RegenerateInput else ()))
    handler = RunHandler(
        runnable,
        path=f"/{name}",
        input_type=input_type,
        output_type=dict[
            str, Any
        ],  # an `Answer` as JSON: validated once more, it would cost more than a node
        config_keys=(),
        per_req_config_modifier=_with_caller,
        serializer=PlainJson(),
    )
    router = APIRouter(prefix=f"/{name}", tags=[name], route_class=RunRoute, dependencies=[Security(BEARER)])

    @router.post("/invoke", operation_id=name, response_model=RunResponse, responses=failures)
    async def invoke(request: Request, body: request_model, key: IdempotencyKey = None) -> Response:  # type: ignore[valid-type]
        """Runs to the end and answers."""
        request.state.body = body
        return await handler.invoke(request)

    @router.post("/batch", operation_id=f"{name}_batch", response_model=BatchResponse, responses=failures)
    async def batch(request: Request, _: batch_model) -> Response:  # type: ignore[valid-type]
        """Runs several inputs at the same time; one that fails fails the batch."""
        return await handler.batch(request)

    @router.post(
        "/stream",
        operation_id=f"{name}_stream",
        response_class=EventStream,
        openapi_extra=event_stream(metadata=True, data="RunEvent"),
        responses=responses(*REQUEST_ERRORS),
    )
    async def stream(request: Request, body: request_model, key: IdempotencyKey = None) -> Response:  # type: ignore[valid-type]
        """Tells the progress, node by node, as server-sent events. First LangServe's `metadata`, then
        `data` events, each a `RunEvent`, of which the last is the result or the error; then `end`."""
        request.state.body = body
        return await handler.stream(request)

    @router.post(
        "/stream_events",
        operation_id=f"{name}_stream_events",
        response_class=EventStream,
        openapi_extra=event_stream(metadata=False, data="LangChainEvent"),
        responses=responses(*REQUEST_ERRORS),
    )
    async def stream_events(request: Request, body: events_model, key: IdempotencyKey = None) -> Response:  # type: ignore[valid-type]
        """Tells LangChain's own events of the run and its nodes as server-sent events: `data` events, each
        a `LangChainEvent`; then `end`, or `error` when the run failed."""
        request.state.body = body
        return await handler.astream_events(request)

    @router.get("/input_schema", operation_id=f"{name}_input_schema", responses=responses(401, 500))
    async def input_schema() -> dict[str, Any]:
        """The JSON schema of `input`."""
        return input_type.model_json_schema()

    @router.get("/output_schema", operation_id=f"{name}_output_schema", responses=responses(401, 500))
    async def output_schema() -> dict[str, Any]:
        """The JSON schema of `output`."""
        return Answer.model_json_schema()

    return router
