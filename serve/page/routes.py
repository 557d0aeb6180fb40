"""The addresses of the page: `/`, `/s/{session}`, `/search`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
import psycopg
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from redis.exceptions import RedisError

from graph.errors import to_service_error
from graph.sessions.views import SessionView
from serve.context import AppContext, ContextDep
from serve.page import views
from serve.page.known import KnownPostings
from serve.page.rendering import render
from serve.page.words import language_of, script_words, words
from serve.routes import CallerDep, SessionId, nearest_postings
from tools.core.contracts import Language
from tools.core.errors import NoPostingsError, ServiceError, SessionNotFoundError
from tools.core.text import clean
from tools.lexicon import KIND_OF

Wanted = Annotated[str | None, Query(alias="lang", description="`ko` or `en`; else what the browser prefers")]

HITS = 20
NODES = ("build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks")
GROUPS = {
    "experiences": ("company", "role", "start", "end", "description"),
    "projects": ("title", "skills", "description"),
    "educations": ("school", "major", "gpa", "gpa_max"),
    "activities": ("title", "date", "description"),
    "awards": ("title", "date", "description"),
    "certificates": ("title", "date"),
}
"""The fields of a profile that are lists of things, as the form asks for them."""
FAMILIES: dict[Language, tuple[str, ...]] = {
    "ko": (
        "백엔드 개발자",
        "프론트엔드 개발자",
        "안드로이드 개발자",
        "iOS 개발자",
        "데이터 분석가",
        "데이터 엔지니어",
        "AI/ML 엔지니어",
        "DevOps 엔지니어",
        "정보보안 담당자",
        "게임 개발자",
        "임베디드 개발자",
        "QA 엔지니어",
    ),
    "en": (
        "Backend developer",
        "Frontend developer",
        "Android developer",
        "iOS developer",
        "Data analyst",
        "Data engineer",
        "AI/ML engineer",
        "DevOps engineer",
        "Security engineer",
        "Game developer",
        "Embedded developer",
        "QA engineer",
    ),
}
"""Jobs that are suggested: one of each family that sample and real postings are mostly of."""
CANDIDATES = 3


@cache
def _people() -> dict[str, dict[str, Any]]:
    """Returns the sample profiles by id."""
    text = (files("samples") / "profiles.jsonl").read_text(encoding="utf-8")
    return {row["id"]: row["profile"] for row in map(orjson.loads, text.splitlines())}


class _Which(BaseModel):
    """What of a session is looked at: its project of this number, from 0, alone or beside another; and the
    page's language."""

    lang: str | None = None
    project: int | None = Field(None, ge=0)
    versus: int | None = Field(None, ge=0, alias="with")


class _PageRoute(APIRoute):
    """A route that answers a person: an error is a page as well, in words, with one thing to do."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns the handler of the route."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except (RequestValidationError, SessionNotFoundError):
                return _gone(request)
            except (ServiceError, psycopg.Error, RedisError) as error:
                return _problem(request, to_service_error(error))

        return handled


router = APIRouter(include_in_schema=False, route_class=_PageRoute)


def install(app: FastAPI) -> None:
    """Adds the page to an app."""
    app.state.known_postings = KnownPostings()
    app.include_router(router)


@router.get("/")
async def start(
    request: Request,
    context: ContextDep,
    wanted: Wanted = None,
    person: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Asks who somebody is and what they want. With `person` the form is filled in with a sample profile."""
    language = language_of(request, wanted)
    said = words(language)
    shown = {
        "families": FAMILIES[language],
        "skills": list(KIND_OF),
        "groups": GROUPS,
        "people": [{"id": name, "said": said(f"person_{name}")} for name in _people()],
        "profile": _people().get(person or ""),
        "offline": context.services.settings.offline,
    }
    return render(request, "start", language, shown, knows=await _knows(request, language))


@router.get("/search")
async def search(
    request: Request,
    context: ContextDep,
    _: CallerDep,
    wanted: Wanted = None,
    q: Annotated[str, Query(max_length=1_000)] = "",
) -> Response:
    """The postings near to some words, each with why it was found."""
    language = language_of(request, wanted)
    shown: dict[str, Any] = {"query": clean(q).strip(), "hits": [], "problem": None, "today": _today()}
    if shown["query"]:
        try:
            near = await nearest_postings(context, shown["query"], HITS)
        except NoPostingsError:
            shown["problem"] = words(language)("knows_none")
        else:
            shown["hits"] = [views.found(posting, shown["query"]) for posting in near]
    return render(request, "search", language, shown, knows=await _knows(request, language))


