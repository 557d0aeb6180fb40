"""LangServe at /generate and /regenerate: its protocol, behind routes that say what they take and give."""

# Without `from __future__ import annotations`: FastAPI reads the types of bodies that `_router` is given.
import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Header, HTTPException, Request, Response, Security
from fastapi.routing import APIRoute
from langserve import APIHandler
from pydantic import BaseModel

from graph.sessions.sessions import Sessions
from serve.callers import BEARER, MAX_IDEMPOTENCY_KEY, caller_of
from serve.errors import CLIENT_CLOSED_REQUEST, responses
from serve.events import event_stream
from serve.run_models import (
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
)
from serve.runnables import PlainJson, Progressing
from tools.core.errors import InvalidRequestError
from tools.postings.contracts import Answer

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_IDEMPOTENCY_KEY,
        description="asked again with the same key, a request gets the same answer and is paid for once",
    ),
]
REFUSED = (401, 408, 413, 415, 422, 500, 503)
"""What any run's request may be refused with; a stream says all else in its events."""
FAILED = (*REFUSED, 409, 502)


class EventStream(Response):
    """Names the media type of a stream for the OpenAPI description."""

    media_type = "text/event-stream"


class _Route(APIRoute):
    """Asks who calls, reads the body strictly, and stops the work when the client leaves."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            caller = request.state.caller = await caller_of(request)
            if request.method == "GET":
                return await handle(request)
            await _check_body(request)
            if caller.idempotency_key is not None and request.url.path.endswith("/batch"):
                problem = "names one request; send a batch's inputs one by one"
                raise InvalidRequestError(fields=[{"field": "Idempotency-Key", "problem": problem}])
            return await _while_connected(request, handle(request))

        return guarded


async def _check_body(request: Request) -> None:
    """Refuses what FastAPI would stumble over: it reads JSON with a parser that takes invalid UTF-8,
    endless numbers and endless depth to heart.

    Raises:
        InvalidRequestError: the body is no JSON.
        HTTPException: it is not declared to be JSON, which a page of another site can send unasked.
    """
    try:
        orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(fields=[{"field": "body", "problem": f"not JSON: {error}"}]) from error
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/([\w.-]+\+)?json", kind):
        raise HTTPException(415, "Send the body as JSON, with the header `Content-Type: application/json`.")


async def _while_connected(request: Request, answering: Coroutine[Any, Any, Response]) -> Response:
    """Awaits an answer, but cancels it when the client leaves: nobody is left to pay for.

    Starlette tells only streaming responses of a client that left. The body is read beforehand, so
    what comes next on the connection is its end.
    """
    await request.body()
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await asyncio.wait({answer})
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _with_caller(config: dict[str, Any], request: Request) -> dict[str, Any]:
    return {**config, "configurable": {"caller": request.state.caller}}


def add(app: FastAPI, sessions: Callable[[], Sessions]) -> None:
    """Adds both runnables to `app`. `sessions` is asked at each request, when the app has started.

    No `configurable` key is taken from a request, so that nobody can name another thread,
    checkpoint or namespace.
    """
    generate = Progressing(
        "generate", lambda given, caller: sessions().generate(given.profile, given.language, caller)
    )
    regenerate = Progressing(
        "regenerate",
        lambda given, caller: sessions().regenerate(given.session_id, given.wishes(), caller),
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
    runnable: Progressing,
    input_type: type[BaseModel],
    one: type[BaseModel],
    several: type[BaseModel],
    watched: type[BaseModel],
) -> APIRouter:
    """Returns the routes of one runnable. Bodies are validated by their models, which say what is wrong
    and where, and then handed to LangServe, which runs them and speaks its protocol."""
    name = runnable.name
    failures = responses(*FAILED, *((404,) if input_type is RegenerateInput else ()))
    serve = APIHandler(
        runnable,
        path=f"/{name}",
        input_type=input_type,
        output_type=Answer,
        config_keys=(),
        per_req_config_modifier=_with_caller,
        serializer=PlainJson(),
    )
    router = APIRouter(prefix=f"/{name}", tags=[name], route_class=_Route, dependencies=[Security(BEARER)])

    @router.post("/invoke", operation_id=name, response_model=RunResponse, responses=failures)
    async def invoke(request: Request, _: one, key: IdempotencyKey = None) -> Response:  # type: ignore[valid-type]
        """Runs to the end and answers."""
        return await serve.invoke(request)

    @router.post("/batch", operation_id=f"{name}_batch", response_model=BatchResponse, responses=failures)
    async def batch(request: Request, _: several) -> Response:  # type: ignore[valid-type]
        """Runs several inputs at the same time; one that fails fails the batch."""
        return await serve.batch(request)

    @router.post(
        "/stream",
        operation_id=f"{name}_stream",
        response_class=EventStream,
        openapi_extra=event_stream(metadata=True, data="RunEvent"),
        responses=responses(*REFUSED),
    )
    async def stream(request: Request, _: one, key: IdempotencyKey = None) -> Response:  # type: ignore[valid-type]
        """Tells the progress, node by node, as server-sent events. First LangServe's `metadata`, then
        `data` events, each a `RunEvent`, of which the last is the result or the error; then `end`."""
        return await serve.stream(request)

    @router.post(
        "/stream_events",
        operation_id=f"{name}_stream_events",
        response_class=EventStream,
        openapi_extra=event_stream(metadata=False, data="LangChainEvent"),
        responses=responses(*REFUSED),
    )
    async def stream_events(request: Request, _: watched, key: IdempotencyKey = None) -> Response:  # type: ignore[valid-type]
        """Tells LangChain's own events of the run and its nodes as server-sent events: `data` events, each
        a `LangChainEvent`; then `end`, or `error` when the run failed."""
        return await serve.astream_events(request)

    @router.get("/input_schema", operation_id=f"{name}_input_schema", responses=responses(401, 500))
    async def input_schema() -> dict[str, Any]:
        """The JSON schema of `input`."""
        return input_type.model_json_schema()

    @router.get("/output_schema", operation_id=f"{name}_output_schema", responses=responses(401, 500))
    async def output_schema() -> dict[str, Any]:
        """The JSON schema of `output`."""
        return Answer.model_json_schema()

    return router
