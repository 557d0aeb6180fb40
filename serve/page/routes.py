"""The addresses of the page: `/`, `/s/{session}`, `/k/{kept}`, `/search`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, date, datetime
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

import orjson
import psycopg
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from redis.exceptions import RedisError

from graph.errors import to_service_error
from graph.sessions.sessions import ANYONE
from graph.sessions.views import SessionView
from serve.callers import ApiKeys
from serve.context import AppContext, ContextDep
from serve.kept_routes import KeptId
from serve.limits.holds import Door
from serve.limits.state import headers_of
from serve.page import views
from serve.page.known import KnownPostings
from serve.page.rendering import render
from serve.page.words import language_of, script_words, words
from serve.routes import PostingQuery, SessionId, find_postings
from serve.visitors import TOKEN, page_owner, remember
from tools.core.contracts import Language, Profile
from tools.core.errors import (
    KeptNotFoundError,
    ServiceError,
    SessionNotFoundError,
    UnauthorizedError,
)
from tools.core.text import clean
from tools.lexicon import KIND_OF
from tools.lexicon.families import FAMILIES as JOB_FAMILIES
from tools.retrieval.filters import PLACES, Employment

Wanted = Annotated[str | None, Query(alias="lang", description="`ko` or `en`; else what the browser prefers")]

HITS = 20
"""Postings that a search shows at first."""
MOST_HITS = 40
"""Postings that it shows when more are asked for: each stands in the page whole, with some 2 kB."""
FILTERS = ("place", "employment", "years")
NODES = ("build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks")
GROUPS = {
    "experiences": ("company", "role", "start", "end", "description"),
    "projects": ("title", "skills", "description"),
    "educations": ("school", "major", "gpa", "gpa_max"),
    "activities": ("title", "date", "description"),
    "awards": ("title", "date", "description"),
    "certificates": ("title", "date", "description"),
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
                return _gone(request, "gone")
            except KeptNotFoundError:
                return _gone(request, "kept_gone")
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
    owner = page_owner(request)
    shown = {
        "families": FAMILIES[language],
        "skills": list(KIND_OF),
        "groups": GROUPS,
        "people": [{"id": name, "said": said(f"person_{name}")} for name in _people()],
        "profile": _people().get(person or ""),
        "offline": context.services.settings.offline,
        "kept": await context.kept.of_owner(owner) if owner else [],
    }
    page = render(request, "start", language, shown, knows=await _knows(request, language))
    remember(request, page)
    return page


@router.get("/search")
async def search(
    request: Request,
    context: ContextDep,
    wanted: Wanted = None,
) -> Response:
    """The postings that fit some words, and why each was found. What is asked for is as `GET
    /postings/search` has it, but that an empty field asks for nothing, and a wrong one is said beside it."""
    _owner(request)
    language = language_of(request, wanted)
    typed = {name: clean(request.query_params.get(name, "")).strip() for name in PostingQuery.model_fields}
    typed["k"] = typed["k"] or str(HITS)
    shown: dict[str, Any] = {
        "query": typed["q"],
        "typed": typed,
        "filtered": any(typed[name] for name in FILTERS) or typed["open"] == "false",
        "places": [_named(spellings, language) for spellings in PLACES],
        "kinds": get_args(Employment),
        "wrong": frozenset(),
        "hits": None,
        "problem": None,
        "more": None,
        "today": _today(),
    }
    status, headers = 200, {}
    if typed["q"]:
        try:
            asked = PostingQuery.model_validate({name: value for name, value in typed.items() if value})
            await Door(request).count()
            found = await find_postings(context, asked)
        except ValidationError as error:
            shown["wrong"] = {str(problem["loc"][0]) for problem in error.errors()}
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        except ServiceError as error:
            shown["problem"] = _in_words(error, language)
            status = error.http_status
            if error.retry_after_seconds is not None:
                headers["Retry-After"] = str(error.retry_after_seconds)
        else:
            shown["hits"] = views.hits(found.postings, typed["q"], language)
            shown["families"] = [JOB_FAMILIES[key].name[language] for key in found.families]
            shown["outside_it"] = found.outside_it
            if len(found.postings) == asked.k < MOST_HITS:
                more = request.url.include_query_params(k=MOST_HITS)
                shown["more"] = f"?{more.query}#hit-{asked.k + 1}"
    page = render(request, "search", language, shown, knows=await _knows(request, language), status=status)
    page.headers.update(headers | headers_of(request))
    return page


def _named(spellings: Sequence[str], language: Language) -> str:
    """Returns what a place is called in a language: the first of its spellings that is in it."""
    return next(name.title() for name in spellings if name.isascii() == (language == "en"))


@router.get("/s/{session_id}")
async def session(
    request: Request,
    context: ContextDep,
    session_id: SessionId,
    which: Annotated[_Which, Query()],
) -> Response:
    """A session: one of its projects, the newest unless another is named, with the proof and the market; or
    two of them side by side (`with`). While its first run is at work, what becomes of it."""
    owner = _owner(request, session_id)
    try:
        view = SessionView.model_validate(await context.sessions.view(session_id, owner))
    except SessionNotFoundError:
        # A run that waits for its turn has no session yet; its page is there to wait with it.
        if not await context.runs.of_session(session_id, owner):
            raise
        language = language_of(request, which.lang)
        shown = {"session_id": session_id, "at": -1, "history": [], **_waiting(request)}
        knows = await _knows(request, language)
        return render(request, "session", language, shown, knows=knows, private=True)
    language = language_of(request, which.lang, view.language)
    newest = len(view.history) - 1
    at = newest if which.project is None else min(which.project, newest)
    shown = {
        "session_id": session_id,
        "address": _Addresses(request, session_id),
        "language": view.language,
        "history": view.history,
        "at": at,
        "of": sum(row.kept for row in view.postings),
        "today": _today(),
    }
    if which.versus is not None and which.versus <= newest and which.versus != at:
        pair = [(at, which.versus), (which.versus, at)]
        shown["pair"] = [_compared(view, one, other) for one, other in pair]
        name = "compare"
    else:
        shown |= await _shown(request, context, view, at)
        name = "session"
    knows = await _knows(request, language)
    return render(request, name, language, shown, knows=knows, private=True)


def _waiting(request: Request) -> dict[str, Any]:
    """Returns what the page of a session shows that has no project yet."""
    token = request.query_params.get(TOKEN)
    return {"project": None, "nodes": NODES, "read_only": token is not None, "token": token or ""}


def _compared(view: SessionView, at: int, other: int) -> dict[str, Any]:
    project = view.history[at]
    return {
        "at": at,
        "project": project,
        "only": views.only_in(project, view.history[other]),
        "reasons": views.reasons(project, view.summary),
    }


async def _shown(request: Request, context: AppContext, view: SessionView, at: int) -> dict[str, Any]:
    """Returns what a session's page shows of its project number `at`; of a session without one, that."""
    if not view.history:
        return _waiting(request)
    newest = at == len(view.history) - 1
    token = request.query_params.get(TOKEN)
    project = view.history[at]
    root = request.scope.get("root_path", "").rstrip("/")
    query = {"project": at, **({TOKEN: token} if token else {})}
    kept = [row.posting_id for row in view.postings if row.kept]
    quoted = [quote.posting_id for quote in project.evidence]
    return _waiting(request) | {
        "project": project,
        "newest": newest,
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
        "offline_answer": view.versions.get("offline", context.services.settings.offline),
        "left_out": len({posting for ids in view.left_out.values() for posting in ids}),
        "markdown": f"{root}/sessions/{view.session_id}/project.md?{urlencode(query)}",
        "file_name": f"checkerboard-{view.session_id[:8]}-{at + 1}.md",
        "session_minutes": f"{context.services.settings.session_ttl_minutes:g}",
        "kept_days": f"{context.services.settings.kept_days:g}",
    }


