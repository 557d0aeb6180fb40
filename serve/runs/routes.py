"""`/runs`: runs in the background, and their events as server-sent events."""

# Without `from __future__ import annotations`: FastAPI reads the types of a route that is made here.
import random
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response, Security
from fastapi.responses import JSONResponse

from graph.sessions.sessions import Caller
from serve.callers import BEARER
from serve.context import ContextDep
from serve.errors import responses
from serve.langserve_routes import EventStream, IdempotencyKey, JsonRoute
from serve.limits.holds import Door
from serve.run_models import numbered_event_stream
from serve.runs.events import server_sent
from serve.runs.models import FinishedRun, RunRequest, SessionRuns, run_view
from serve.runs.store import ENDED, RunRecord, number_of
from serve.server_sent import EventStreamResponse

STREAM_SECONDS = 300.0
"""How long one connection streams: proxies and load balancers end older ones without a word, and workers that
were added get their share of the readers."""
STREAM_JITTER = 0.1
"""Of that, so that readers who came together do not all come again together."""
EVENT_ID = r"^\d{1,15}-\d{1,10}$"

RunId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
router = APIRouter(prefix="/runs", tags=["runs"], route_class=JsonRoute, dependencies=[Security(BEARER)])


def _owner(request: Request) -> str:
    caller: Caller = request.state.caller
    return caller.owner


@router.post(
    "",
    status_code=202,
    operation_id="start_run",
    response_model=FinishedRun,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "the run"}}},
        **responses(401, 404, 408, 413, 415, 422, 429, 500, 503),
    },
)
async def start_run(
    request: Request, context: ContextDep, body: RunRequest, _: IdempotencyKey = None
) -> Response:
    """Starts a generation or a regeneration in the background. It is done by any worker, also where the one
    that had it dies, and goes on whether or not anybody watches."""
    record = await context.runs.start(request.state.caller, body.kind, body.input, Door(request))
    return await _answer(context, record, 202, location=True)


@router.get(
    "", operation_id="list_runs", responses={200: {"model": SessionRuns}, **responses(401, 422, 500, 503)}
)
async def list_runs(
    request: Request,
    context: ContextDep,
    session_id: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")],
) -> Response:
    """The background runs of a session, newest first."""
    records = await context.runs.of_session(session_id, _owner(request))
    return JSONResponse({"runs": [run_view(record) for record in records]})


@router.get(
    "/{run_id}",
    operation_id="get_run",
    responses={200: {"model": FinishedRun}, **responses(401, 404, 422, 500, 503)},
)
async def get_run(request: Request, context: ContextDep, run_id: RunId) -> Response:
    """A run: its state, and its answer once it has succeeded."""
    return await _answer(context, await context.runs.get(run_id, _owner(request)), 200)


@router.delete(
    "/{run_id}",
    status_code=202,
    operation_id="cancel_run",
    response_model=FinishedRun,
    responses=responses(401, 404, 422, 500, 503),
)
async def cancel_run(request: Request, context: ContextDep, run_id: RunId) -> Response:
    """Cancels a run: it has ended, and its model call is stopped within a second. One that had ended stays as
    it was."""
    return await _answer(context, await context.runs.cancel(run_id, _owner(request)), 202)


@router.post(
    "/{run_id}/resume",
    status_code=202,
    operation_id="resume_run",
    response_model=FinishedRun,
    responses=responses(401, 404, 422, 429, 500, 503),
)
async def resume_run(request: Request, context: ContextDep, run_id: RunId) -> Response:
    """Goes on with a run that failed or was cancelled; what models have answered it is not asked again. Any
    other stays as it is."""
    return await _answer(context, await context.runs.resume(run_id, _owner(request), Door(request)), 202)


@router.get(
    "/{run_id}/events",
    operation_id="watch_run",
    response_class=EventStream,
    openapi_extra=numbered_event_stream("BackgroundRunEvent"),
    responses={
        204: {"description": "the run has ended, and nothing comes after the event that was named"},
        **responses(401, 404, 422, 500, 503),
    },
)
async def watch_run(
    request: Request,
    context: ContextDep,
    run_id: RunId,
    after: Annotated[
        str | None, Query(pattern=EVENT_ID, description="as Last-Event-ID, which counts where both come")
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(
            pattern=EVENT_ID, description="the id of the last event that was read: those after it are sent"
        ),
    ] = None,
) -> Response:
    """Tells the progress of a run as server-sent events, from its beginning or from any place on; several may
    watch. The last is `result` or `error`."""
    record = await context.runs.get(run_id, _owner(request))
    place = last_event_id or after
    if record.state in ENDED and number_of(place) == record.events:
        return Response(status_code=204)  # so that a browser's EventSource does not come again
    seconds = STREAM_SECONDS * random.uniform(1 - STREAM_JITTER, 1)  # noqa: S311 - nobody has to guess it
    return EventStreamResponse(server_sent(context.runs.watch(run_id, place, seconds=seconds)))


async def _answer(context: Any, record: RunRecord, status: int, *, location: bool = False) -> Response:
    view = {**run_view(record), "result": await context.runs.result(record)}
    headers = {"Location": f"/runs/{record.run_id}"} if location else {}
    return JSONResponse(view, status, headers)
