"""LangServe at /generate and /regenerate: thin runnables over the sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.schema import StreamEvent
from langserve import CustomUserType, add_routes
from langserve.serialization import Serializer
from langserve.server import EndpointName
from pydantic import ConfigDict, Field, ValidationError

from graph.build import NODES
from graph.runs import Event, outcome
from graph.sessions import ANYONE, Caller, Sessions
from serve.callers import caller_of
from serve.errors import CLIENT_CLOSED_REQUEST
from tools.contracts import Answer, Language, Profile, Wishes
from tools.errors import InvalidRequestError

MAX_BATCH = 10
"""Inputs of one batch: as many of the longest profiles as a body may hold."""
ENDPOINTS: tuple[EndpointName, ...] = (
    "invoke",
    "batch",
    "stream",
    "stream_events",
    "input_schema",
    "output_schema",
    "playground",
)


class GenerateInput(CustomUserType):
    """Input of `/generate`: a profile, and the language to answer in."""

    model_config = ConfigDict(extra="forbid")
    profile: Profile
    language: Language = "ko"


class RegenerateInput(CustomUserType, Wishes):
    """Input of `/regenerate`: a session, and what the next project should be like."""

    session_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")

    def wishes(self) -> Wishes:
        """What is asked of the next project, without the session it is asked of."""
        return Wishes(**self.model_dump(exclude={"session_id"}))


class _Progressing(Runnable[Any, dict[str, Any]]):
    """A runnable over one way of running a session.

    `ainvoke` returns the answer; `astream` yields the progress events while the nodes work, the
    answer being the data of the last. A failure is raised by the former and is the last event of
    the latter. Who asks is `caller` in the config's `configurable`, where no request can put it.
    """

    def __init__(self, name: str, start: Callable[[Any, Caller], AsyncIterator[Event]]) -> None:
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
            CheckerboardError: as the run's `error` event says.
        """
        caller = _caller(config)

        async def answer(given: Any) -> dict[str, Any]:
            return await outcome(self._start(given, caller))

        return await self._acall_with_config(answer, input, config)

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

        async def progress(given: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
            async for one in given:
                async for event in self._start(one, caller):
                    yield event

        async for event in self._atransform_stream_with_config(inputs(), progress, config):
            yield event

    async def astream_events(self, *args: Any, **kwargs: Any) -> AsyncIterator[StreamEvent]:  # type: ignore[override]
        """Yields LangChain's own events of the run and of its nodes; the prompts and the answers of
        the model in between are not for clients."""
        async for event in super().astream_events(*args, **kwargs):
            if event["name"] in NODES or not event["parent_ids"]:
                yield event


def _caller(config: RunnableConfig | None) -> Caller:
    caller: Caller = (config or {}).get("configurable", {}).get("caller", ANYONE)
    return caller


def _with_caller(config: dict[str, Any], request: Request) -> dict[str, Any]:
    return {**config, "configurable": {"caller": request.state.caller}}


class PlainJson(Serializer):
    """LangServe's serializer for answers that are JSON already: nothing in them needs a closer look.

    Only `stream_events` shows more: the inputs, which are models.
    """

    def dumpd(self, obj: Any) -> Any:
        """Returns `obj`."""
        return obj

    def dumps(self, obj: Any) -> bytes:
        """Returns `obj` as JSON."""
        return orjson.dumps(obj, default=lambda model: model.model_dump())

    def loadd(self, obj: Any) -> Any:
        """Returns `obj`."""
        return obj


class _Route(APIRoute):
    """Asks who calls, stops the work when the client leaves, and names the field when LangServe's
    batch meets an invalid input, which it lets through as a bare pydantic error."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def translated(request: Request) -> Response:
            caller = request.state.caller = await caller_of(request)
            await _check_body(request)
            if caller.idempotency_key is not None and request.url.path.endswith("/batch"):
                problem = "names one request; send a batch's inputs one by one"
                raise InvalidRequestError(fields=[{"field": "Idempotency-Key", "problem": problem}])
            try:
                return await _while_connected(request, handle(request))
            except ValidationError as error:
                raise RequestValidationError(error.errors()) from error

        return translated


async def _check_body(request: Request) -> None:
    """Refuses what LangServe would stumble over: it reads JSON with a parser that takes invalid UTF-8,
    endless numbers and endless depth to heart.

    Raises:
        InvalidRequestError: the body is no JSON, or a batch has too many inputs.
        HTTPException: the playground is asked for a file it cannot have.
    """
    if request.method == "GET":
        name = request.path_params.get("file_path", "")
        if "/playground" in request.url.path and (name.endswith("/") or not name.isprintable()):
            raise HTTPException(404)
        return
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(fields=[{"field": "body", "problem": f"not JSON: {error}"}]) from error
    if isinstance(body, dict) and isinstance(inputs := body.get("inputs"), list) and len(inputs) > MAX_BATCH:
        problem = f"{len(inputs)} inputs; at most {MAX_BATCH} are taken at once"
        raise InvalidRequestError(fields=[{"field": "inputs", "problem": problem}])


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


def add(app: FastAPI, sessions: Callable[[], Sessions]) -> None:
    """Adds both runnables to `app`. `sessions` is asked at each request, when the app has started.

    No `configurable` key is taken from a request, so that nobody can name another thread,
    checkpoint or namespace.
    """
    router = APIRouter(route_class=_Route)
    generate = _Progressing(
        "generate", lambda given, caller: sessions().generate(given.profile, given.language, caller)
    )
    regenerate = _Progressing(
        "regenerate",
        lambda given, caller: sessions().regenerate(given.session_id, given.wishes(), caller),
    )
    for runnable, input_type in ((generate, GenerateInput), (regenerate, RegenerateInput)):
        add_routes(
            router,
            runnable,
            path=f"/{runnable.name}",
            input_type=input_type,
            output_type=Answer,
            config_keys=(),
            per_req_config_modifier=_with_caller,
            enabled_endpoints=ENDPOINTS,
            serializer=PlainJson(),
        )
    app.include_router(router)