@router.get("/s/{session_id}")
async def session(
    request: Request,
    context: ContextDep,
    caller: CallerDep,
    session_id: SessionId,
    which: Annotated[_Which, Query()],
) -> Response:
    """A session: one of its projects, the newest unless another is named, with the proof and the market; or
    two of them side by side (`with`). While its first run is at work, what becomes of it."""
    view = SessionView.model_validate(await context.sessions.view(session_id, caller.owner))
    language = language_of(request, which.lang, view.language)
    numbers = range(len(view.history))
    at = which.project if which.project in numbers else len(view.history) - 1
    shown = {
        "session_id": session_id,
        "address": _Addresses(request, session_id),
        "language": view.language,
        "history": view.history,
        "at": at,
        "of": sum(row.kept for row in view.postings),
        "today": _today(),
    }
    if which.versus in numbers and which.versus != at:
        pair = [(at, which.versus), (which.versus, at)]
        shown["pair"] = [_compared(view, one, other) for one, other in pair]
        name = "compare"
    else:
        shown |= await _shown(context, view, at)
        name = "session"
    knows = await _knows(request, language)
    return render(request, name, language, shown, knows=knows, private=True)


def _compared(view: SessionView, at: int, other: int) -> dict[str, Any]:
    project = view.history[at]
    return {
        "at": at,
        "project": project,
        "only": views.only_in(project, view.history[other]),
        "reasons": views.reasons(project, view.summary),
    }


async def _shown(context: AppContext, view: SessionView, at: int) -> dict[str, Any]:
    """Returns what a session's page shows of its project number `at`; of a session without one, that."""
    newest = at == len(view.history) - 1
    shown: dict[str, Any] = {
        "project": view.history[at] if view.history else None,
        "newest": newest,
        "nodes": NODES,
        "read_only": False,
        "token": "",
    }
    if not view.history:
        return shown
    project = view.history[at]
    kept = [row.posting_id for row in view.postings if row.kept]
    quoted = [quote.posting_id for quote in project.evidence]
    return shown | {
        "summary": view.summary,
        "candidates": view.candidates,
        "missing": max(0, CANDIDATES - len(view.candidates)),
        "reasons": views.reasons(project, view.summary),
        "bars": views.market(view.summary, view.profile, project, len(kept)),
        "quotes": views.quotes_by_posting(project.evidence),
        "postings": await context.services.postings.by_ids(list(dict.fromkeys(kept + quoted))),
        "retrieved": view.postings,
        "dropped": [row for row in view.postings if not row.kept],
        "warnings": view.warnings if newest else [],
        "closest_only": view.closest_only,
        "left_out": len({posting for ids in view.left_out.values() for posting in ids}),
        "offline_answer": context.services.settings.offline,
        "markdown": f"../sessions/{view.session_id}/project.md?project={at}",
        "file_name": f"checkerboard-{view.session_id[:8]}-{at + 1}.md",
        "kept_days": 30,
    }


class _Addresses:
    """The addresses within a session, in the language and with the token of this one."""

    def __init__(self, request: Request, session_id: str) -> None:
        self._kept = {
            name: request.query_params[name] for name in ("lang", "token") if name in request.query_params
        }
        self._path = f"{request.scope.get('root_path', '').rstrip('/')}/s/{session_id}"

    def __call__(self, **parameters: int) -> str:
        """Returns the address with these parameters."""
        query = urlencode({**parameters, **self._kept})
        return f"{self._path}?{query}" if query else self._path


async def _knows(request: Request, language: Language) -> str:
    counted: KnownPostings = request.app.state.known_postings
    context: AppContext = request.app.state.app_context
    known = await counted.of(context.services.postings)
    if known.newest is None:
        return words(language)("knows_none")
    return words(language)("knows", count=known.postings, day=known.newest.date())


def _gone(request: Request) -> HTMLResponse:
    language = language_of(request, request.query_params.get("lang"))
    said = words(language)
    minutes = request.app.state.app_context.services.settings.session_ttl_minutes
    shown = {
        "heading": said("gone_title"),
        "text": said("gone_text", minutes=f"{minutes:g}"),
        "button": "start",
    }
    return render(request, "gone", language, shown, knows="", status=404, private=True)


def _problem(request: Request, error: ServiceError) -> HTMLResponse:
    language = language_of(request, request.query_params.get("lang"))
    say = script_words(language)
    text = say.get(f"error_{error.code}") or say["error_unknown"].format(code=error.code)
    shown = {"heading": words(language)("problem_title"), "text": text, "button": "reload"}
    return render(request, "gone", language, shown, knows="", status=error.http_status, private=True)


def _today() -> date:
    return datetime.now(UTC).date()
