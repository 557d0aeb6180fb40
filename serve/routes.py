"""The plain routes: postings, sessions, health."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from graph.sessions.owners import guest_session
from graph.sessions.sessions import Caller
from graph.sessions.views import SessionView
from serve.callers import BEARER, caller_of
from serve.context import AppContext, ContextDep
from serve.drain import drain_of
from serve.errors import responses
from serve.keys.watch import KeyWatch
from serve.limits.holds import Door
from serve.limits.state import with_headers
from serve.markdown import to_markdown
from tools.core.contracts import Clean
from tools.core.errors import PostingNotFoundError, ProjectNotFoundError
from tools.postings.contracts import FoundPosting, StoredPosting
from tools.postings.question import Filters
from tools.retrieval.filters import Employment, employment_patterns, place_patterns
from tools.retrieval.search import Found

router = APIRouter()

MAX_K = 100
KEYED = [Security(BEARER)]
CallerDep = Annotated[Caller, Depends(caller_of)]
SessionId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


Place = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Clean]


class Part(BaseModel):
    """A dependency: whether it answers, and what is known of it."""

    model_config = ConfigDict(extra="allow")

    ok: bool | None = Field(description="null: not known yet")
    message: str | None = Field(None, description="what to do, when it does not answer")


class Readiness(BaseModel):
    """Whether the service can answer, and each dependency by its name."""

    ready: bool
    draining: bool = Field(description="the worker is on its way out, and takes nothing new")
    offline: bool = Field(description="the rule-based offline model answers")
    embeddings_offline: bool = Field(description="the offline model embeds")
    version: str
    parts: dict[str, Part]


class Health(BaseModel):
    """This process is alive."""

    status: str


class PostingQuery(BaseModel):
    """What is looked for, and among which postings."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=1_000), Clean] = Field(
        description="the job in the first line, what one can in the next, and after an empty line what else "
        "interests one"
    )
    k: int = Field(20, ge=1, le=MAX_K, description="how many")
    open: bool = Field(True, description="only postings whose deadline has not passed")
    place: Place | None = Field(
        None, description="a city or region in Korean or English, or `remote`: others are left out"
    )
    employment: Employment | None = Field(None, description="kind of employment: others are left out")
    years: int | None = Field(
        None, ge=0, le=60, description="years of experience: postings that ask for more are left out"
    )

    def filters(self) -> Filters:
        """Returns which postings are asked for."""
        return Filters(
            only_open=self.open,
            places=self.place and place_patterns(self.place),
            employment=self.employment and employment_patterns(self.employment),
            years=self.years,
        )


@router.get(
    "/postings/search", tags=["postings"], dependencies=KEYED, responses=responses(401, 422, 429, 500, 503)
)
async def search_postings(
    request: Request,
    response: Response,
    context: ContextDep,
    _: CallerDep,
    asked: Annotated[PostingQuery, Query()],
) -> list[FoundPosting]:
    """What retrieval sees: the `k` postings that fit `q` best, best first, and why each is there."""
    await Door(request).count()
    with_headers(request, response)
    return (await find_postings(context, asked)).postings


async def find_postings(context: AppContext, asked: PostingQuery) -> Found:
    """Returns the postings that fit best, best first, and why each is there.

    Raises:
        NoPostingsError, EmbeddingMismatchError, ModelUnavailableError: as `PostingSearch.find`.
    """
    search = context.services.search
    return await search.find(asked.q, k=asked.k, filters=asked.filters(), explained=True)


@router.get(
    "/postings/{posting_id}",
    tags=["postings"],
    dependencies=KEYED,
    responses=responses(401, 404, 422, 500, 503),
)
async def get_posting(
    context: ContextDep, caller: CallerDep, posting_id: Annotated[str, Path(max_length=50)]
) -> StoredPosting:
    """One posting, whole: what a quote in an answer can be checked against."""
    if session_id := guest_session(caller.owner):
        view = await context.sessions.view(session_id, caller.owner)
        if posting_id not in {posting["posting_id"] for posting in view["postings"]}:
            raise PostingNotFoundError(posting_id=posting_id)
    postings = await context.services.postings.by_ids([posting_id])
    if posting_id not in postings:
        raise PostingNotFoundError(posting_id=posting_id)
    return postings[posting_id]


@router.get(
    "/sessions/{session_id}",
    tags=["sessions"],
    dependencies=KEYED,
    responses={200: {"model": SessionView}, **responses(401, 404, 422, 500, 503)},
)
async def get_session(context: ContextDep, caller: CallerDep, session_id: SessionId) -> JSONResponse:
    """A session: profile, summary, subject, candidates, rejected, history of projects."""
    return JSONResponse(await context.sessions.view(session_id, caller.owner))


@router.get(
    "/sessions/{session_id}/project.md",
    tags=["sessions"],
    dependencies=KEYED,
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/markdown": {}}, "description": "the project as Markdown"},
        **responses(401, 404, 422, 500, 503),
    },
)
async def get_project(
    context: ContextDep,
    caller: CallerDep,
    session_id: SessionId,
    project: Annotated[
        int | None, Query(ge=0, description="its place in the session's `history`, from 0; else the newest")
    ] = None,
) -> PlainTextResponse:
    """A project of a session as Markdown (CommonMark), to take along: the newest unless another is named."""
    view = SessionView.model_validate(await context.sessions.view(session_id, caller.owner))
    newest = len(view.history) - 1
    wanted = newest if project is None else project
    if not 0 <= wanted <= newest:
        raise ProjectNotFoundError
    if wanted == newest:  # candidates and what checks found are known of it alone
        text = to_markdown(
            view.history[newest], view.language, candidates=view.candidates, warnings=view.warnings
        )
    else:
        text = to_markdown(view.history[wanted], view.language)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.delete(
    "/sessions/{session_id}",
    tags=["sessions"],
    dependencies=KEYED,
    status_code=204,
    responses=responses(401, 404, 409, 422, 500, 503),
)
async def delete_session(context: ContextDep, caller: CallerDep, session_id: SessionId) -> None:
    """Forgets a session at once: nothing of it is left."""
    await context.sessions.forget(session_id, caller.owner)


@router.get("/healthz", tags=["health"], responses=responses(500))
async def healthz() -> Health:
    """This process is alive."""
    return Health(status="ok")


@router.get(
    "/readyz",
    tags=["health"],
    responses={
        200: {"model": Readiness, "description": "every dependency answers"},
        503: {
            "model": Readiness,
            "description": "one does not: `message` says what to do; or the worker drains",
        },
        **responses(500),
    },
)
async def readyz(request: Request, context: ContextDep) -> JSONResponse:
    """Whether the stores take a write, give it back and answer a query, within a second; 503 when one does
    not, and while this worker drains. The model is reported too; readiness does not depend on it."""
    report = await context.readiness.report()
    watch: KeyWatch = request.app.state.key_watch
    report["parts"]["keys"] = watch.report()
    report["parts"]["limits"] = context.limiter.report()
    draining = drain_of(request).started
    report |= {"draining": draining, "ready": report["ready"] and not draining}
    return JSONResponse(report, 200 if report["ready"] else 503)