@router.get("/k/{kept_id}")
async def kept_project(
    request: Request, context: ContextDep, kept_id: KeptId, wanted: Wanted = None
) -> Response:
    """A kept project: read by whoever has its address, deleted by whoever kept it."""
    kept = await context.kept.find(kept_id)
    language = language_of(request, wanted, kept.language)
    count = len(kept.postings)
    profile = Profile(desired_job=kept.desired_job, skills=kept.skills)
    own = page_owner(request)
    mine = await context.kept.of_owner(own) if own else []
    shown = {
        "kept_id": kept_id,
        "own": kept_id in {row["id"] for row in mine},
        "language": kept.language,
        "project": kept.project,
        "summary": kept.summary,
        "reasons": views.reasons(kept.project, kept.summary),
        "bars": views.market(kept.summary, profile, kept.project, count),
        "of": count,
        "postings": {posting.posting_id: posting for posting in kept.evidence},
        "warnings": kept.warnings,
        "closest_only": kept.closest_only,
        "left_out": 0,
        "offline_answer": kept.versions.get("offline", False),
        "expires": kept.expires_at.date(),
        "markdown": f"{request.scope.get('root_path', '').rstrip('/')}/kept/{kept_id}/project.md",
        "file_name": f"checkerboard-{kept_id[:8]}.md",
        "today": _today(),
    }
    return render(request, "kept", language, shown, knows=await _knows(request, language), private=True)


def _owner(request: Request, session_id: str | None = None) -> str:
    """Returns the owner that whoever opens a page is.

    Raises:
        UnauthorizedError: nobody, where the service wants to know.
    """
    keys: ApiKeys = request.app.state.api_keys
    owner = page_owner(request, session_id)
    if owner is None and (keys.needed or TOKEN in request.query_params):
        raise UnauthorizedError
    return owner or ANYONE.owner


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


def _gone(request: Request, what: Literal["gone", "kept_gone"]) -> HTMLResponse:
    language = language_of(request, request.query_params.get("lang"))
    said = words(language)
    minutes = request.app.state.app_context.services.settings.session_ttl_minutes
    shown = {
        "heading": said(f"{what}_title"),
        "text": said(f"{what}_text", minutes=f"{minutes:g}"),
        "button": "start",
    }
    return render(request, "gone", language, shown, knows="", status=404, private=True)


def _problem(request: Request, error: ServiceError) -> HTMLResponse:
    language = language_of(request, request.query_params.get("lang"))
    shown = {
        "heading": words(language)("problem_title"),
        "text": _in_words(error, language),
        "button": "reload",
    }
    return render(request, "gone", language, shown, knows="", status=error.http_status, private=True)


def _in_words(error: ServiceError, language: Language) -> str:
    say = script_words(language)
    return say.get(f"error_{error.code}") or say["error_unknown"].format(code=error.code)


def _today() -> date:
    return datetime.now(UTC).date()
